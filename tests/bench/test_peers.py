"""The drivers of the peers in other languages do the work that they are given, and a peer that is not here is a row.

npm's package is fetched from a registry: it is tried by `make bench-quick`, and here only if that was done before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import benchmarks.peers
import pytest
from benchmarks.peers import BUILD, PEERS, NotInstalled, Peer, Peers, records
from cryptography.hazmat.primitives import serialization

from mailauth.dkim import generate_key, record_text
from mailauth.sync import sign_dkim, verify_dkim
from mailauth.testing import Zone, make_message
from tests.servers import missing

DOMAIN = "example.org"


@pytest.fixture(scope="module")
def peers() -> Iterator[Peers]:
    with Peers() as peers:
        yield peers


def having(case: str) -> pytest.MarkDecorator:
    """Once with each peer that has the case."""
    return pytest.mark.parametrize("peer", [each for each in PEERS if case in each.cases], ids=lambda peer: peer.name)


def here(peer: Peer) -> Peer:
    """The peer; the test is skipped where it is not installed."""
    if not peer.expected and not (BUILD / "npm" / "installed").exists():
        pytest.skip("npm's package is not installed (make bench-quick installs it)")
    try:
        peer.install()
    except NotInstalled as error:
        missing(f"{peer.name}: {error}")
    return peer


def asked(peers: Peers, peer: Peer, case: str, **work: Any) -> Any:
    """What the peer finds."""
    found: list[Any] = []
    contender = peers.contender(here(peer), case, lambda result: not found.append(result), **work)
    assert contender.version
    assert contender.time is not None
    assert 0 < contender.time(2) < 60
    return found[0]


SPF: dict[str, tuple[str, list[str]]] = {
    "pass": ("pass", ["v=spf1 ip4:192.0.2.0/24 -all"]),
    "fail": ("fail", ["v=spf1 ip4:198.51.100.0/24 -all"]),
    "softfail": ("softfail", ["v=spf1 mx ~all"]),
    "include": ("pass", ["v=spf1 include:_spf.example.org -all"]),
    "by macro": ("pass", ["v=spf1 exists:%{ir}.%{l1r-}._ip.%{d} -all"]),
    "none": ("none", []),
}


@having("spf")
@pytest.mark.parametrize("name", SPF)
def test_spf(peers: Peers, peer: Peer, name: str) -> None:
    result, texts = SPF[name]
    zone = {
        (DOMAIN, "TXT"): texts,
        (DOMAIN, "MX"): ["10 mx.example.org"],
        ("mx.example.org", "A"): ["198.51.100.7"],
        ("_spf.example.org", "TXT"): ["v=spf1 ip4:192.0.2.1 ?all"],
        ("1.2.0.192.ann._ip.example.org", "A"): ["127.0.0.2"],
    }
    work = {"ip": "192.0.2.1", "helo": "mx.example.org", "mail_from": "ann-news@example.org", "zone": records(zone)}
    assert asked(peers, peer, "spf", **work) == result


KEY = generate_key()


@having("dkim-verify")
@pytest.mark.parametrize("altered", [False, True])
def test_dkim_verify(peers: Peers, peer: Peer, altered: bool) -> None:
    message = make_message()
    fields = [sign_dkim(message, KEY, domain=DOMAIN, selector=selector) for selector in ("s1", "s2")]
    octets = b"".join(fields) + message + (b"More.\r\n" if altered else b"")
    zone = [f"{selector}._domainkey.{DOMAIN} TXT {record_text(KEY)}" for selector in ("s1", "s2")]
    found = asked(peers, peer, "dkim-verify", message=peers.file(octets), zone=zone)
    assert [result == "pass" for result in found] == [not altered] * 2


@having("dkim-sign")
@pytest.mark.parametrize("canonicalization", ["simple/simple", "relaxed/relaxed"])
def test_dkim_sign(peers: Peers, peer: Peer, canonicalization: str) -> None:
    message, pem = make_message(), serialization.load_pem_private_key(KEY.pem(), None)
    pkcs1 = pem.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    work = {"domain": DOMAIN, "selector": "s1", "algorithm": "rsa-sha256", "canonicalization": canonicalization}
    field = asked(peers, peer, "dkim-sign", message=peers.file(message), pem=peers.file(pkcs1), **work)
    assert f"c={canonicalization}" in field
    zone = Zone({(f"s1._domainkey.{DOMAIN}", "TXT"): [record_text(KEY)]})
    (signature,) = verify_dkim(field.encode() + message, resolver=zone)
    assert (signature.result, signature.domain) == ("pass", DOMAIN)


DMARC: dict[str, tuple[list[str | None], str, str, str]] = {
    "aligned": (["pass", "reject"], "ann@example.org", "example.org", "example.net"),
    "relaxed": (["pass", "quarantine"], "ann@news.example.org", "example.net", "mail.example.org"),
    "not aligned": (["fail", "reject"], "ann@example.org", "example.net", "example.net"),
    "no record": (["none", None], "ann@example.com", "example.com", "example.com"),
}


@having("dmarc")
@pytest.mark.parametrize("name", DMARC)
def test_dmarc(peers: Peers, peer: Peer, name: str) -> None:
    expected, author, spf_domain, dkim_domain = DMARC[name]
    zone = ["_dmarc.example.org TXT v=DMARC1; p=reject; sp=quarantine"]
    work = {"author": author, "spf_domain": spf_domain, "dkim_domain": dkim_domain, "zone": zone}
    assert asked(peers, peer, "dmarc", **work) == expected


@having("whole")
def test_whole_message(peers: Peers, peer: Peer) -> None:
    message = make_message()
    signed = sign_dkim(message, KEY, domain=DOMAIN, selector="s1") + message
    zone = [
        f"{DOMAIN} TXT v=spf1 ip4:192.0.2.0/24 -all",
        f"s1._domainkey.{DOMAIN} TXT {record_text(KEY)}",
        f"_dmarc.{DOMAIN} TXT v=DMARC1; p=reject",
    ]
    work = {"ip": "192.0.2.1", "helo": "mx.example.org", "mail_from": "ann@example.org", "hostname": "mx.example.net"}
    found = asked(peers, peer, "whole", message=peers.file(signed), zone=zone, **work)
    assert found == {"spf": "pass", "dkim": ["pass"], "dmarc": "pass"}


@having("dkim-verify")
def test_a_message_that_cannot_be_read_is_said(peers: Peers, peer: Peer) -> None:
    with pytest.raises(RuntimeError, match=f"{peer.name}: .*(?i:no such file)"):
        peers.contender(here(peer), "dkim-verify", bool, message="/nonexistent", zone=[])


@having("spf")
def test_another_result_is_said(peers: Peers, peer: Peer) -> None:
    work = {"ip": "192.0.2.1", "helo": "mx.example.org", "mail_from": "ann@example.org", "zone": []}
    with pytest.raises(RuntimeError, match=f"{peer.name}: spf [0-9]+ gave none"):
        peers.contender(here(peer), "spf", "pass".__eq__, **work)


def nowhere() -> Any:
    raise NotInstalled("there is no such program (Debian: apt-get install nothing)")


def test_a_peer_that_is_not_here_is_a_row(
    peers: Peers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CI", raising=False)
    peer = Peer("a peer", frozenset({"spf"}), nowhere)
    monkeypatch.setattr(benchmarks.peers, "PEERS", [peer])
    for _ in range(2):
        (contender,) = peers.contenders("spf", bool)
        assert (contender.time, contender.why) == (None, "not installed")
    # Said once.
    assert capsys.readouterr().out.count("a peer is left out: there is no such program (Debian: ") == 1


def test_in_ci_only_the_registry_may_fail(peers: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    fetched = peers.contender(Peer("one", frozenset({"spf"}), nowhere, expected=False), "spf", bool)
    assert fetched.why == "not installed"
    with pytest.raises(RuntimeError, match="two is not installed"):
        peers.contender(Peer("two", frozenset({"spf"}), nowhere), "spf", bool)
