"""Twice the hostile input is at most twice the work, for every kind of input that ever brought mail software to a halt.

Two measures, neither of them a clock on the wall. Lines of our own code are counted exactly, for a size and its double.
What one regular expression or one C function does shows in processor time only: eight times the input may take up to 32
times as long, since quadratic work would take 64 times.
"""

from __future__ import annotations

import contextlib
import dataclasses
from base64 import b64encode
from collections.abc import Callable
from functools import cache
from ipaddress import IPv4Address
from typing import Any

import pytest

from mailauth import authres, dkim, dmarc, iprev, rbl, spf, trust
from mailauth.arc import verify as verify_arc
from mailauth.greylist import GreylistPolicy
from mailauth.greylist.keys import keys_of
from mailauth.mail import addresses, received, taglist
from mailauth.mail.author import read_author
from mailauth.mail.header import Splitter, split
from mailauth.mail.names import split_address, to_ascii
from mailauth.mail.reply import Reply
from mailauth.milter import Codec, Wanted
from mailauth.page import render_report
from mailauth.plan import Answer, Exchange, Outcome, Question, run
from mailauth.policyd import RequestParser
from mailauth.policyd.protocol import ProtocolError
from mailauth.sync import Authenticator, check_domain
from mailauth.testing import Zone, make_message, sign_message, signing_key
from mailauth.testing.clock import START
from tests.robustness.work import lines, seconds

IP = "192.0.2.1"
NO_DNS = Zone()


@dataclasses.dataclass(frozen=True)
class Hostile:
    """`make` an input of a size, do the `work` on it; eight times `size` is as large as such input was met."""

    work: Callable[[Any], object]
    make: Callable[[int], Any]
    size: int = 8_000


class Everywhere:
    """A DNS that has the same to say whatever is asked, of each type."""

    def __init__(self, **records: list[Any]) -> None:
        self.records = records

    def lookup(self, question: Question, time_limit: float | None = None) -> Answer:
        records = self.records.get(question.type, [])
        return Answer(Outcome.FOUND if records else Outcome.NO_SUCH_NAME, tuple(records), ttl=60)


def check_spf(record: str) -> object:
    spf.record.forget_records()
    world = Everywhere(TXT=[record.encode()], A=[IPv4Address("198.51.100.1")], MX=[Exchange(1, "a.example")])
    return run(spf.check_host(IP, mail_from="ann@example.org", helo="mx.example.org"), world)


def spf_answers(count: int) -> Everywhere:
    return Everywhere(
        TXT=[b"v=spf1 ptr mx a -all"],
        A=[IPv4Address(0xC6336400 + number) for number in range(count)],
        MX=[Exchange(1, f"h{number}.example") for number in range(min(count, 10))],
        PTR=[f"h{number}.example" for number in range(count)],
    )


@cache
def signed() -> bytes:
    return sign_message(make_message(), signing_key())


def zone() -> Zone:
    return Zone().domain("example.org", dmarc="v=DMARC1; p=reject")


def verify(message: bytes) -> list[dkim.Signature]:
    return run(dkim.verify(message, now=START), zone())


def signature(tags: str = "", *, names: str = "from") -> bytes:
    return (
        f"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=test; h={names}; bh="
        f"{b64encode(bytes(32)).decode()}; b={b64encode(bytes(64)).decode()}{tags}\r\n"
    ).encode()


def with_body(body: bytes) -> bytes:
    return signature() + make_message(body="") + body


def codec(octets: bytes) -> None:
    peer = Codec(Wanted())
    for start in range(0, len(octets), 50):
        peer.feed(octets[start : start + 50])
        while peer.next_event() is not None:
            pass


def policy_request(octets: bytes) -> None:
    parser = RequestParser()
    with contextlib.suppress(ProtocolError):
        for start in range(0, len(octets), 50):
            list(parser.feed(octets[start : start + 50]))


