"""Real block lists for tests.

``with rbldnsd(address, {"bl.test": Lists(ip4="192.0.2.1 :127.0.0.2:reason")}, port=53): ...`` serves the zones
until the block ends. The data is in rbldnsd's own notation: an entry a line, ``ENTRY :A-VALUE:TEXT``; an entry may
be repeated with other values, and a line ``:A-VALUE:TEXT`` sets the default of the lines after it. ``generic`` takes
lines of a master file (A, TXT, MX), relative to the zone.

Rbldnsd (Debian: rbldnsd), the server that block lists run, started on loopback with the data that a test gives it. No
test, and no expectation about verdicts.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import pytest

from tests.servers import need, running

# The data sets that rbldnsd has for each kind of subject.
_TYPES = {"ip4": "ip4set", "ip6": "ip6trie", "names": "dnset", "generic": "generic"}


@dataclass(frozen=True)
class Lists:
    """The data of one zone: IPv4 addresses, IPv6 addresses, domain names, and records of any kind."""

    ip4: str = ""
    ip6: str = ""
    names: str = ""
    generic: str = ""


def everybody(value: str) -> str:
    """IPv4 data that lists the whole world with that value (``A-VALUE:TEXT``); one entry for all is not allowed."""
    return f"0.0.0.0/1 :{value}\n128.0.0.0/1 :{value}"


@contextlib.contextmanager
def rbldnsd(address: str, zones: Mapping[str, Lists], *, port: int) -> Iterator[None]:
    """Serve the zones by UDP on that address and port until the block ends."""
    program = need("rbldnsd", "rbldnsd")
    folder = Path(tempfile.mkdtemp(prefix="rbldnsd-"))
    try:
        folder.chmod(0o755)  # it gives up root's rights before it reads its data
        specifications = list(_data_sets(folder, zones))
        # -n: in the foreground; -c 0: the data does not change.
        command = [program, "-n", "-c", "0", "-b", f"{address}/{port}", *_user(), "-w", folder, *specifications]
        with running(command, folder / "output"):
            _wait_until_it_answers(address, port, next(iter(zones)), folder / "output")
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _data_sets(folder: Path, zones: Mapping[str, Lists]) -> Iterator[str]:
    for number, (zone, lists) in enumerate(zones.items()):
        for kind, data_set in _TYPES.items():
            data = getattr(lists, kind)
            if data:
                file = folder / f"{number}.{kind}"
                # Without a name server the zone would be served, too, but with a warning for each.
                file.write_text(f"$NS 3600 ns.{zone}\n{data}\n")
                yield f"{zone}:{data_set}:{file.name}"


def _user() -> list[str]:
    return ["-u", "rbldns"] if os.geteuid() == 0 else []


def _wait_until_it_answers(address: str, port: int, zone: str, output: Path, seconds: float = 20.0) -> None:
    query = dns.message.make_query(zone, "NS")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(dns.exception.DNSException, OSError):
            dns.query.udp(query, address, port=port, timeout=0.1)
            return
        time.sleep(0.01)
    pytest.fail(f"rbldnsd does not answer after {seconds} s:\n{output.read_text(errors='replace')}")
