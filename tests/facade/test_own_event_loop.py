"""examples/own_event_loop.py against a name server on loopback.

A loop that knows nothing but `Execution` gets the results that `run` gets, over real sockets.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import dns.message
import pytest

from mailauth.plan import Outcome, Question, ask_all, run
from mailauth.resolvers import ZoneResolver
from mailauth.spf import check_host
from tests.dnsserver import ZoneServer
from tests.facade.world import GOOD, NOW, STRANGER, records

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "own_event_loop.py"
LONG = "v=spf1 " + " ".join(f"ip4:198.51.100.{number}" for number in range(200)) + " -all"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("own_event_loop", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def zone() -> ZoneResolver:
    mine = {**records(), ("long.example", "TXT"): [LONG]}
    failures: Any = {(f"{failure}.example", "*"): failure for failure in ("timeout", "servfail", "refused")}
    return ZoneResolver(mine, failures=failures)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def server(zone: ZoneResolver) -> Iterator[ZoneServer]:
    with ZoneServer(zone) as server:
        yield server


CLIENTS = [
    (GOOD, "ann@example.org", "pass"),
    (STRANGER, "ann@example.org", "fail"),
    (GOOD, "ann@gone.example", "none"),
    (GOOD, "ann@servfail.example", "temperror"),
    (GOOD, "ann@refused.example", "temperror"),
    (GOOD, "ann@" + "x" * 64 + ".example", "none"),
]


def test_many_checks_at_once(example: ModuleType, server: ZoneServer, zone: ZoneResolver) -> None:
    results: dict[int, Any] = {}
    clients = CLIENTS * 10
    plans = [check_host(ip, mail_from=sender, now=NOW) for ip, sender, _ in clients]
    example.run_all(plans, ("127.0.0.1", server.port), lambda number, result: results.update({number: result}))
    assert len(results) == len(clients)
    for number, (ip, sender, expected) in enumerate(clients):
        assert results[number].result == expected
        assert results[number].to_dict() == run(check_host(ip, mail_from=sender, now=NOW), zone).to_dict()


def test_names_that_cannot_be_asked_are_answered(example: ModuleType, server: ZoneServer) -> None:
    results: list[Any] = []
    plan = ask_all([Question("a..b", "TXT"), Question("example.org", "MX")])
    example.run_all([plan], ("127.0.0.1", server.port), lambda number, result: results.extend(result))
    assert [answer.outcome for answer in results] == [Outcome.NO_SUCH_NAME, Outcome.FOUND]


def test_the_deadline_is_the_loops(example: ModuleType, server: ZoneServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(example, "TIME_LIMIT", 0.3)
    results: dict[int, Any] = {}
    plans = [check_host(GOOD, mail_from=f"ann@{name}", now=NOW) for name in ("timeout.example", "example.org")]
    example.run_all(plans, ("127.0.0.1", server.port), lambda number, result: results.update({number: result}))
    assert (results[0].result, results[0].reason) == ("temperror", "dns-timed-out")
    assert results[1].result == "pass"


def test_what_does_not_fit_is_a_dns_error(example: ModuleType, server: ZoneServer) -> None:
    results: list[Any] = []
    plan = check_host(STRANGER, mail_from="ann@long.example", now=NOW)
    example.run_all([plan], ("127.0.0.1", server.port), lambda number, result: results.append(result))
    assert (results[0].result, results[0].reason) == ("temperror", "dns-server-failure")


def test_packets_of_others_are_passed_over(example: ModuleType) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        client = example.Dns(server.getsockname())
        answers: list[Any] = []
        with client.socket:
            client.ask(Question("example.org", "A"), answers.append)
            query, peer = server.recvfrom(4096)
            wrong_id = bytes([query[0] ^ 1]) + query[1:]
            wrong_name = query.replace(b"example", b"exomple")
            for packet in (b"", b"\0", b"not DNS", query, wrong_id, wrong_name):
                server.sendto(packet, peer)
                client.receive()
            assert (answers, len(client.open)) == ([], 1)
            response = dns.message.make_response(dns.message.from_wire(query))
            server.sendto(response.to_wire(), peer)
            client.receive()
    assert [answer.outcome for answer in answers] == [Outcome.NO_DATA]
    assert not client.open


def test_as_a_command(server: ZoneServer) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, str(EXAMPLE), f"127.0.0.1:{server.port}", f"{GOOD},ann@example.org"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=True)
    assert done.stdout.startswith("192.0.2.1,ann@example.org: pass (include:_spf.example.org ")
    usage = subprocess.run(command[:2], capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert (usage.returncode, "NAMESERVER" in usage.stderr) == (2, True)
