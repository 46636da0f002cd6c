"""The policy service beside postgrey: requests per second at 1 and 8 connections, new and known triplets.

Both answer the same requests over TCP, each from one process, by greylisting alone. Also: what an idle connection
costs, and whether many requests make the process grow (`--requests 1000000` for a day's worth).
"""

from __future__ import annotations

import argparse
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.common import table

COUNTS = {1: 600, 8: 1600}
"""Requests of each kind in a round, by connections."""
ROUNDS = 6
DELAY = 1
IDLE_CONNECTIONS = 1000
REQUEST = """request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
client_address={client}
client_name=unknown
client_port=50611
reverse_client_name=unknown
server_address=192.0.2.25
server_port=25
helo_name=mx.example.org
sender={sender}
recipient={recipient}
recipient_count=0
queue_id=
instance={instance}
size=4321
etrn_domain=
stress=
sasl_method=
sasl_username=
sasl_sender=
ccert_subject=
ccert_issuer=
ccert_fingerprint=
ccert_pubkey_fingerprint=
encryption_protocol=TLSv1.3
encryption_cipher=TLS_AES_256_GCM_SHA384
encryption_keysize=256
policy_context=

"""


def requests(name: str, count: int, attempt: int) -> list[bytes]:
    """Requests for mail from a thousand networks, each of one message of its own."""
    return [
        REQUEST.format(
            client=f"10.{i % 1000 >> 8}.{i % 1000 & 255}.7",
            sender=f"ann.{name}n{i}x@example.org",
            recipient=f"bob{i % 200}x@example.net",
            instance=f"{attempt}{name}.{i}.1",
        ).encode()
        for i in range(count)
    ]


def ask(port: int, connections: int, octets: Sequence[bytes]) -> tuple[float, list[str]]:
    """The seconds that the requests took, each connection asking again once it has its answer; the actions."""
    selector = selectors.DefaultSelector()
    waiting, actions = iter(octets), []
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ, connection)
    keys = list(selector.get_map().values())
    start, left = time.perf_counter(), len(octets)
    for key in keys:
        key.data.sendall(next(waiting))
    parts: dict[int, bytes] = defaultdict(bytes)
    while left:
        for key, _ in selector.select():
            reply = parts.pop(key.fd, b"") + key.data.recv(4096)
            if not reply:
                raise ConnectionError("the service closed the connection")
            if not reply.endswith(b"\n\n"):
                parts[key.fd] = reply
                continue
            left -= 1
            actions.append(reply.removeprefix(b"action=").split(None, 1)[0].decode())
            request = next(waiting, None)
            if request is not None:
                key.data.sendall(request)
    taken = time.perf_counter() - start
    for key in keys:
        key.data.close()
    return taken, actions


# --- the services --------------------------------------------------------------------------------------------


CONFIGURATION = """hostname = "mx.example.net"
[resolver]
zone = "empty.zone"
[restrictions]
recipient = ["greylist prove_by=iprev"]
[greylist]
store = "{store}"
delay = {delay}
auto_allow = 0
[policyd]
listen = ["inet:127.0.0.1:{port}"]
fields = []
"""


def ours(folder: Path, store: str, port: int) -> list[str]:
    """The command that users run, with one restriction and no DNS."""
    (folder / "empty.zone").write_text("")
    file = folder / f"mailauth.{port}.toml"
    file.write_text(CONFIGURATION.format(store=store, delay=DELAY, port=port))
    return [sys.executable, "-m", "mailauth", "policyd", "--config", str(file)]