def in_pieces(message: bytes) -> None:
    splitter = Splitter()
    for start in range(0, len(message), 100):
        splitter.feed(message[start : start + 100])
    splitter.close()


@cache
def authenticator() -> Authenticator:
    return Authenticator("mx.example.net", resolver=zone(), clock=lambda: START)


def whole(message: bytes) -> object:
    report = authenticator().check(message, ip=IP, helo="mx.example.org", mail_from="ann@example.org")
    return report.authentication_results


def way(message: bytes) -> object:
    return received.way(split(message).header)


def page(message: bytes) -> str:
    report = authenticator().check(message, ip=IP, helo="mx.example.org", mail_from="ann@example.org")
    return render_report(report, header=split(message).header)


def domain(text: bytes) -> object:
    """A domain with this record at every name."""
    return check_domain("example.org", guess=False, resolver=Everywhere(TXT=[text]), now=START)


def sender_rules(message: bytes) -> object:
    return check_domain("example.org", clients=[IP], guess=False, message=message, resolver=NO_DNS, now=START)


def results(value: bytes) -> None:
    authres.parse(value)
    authres.parse(value, lenient=True)


def giant_key(bits: int) -> object:
    """A key of so many bits that nobody ever computed: any odd number will do."""
    record = b"v=DKIM1; p=" + b64encode(_pkcs1((1 << bits) - 1))
    message = signature().replace(b"ed25519", b"rsa") + make_message()
    return run(dkim.verify(message, now=START), Everywhere(TXT=[record]))


