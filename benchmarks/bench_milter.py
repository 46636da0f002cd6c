"""The milter: messages a second through a real Postfix, beside OpenDKIM; what idle connections cost, and growth.

Messages of 4 KB go through a private Postfix (smtp-source, one session or four) that throws them away, once without a
milter, once with each filter, over TCP and by a unix socket: adding a field (verifying mail that is not signed) and
signing with RSA-2048. Needs root, Postfix and OpenDKIM.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import table

ROUNDS = 3
SECONDS = 1.5
OCTETS = 4096
IDLE = 1000
MANY = 20_000


class Case(NamedTuple):
    """One filter at work."""

    name: str
    task: str  # "tag" (a field and no more: the server alone), "field" (verify, and say so) or "sign"
    family: str  # "inet" or "unix"


NOTHING = Case("no milter", "", "")
CASES = [
    NOTHING,
    *(
        Case(name, task, family)
        for task in ("tag", "field", "sign")
        for family in ("inet", "unix")
        for name in ("mailauth", "OpenDKIM")
        if (name, task) != ("OpenDKIM", "tag")
    ),
]


def serve(task: str, addresses: list[str]) -> None:
    """Our filter, in a process of its own."""
    from mailauth.aio import Authenticator
    from mailauth.dkim import SigningRule, SigningTable
    from mailauth.milter import Accept, AddHeader, EndOfMessage, Milter, MilterServer
    from mailauth.milter.filter import MailFilter
    from mailauth.milter.server import Answer
    from mailauth.resolvers import ZoneResolver

    class Tag(Milter):
        async def on_end_of_message(self, event: EndOfMessage) -> Answer:
            return [AddHeader("X-Seen", "yes"), Accept()]

    key = Path(os.environ["BENCH_KEY"]).read_bytes()
    own = MailFilter(
        Authenticator("mx.mailbox.test", resolver=ZoneResolver({})),
        table=SigningTable([SigningRule(("example.org",), "sel", key)]),
        networks=[ipaddress.ip_network("127.0.0.0/8")] if task == "sign" else (),
    )

    handle = MilterServer(Tag).handle if task == "tag" else own.handle

    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            for address in addresses:
                kind, _, rest = address.partition(":")
                if kind == "unix":
                    server = await asyncio.start_unix_server(handle, rest)
                    Path(rest).chmod(0o666)
                else:
                    host, _, port = rest.partition(":")
                    server = await asyncio.start_server(handle, host, int(port))
                await stack.enter_async_context(server)
            await asyncio.Event().wait()

    asyncio.run(run())


@contextlib.contextmanager
def process(command: list[str], **environment: str) -> Iterator[int]:
    """A program in the background; its process id."""
    with subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.DEVNULL) as running:
        try:
            yield running.pid
        finally:
            running.send_signal(signal.SIGTERM)


def opendkim(folder: Path, task: str, address: str) -> list[str]:
    """The command of an OpenDKIM that does the task."""
    (folder / "internal").write_text("127.0.0.1\n" if task == "sign" else "10.9.9.9\n")
    configuration = folder / "opendkim.conf"
    configuration.write_text(
        f"Socket {address}\nMode {'s' if task == 'sign' else 'v'}\nDomain example.org\nSelector sel\n"
        f"KeyFile {folder.parent}/key.pem\nInternalHosts {folder}/internal\nAlwaysAddARHeader yes\nUMask 000\n"
        "AuthservID mx.mailbox.test\nRequireSafeKeys no\nCanonicalization relaxed/relaxed\nSyslog no\n"
    )
    return [shutil.which("opendkim", path="/usr/sbin:/usr/bin") or "opendkim", "-f", "-x", str(configuration)]


@contextlib.contextmanager
def listening(folder: Path, ports: dict[Case, str]) -> Iterator[None]:
    """All filters at once."""
    with contextlib.ExitStack() as stack:
        for task in ("tag", "field", "sign"):
            ours = [address for case, address in ports.items() if case.name == "mailauth" and case.task == task]
            command = [sys.executable, "-m", "benchmarks.bench_milter", "serve", task, *ours]
            stack.enter_context(process(command, BENCH_KEY=str(folder / "key.pem")))
        for number, (case, address) in enumerate(ports.items()):
            if case.name == "OpenDKIM":
                place = folder / str(number)
                place.mkdir()
                kind, _, rest = address.partition(":")
                own = f"inet:{rest.rpartition(':')[2]}@127.0.0.1" if kind == "inet" else f"local:{rest}"
                stack.enter_context(process(opendkim(place, case.task, own)))
        yield


def rate(port: int, sessions: int, count: int) -> float:
    """Messages a second of `count` messages."""
    command = ["smtp-source", "-d", "-s", str(sessions), "-m", str(count), "-l", str(OCTETS)]
    command += ["-f", "ann@example.org", "-t", "bob@mailbox.test", f"inet:127.0.0.1:{port}"]
    start = time.perf_counter()
    subprocess.run(command, check=True)
    return count / (time.perf_counter() - start)


def through_postfix() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from tests.postfix import Postfix
    from tests.servers import free_port

    services = "".join(
        f"127.0.0.1:{{case{number}}} inet n - n - - smtpd -o smtpd_milters=@{number}@\n"
        for number, case in enumerate(CASES)
        if case is not NOTHING
    )
    postfix = Postfix(settings={"virtual_transport": "discard", "milter_default_action": "tempfail"}, services=services)
    folder = Path(tempfile.mkdtemp(prefix="bench-milter-"))
    folder.chmod(0o755)
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(pem)
    addresses = {
        case: f"inet:127.0.0.1:{free_port()}" if case.family == "inet" else f"unix:{folder}/{number}.sock"
        for number, case in enumerate(CASES)
        if case is not NOTHING
    }
    for number, case in enumerate(CASES):
        postfix._services = postfix._services.replace(f"@{number}@", addresses.get(case, ""))
    try:
        with listening(folder, addresses), postfix:
            for address in addresses.values():
                _wait(address)
            rates = {(case, sessions): 0.0 for case in CASES for sessions in (1, 4)}
            for _ in range(ROUNDS):
                for case, sessions in rates:
                    port = postfix.port if case is NOTHING else postfix.port_of(f"case{CASES.index(case)}")
                    guess = rates[case, sessions] or rate(port, sessions, 8)
                    count = max(8, int(guess * SECONDS))
                    rates[case, sessions] = max(rates[case, sessions], rate(port, sessions, count))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = [
        [" ".join(filter(None, (case.name, case.task, case.family))), *(f"{rates[case, n]:.0f}" for n in (1, 4))]
        for case in CASES
    ]
    table("Messages of 4 KB a second through Postfix: best of three", ["filter", "1 session", "4 sessions"], rows)


def _wait(address: str) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if address.startswith("unix:"):
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(address.removeprefix("unix:"))
            else:
                socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))).close()
            return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens at {address}")


def memory() -> None:
    """What a thousand idle connections cost, and how the process grows with messages."""
    from tests.servers import free_port

    with tempfile.TemporaryDirectory() as name:
        key = Path(name) / "key.pem"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        address = f"inet:127.0.0.1:{free_port()}"
        command = [sys.executable, "-m", "benchmarks.bench_milter", "serve", "field", address]
        with process(command, BENCH_KEY=str(key)) as pid:
            _wait(address)
            asyncio.run(_memory(pid, int(address.rpartition(":")[2])))


async def _memory(pid: int, port: int) -> None:
    async def session() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_packet(b"O", bytes([0, 0, 0, 6, 0, 0, 1, 255, 0, 31, 255, 255])))
        await reader.readexactly(4 + int.from_bytes(await reader.readexactly(4)) - 4)
        writer.write(_packet(b"C", b"mx.example.org\x004\x30\x39192.0.2.1\0") + _packet(b"H", b"mx.example.org\0"))
        return reader, writer

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        octets = _packet(b"M", b"<ann@example.org>\0") + _packet(b"R", b"<bob@example.net>\0")
        octets += (
            _packet(b"L", b"From\0 ann@example.org\0") + _packet(b"N") + _packet(b"B", b"x" * 4000) + _packet(b"E")
        )
        for _ in range(count):
            writer.write(octets)
            command = b""
            while command != b"a":
                length = int.from_bytes(await reader.readexactly(4))
                command = (await reader.readexactly(length))[:1]

    first = await session()
    await send(*first, MANY // 10)
    before = _resident(pid)
    start = time.perf_counter()
    await send(*first, MANY)
    seconds, grown = time.perf_counter() - start, _resident(pid) - before
    before = _resident(pid)
    sessions = [await session() for _ in range(IDLE)]
    await asyncio.sleep(0.5)
    each = (_resident(pid) - before) / IDLE
    for _, writer in [first, *sessions]:
        writer.close()
    rows = [
        [f"{IDLE:,} idle connections, KB each", f"{each / 1024:.1f}"],
        [f"growth over {MANY:,} messages, KB", f"{grown / 1024:.0f}"],
        ["messages a second without Postfix, one connection", f"{MANY / seconds:.0f}"],
    ]
    table("Memory", ["", ""], rows)


def _packet(command: bytes, data: bytes = b"") -> bytes:
    return (len(data) + 1).to_bytes(4) + command + data


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    through_postfix()
    memory()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], sys.argv[3:])
    else:
        main()