@contextmanager
def running(command: Sequence[str], port: int) -> Iterator[int]:
    """A service in a process of its own, once it takes connections; its process id."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(1000):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit(f"{command[0]} ended with status {process.returncode}") from None
                time.sleep(0.02)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def postgrey(folder: Path, port: int) -> list[str]:
    folder.mkdir()
    shutil.chown(folder, user="postgrey", group="postgrey")
    options = {"inet": f"127.0.0.1:{port}", "dbdir": str(folder), "delay": str(DELAY), "auto-whitelist-clients": "0"}
    empty = folder / "none"
    empty.write_text("")
    options |= {"whitelist-clients": str(empty), "whitelist-recipients": str(empty)}
    return [shutil.which("postgrey") or "/usr/sbin/postgrey", *(f"--{name}={value}" for name, value in options.items())]


def compare() -> None:
    """The table of all services."""
    from tests.servers import free_port

    done: dict[tuple[str, int, str], int] = defaultdict(int)
    seconds: dict[tuple[str, int, str], float] = defaultdict(float)
    busy: dict[tuple[str, int, str], float] = defaultdict(float)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        services = {}  # the port and the process of each
        for name, store in (
            ("SQLite, NORMAL", f"sqlite://{folder}/normal.db"),
            ("SQLite, FULL", f"sqlite://{folder}/full.db?durability=full"),
            ("memory", "memory:"),
        ):
            port = free_port()
            services[name] = port, stack.enter_context(running(ours(folder, store, port), port))
        if Path("/usr/sbin/postgrey").exists():
            port = free_port()
            services["postgrey"] = port, stack.enter_context(running(postgrey(folder / "postgrey", port), port))
        for turn in range(ROUNDS):
            for connections, count in COUNTS.items():
                for kind, expected in (("new", "DEFER_IF_PERMIT"), ("first retry", None), ("known", "DUNNO")):
                    for name, (port, process) in services.items():
                        before = cpu_of(process)
                        taken, actions = ask(port, connections, requests(f"t{turn}c{connections}", count, len(kind)))
                        if expected is not None and name != "postgrey":
                            assert set(actions) == {expected}, (name, kind, set(actions))
                        elif expected is not None:
                            assert ({"DUNNO", "PREPEND"} >= set(actions)) == (kind == "known"), (kind, set(actions))
                        done[name, connections, kind] += count
                        seconds[name, connections, kind] += taken
                        busy[name, connections, kind] += cpu_of(process) - before
                    if kind == "new":
                        time.sleep(DELAY + 0.1)
    rate = {key: done[key] / seconds[key] for key in done}
    rows = []
    for connections in COUNTS:
        for name in services:
            row: list[object] = [name, connections]
            for kind in ("new", "known"):
                own, peer = rate[name, connections, kind], rate.get(("postgrey", connections, kind))
                cpu = busy[name, connections, kind] / done[name, connections, kind]
                row += [f"{own:,.0f}", "-" if peer is None else f"{own / peer:.1f}x", f"{cpu * 1e6:.0f}"]
            rows.append(row)
    head = ("service", "connections", "new", "/ postgrey", "CPU us", "known", "/ postgrey", "CPU us")
    table("Policy service: requests per second, one process each, greylisting alone", head, rows)


def cpu_of(process: int) -> float:
    """Seconds of a core that a process has taken so far: less at the mercy of other programs than the rates are."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- memory --------------------------------------------------------------------------------------------------


def octets_of(process: int) -> int:
    """The resident memory of a process."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory(count: int) -> None:
    """What 1,000 idle connections cost, and `count` requests; the triplets are the same, the mails are not."""
    from tests.servers import free_port

    port, rows = free_port(), []
    with ExitStack() as started:
        folder = started.enter_context(tempfile.TemporaryDirectory())
        process = started.enter_context(running(ours(Path(folder), f"sqlite://{folder}/m.db", port), port))
        for turn in range(3):
            ask(port, 8, requests("warm", 12_000, -turn))  # more than the mails that are known at a time
        before = octets_of(process)
        with ExitStack() as stack:
            some = requests("idle", IDLE_CONNECTIONS, 0)
            for request in some:
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                connection.sendall(request)
                connection.recv(4096)
            each = (octets_of(process) - before) / IDLE_CONNECTIONS
            rows.append((f"{IDLE_CONNECTIONS:,} idle connections", f"{each / 1024:.1f} KB each"))
        before, block = octets_of(process), 10_000
        rows.append(("warm, with its 10,000 mails", f"{before / 1024:,.0f} KB in all"))
        for turn in range(max(1, count // block)):
            ask(port, 8, requests("warm", block, turn + 1))
            done = (turn + 1) * block
            if done % max(block, count // 5) == 0:
                rows.append((f"{done:,} requests more", f"{(octets_of(process) - before) / 1024:+,.0f} KB"))
    table("Policy service: memory (SQLite, NORMAL)", ("", "grows by"), rows)


def main(arguments: Sequence[str] = ()) -> None:
    """Compare the services, then measure the memory of ours."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_policyd", description=__doc__)
    parser.add_argument("--requests", type=int, default=50_000, metavar="N", help="requests while memory is watched")
    parser.add_argument("--memory", action="store_true", help="measure the memory alone")
    options = parser.parse_args(arguments)
    if not options.memory:
        compare()
    memory(options.requests)


if __name__ == "__main__":
    main(sys.argv[1:])
