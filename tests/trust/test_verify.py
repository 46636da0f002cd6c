"""`verify_author`: the author by DKIM and DMARC of the message itself; and the same verdict from a whole report."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest

from mailauth import aio
from mailauth.plan import run
from mailauth.resolvers import ZoneResolver
from mailauth.sync import Authenticator, believe, verify_author
from mailauth.trust import AuthorVerdict, AuthorVerifier, Placement, TrustPolicy, Verdict
from tests.dkim.makers import MESSAGE, NOW, rsa_record, signed

KEY = "sel._domainkey.{}"


def zone(*records: tuple[str, str], failures: Any = None, key: str = "") -> ZoneResolver:
    data: dict[tuple[str, str], Any] = {(KEY.format("example.org"), "TXT"): [key or rsa_record()]}
    for domain in ("news.example.org", "attacker.example"):
        data[KEY.format(domain), "TXT"] = [key or rsa_record()]
    data |= {(name, "TXT"): [text] for name, text in records}
    return ZoneResolver(data, failures=failures or {})


REJECT = ("_dmarc.example.org", "v=DMARC1; p=reject")


def verified(message: bytes, resolver: ZoneResolver, **options: Any) -> AuthorVerdict:
    first = verify_author(message, now=NOW, resolver=resolver, **options)
    second = asyncio.run(aio.verify_author(io.BytesIO(message), now=NOW, resolver=resolver, **options))
    assert first == second
    return first


@pytest.mark.parametrize(
    ("message", "records", "verdict", "reason", "aligned"),
    [
        (signed(), [REJECT], "verified", "dmarc-pass", "strict"),
        (signed(), [], "verified", "dkim-aligned", "strict"),
        (signed(tags={"d": "news.example.org"}), [REJECT], "verified", "dmarc-pass", "relaxed"),
        (signed(tags={"d": "news.example.org"}), [], "unverified", "not-aligned", None),
        (
            signed(tags={"d": "news.example.org"}),
            [("_dmarc.example.org", "v=DMARC1; p=none; adkim=s")],
            "unverified",
            "not-aligned",
            None,
        ),
        (signed(tags={"d": "attacker.example"}), [REJECT], "unverified", "not-aligned", None),
        (MESSAGE, [REJECT], "unverified", "no-signature", None),
        (signed().replace(b"bye", b"buy"), [REJECT], "unverified", "no-pass", None),
        (signed() + b"more", [REJECT], "unverified", "no-pass", None),
        (b"From: eve@attacker.example\r\n" + signed(), [REJECT], "unreadable", "several-from", None),
        (signed(tags={"x": str(NOW - 10_000), "t": str(NOW - 20_000)}), [REJECT], "unverified", "no-pass", None),
        (b"", [], "unreadable", "no-from", None),
    ],
)  # fmt: skip
def test_verdicts(
    message: bytes, records: list[tuple[str, str]], verdict: str, reason: str, aligned: str | None
) -> None:
    found = verified(message, zone(*records))
    assert (found.verdict, found.reason, found.aligned) == (verdict, reason, aligned), found
    assert found.detail


def test_the_evidence_is_the_signature() -> None:
    found = verified(signed(tags={"d": "attacker.example"}, message=signed()), zone(REJECT))
    assert found.evidence is not None
    assert found.address == "ann@example.org"
    assert (found.evidence.source, found.evidence.domain, found.evidence.selector) == ("message", "example.org", "sel")
    assert found.evidence.index == 1
    assert found.passed_over == ()


def test_dns_errors_are_no_verdict() -> None:
    failing = zone(failures={(KEY.format("example.org"), "TXT"): "timeout"})
    assert verified(signed(), failing).reason == "dns-error"
    failing = zone(failures={("_dmarc.example.org", "TXT"): "servfail"})
    assert verified(signed(), failing).reason == "dkim-aligned"  # the very domain needs no policy
    assert verified(signed(tags={"d": "news.example.org"}), failing).reason == "dns-error"


def test_a_key_in_test_mode_vouches_for_nothing() -> None:
    """RFC 6376 section 3.6.1: such mail is not to be treated differently from unsigned mail."""
    found = verified(signed(), zone(REJECT, key=rsa_record(extra="t=y; ")))
    assert (found.reason, found.passed_over[0].why) == ("no-pass", "test-mode")


def test_cut_anywhere() -> None:
    message = signed()
    verifier = AuthorVerifier(now=NOW)
    for start in range(0, len(message), 7):
        verifier.feed(message[start : start + 7])
    assert run(verifier.finish(), zone(REJECT)).verdict is Verdict.VERIFIED


# --- SPF by a hop that the caller names -----------------------------------------------------------------------------

HOP = (
    b"Return-Path: <bounce@example.org>\r\n"
    b"Received: from mail.example.org (unknown [192.0.2.1]) by mx.example.net with ESMTP; now\r\n"
)
RELAYED = b"Return-Path: <bounce@example.org>\r\nReceived: from %b by mx.example.net with esmtp; now\r\n"
TRUSTED = TrustPolicy(hosts=("mx.example.net",))
SPF = ("example.org", "v=spf1 ip4:192.0.2.1 -all")


@pytest.mark.parametrize(
    ("top", "policy", "reason"),
    [
        (HOP, TRUSTED, "dmarc-pass"),
        (HOP, TrustPolicy(), "no-signature"),  # SPF is not guessed from Received
        (HOP.replace(b"192.0.2.1", b"192.0.2.2"), TRUSTED, "dmarc-fail"),
        (HOP.replace(b"mx.example.net", b"mx.attacker.example"), TRUSTED, "no-signature"),
        (HOP.replace(b"mail.example.org (unknown [192.0.2.1])", b"[192.0.2.1]"), TRUSTED, "no-signature"),  # HELO
        # HELO [127.0.0.1], as another server writes it: what stands below is the sender's.
        (RELAYED % b"[198.51.100.7] (helo=[127.0.0.1])" + HOP.partition(b"\r\n")[2], TRUSTED, "no-signature"),
        # The server writes no Received, so that this one is the sender's.
        (HOP, TrustPolicy(hosts=("mx.example.net",), placement=Placement.TOP), "no-signature"),
        (HOP.replace(b"bounce@example.org", b""), TRUSTED, "no-signature"),
        (HOP.replace(b"example.org>", b"attacker.example>"), TRUSTED, "dmarc-fail"),
        (b"\r\n".join(reversed(HOP.split(b"\r\n")[:2])) + b"\r\n", TRUSTED, "no-signature"),  # not ours
    ],
)  # fmt: skip
def test_spf_of_a_trusted_hop(top: bytes, policy: TrustPolicy, reason: str) -> None:
    found = verified(top + MESSAGE, zone(REJECT, SPF), policy=policy)
    assert found.reason == reason, found
    if reason == "dmarc-pass":
        assert found.evidence is not None
        assert (found.evidence.method, found.aligned) == ("spf", "strict")


# --- the same from a report -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "ip", "reason"),
    [
        (signed(), "198.51.100.7", "dmarc-pass"),
        (MESSAGE, "192.0.2.1", "dmarc-pass"),
        (MESSAGE, "198.51.100.7", "dmarc-fail"),
        (MESSAGE.replace(b"From:", b"From: eve@attacker.example\r\nFrom:"), "192.0.2.1", "several-from"),
    ],
)
def test_a_report_has_the_same_verdict(message: bytes, ip: str, reason: str) -> None:
    auth = Authenticator("mx.example.net", resolver=zone(REJECT, SPF))
    report = auth.check(message, ip=ip, helo="mail.example.org", mail_from="bounce@example.org", now=NOW)
    verdict = report.author_verdict
    assert verdict is not None
    assert verdict.reason == reason
    # What the report writes, a reader behind it believes; Received stands below it.
    below = f"Received: from x ([{ip}]) by mx.example.net; now\r\n".encode()
    read = believe(report.authentication_results + below + message, {"mx.example.net"})
    assert (read.verdict, read.address) == (verdict.verdict, verdict.address)


def test_no_message_no_verdict() -> None:
    session = Authenticator("mx.example.net", resolver=zone()).session("192.0.2.1")
    session.helo("x.example")
    assert session.report().author_verdict is None


def test_the_ids_that_stand_there_are_listed() -> None:
    copy = b"ARC-Authentication-Results: i=1; mx.lists.example; none\r\n"  # no server of ours has that name
    message = b"Authentication-Results: mx.example.net; none\r\n" + copy + signed()
    assert verified(message, zone(REJECT)).authserv_ids == ("mx.example.net",)


def test_relaxed_in_both_facades() -> None:
    message = (
        b"Authentication-Results: mx.example.net; dkim=pass header.d=news.example.org\r\n" + HOP + MESSAGE
    )  # fmt: skip
    found = believe(message, {"mx.example.net"}, resolver=zone(REJECT))
    assert found == asyncio.run(aio.believe(message, {"mx.example.net"}, resolver=zone(REJECT)))
    assert (found.verdict, found.aligned) == ("verified", "relaxed")
    assert asyncio.run(aio.believe(message, {"mx.example.net"})).reason == believe(message, "mx.example.net").reason
