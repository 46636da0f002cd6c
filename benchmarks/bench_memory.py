"""The peak of a process that verifies one message from a file, and what an idle connection costs a service.

"Verify" is a process that imports, reads the file (base64, simple canonicalization) and verifies its signature;
mailauth and libopendkim read it in blocks of 64 KB, dkimpy takes it whole. The floor is a process that imports nothing.
An idle connection is one of 300 that have said what they say first: Postfix's policy protocol beside postgrey, the
milter protocol beside OpenDKIM.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.bench_policyd import POSTGREY, command_of, postgrey, requests
from benchmarks.dkimwork import DOMAIN, HEADER, RSA, SELECTOR, base64_body, opendkim
from benchmarks.filters import command_of as filter_command
from benchmarks.filters import opendkim_command, opendkim_program
from benchmarks.measure import FLOOR, OURS, Case, Contender, missing, package
from benchmarks.services import connect, debian_version, resident, running
from mailauth import sync

TITLE = "Memory"

MEGABYTES = (1, 10, 50)
IDLE = 300
PEAK = (
    # Not getrusage's: the process would inherit the peak of the one that started it.
    "with open('/proc/self/status') as status:\n"
    "    print(next(int(line.split()[1]) * 1024 for line in status if line.startswith('VmHWM')))\n"
)
VERIFY = {
    FLOOR: "",
    OURS: (
        "from mailauth.resolvers import ZoneResolver\nfrom mailauth.sync import verify_dkim\n"
        "zone = ZoneResolver({{({name!r}, 'TXT'): [{record!r}]}})\n"
        "with open({path!r}, 'rb') as file:\n"
        "    assert verify_dkim(file, resolver=zone)[0].result == 'pass'\n"
    ),
    "dkimpy": (
        "import dkim\nwith open({path!r}, 'rb') as file:\n    message = file.read()\n"
        "assert dkim.verify(message, dnsfunc=lambda *_, **__: {record!r}.encode())\n"
    ),
    "libopendkim": (
        "from benchmarks.opendkim import OpenDkim\n"
        "with open({path!r}, 'rb') as file:\n"
        "    assert OpenDkim({record!r}).verify_blocks(iter(lambda: file.read(65536), b'')) == 0\n"
    ),
}


def cases() -> Iterator[Case]:
    yield from verifying()
    yield from idle()


def verifying() -> Iterator[Case]:
    library = opendkim(RSA)
    versions = {OURS: package(OURS), "dkimpy": package("dkimpy"), "libopendkim": getattr(library, "version", "")}
    with tempfile.TemporaryDirectory() as folder:
        for megabytes in MEGABYTES:
            path = Path(folder) / f"{megabytes}.eml"
            write(path, megabytes)
            values = {"name": f"{SELECTOR}._domainkey.{DOMAIN}", "record": RSA.record, "path": str(path)}
            contenders = [
                Contender(name, partial(peak, code.format(**values)), versions.get(name, ""))
                for name, code in VERIFY.items()
                if name != "libopendkim" or not isinstance(library, Contender)
            ]
            contenders += [library] if isinstance(library, Contender) else []
            yield Case(f"verify {megabytes} MB", contenders, unit="byte", rounds=3, loops=1)


def write(path: Path, megabytes: int) -> None:
    """A signed message of that size."""
    message = HEADER + base64_body(1_000_000) * megabytes
    path.write_bytes(sync.sign_dkim(message, RSA.pem, domain=DOMAIN, selector=SELECTOR, body="simple") + message)


def peak(code: str, _loops: int) -> float:
    """The peak of a process that runs the code."""
    done = subprocess.run([sys.executable, "-c", code + PEAK], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return float(done.stdout)


# --- idle connections -----------------------------------------------------------------------------------------


def idle() -> Iterator[Case]:
    """A service started anew for each value: what was freed once may be used again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        key = folder / "key.pem"
        key.write_bytes(RSA.pem)
        policy = [Contender(OURS, partial(policy_connection, folder, ours=True), package(OURS))]
        if POSTGREY.exists():
            theirs = partial(policy_connection, folder, ours=False)
            policy.append(Contender("postgrey", theirs, debian_version("postgrey")))
        else:
            policy.append(missing("postgrey"))
        yield Case("idle connection, policy service", policy, unit="byte", rounds=3, loops=1)
        program = opendkim_program()
        milter = [Contender(OURS, partial(milter_connection, folder, key, None), package(OURS))]
        if program is None:
            milter.append(missing("OpenDKIM"))
        else:
            theirs = partial(milter_connection, folder, key, program)
            milter.append(Contender("OpenDKIM", theirs, debian_version("opendkim")))
        yield Case("idle connection, milter", milter, unit="byte", rounds=3, loops=1)


def policy_connection(folder: Path, _loops: int, *, ours: bool) -> float:
    """Each asks once and stays."""
    from tests.servers import free_port

    with ExitStack() as stack:
        port = free_port()
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        place.chmod(0o755)
        command = command_of(place, "memory:", port) if ours else postgrey(place / "postgrey", port)
        address = f"inet:127.0.0.1:{port}"
        process = stack.enter_context(running(command, address))
        texts = iter(requests(range(2 * IDLE), 0))

        def talk(connection: socket.socket) -> None:
            connection.sendall(next(texts))
            assert b"action=" in connection.recv(4096)

        return each(process, address, talk)


def milter_connection(folder: Path, key: Path, opendkim: str | None, _loops: int) -> float:
    """Each negotiates, names a client and says HELO, and stays."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        address = f"unix:{place}/socket"
        if opendkim is None:
            command = filter_command("verify", key, [address])
        else:
            command = opendkim_command(opendkim, place, "verify", key, address)
        process = stack.enter_context(running(command, address))

        def packet(octets: bytes) -> bytes:
            return len(octets).to_bytes(4) + octets

        def talk(connection: socket.socket) -> None:
            connection.sendall(packet(b"O" + bytes([0, 0, 0, 6, 0, 0, 1, 255, 0, 31, 255, 255])))
            assert connection.recv(4096)[4:5] == b"O"
            connection.sendall(packet(b"Cmx.example.org\x004\x30\x39192.0.2.1\0"))
            connection.sendall(packet(b"Hmx.example.org\0"))

        return each(process, address, talk)


def each(process: int, address: str, talk: Callable[[socket.socket], None]) -> float:
    """The growth of a service by idle connections, for one of them. The first ones load what all share."""
    with ExitStack() as stack:

        def connected() -> int:
            """The memory with so many more."""
            for _ in range(IDLE):
                talk(stack.enter_context(connect(address)))
            time.sleep(0.3)
            return resident(process)

        before = connected()
        return max(1.0, (connected() - before) / IDLE)
