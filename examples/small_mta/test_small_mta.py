"""What a mail server has to do right; `mailauth.testing` makes what is sent to it, and judges what it keeps."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings

from conftest import CLIENT, Running, asking, running
from mailauth.authres import AuthenticationResults, parse_field
from mailauth.mail.header import split
from mailauth.resolvers import RecordingResolver, ZoneResolver
from mailauth.testing import Clock, Fault, Zone, drop, garbage, make_message, truncate, zone_text
from mailauth.testing import strategies as mail

POLICY: dict[str, Any] = {"spf": f"v=spf1 ip4:{CLIENT} -all", "dmarc": "v=DMARC1; p=reject"}
STRANGER = "198.51.100.7"


def results(content: bytes) -> dict[str, str]:
    """Method and result of each line of the field that the server put on top."""
    field = parse_field(split(content).header.fields[0].raw)
    assert isinstance(field, AuthenticationResults)
    assert field.authserv_id == "mx.example.net"
    return {each.method: each.result for each in field.results}


# --- a zone in a few lines -------------------------------------------------------------------------------------------


def test_signed_mail_is_kept_with_its_results(mta: Running, mailauth_zone: Zone) -> None:
    mailauth_zone.domain("example.org", **POLICY)
    message = mailauth_zone.sign(make_message("ann@example.org"))
    assert mta.send(message) == "250 2.0.0"
    (kept,) = mta.kept
    assert kept.content.endswith(message)
    assert (kept.mail_from, kept.rcpt_to) == ("ann@example.org", ("bob@example.net",))
    assert results(kept.content) == {"spf": "pass", "dkim": "pass", "dmarc": "pass"}
    # The reference says the same.
    mailauth_zone.assert_authenticated(message, ip=CLIENT, spf="pass", dkim="pass", dmarc="pass")


@pytest.mark.parametrize(
    ("ip", "author", "sender", "reply"),
    [
        (CLIENT, "ann@example.org", "ann@example.org", "250 2.0.0"),
        (STRANGER, "ann@example.org", "ann@example.org", "550 5.7.23"),  # SPF fail
        (STRANGER, "ann@example.org", "eve@other.example", "550 5.7.1"),  # DMARC fail: From is not theirs
        (STRANGER, "eve@other.example", "eve@other.example", "250 2.0.0"),  # no policy
        ("203.0.113.9", "eve@other.example", "eve@other.example", "554 5.7.1"),  # on the block list
    ],
)
def test_who_is_refused(mta: Running, mailauth_zone: Zone, ip: str, author: str, sender: str, reply: str) -> None:
    mailauth_zone.domain("example.org", **POLICY).domain("other.example").listed("203.0.113.9", "bl.example")
    assert mta.send(make_message(author), ip=ip, sender=sender) == reply
    assert len(mta.kept) == reply.startswith("250")


def test_a_signature_outlives_forwarding(mta: Running, mailauth_zone: Zone) -> None:
    mailauth_zone.domain("example.org", **POLICY)
    message = mailauth_zone.sign(make_message("ann@example.org"))
    assert mta.send(message, ip=STRANGER, sender="list@other.example") == "250 2.0.0"
    assert mta.send(message.replace(b"Hello, Bob", b"Hello, all"), ip=STRANGER, sender="list@other.example")[0] == "5"


def test_forged_results_are_removed(mta: Running, mailauth_zone: Zone) -> None:
    mailauth_zone.domain("other.example")
    forged = b"Authentication-Results: mx.example.net; dkim=pass header.d=bank.example\r\n"
    assert mta.send(forged + make_message("eve@other.example"), sender="eve@other.example") == "250 2.0.0"
    assert b"bank.example" not in mta.kept[0].content


def test_we_are_no_open_relay(mta: Running) -> None:
    with mta.connect() as smtp:
        smtp.mail("ann@example.org")
        assert smtp.rcpt("bob@elsewhere.example")[0] == 554


# --- a DNS server with faults ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reply"),
    [(truncate, "250 2.0.0"), (drop, "451 4.4.3"), (garbage, "451 4.4.3")],
    ids=["truncated", "silent", "garbage"],
)
def test_faults_of_the_dns(fault: Fault, reply: str, mailauth_clock: Clock) -> None:
    """A truncated answer is asked for again by TCP; what is not known now may be known later: never a 5yz."""
    zone = Zone().domain("example.org", **POLICY)
    with (
        zone.serve({"example.org": fault}) as dns,
        running(asking(dns), mailauth_clock, time_limit=1.0) as mta,
    ):
        assert mta.send(zone.sign(make_message("ann@example.org"))) == reply
        assert dns.asked


# --- a clock ---------------------------------------------------------------------------------------------------------


def test_greylisting(mailauth_zone: Zone, mailauth_clock: Clock) -> None:
    mailauth_zone.domain("other.example")
    message = make_message("eve@other.example")
    with running(mailauth_zone, mailauth_clock, greylisting=True) as mta:
        assert mta.send(message, sender="eve@other.example") == "450 4.7.1"
        mailauth_clock.advance(minutes=1)
        assert mta.send(message, sender="eve@other.example") == "450 4.7.1"
        mailauth_clock.advance(minutes=5)
        assert mta.send(message, sender="eve@other.example") == "250 2.0.0"
        mailauth_clock.advance(days=30)
        assert mta.send(message, sender="eve@other.example") == "250 2.0.0"


# --- input by the thousand -------------------------------------------------------------------------------------------

many = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@many
@given(mail.messages())
@example(b"Subject: dots\r\n\r\n.\r\n..\r\n")  # transparency, RFC 5321 section 4.5.2
def test_any_message_is_refused_or_kept_to_the_octet(mta: Running, message: bytes) -> None:
    """Whatever comes in after DATA: a reply of three digits, and what is kept ends in the body that was sent."""
    # smtplib would mend line ends; a server has to stand what other clients send.
    sent = message if message.endswith(b"\r\n") or not message else message + b"\r\n"
    octets = b"".join(b"." + line if line[:1] == b"." else line for line in re.split(rb"(?<=\r\n)", sent))
    before = len(mta.kept)
    with mta.connect() as smtp:
        smtp.docmd("MAIL", "FROM:<>")
        smtp.docmd("RCPT", "TO:<bob@example.net>")
        assert smtp.docmd("DATA")[0] == 354
        smtp.send(octets + b".\r\n")
        code, _ = smtp.getreply()
    assert code in (250, 550, 451)
    assert len(mta.kept) - before == (code == 250)
    if code == 250:
        assert mta.kept[-1].content.endswith(split(sent).body)


@many
@given(mail.mailboxes(), mail.ip_addresses())
def test_any_sender_gets_a_reply(mta: Running, sender: str, ip: object) -> None:
    """Whatever stands between the brackets: one reply of one line or more, and the dialogue goes on."""
    line = sender.encode("utf-8", "surrogateescape").replace(b"\r", b"").replace(b"\n", b"")[:1000]
    with mta.connect(str(ip)) as smtp:
        smtp.send(b"MAIL FROM:<" + line + b">\r\n")
        assert smtp.getreply()[0] in (250, 501)
        assert smtp.noop()[0] == 250


# --- the DNS of a real run, again ------------------------------------------------------------------------------------


def test_a_run_can_be_replayed(mailauth_zone: Zone, mailauth_clock: Clock) -> None:
    """What was asked and answered is written down as a zone; from it, the same message has the same results."""
    mailauth_zone.domain("example.org", **POLICY).fail("*.bl.example")
    message = mailauth_zone.sign(make_message("ann@example.org"))
    recorder = RecordingResolver(mailauth_zone)
    with running(recorder, mailauth_clock) as mta:
        assert mta.send(message) == "250 2.0.0"
    written = zone_text(recorder.asked)
    assert ";!timeout 1.2.0.192.bl.example A" in written
    with running(ZoneResolver.from_text(written), mailauth_clock) as again:
        assert again.send(message) == "250 2.0.0"
    assert results(again.kept[0].content) == results(mta.kept[0].content)
