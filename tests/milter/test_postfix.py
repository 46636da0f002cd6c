"""Our filter under a real Postfix: what it signs others verify, what others sign it verifies, and what it refuses."""

from __future__ import annotations

import logging
import re
import smtplib
import subprocess
import sys
import time
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path

import pytest
from benchmarks.opendkim import OpenDkim

import dkim
from mailauth.dkim import sign
from mailauth.milter.settings import MilterSettings
from tests.dkim.makers import ed_record, rsa_key, rsa_record
from tests.dkim.test_interop import PEM
from tests.milter.runner import CLIENT, HOSTNAME, OURS, mail_filter, serving
from tests.postfix import Postfix
from tests.servers import free_port, missing, wait_for_tcp

pytestmark = pytest.mark.server

MACROS = "i {mail_addr} {client_addr}"  # the defaults without {auth_authen}: the filter asks for it by itself


@pytest.fixture(scope="module")
def mta() -> Iterator[Postfix]:
    """A Postfix with listeners of each kind: over TCP, by a unix socket, refusing, and with one that is not there."""
    ports = {name: free_port() for name in ("both", "strict", "gone")}
    services = "".join(
        f"127.0.0.1:{{{name}}} inet n - n - - smtpd -o smtpd_milters={{{{ {milter} }}}} {more}\n"
        for name, milter, more in (
            ("strict", f"inet:127.0.0.1:{ports['strict']}", ""),
            ("gone", f"inet:127.0.0.1:{ports['gone']}, default_action=tempfail", ""),
        )
    )
    postfix = Postfix(settings={}, services=services)
    socket = f"{postfix.folder}/milter.sock"
    postfix._settings.update(
        {
            "smtpd_milters": f"unix:{socket}",
            "milter_mail_macros": MACROS,
            "message_size_limit": "20000000",
            "milter_default_action": "tempfail",
            "always_add_missing_headers": "yes",
        }
    )
    strict = MilterSettings(
        reject_no_aligned_dkim=True, fields=("authentication-results", "received-spf"), on_failure="accept"
    )
    with (
        serving(
            [
                (f"unix:{socket}", mail_filter()),
                (f"inet:127.0.0.1:{ports['strict']}", mail_filter(settings=strict)),
            ]
        ),
        postfix,
    ):
        yield postfix


def text(subject: str, *fields: str, sender: str = "ann@example.org", body: str = "body\r\n") -> bytes:
    lines = [*fields, f"From: Ann <{sender}>", "To: bob@mailbox.test", f"Subject: {subject}"]
    lines += ["Date: Mon, 2 Nov 2026 10:00:00 +0000", f"Message-ID: <{subject}@example.org>"]
    return "\r\n".join([*lines, "", body]).encode()


