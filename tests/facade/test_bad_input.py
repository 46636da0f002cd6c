"""Hostile envelopes and messages.

Whatever the peer says in HELO, MAIL, RCPT and the message, there is a report and never an exception, and no line end
of the peer's gets into the reply or the header field.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailauth import restrictions as r
from mailauth.authres import AuthenticationResults, parse_field
from mailauth.restrictions import Restrictions
from tests.facade.world import BOB, GOOD, NOW, PLAIN, SYNC, Facade, sign, signed

REFUSING = Restrictions(
    client=[r.reject_rhsbl("dbl.example", of="reverse_client"), r.warn_if_reject(r.reject_rbl("bl.example"))],
    helo=[
        r.warn_if_reject(r.reject_invalid_helo_hostname()),
        r.warn_if_reject(r.reject_non_fqdn_helo_hostname()),
        r.warn_if_reject(r.reject_rhsbl("dbl.example", of="helo")),
    ],
    sender=[
        r.warn_if_reject(r.reject_non_fqdn_sender()),
        r.warn_if_reject(r.reject_unknown_sender_domain()),
        r.warn_if_reject(r.reject_rhsbl("dbl.example")),
    ],
    recipient=[
        r.warn_if_reject(r.check_spf(permerror="reject")),
        r.warn_if_reject(r.greylist(prove_by=["spf", "dkim", "iprev"])),
        r.reject_unauth_destination("mailbox.test"),
    ],
    data=[r.check_dkim(require="pass")],
)

HELOS = [
    "",
    "mx.example.org\r\nX-Forged: yes",
    "mx\0.example.org",
    "mx.example.org; spf=pass",
    "mx.example.org (spf=pass)",
    '"quoted',
    "[IPv6:::1%eth0]",
    "[" + "1" * 10_000 + "]",
    "x" * 10_000,
    ".".join("x" * 5000),
    "bücher.example",
    "\udcff\udcfe",
    "\u2028\u0085\x0b\x0c",
    "%s%n{0}",
    "\x1b[31m",
]
ADDRESSES = [
    "",
    "<>",
    "ann",
    "@",
    "@@@",
    "a@b@c@example.org",
    '"a@b"@example.org',
    '"a\r\nDATA\r\n"@example.org',
    '"\\"@example.org',
    "ann@",
    "@example.org",
    "@a,@b:ann@example.org",
    "ann@example.org\r\nRCPT TO:<eve@x>",
    "ann\0@example.org",
    "änn@bücher.example",
    "ann@\u3002example\u3002org",
    "ann@[192.0.2.1]",
    "ann@[IPv6:zzz]",
    "ann@" + "x" * 10_000,
    "x" * 10_000 + "@example.org",
    "ann@" + "x." * 5_000,
    "a%b!c@example.org",
    "<<ann@example.org>>",
    "\udc80@\udc81",
    "%{i}@example.org",
]


def whole(helo: str, mail_from: str, rcpt_to: list[str], message: bytes, facade: Facade = SYNC) -> Any:
    auth = facade.authenticator(restrictions=REFUSING, rbl=["bl.example"], greylist=facade.greylist(), trace=True)
    facts = {"ip": GOOD, "helo": helo, "mail_from": mail_from, "rcpt_to": rcpt_to, "now": NOW}
    return facade.run(auth.check(message, **facts))


def assert_harmless(report: Any) -> None:
    """One reply line, one header field, JSON."""
    replies = [decision.reply for decision in (report.decision, *report.decision.warnings)]
    for reply in filter(None, replies):
        assert not re.search(r"[\r\n\0]", str(reply))
        assert len(str(reply)) < 1200
    field = report.authentication_results
    assert field.startswith(b"Authentication-Results:")
    assert field.endswith(b"\r\n")
    assert not re.search(rb"\r\n(?![ \t])|(?<!\r)\n|\r(?!\n)|\0", field[:-2])
    parsed = parse_field(field)
    assert isinstance(parsed, AuthenticationResults), parsed
    assert {result.method for result in parsed.results} <= {"iprev", "spf", "dkim", "dmarc"}
    json.loads(json.dumps(report.to_dict()))


@pytest.mark.parametrize("helo", HELOS)
def test_helo_is_reported_and_harmless(facade: Facade, helo: str) -> None:
    report = whole(helo, "ann@example.org", [BOB], PLAIN, facade)
    assert_harmless(report)
    assert report.helo == helo
    assert report.spf_helo.result in ("none", "permerror", "temperror", "fail")


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_are_reported_and_harmless(facade: Facade, address: str) -> None:
    report = whole("mx.example.org", address, [address, BOB], PLAIN, facade)
    assert_harmless(report)
    assert report.spf is not None
    assert len(report.recipients) == 2
    session = facade.authenticator(restrictions=REFUSING, greylist=facade.greylist()).session(GOOD)
    facade.run(session.mail(address))
    facade.run(session.rcpt(address))
    assert_harmless(session.report())


def test_several_ats_are_never_ours_to_relay() -> None:
    for recipient in ("eve@elsewhere.example@mailbox.test", "bob@mailbox.test@elsewhere.example", "@@mailbox.test"):
        report = whole("mx.example.org", "", [recipient], PLAIN)
        assert report.decision.reason == "relay-denied", recipient


def test_ten_kilobytes_are_quoted_in_part() -> None:
    report = whole("mx.example.org", "", ["x" * 10_000 + "@elsewhere.example"], PLAIN)
    assert str(report.reply).endswith("...>: Relay access denied")
    assert len(str(report.reply)) < 300


# --- From ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "reason", "domain"),
    [
        (b"From: Ann <ann@example.org>\r\n", "one-address", "example.org"),
        (b"", "no-from", None),
        (b"From: ann@example.org\r\nFrom: eve@bank.example\r\n", "several-from", None),
        (b"From : ann@example.org\r\nFROM: ann@example.org\r\n", "several-from", None),
        (b"From: undisclosed:;\r\n", "group", None),
        (b"From: us: ann@example.org;\r\n", "group", None),
        (b"From: \r\n", "no-address", None),
        (b"From: ann@example.org, Bob <bob@EXAMPLE.org>\r\n", "one-domain", "example.org"),
        (b"From: ann@example.org, bob@example.net\r\n", "several-domains", None),
        (b"From: ann@[192.0.2.1]\r\n", "no-domain", None),
        (b"From: ann@192.0.2.1\r\n", "no-domain", None),
        (b"From: root@localhost\r\n", "no-domain", None),
        (b"From: eve@bank.example <ann@example.org>\r\n", "unreadable", None),
        (b"From: ann@bank.example@example.org\r\n", "unreadable", None),
        (b"From: ann@example.org\0.bank.example\r\n", "unreadable", None),
        (b"X: " + b"y" * (5 << 20) + b"\r\nFrom: ann@example.org\r\n", "header-too-large", None),
    ],
)
def test_a_from_that_cannot_be_read_one_way_only_is_reported(
    facade: Facade, field: bytes, reason: str, domain: str | None
) -> None:
    report = facade.run(facade.authenticator().check(field + b"Subject: x\r\n\r\nHello\r\n", ip=GOOD, now=NOW))
    assert (report.author.reason, report.author.domain) == (reason, domain)
    address = "ann@example.org" if reason == "one-address" else None
    found = {"domain": domain, "address": address, "reason": reason, "detail": report.author.detail}
    assert report.to_dict()["author"] == found
    assert report.author.detail


@pytest.mark.parametrize(
    ("old", "new", "result", "match"),
    [
        (b"From: Ann <ann@example.org>", b"From: Ann <ann@example.org>", "pass", "same"),
        (b"\r\n\r\n", b"\r\nFrom: eve@bank.example\r\n\r\n", "policy", "none"),
    ],
)
def test_dkim_says_so_too(old: bytes, new: bytes, result: str, match: str) -> None:
    message = signed().replace(old, new, 1)
    report = SYNC.authenticator().check(message, ip=GOOD, now=NOW)
    assert [(signature.result, signature.author_match) for signature in report.dkim] == [(result, match)]


def test_a_doubtful_author_matches_no_signature(facade: Facade) -> None:
    """The signature is over the doubtful From itself: it passes, and vouches for no author."""
    message = sign(PLAIN.replace(b"Ann <ann@example.org>", b"eve@bank.example <ann@example.org>"))
    required: Any = {"restrictions": Restrictions(data=[r.check_dkim(require="author")])}
    report = facade.run(facade.authenticator(**required).check(message, ip=GOOD, now=NOW))
    assert [(signature.result, signature.author_match) for signature in report.dkim] == [("pass", "none")]
    assert str(report.reply).startswith("550 5.7.22")


# --- anything --------------------------------------------------------------------------------------------

# Servers decode octets with "surrogateescape", so that lone surrogates reach us, too.
anything = st.text(st.characters(), max_size=40) | st.text('a@<>.[]:;()"\\ \r\n\0%!,\udc80ü', max_size=30)
header = st.lists(st.sampled_from([b"From: a@b.example\r\n", b"DKIM-Signature: v=1; a=rsa-sha256; d=example.org;\r\n"]))
octets = st.binary(max_size=200) | st.builds(lambda fields, rest: b"".join(fields) + rest, header, st.binary())


@settings(max_examples=200, deadline=None)
@given(anything, anything, st.lists(anything, max_size=3), octets)
@example("\udcff", "\udcff@\udcff", ["\udcff"], b"")
def test_anything_has_a_report(helo: str, mail_from: str, rcpt_to: list[str], message: bytes) -> None:
    """Any envelope and any message have a report, one header field and a reply of one line."""
    assert_harmless(whole(helo, mail_from, rcpt_to, message))


@settings(max_examples=100, deadline=None)
@given(anything, anything, anything, octets)
def test_any_dialogue_has_a_report(helo: str, mail_from: str, rcpt_to: str, message: bytes) -> None:
    """Any dialogue has a decision in each phase, and a report."""
    for delay_reject in (True, False):
        session = SYNC.authenticator(restrictions=REFUSING, delay_reject=delay_reject).session(GOOD)
        session.helo(helo)
        session.mail(mail_from)
        if not session.rcpt(rcpt_to).refused:
            session.data(message)
        assert_harmless(session.report())
