"""A real Postfix, with our milter and without: what its server wrote is believed, and what a sender wrote is not."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from mailauth.sync import believe
from mailauth.trust import AuthorVerdict, Verdict
from tests.dkim.makers import signed
from tests.milter.runner import CLIENT, HOSTNAME, mail_filter, serving
from tests.postfix import Postfix

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def mta() -> Iterator[Postfix]:
    """A Postfix with our milter, and a port without it: there nobody removes forged fields, and nobody writes any."""
    services = "127.0.0.1:{plain} inet n - n - - smtpd -o smtpd_milters=\n"
    postfix = Postfix(services=services)
    socket = f"{postfix.folder}/milter.sock"
    postfix._settings["smtpd_milters"] = f"unix:{socket}"
    with serving([(f"unix:{socket}", mail_filter())]), postfix:
        yield postfix


def verdict_of(mta: Postfix, message: bytes, subject: str, port: str = "smtp", helo: str = HOSTNAME) -> AuthorVerdict:
    """Send the message, take it out of the mailbox, and ask who wrote it."""
    with mta.session(client=CLIENT, helo=helo, port=port) as smtp:
        smtp.sendmail("bounce@elsewhere.test", [mta.mailbox], message)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for octets in mta.messages():
            if f"\nX-Test: {subject}\n".encode() in octets:
                assert b"\nReceived: from " in octets
                return believe(octets, {HOSTNAME})
        time.sleep(0.02)
    pytest.fail(f"{subject} was not delivered:\n{mta.log()}")


FORGED = f"Authentication-Results: {HOSTNAME}; dmarc=pass header.from=example.org\r\n".encode()
BORDER = f"Received: from x (x [192.0.2.1]) by {HOSTNAME} (Postfix) with ESMTP id 1; now\r\n".encode()
UNSIGNED = b"From: Ann <ann@example.org>\r\nTo: bob@mailbox.test\r\n\r\nHello\r\n"
ATTACKS = {
    "plain": FORGED,
    "blank": FORGED.replace(b"Results:", b"Results :"),
    "border": FORGED + BORDER,
    "two-borders": BORDER.replace(b"192.0.2.1", b"127.0.0.1") + FORGED + BORDER,
    "continued": b"X: 1\r\n\t; dmarc=pass header.from=example.org\r\n",
    "bare-cr": b"X: y\r" + FORGED,
    "capitals": FORGED.replace(HOSTNAME.encode(), HOSTNAME.upper().encode()),
    "final-dot": FORGED.replace(HOSTNAME.encode(), HOSTNAME.encode() + b"."),
    "arc": b"ARC-" + FORGED.replace(b"Results: ", b"Results: i=1; "),
}


@pytest.mark.parametrize("helo", [HOSTNAME, "[127.0.0.1]", "localhost"])
def test_a_signed_message_is_verified(mta: Postfix, helo: str) -> None:
    subject = f"signed-{helo}"
    verdict = verdict_of(mta, f"X-Test: {subject}\r\n".encode() + signed(), subject, helo=helo)
    assert (verdict.verdict, verdict.address) == (Verdict.VERIFIED, "ann@example.org"), verdict


@pytest.mark.parametrize("port", ["smtp", "plain"])
@pytest.mark.parametrize("name", ATTACKS)
def test_forged_fields_are_not(mta: Postfix, name: str, port: str) -> None:
    subject = f"{name}-{port}"
    verdict = verdict_of(mta, ATTACKS[name] + f"X-Test: {subject}\r\n".encode() + UNSIGNED, subject, port)
    assert verdict.verdict is not Verdict.VERIFIED, verdict
    assert verdict.reason == ("dmarc-fail" if port == "smtp" else "no-field"), verdict
