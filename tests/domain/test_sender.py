"""What Gmail, Yahoo and Microsoft demand of senders, on messages that keep it and messages that do not."""

from __future__ import annotations

import re

import pytest

from mailauth import dkim, sync
from mailauth.domain import Area, DomainReport
from mailauth.resolvers import ZoneResolver
from tests.domain.test_findings import SOUND

PRIVATE = dkim.generate_key("ed25519")
OTHER = dkim.generate_key("ed25519")
LETTER = b"""\
From: Example News <news@example.org>\r
To: bob@example.net\r
Subject: offers\r
Date: Sun, 29 Nov 2026 17:48:00 +0000\r
Message-ID: <1@example.org>\r
List-Unsubscribe: <https://example.org/u/1>, <mailto:u@example.org>\r
List-Unsubscribe-Post: List-Unsubscribe=One-Click\r
\r
Cheap.\r
"""
SIGNED_FIELDS = ("From", "To", "Subject", "Date", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post")


def sign(message: bytes, fields: tuple[str, ...] = SIGNED_FIELDS, domain: str = "example.org") -> bytes:
    return sync.sign_dkim(message, PRIVATE, domain=domain, selector="s2026", signed_fields=fields) + message


def check(
    message: bytes, client: str = "192.0.2.25", mail_from: str = "bounce@example.org", policy: bool = True
) -> DomainReport:
    records = {
        **SOUND,
        ("s2026._domainkey.example.org", "TXT"): [dkim.record_text(PRIVATE)],
        ("s2026._domainkey.mailer.example", "TXT"): [dkim.record_text(PRIVATE)],
        ("mailer.example", "TXT"): ["v=spf1 ip4:192.0.2.25 -all"],
    }
    if not policy:
        del records["_dmarc.example.org", "TXT"]
    zone = ZoneResolver(records)
    return sync.check_domain(
        "example.org", selectors=["s2026"], clients=[client], message=message, helo="mx.example.org",
        mail_from=mail_from, resolver=zone, now=1_796_061_770.0,
    )  # fmt: skip


def codes(report: DomainReport) -> set[str]:
    return {finding.code for finding in report.of(Area.SENDER)}


def without(*names: str) -> bytes:
    message = LETTER
    for name in names:
        message = re.sub(rf"(?m)^{name}:.*\r\n".encode(), b"", message)
    return message


def test_a_message_that_keeps_all_rules() -> None:
    report = check(sign(LETTER))
    assert report.findings == ()
    assert report.message is not None
    assert report.message.dmarc is not None
    assert report.message.dmarc.result == "pass"


@pytest.mark.parametrize(
    ("expected", "report"),
    [
        ({"sender.dkim", "sender.one-aligned", "sender.unsubscribe-not-signed"}, lambda: check(LETTER)),
        (
            {"sender.spf", "sender.one-aligned", "sender.reverse-name"},
            lambda: check(sign(LETTER), client="198.51.100.7"),
        ),
        ({"sender.one-aligned"}, lambda: check(sign(LETTER), mail_from="bounce@mailer.example")),
        ({"sender.not-aligned"}, lambda: check(sign(LETTER, domain="mailer.example"), mail_from="x@mailer.example")),
        ({"sender.no-dmarc"}, lambda: check(sign(LETTER), policy=False)),
        (
            {"sender.no-author", "sender.missing-field", "sender.dkim", "sender.unsubscribe-not-signed"},
            lambda: check(without("From")),
        ),
        ({"sender.missing-field"}, lambda: check(sign(without("Date", "Message-ID")))),
        ({"sender.no-unsubscribe"}, lambda: check(sign(without("List-Unsubscribe", "List-Unsubscribe-Post")))),
        ({"sender.no-one-click"}, lambda: check(sign(without("List-Unsubscribe-Post")))),
        (
            {"sender.no-https-unsubscribe"},
            lambda: check(sign(LETTER.replace(b"<https://example.org/u/1>, ", b""))),
        ),
        ({"sender.unsubscribe-not-signed"}, lambda: check(sign(LETTER, ("From", "List-Unsubscribe")))),
        ({"sender.repeated-field"}, lambda: check(sign(b"Subject: again\r\n" + LETTER))),
    ],
)  # fmt: skip
def test_a_message_that_breaks_a_rule(expected: set[str], report: object) -> None:
    assert codes(report()) == expected  # type: ignore[operator]


@pytest.mark.parametrize("silent", ["example.org", "s2026._domainkey.example.org", "_dmarc.example.org"])
def test_what_the_dns_does_not_answer_is_no_broken_rule(silent: str) -> None:
    """A name server that is slow for a moment: nobody is told to change a record that is right."""
    records = {**SOUND, ("s2026._domainkey.example.org", "TXT"): [dkim.record_text(PRIVATE)]}
    del records[silent, "TXT"]
    report = sync.check_domain(
        "example.org", selectors=["s2026"], clients=["192.0.2.25"], message=sign(LETTER), helo="mx.example.org",
        mail_from="b@example.org", now=1_796_061_770.0,
        resolver=ZoneResolver(records, failures={(silent, "TXT"): "timeout"}),
    )  # fmt: skip
    found = report.of(Area.SENDER)
    assert "sender.dns-error" in {finding.code for finding in found}
    assert {finding.severity.value for finding in found} <= {"unknown", "warning", "note"}


def test_an_unknown_sender_is_no_wrong_record() -> None:
    """Without MAIL FROM and Return-Path there is nothing to check: the record may be right."""
    report = sync.check_domain(
        "example.org", selectors=["s2026"], clients=["192.0.2.25"], message=without("Message-ID"),
        helo="mx.example.org", now=1_796_061_770.0, resolver=ZoneResolver(SOUND),
    )  # fmt: skip
    [finding] = [finding for finding in report.findings if finding.code == "sender.spf"]
    assert (finding.severity, finding.words) == ("warning", "SPF was not checked: nobody said what MAIL FROM was")
    assert "there is no Message-ID field" in {finding.words for finding in report.findings}


def test_several_from_fields_have_no_author() -> None:
    """RFC 5322 section 3.6: exactly one; what a reader sees would depend on the program."""
    report = check(sign(LETTER).replace(b"\r\nTo:", b"\r\nFrom: eve@example.net\r\nTo:", 1))
    assert {"sender.no-author", "sender.repeated-field"} <= codes(report)


def test_a_small_key() -> None:
    weak = dkim.crypto.private_key(_RSA_1024)  # type: ignore[attr-defined]
    message = sync.sign_dkim(LETTER, weak, domain="example.org", selector="weak") + LETTER
    zone = ZoneResolver({**SOUND, ("weak._domainkey.example.org", "TXT"): [dkim.record_text(weak)]})
    report = sync.check_domain(
        "example.org", selectors=["weak"], clients=["192.0.2.25"], message=message, mail_from="b@example.org",
        resolver=zone, now=0.0,
    )  # fmt: skip
    assert "sender.key-size" in codes(report)
    assert "dkim.small" in {finding.code for finding in report.findings}


def _rsa_1024() -> bytes:
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 1024)
    return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())


_RSA_1024 = _rsa_1024()


def test_hostile_fields_are_words() -> None:
    """A header whose fields hold control characters: findings that can be printed."""
    message = b"List-Unsubscribe: <\x1b[2J\xff\x00>\r\nList-Unsubscribe-Post: \x07\r\nFrom: \x1b@\x00\r\n\r\n"
    for finding in check(message).findings:
        assert (finding.words + finding.subject).isprintable(), finding