def _pkcs1(modulus: int) -> bytes:
    """DER of RSAPublicKey (RFC 8017 appendix A.1.1), written by hand."""

    def der(tag: int, content: bytes) -> bytes:
        size = len(content)
        return bytes([tag]) + (bytes([size]) if size < 128 else b"\x83" + size.to_bytes(3, "big")) + content

    octets = modulus.to_bytes((modulus.bit_length() + 7) // 8, "big")
    return der(0x30, der(2, b"\0" + octets) + der(2, b"\1\0\1"))


CASES: dict[str, Hostile] = {
    # SPF: macro digits and expansion sizes, records that refer to themselves, void lookups, names of PTR records
    "spf-digits-of-a-macro": Hostile(check_spf, lambda n: "v=spf1 a:%{d" + "9" * n + "}.example -all"),
    "spf-many-macros": Hostile(check_spf, lambda n: "v=spf1 exists:" + "%{d2r.-+}" * (n // 9) + ".example -all"),
    "spf-many-delimiters": Hostile(check_spf, lambda n: "v=spf1 exists:%{d" + ".-+,/_=" * (n // 7) + "}.example -all"),
    "spf-redirect-to-itself": Hostile(
        check_spf, lambda n: "v=spf1 " + "x=y " * (n // 4) + "redirect=example.org", 2_500
    ),
    "spf-includes-itself": Hostile(
        check_spf, lambda n: "v=spf1 include:example.org " + "ip4:1.2.3.4 " * (n // 12), 4_000
    ),
    "spf-many-terms": Hostile(check_spf, lambda n: "v=spf1 " + "a:b.example " * (n // 12)),
    "spf-many-networks": Hostile(check_spf, lambda n: "v=spf1 " + "ip6:2001:db8::1 " * (n // 16) + "-all"),
    "spf-blanks": Hostile(check_spf, lambda n: "v=spf1 " + " " * n + "-all"),
    "spf-many-addresses": Hostile(
        lambda world: run(spf.check_host(IP, mail_from="a@example.org", helo="a.example"), world), spf_answers, 200
    ),
    "spf-a-long-sender": Hostile(
        lambda sender: run(
            spf.check_host(IP, mail_from=sender, helo="a.example"), Everywhere(TXT=[b"v=spf1 a:%{l}.x"])
        ),
        lambda n: "a." * (n // 2) + "a@example.org",
    ),
    "spf-a-long-helo": Hostile(lambda helo: run(spf.check_helo(IP, helo), NO_DNS), lambda n: "a." * (n // 2) + "org"),
    "spf-lint": Hostile(spf.lint_text, lambda n: "v=spf1 " + "a:b.example mx " * (n // 15) + "-all"),
    "spf-received-field": Hostile(spf.parse_received_spf, lambda n: "pass (" + "(" * n),
    # DKIM: blanks in lines, in b= and in folds; many signatures, names, lengths, keys
    "dkim-a-line-of-blanks": Hostile(verify, lambda n: with_body(b" " * n + b"x\r\n"), 10_000),
    "dkim-lines-of-blanks": Hostile(verify, lambda n: with_body(b" \t \r\n" * (n // 5) + b"x\r\n")),
    "dkim-empty-lines": Hostile(verify, lambda n: with_body((b"\r\n" * 50 + b"x") * (n // 101))),
    "dkim-bare-cr": Hostile(verify, lambda n: with_body(b"\r" * n)),
    "dkim-blanks-in-b": Hostile(verify, lambda n: signature(" " * n + "A=") + make_message(), 25_000),
    "dkim-blank-folds": Hostile(verify, lambda n: signature("\r\n \t" * (n // 4)) + make_message(), 40_000),
    "dkim-blank-folds-elsewhere": Hostile(
        verify, lambda n: signature() + b"A: b" + b"\r\n " * (n // 3) + b"\r\n" + make_message(), 40_000
    ),
    "dkim-many-signatures": Hostile(verify, lambda n: signature() * n + make_message(), 50),
    "dkim-many-lengths": Hostile(
        verify, lambda n: b"".join(signature(f"; l={each}") for each in range(n)) + make_message(body="x" * 2000), 50
    ),
    "dkim-names-in-h": Hostile(verify, lambda n: signature(names=":".join(["from"] * n)) + make_message(), 1000),
    "dkim-fields-and-names": Hostile(
        verify, lambda n: signature(names=":".join(["from", *["x"] * n])) + b"X: y\r\n" * n + make_message(), 500
    ),
    "dkim-semicolons": Hostile(verify, lambda n: signature(";" * n) + make_message()),
    "dkim-tags": Hostile(
        verify, lambda n: signature("".join(f"; x{each}=y" for each in range(n))) + make_message(), 500
    ),
    "dkim-key-record": Hostile(dkim.parse_record, lambda n: b"v=DKIM1; " + b"n=x; " * (n // 5)),
    "dkim-key-record-of-blanks": Hostile(dkim.parse_record, lambda n: b"v=DKIM1; p=" + b" " * n + b"A"),
    "dkim-giant-key": Hostile(giant_key, lambda n: n, 16_000),
    "dkim-many-keys": Hostile(
        lambda world: run(dkim.verify(signed(), now=START), world),
        lambda n: Everywhere(TXT=[f"v=DKIM1; k=ed25519; n={n}.{each}; p=AAAA".encode() for each in range(n)]),
        50,
    ),
    "arc-many-sets": Hostile(
        lambda message: run(verify_arc(message, now=START), NO_DNS),
        lambda n: (
            b"".join(b"ARC-Seal: i=%d; cv=pass; d=a; s=b; a=rsa-sha256; b=A\r\n" % each for each in range(n))
            + make_message()
        ),
        100,
    ),
    # From: several, long, nested
    "from-many-mailboxes": Hostile(
        lambda message: read_author(split(message).header), lambda n: make_message(", ".join(["a@b.example"] * n)), 1000
    ),
    "from-many-fields": Hostile(whole, lambda n: b"From: a@example.org\r\n" * n + make_message(), 500),
    "from-nested-comments": Hostile(addresses.addresses, lambda n: b"(" * n + b"a@b" + b")" * n),
    "from-open-quotes": Hostile(addresses.addresses, lambda n: b'"\\' * n + b"a@b.example"),
    "from-angle-brackets": Hostile(addresses.addresses, lambda n: b"<" * n),
    "from-blanks": Hostile(addresses.addresses, lambda n: b"a@b.example" + b" \r\n " * n),
    "header-fields": Hostile(split, lambda n: b"A: b\r\n" * n + b"\r\n", 1200),
    "header-folds": Hostile(split, lambda n: b"A: b" + b"\r\n " * n + b"\r\n\r\n"),
    "header-in-pieces": Hostile(in_pieces, lambda n: b"A: b" + b"x" * n + b"\r\n\r\n", 50_000),
    "tag-list": Hostile(taglist.parse, lambda n: b"a=b;" * n),
    # Authentication-Results and Received
    "results-forged-fields": Hostile(
        lambda message: authres.remove_forged(message, "mx.example.net"),
        lambda n: b"Authentication-Results: mx.example.net; none\r\n" * n + make_message(),
        500,
    ),
    "results-comments": Hostile(results, lambda n: b"mx.example.net " + b"(" * n),
    "results-quotes": Hostile(results, lambda n: b'mx.example.net; a=b reason="' + b"\\" * n),
    "results-many": Hostile(results, lambda n: b"mx.example.net" + b"; spf=pass smtp.mailfrom=a.example" * n, 500),
    "results-blanks": Hostile(results, lambda n: b"mx.example.net;" + b" \r\n " * n + b"x"),
    "results-believed": Hostile(
        lambda message: trust.believe(message, "mx.example.net"),
        lambda n: b"Authentication-Results: mx.example.net; dkim=pass header.d=x.example\r\n" * n + make_message(),
        500,
    ),
    "received-fields": Hostile(
        way, lambda n: b"Received: from a (b [192.0.2.1]) by c; x\r\n" * n + make_message(), 100
    ),
    "received-parentheses": Hostile(way, lambda n: b"Received: from a " + b"(" * n + b"\r\n\r\n"),
    # names and addresses
    "name-long": Hostile(to_ascii, lambda n: "ü." * n),
    "name-one-label": Hostile(to_ascii, lambda n: "ü" * n),
    "name-dots": Hostile(to_ascii, lambda n: "." * n),
    "address-at-signs": Hostile(split_address, lambda n: "@" * n),
    "address-quotes": Hostile(split_address, lambda n: '"' + '\\"' * n + '"@a.example'),
    "greylist-sender": Hostile(
        lambda sender: keys_of(IPv4Address(IP), sender, sender, GreylistPolicy()), lambda n: "1-2+3=" * n + "@a.example"
    ),
    "reply-text": Hostile(lambda text: Reply(550, "5.7.1", text).to_bytes(), lambda n: "a\r\n\x1b " * n),
    "reverse-names": Hostile(
        lambda world: run(iprev.check(IP), world),
        lambda n: Everywhere(PTR=[f"h{each}.example" for each in range(n)]),
        100,
    ),
    "list-answers": Hostile(
        lambda world: run(rbl.query(IP, ["bl.example"]), world),
        lambda n: Everywhere(A=[IPv4Address(0x7F000002 + each) for each in range(n)], TXT=[b"x" * 100] * n),
        100,
    ),
    # DMARC: many labels, long records, many records
    "dmarc-labels": Hostile(lambda name: run(dmarc.check(name), zone()), lambda n: "a." * n + "example.org", 14),
    "dmarc-long-name": Hostile(lambda name: run(dmarc.check(name), zone()), lambda n: "a." * n + "example.org"),
    "dmarc-tags": Hostile(dmarc.parse_record, lambda n: b"v=DMARC1; p=none; " + b"x=y; " * n, 300),
    "dmarc-uris": Hostile(dmarc.parse_record, lambda n: b"v=DMARC1; p=none; rua=" + b"mailto:a@b.example," * n, 80),
    "dmarc-blanks": Hostile(dmarc.parse_record, lambda n: b"v=DMARC1;" + b" " * n + b"p=none", 1900),
    "dmarc-many-records": Hostile(
        lambda world: run(dmarc.check("a.example.org"), world),
        lambda n: Everywhere(TXT=[b"v=DMARC1; p=none; x=%d" % each for each in range(n)]),
        100,
    ),
    "dmarc-many-identifiers": Hostile(
        lambda passed: run(dmarc.check("example.org", dkim=passed), zone()),
        lambda n: [dataclasses.replace(verify(signed())[0], domain=f"d{each}.example.org") for each in range(n)],
        20,
    ),
    # a domain and its sender's rules; pages
    "domain-tls-rpt-uri": Hostile(domain, lambda n: b"v=TLSRPTv1; rua=https://" + b"a" * n + b"!"),
    "domain-tls-rpt-address": Hostile(domain, lambda n: b"v=TLSRPTv1; rua=mailto:" + b"a@" * n),
    "domain-tls-rpt-uris": Hostile(domain, lambda n: b"v=TLSRPTv1; rua=" + b"x," * n),
    "domain-tls-rpt-tags": Hostile(domain, lambda n: b"v=TLSRPTv1; " + b"".join(b"x%d=y; " % i for i in range(n)), 800),
    "domain-mta-sts": Hostile(domain, lambda n: b"v=STSv1; id=" + b"1" * n),
    "domain-bimi": Hostile(domain, lambda n: b"v=BIMI1; l=https://" + b".svg" * n + b"?"),
    "sender-unsubscribe": Hostile(
        sender_rules, lambda n: b"List-Unsubscribe: <" + b" " * n + b"x\r\n" + make_message(), 150
    ),
    "sender-one-click": Hostile(
        sender_rules,
        lambda n: (
            b"List-Unsubscribe: <https://x>\r\nList-Unsubscribe-Post: List-Unsubscribe"
            + b" " * n
            + b"\r\n"
            + make_message()
        ),
        1000,
    ),
    "page-fields": Hostile(page, lambda n: b"Subject: =?x?q?\r\n" * n + make_message(), 100),
    "page-encoded-words": Hostile(
        page, lambda n: b"Subject: " + b"=?utf-8?q?" * n + b"\r\n" + make_message(subject="")
    ),
    "page-marks": Hostile(page, lambda n: b"Subject: " + b"\xcc\x81" * n + b"\r\n" + make_message()),
    "page-received": Hostile(page, lambda n: b"Received: from a by " + b"b " * n + b"\r\n" + make_message()),
    # peers of protocols
    "policy-requests": Hostile(policy_request, lambda n: b"request=smtpd_access_policy\na=b\n\n" * n, 200),
    "policy-attributes": Hostile(policy_request, lambda n: b"request=smtpd_access_policy\n" + b"a=b\n" * n, 20),
    "policy-endless": Hostile(policy_request, lambda n: b"request=" + b"x" * n),
    "milter-endless-packet": Hostile(codec, lambda n: b"\0\0\xff\xffB" + b"x" * n),
    "whole-message": Hostile(whole, lambda n: signed() + b"x  y \r\n" * n, 2000),
}


@pytest.mark.parametrize("name", CASES)
def test_twice_the_input_is_at_most_twice_the_work(name: str) -> None:
    case = CASES[name]
    case.work(case.make(case.size // 2))  # what is made once
    inputs = {times: case.make(times * case.size) for times in (1, 2, 8)}
    once, twice = (lines(lambda given=inputs[times]: case.work(given)) for times in (1, 2))  # type: ignore[misc]
    assert twice <= 2.02 * once + 100, (once, twice)
    small, large = (seconds(lambda given=inputs[times]: case.work(given)) for times in (1, 8))  # type: ignore[misc]
    assert large / small < 32, (small, large)