def delivered(mta: Postfix, subject: str) -> bytes:
    """The message of that subject as it was delivered, with CRLF."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for message in mta.messages():
            if f"\nSubject: {subject}\n".encode() in message:
                return message.replace(b"\n", b"\r\n")
        time.sleep(0.02)
    pytest.fail(f"{subject} was not delivered:\n{mta.log()}")


def send(mta: Postfix, message: bytes, sender: str = "ann@example.org", **client: str) -> None:
    with mta.session(**{"client": CLIENT, "helo": "mx.example.org", **client}) as smtp:
        smtp.sendmail(sender, [mta.mailbox], message)


def results(message: bytes) -> list[str]:
    found = message_from_bytes(message).get_all("Authentication-Results") or []
    return [re.sub(r"\s+", " ", str(value)) for value in found]


def records(name: bytes, **_: object) -> bytes:
    return (ed_record() if name.startswith(b"ed.") else rsa_record()).encode()


def opendkim() -> OpenDkim:
    try:
        return OpenDkim(rsa_record())
    except OSError:
        missing("libopendkim is not installed (Debian: apt-get install libopendkim11)")
        raise


# --- signing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "fields", "body"),
    [
        ("plain", [], "body\r\n"),
        ("folded", ["X-Folded: one\r\n two\r\n\tthree", "Cc: a@example.com,\r\n  b@example.com"], "a\r\n"),
        ("blanks", ["X-None:none", "X-Two:  two  ", "Reply-To:ann@example.org"], "a \t b  \r\n\r\n\r\n"),
        ("bcc", ["Bcc: secret@example.net", "Return-Path: <x@example.org>", "Content-Length: 3"], "a\r\n"),
        ("formfeed", [], "a\x0cb\r\n  \r\n.\r\n..\r\nFrom x\r\n"),
        ("empty", [], ""),
        ("no-end", [], "the last line has no end"),
    ],
)
def test_what_we_sign_others_verify(mta: Postfix, subject: str, fields: list[str], body: str) -> None:
    """RSA and Ed25519, over the message as Postfix sends it on."""
    send(mta, text(subject, *fields, body=body), client=OURS)
    message = delivered(mta, subject)
    assert message.count(b"DKIM-Signature:") == 2
    assert not results(message)
    for index in range(2):
        assert dkim.DKIM(message).verify(idx=index, dnsfunc=records)
    # OpenDKIM knows one key for all names: the RSA signature alone.
    fields_of = re.compile(rb"(?s)DKIM-Signature:.*?\r\n(?![ \t])")
    only_rsa = fields_of.sub(lambda found: b"" if b"ed25519" in found[0] else found[0], message)
    other = opendkim()
    assert other.verify(only_rsa) == 0
    assert other.verify(only_rsa.replace(b"Ann <", b"Anna <")) != 0


def test_missing_fields_that_postfix_adds_are_signed(mta: Postfix) -> None:
    send(mta, b"From: ann@example.org\r\nSubject: added\r\n\r\nbody\r\n", client=OURS)
    message = delivered(mta, "added")
    assert b"\r\nMessage-Id: " in message
    assert b"\r\nDate: " in message
    assert dkim.DKIM(message).verify(dnsfunc=records)


def test_smtputf8(mta: Postfix) -> None:
    message = text("utf8", "X-Name: J\u00fcrgen \u65e5\u672c", body="\u65e5\u672c\r\n").replace(
        b"From: Ann <", "From: J\u00fcrgen <".encode()
    )
    with mta.session(client=OURS, helo="mx.example.org") as smtp:
        smtp.sendmail("ann@example.org", [mta.mailbox], message, mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    assert dkim.DKIM(delivered(mta, "utf8")).verify(dnsfunc=records)


def test_five_megabytes(mta: Postfix) -> None:
    send(mta, text("large", body=("x" * 70 + "\r\n") * 72_000), client=OURS)
    assert dkim.DKIM(delivered(mta, "large")).verify(dnsfunc=records)


@pytest.mark.parametrize(
    ("subject", "client", "sender", "signed", "why"),
    [
        ("login", {"login": "ann@example.org"}, "x@other.example", True, ""),
        ("mail-from", {"login": "joe"}, "x@example.org", True, ""),
        ("allowed", {"login": "friend"}, "x@other.example", True, ""),
        ("allowed-domain", {"login": "eve@partner.example"}, "x@other.example", True, ""),
        ("another", {"login": "eve@other.example"}, "eve@other.example", False, "authenticated as eve@other.example"),
        ("network", {"client": OURS}, "eve@other.example", False, "allow in the signing table"),
        ("outside", {}, "ann@example.org", False, "neither authenticated nor in networks"),
    ],
)
def test_who_may_be_signed(
    mta: Postfix,
    caplog: pytest.LogCaptureFixture,
    subject: str,
    client: dict[str, str],
    sender: str,
    signed: bool,
    why: str,
) -> None:
    """Only what its sender may use; for everything else the log says why not."""
    caplog.set_level(logging.INFO, "mailauth.milter")
    send(mta, text(subject), sender=sender, **client)
    message = delivered(mta, subject)
    assert (b"DKIM-Signature:" in message) is signed
    assert bool(results(message)) is (subject == "outside")
    # By the queue id, which Postfix has not yet at MAIL.
    assert (re.search(r" [0-9A-F]{8,}: not signed", caplog.text) is not None) is not signed
    assert why in caplog.text


def test_long_lines_are_signed_with_a_warning(mta: Postfix, caplog: pytest.LogCaptureFixture) -> None:
    send(mta, text("long-line", body="one\r\n" + "x" * 1200 + "\r\n"), client=OURS)
    assert b"DKIM-Signature:" in delivered(mta, "long-line")
    assert "line 2 of the body has more than 998 octets" in caplog.text


# --- verifying -------------------------------------------------------------------------------------------------


def test_what_opendkim_signs_we_verify(mta: Postfix) -> None:
    for canonicalization in ("simple", "relaxed"):
        subject = f"theirs-{canonicalization}"
        message = text(subject, "X-Folded: one\r\n two", "X-None:none", "X-Two:  two  ", body="a  b\r\n\r\n")
        field = opendkim().sign(message, PEM, canonicalization, canonicalization)
        send(mta, field + message)
        (result,) = results(delivered(mta, subject))
        assert result.startswith(f"{HOSTNAME};")
        assert "dkim=pass" in result
        assert "spf=pass" in result
        assert "iprev=pass" in result
        assert "dmarc=pass" in result


def test_what_dkimpy_signs_we_verify_and_a_changed_message_fails(mta: Postfix) -> None:
    for subject, change, expected in (("dkimpy", b"body", "dkim=pass"), ("tampered", b"BODY", "dkim=fail")):
        message = text(subject)
        field = dkim.sign(message, b"sel", b"example.org", PEM)
        send(mta, field + message.replace(b"body", change))
        (result,) = results(delivered(mta, subject))
        assert expected in result


def test_a_malformed_signature_gets_a_field_all_the_same(mta: Postfix) -> None:
    send(mta, text("malformed", "DKIM-Signature: v=1; nonsense"))
    (result,) = results(delivered(mta, "malformed"))
    assert "dkim=" in result
    assert "spf=pass" in result


def test_forged_fields_are_removed_and_no_others(mta: Postfix) -> None:
    """Postfix renumbers after each deletion."""
    fields = [
        f"Authentication-Results: {HOSTNAME}; dkim=pass header.d=forged1.example",
        "Authentication-Results: mx.other.example; dkim=pass header.d=good1.example",
        f"Authentication-Results: {HOSTNAME}; spf=pass smtp.mailfrom=forged2.example",
        "X-Between: yes",
        "Authentication-Results: mx.another.example; dkim=pass header.d=good2.example",
        f"authentication-results: ({HOSTNAME}) {HOSTNAME} 1; dkim=pass header.d=forged3.example",
    ]
    send(mta, text("forged", *fields))
    message = delivered(mta, "forged")
    assert b"forged" not in message.replace(b"<forged@", b"").replace(b"Subject: forged", b"")
    assert len(results(message)) == 3
    assert results(message)[0].startswith(HOSTNAME)
    assert b"good1.example" in message
    assert b"good2.example" in message
    # On top of Received, as RFC 8601 section 4 asks.
    assert message.index(f"Authentication-Results: {HOSTNAME}".encode()) < message.index(b"\r\nReceived: ")


def test_many_messages_in_one_session(mta: Postfix) -> None:
    """Each gets what is its own, whatever came before; a message that is given up leaves nothing."""
    with mta.session(client=CLIENT, helo="mx.example.org") as smtp:
        for number in range(12):
            if number % 4 == 3:
                smtp.docmd("MAIL FROM:<given-up@other.example>")
                smtp.docmd(f"RCPT TO:<{mta.mailbox}>")
                smtp.rset()
            message = text(f"many{number}", *[f"Authentication-Results: {HOSTNAME}; dkim=pass"] * (number % 3))
            field = sign(message, rsa_key(), domain="example.org", selector="sel") if number % 2 else b""
            smtp.sendmail("ann@example.org", [mta.mailbox], field + message)
    for number in range(12):
        (result,) = results(delivered(mta, f"many{number}"))
        assert ("dkim=pass" in result) is bool(number % 2)
        assert "given-up" not in result


def test_pipelined(mta: Postfix) -> None:
    message = text("pipelined") + b".\r\n"
    with mta.session(client=CLIENT, helo="mx.example.org") as smtp:
        for _ in range(3):
            smtp.send(f"MAIL FROM:<ann@example.org>\r\nRCPT TO:<{mta.mailbox}>\r\nDATA\r\n")
            assert [smtp.getreply()[0] for _ in range(3)] == [250, 250, 354]
            smtp.send(message)
            assert smtp.getreply()[0] == 250
    assert results(delivered(mta, "pipelined"))


def test_mail_without_an_aligned_signature_is_refused(mta: Postfix) -> None:
    """Over TCP, with Received-SPF above the Received field of Postfix (RFC 7208 section 9.1)."""
    with pytest.raises(smtplib.SMTPDataError) as refused:
        send(mta, text("refused"), port="strict")
    assert refused.value.smtp_code == 550
    assert b"5.7.20" in refused.value.smtp_error
    message = text("aligned")
    send(mta, sign(message, rsa_key(), domain="example.org", selector="sel") + message, port="strict")
    received = delivered(mta, "aligned")
    assert len(results(received)) == 1
    assert b"\r\nReceived-SPF: pass" in received
    assert received.index(b"\r\nReceived-SPF: ") < received.index(b"\r\nReceived: ")


# --- failures --------------------------------------------------------------------------------------------------


def test_killed_within_a_message_and_started_again(mta: Postfix, tmp_path: Path) -> None:
    """With tempfail no message is lost, and none gets in unchecked."""
    port = int(re.findall(r"inet:127\.0\.0\.1:(\d+), default_action", (mta.folder / "etc/master.cf").read_text())[0])
    command = [sys.executable, "-m", "tests.milter.runner", f"inet:127.0.0.1:{port}"]
    with pytest.raises(smtplib.SMTPException):
        send(mta, text("before"), port="gone")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        wait_for_tcp(port)
        with mta.session(client=CLIENT, helo="mx.example.org", port="gone") as smtp:
            smtp.docmd("MAIL FROM:<ann@example.org>")
            smtp.docmd(f"RCPT TO:<{mta.mailbox}>")
            smtp.docmd("DATA")
            process.kill()
            smtp.send(text("killed") + b".\r\n")
            assert smtp.getreply()[0] == 451
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        wait_for_tcp(port)
        send(mta, text("killed"), port="gone")
        process.terminate()
    assert len(results(delivered(mta, "killed"))) == 1
    assert sum(b"<killed@" in message for message in mta.messages()) == 1


@pytest.mark.parametrize("version", [2, 3, 4, 6])
def test_each_version_of_the_protocol(version: int, tmp_path: Path) -> None:
    port = free_port()
    mail = {"smtpd_milters": f"inet:127.0.0.1:{port}", "milter_protocol": str(version)}
    mail["milter_mail_macros"] = "i {auth_authen}"  # before version 6 nobody can ask for them
    with serving([(f"inet:127.0.0.1:{port}", mail_filter())]), Postfix(settings=mail) as mta:
        send(mta, text("checked", "X-None:none", f"Authentication-Results: {HOSTNAME}; dkim=pass"))
        send(mta, text("signed", "X-None:none"), login="ann@example.org")
        (result,) = results(delivered(mta, "checked"))
        assert "spf=pass" in result
        assert dkim.DKIM(delivered(mta, "signed")).verify(dnsfunc=records)
