"""Addresses exchanged with Mail::SRS (the paper's own code) and postsrsd (libsrs2's), both ways."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from mailauth.srs import Srs, SrsPolicy
from tests.servers import free_port, need, running, wait_for_tcp

SECRET = "0123456789abcdef"
US = "forwarder.example"
# Four characters, as they write; the case of the domain is kept.
SRS = Srs(US, [SECRET], policy=SrsPolicy(hash_length=4, classic=True))
SENDERS = [
    "ann@example.org",
    "Ann.B@Example.ORG",
    "ann+tag@example.org",
    "bounce-42-bob=example.net@lists.example",
    "prvs=1234567890=ann@example.org",
    "SRS0=abcd=JS=example.org=ann@one.example",
    "SRS0+abcd=JS=example.org=ann@one.example",
    "srs0-abcd=JS=example.org=ann@one.example",
    "SRS1=abcd=one.example==efgh=JS=example.org=ann@two.example",
]


def ours(sender: str) -> str:
    address = SRS.forward(sender, now=time.time()).address
    assert address is not None
    return address


def returned(address: str) -> str | None:
    return SRS.reverse(address, now=time.time()).address


def srs(*words: str) -> list[str]:
    program = need("srs", "srs")
    command = [program, f"--secret={SECRET}", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def bounces_to(sender: str) -> str:
    """Where a bounce to the rewritten sender goes: of a chain to its first forwarder."""
    if sender.startswith("SRS1"):
        return "SRS0=efgh=JS=example.org=ann@one.example"
    return sender.replace("srs0", "SRS0")


def test_mail_srs_writes_what_we_write() -> None:
    theirs = srs("--forward", f"--alias={US}", *SENDERS)
    assert theirs == [ours(sender) for sender in SENDERS]


def test_mail_srs_turns_back_what_we_wrote_and_we_what_it_wrote() -> None:
    theirs = srs("--forward", f"--alias={US}", *SENDERS)
    assert [returned(address) for address in theirs] == [bounces_to(sender) for sender in SENDERS]
    back = srs("--reverse", *[ours(sender) for sender in SENDERS])
    assert back == [bounces_to(sender) for sender in SENDERS]


def test_mail_srs_and_we_tolerate_the_same_case() -> None:
    folded = [ours(sender).lower() for sender in SENDERS]
    assert [address.lower() for address in srs("--reverse", *folded)] == [
        (returned(address) or "").lower() for address in folded
    ]


class Postsrsd:
    """A running postsrsd: one map on each port, by tcp_table(5)."""

    def __init__(self, forward: int, reverse: int) -> None:
        self.ports = {"forward": forward, "reverse": reverse}

    def ask(self, name: str, key: str) -> str | None:
        with socket.create_connection(("127.0.0.1", self.ports[name]), timeout=10) as connection:
            connection.sendall(f"get {quote(key)}\n".encode())
            code, _, text = connection.makefile().readline().rstrip("\n").partition(" ")
        return unquote(text) if code == "200" else None


@pytest.fixture(scope="module")
def postsrsd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postsrsd]:
    folder = tmp_path_factory.mktemp("postsrsd")
    secret: Path = folder / "secret"
    secret.write_text(f"{SECRET}\n")
    forward = free_port()
    reverse = next(port for port in iter(free_port, None) if port != forward)
    command = [
        need("postsrsd", "postsrsd"), f"-s{secret}", f"-d{US}", "-l127.0.0.1", f"-f{forward}", f"-r{reverse}", "-4"
    ]  # fmt: skip
    with running(command, folder / "log"):
        wait_for_tcp(forward)
        wait_for_tcp(reverse)
        yield Postsrsd(forward, reverse)


@pytest.mark.parametrize("sender", [sender for sender in SENDERS if not sender.startswith("srs0-")])
def test_postsrsd(postsrsd: Postsrsd, sender: str) -> None:
    theirs = postsrsd.ask("forward", sender)
    assert theirs == ours(sender)
    assert theirs is not None
    assert postsrsd.ask("reverse", ours(sender)) == returned(theirs) == bounces_to(sender)


def test_postsrsd_and_we_refuse_the_same(postsrsd: Postsrsd) -> None:
    good = ours("ann@example.org")
    for address in (
        good.replace("=ann@", "=eve@"), good.replace("example.org", "victim.example"), "SRS0=x@" + US, "ann@" + US
    ):  # fmt: skip
        assert postsrsd.ask("reverse", address) is None
        assert returned(address) is None
