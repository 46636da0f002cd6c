"""Every kind of reply, seen by an SMTP client.

Each restriction of the configuration file speaks at its phase, with its code, over a socket; what nothing refuses is
delivered.
"""

from __future__ import annotations

import logging
import smtplib
from collections.abc import Callable
from typing import NamedTuple

import pytest

from mailauth import dkim
from tests.smtpd.server import GOOD, LISTED, MESSAGE, NAMELESS, OURS, SLOW_NAME, WRONG_NAME, Server, restrictions

Serve = Callable[..., Server]
NOT_PUBLIC = "[rbl]\nnot_public = []\n"


class Case(NamedTuple):
    """Lists, who says what, and the first refusal: phase, code, enhanced code, a word of the text."""

    lists: dict[str, list[str]]
    expected: tuple[str, int, str, str]
    source: str = GOOD
    helo: str = "mx.good.example"
    sender: str = "ann@good.example"
    recipient: str = "bob@here.example"


NOTHING = ("accepted", 250, "2.0.0", "OK")
CASES = {
    "nothing against it": Case({}, NOTHING),
    "unknown client hostname": Case(
        {"client": ["reject_unknown_client_hostname"]}, ("rcpt", 450, "4.7.25", "hostname"), source=WRONG_NAME
    ),
    "unknown client hostname, the code of the site": Case(
        {"client": ["reject_unknown_client_hostname code=550"]}, ("rcpt", 550, "5.7.25", "hostname"), source=NAMELESS
    ),
    "known client hostname": Case({"client": ["reject_unknown_client_hostname"]}, NOTHING),
    "no reverse name": Case(
        {"client": ["reject_unknown_reverse_client_hostname"]}, ("rcpt", 450, "4.7.", "reverse"), source=NAMELESS
    ),
    "a reverse name that leads elsewhere is one": Case(
        {"client": ["reject_unknown_reverse_client_hostname"]}, NOTHING, source=WRONG_NAME
    ),
    "reverse DNS fails": Case(
        {"client": ["reject_unknown_client_hostname code=550"]}, ("rcpt", 450, "4.7.25", "hostname"), source=SLOW_NAME
    ),
    "reverse DNS fails, passed over": Case(
        {"client": ["reject_unknown_client_hostname on_dns_error=pass"]}, NOTHING, source=SLOW_NAME
    ),
    "listed": Case(
        {"client": ["reject_rbl_client bl.example=127.0.0.2"]}, ("rcpt", 554, "5.7.1", "bl.example"), source=LISTED
    ),
    "listed, with another code": Case({"client": ["reject_rbl bl.example=127.0.0.3"]}, NOTHING, source=LISTED),
    "listed, but not heavily enough": Case({"client": ["reject_rbl bl.example threshold=2"]}, NOTHING, source=LISTED),
    "listed, warned only": Case({"client": ["warn_if_reject reject_rbl bl.example"]}, NOTHING, source=LISTED),
    "sender listed": Case(
        {"sender": ["reject_rhsbl_sender dbl.example"]}, ("rcpt", 554, "5.7.1", "dbl.example"), sender="x@bad.example"
    ),
    "HELO listed": Case(
        {"helo": ["reject_rhsbl_helo dbl.example"]}, ("rcpt", 554, "5.7.1", "dbl.example"), helo="bad.example"
    ),
    "invalid HELO": Case(
        {"helo": ["reject_invalid_helo_hostname"]}, ("rcpt", 501, "5.5.2", "Invalid name"), helo="a..b"
    ),
    "HELO that is no full name": Case(
        {"helo": ["reject_non_fqdn_helo_hostname"]}, ("rcpt", 504, "5.5.2", "fully-qualified"), helo="localhost"
    ),
    "sender that is no full name": Case(
        {"sender": ["reject_non_fqdn_sender"]}, ("rcpt", 504, "5.5.2", "fully-qualified"), sender="ann@localhost"
    ),
    "unknown sender domain": Case(
        {"sender": ["reject_unknown_sender_domain"]}, ("rcpt", 450, "4.1.8", "not found"), sender="x@nowhere.example"
    ),
    "sender domain without mail": Case(
        {"sender": ["reject_unknown_sender_domain"]}, ("rcpt", 550, "5.7.27", "nullMX"), sender="x@null.example"
    ),
    "sender domain fails": Case(
        {"sender": ["reject_unknown_sender_domain"]}, ("rcpt", 450, "4.1.8", "look up"), sender="x@down.example"
    ),
    "null sender": Case({"sender": ["reject_unknown_sender_domain", "reject_non_fqdn_sender"]}, NOTHING, sender=""),
    "SPF pass": Case({"recipient": ["check_spf"]}, NOTHING),
    "SPF fail": Case({"recipient": ["check_spf"]}, ("rcpt", 550, "5.7.23", "SPF"), source=WRONG_NAME),
    "SPF fail, deferred": Case(
        {"recipient": ["check_spf fail=defer"]}, ("rcpt", 451, "4.7.23", "SPF"), source=WRONG_NAME
    ),
    "SPF fails": Case({"recipient": ["check_spf"]}, ("rcpt", 451, "4.4.3", "SPF"), sender="x@down.example"),
    "SPF of HELO": Case(
        {"recipient": ["check_spf identity=helo"]}, ("rcpt", 550, "5.7.23", "HELO"), NAMELESS, sender="x@open.example"
    ),
    "no signature": Case({"data": ["check_dkim require=pass"]}, ("data", 550, "5.7.20", "DKIM")),
    "relaying": Case({}, ("rcpt", 554, "5.7.1", "Relay"), recipient="x@elsewhere.example"),
    "relaying by routing": Case({}, ("rcpt", 554, "5.7.1", "Relay"), recipient="x%elsewhere.example@here.example"),
    "relaying by one of ours": Case({}, NOTHING, source=OURS, recipient="x@elsewhere.example"),
    "relaying by a name that contains ours": Case({}, ("rcpt", 554, "5.7.1", "Relay"), recipient="x@nothere.example"),
    "postmaster": Case({}, NOTHING, recipient="postmaster"),
}


def dialogue(client: smtplib.SMTP, case: Case, message: bytes = MESSAGE) -> tuple[str, int, str]:
    """Send a message; the phase of the first refusal, its code and text."""
    for phase, line in (("mail", f"MAIL FROM:<{case.sender}>"), ("rcpt", f"RCPT TO:<{case.recipient}>")):
        code, text = client.docmd(line)
        if code != 250:
            return phase, code, text.decode()
    code, text = client.data(message)
    return "accepted" if code == 250 else "data", code, text.decode()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_reply(serve: Serve, case: Case) -> None:
    server = serve(NOT_PUBLIC + restrictions(**case.lists))
    with server.client(case.source, case.helo) as client:
        phase, code, text = dialogue(client, case)
    assert (phase, code) == case.expected[:2]
    assert text.startswith(case.expected[2])
    assert case.expected[3] in text
    assert len(server.delivered) == (phase == "accepted")


@pytest.mark.parametrize(
    ("lists", "source", "helo", "sender", "phase"),
    [
        ({"client": ["reject_unknown_client_hostname"]}, NAMELESS, "mx.good.example", "ann@good.example", "helo"),
        ({"helo": ["reject_invalid_helo_hostname"]}, GOOD, "a..b", "ann@good.example", "helo"),
        ({"sender": ["reject_unknown_sender_domain"]}, GOOD, "mx.good.example", "x@nowhere.example", "mail"),
    ],
)
def test_without_delay_each_phase_speaks_for_itself(
    serve: Serve, lists: dict[str, list[str]], source: str, helo: str, sender: str, phase: str
) -> None:
    """delay_reject = false, as smtpd_delay_reject = no; and what is refused can be said again, rightly."""
    server = serve("delay_reject = false\n" + restrictions(**lists))
    with server.client(source, None) as client:
        code, _ = client.ehlo(helo)
        assert (code >= 400) == (phase == "helo")
        if phase == "helo":
            assert client.docmd("MAIL FROM:<ann@good.example>")[0] == 503
            return
        assert client.docmd(f"MAIL FROM:<{sender}>")[0] >= 400
        assert client.docmd("RCPT TO:<bob@here.example>")[0] == 503
        assert client.docmd("MAIL FROM:<ann@good.example>")[0] == 250
        assert client.docmd("RCPT TO:<bob@here.example>")[0] == 250


def signed(selector: str = "s1") -> tuple[bytes, str]:
    """A message signed for good.example, and the key record."""
    from base64 import b64encode

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
    public = b64encode(key.public_key().public_bytes_raw()).decode()
    return dkim.sign(
        MESSAGE, key, domain="good.example", selector=selector
    ) + MESSAGE, f"v=DKIM1; k=ed25519; p={public}"


def test_a_signature_is_verified_where_one_is_required(serve: Serve) -> None:
    from mailauth.resolvers import ZoneResolver
    from tests.smtpd.server import RECORDS

    message, record = signed()
    zone = ZoneResolver({**RECORDS, ("s1._domainkey.good.example", "TXT"): [record]})
    server = serve(restrictions(data=["check_dkim require=author"]), resolver=zone)
    with server.client() as client:
        assert dialogue(client, CASES["nothing against it"], message)[1] == 250
        changed = message.replace(b"Hello", b"Hullo")
        phase, code, text = dialogue(client, CASES["nothing against it"], changed)
    assert (phase, code, text[:6]) == ("data", 550, "5.7.20")
    assert [signature.result for signature in server.delivered[0].report.dkim] == ["pass"]
    assert b"dkim=pass" in server.delivered[0].content.split(b"\r\nFrom:")[0]


def test_greylisting_defers_and_then_accepts(serve: Serve) -> None:
    server = serve(
        '[greylist]\nstore = "memory:"\ndelay = "5m"\n' + restrictions(recipient=["greylist"]),
        rest='[listen]\nfields = ["x-greylist"]\n',
    )
    case = CASES["nothing against it"]
    with server.client() as client:
        phase, code, text = dialogue(client, case)
        assert (phase, code) == ("rcpt", 450)
        assert text.startswith("4.7.1 Greylisted")
    server.clock.now += 60
    with server.client() as client:
        assert dialogue(client, case)[:2] == ("rcpt", 450)
    server.clock.now += 300
    with server.client() as client:
        assert dialogue(client, case)[0] == "accepted"
    assert server.delivered[0].content.startswith(
        b"X-Greylist: delayed 360 seconds by greylisting at mx.here.example\r\n"
    )


def test_greylisting_within_one_connection_asks_anew_for_each_transaction(serve: Serve) -> None:
    """A client that keeps its connection open gets the decision of the moment, and that of the sender it names."""
    server = serve('[greylist]\nstore = "memory:"\ndelay = "5m"\n' + restrictions(recipient=["greylist"]))
    case = CASES["nothing against it"]
    with server.client() as client:
        assert dialogue(client, case)[:2] == ("rcpt", 450)
        client.rset()
        server.clock.now += 600
        assert dialogue(client, case)[0] == "accepted"
        assert dialogue(client, case._replace(sender="eve@open.example"))[:2] == ("rcpt", 450)


def test_recipients_are_judged_one_by_one(serve: Serve) -> None:
    server = serve('[greylist]\nstore = "memory:"\n' + restrictions(recipient=["greylist"]))
    with server.client() as client:
        client.docmd("MAIL FROM:<ann@good.example>")
        codes = [
            client.docmd(f"RCPT TO:<{name}>")[0]
            for name in ("postmaster@here.example", "bob@here.example", "x@elsewhere.example", "abuse@here.example")
        ]
        assert codes == [250, 450, 554, 250]
        assert client.data(MESSAGE)[0] == 250
    assert server.delivered[0].rcpt_to == ("postmaster@here.example", "abuse@here.example")


def test_bad_sequences(serve: Serve) -> None:
    server = serve()
    with server.client(helo=None) as client:
        assert client.docmd("MAIL FROM:<ann@good.example>")[0] == 503
        client.ehlo("mx.good.example")
        assert client.docmd("RCPT TO:<bob@here.example>")[0] == 503
        assert client.docmd("DATA")[0] == 503
        assert client.docmd("MAIL FROM:<ann@good.example>")[0] == 250
        assert client.docmd("MAIL FROM:<ann@good.example>")[0] == 503
        assert client.docmd("DATA")[0] == 503
        assert client.docmd("RCPT TO:<>")[0] == 501
        assert client.docmd("RCPT TO:<bob@here.example>")[0] == 250
        assert client.docmd("RSET")[0] == 250
        assert client.docmd("DATA")[0] == 503
        assert client.docmd("MAIL FROM:<ann@good.example>")[0] == 250
        assert client.docmd("RCPT TO:<bob@here.example>")[0] == 250
        client.ehlo("mx.good.example")
        assert client.docmd("RCPT TO:<bob@here.example>")[0] == 503
        assert client.docmd("XYZZY")[0] == 500
        assert client.docmd("VRFY bob")[0] == 252
        # And after all that, a message.
        assert dialogue(client, CASES["nothing against it"])[0] == "accepted"
        assert dialogue(client, CASES["nothing against it"])[0] == "accepted"


def test_a_refusal_is_one_log_line_and_names_the_transaction(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mailauth")
    server = serve(restrictions())
    with server.client() as client:
        client.docmd("MAIL FROM:<ann@good.example>")
        assert client.docmd("RCPT TO:<x@elsewhere.example>")[0] == 554
    [record] = [record for record in caplog.records if "reject" in record.getMessage()]
    assert (record.client, record.helo) == (GOOD, "mx.good.example")  # type: ignore[attr-defined]
    assert record.sender == "ann@good.example"  # type: ignore[attr-defined]
    assert record.recipient == "x@elsewhere.example"  # type: ignore[attr-defined]
    assert record.getMessage() == (
        f"{record.transaction_id}: reject reject_unauth_destination (relay-denied): "  # type: ignore[attr-defined]
        f"client={GOOD} helo=<mx.good.example> from=<ann@good.example> to=<x@elsewhere.example>"
    )


def test_the_id_in_the_log_is_that_of_the_message(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mailauth")
    server = serve(restrictions())
    with server.client() as client:
        for _ in range(2):
            client.sendmail("ann@good.example", ["bob@here.example"], MESSAGE)
    first, second = (accepted.id for accepted in server.delivered)
    assert first != second
    for id in (first, second):
        assert [record.recipient for record in caplog.records if getattr(record, "transaction_id", None) == id]


def test_too_many_recipients(serve: Serve) -> None:
    server = serve(rest="[listen]\nmax_recipients = 3\n")
    with server.client() as client:
        client.docmd("MAIL FROM:<ann@good.example>")
        codes = [client.docmd(f"RCPT TO:<b{number}@here.example>")[0] for number in range(5)]
    assert codes == [250, 250, 250, 452, 452]


def test_too_many_errors(serve: Serve) -> None:
    server = serve(rest="[listen]\nmax_errors = 5\n")
    raw = server.raw()
    raw.say(b"EHLO mx.good.example\r\n")
    raw.say(b"MAIL FROM:<ann@good.example>\r\n")
    replies = [raw.say(b"RCPT TO:<x@elsewhere.example>\r\n")[:3] for _ in range(5)]
    assert replies == [b"554"] * 5
    assert raw.reply().startswith(b"421 4.7.0")
    assert raw.line() == b""


def test_too_large_is_told_before_and_after(serve: Serve) -> None:
    server = serve(rest="[listen]\nmax_size = 1000\n")
    with server.client() as client:
        assert client.docmd("MAIL FROM:<ann@good.example> SIZE=1001")[0] == 552
        assert client.docmd("MAIL FROM:<ann@good.example> SIZE=1000")[0] == 250
        client.docmd("RCPT TO:<bob@here.example>")
        code, text = client.data(MESSAGE + b"x" * (1001 - len(MESSAGE)) + b"\r\n")
        assert (code, text[:6]) == (552, b"5.3.4 ")
        exact = MESSAGE + b"x" * (998 - len(MESSAGE)) + b"\r\n"
        assert len(exact) == 1000
        assert dialogue(client, CASES["nothing against it"], exact)[0] == "accepted"
    assert len(server.delivered) == 1


def test_round_in_circles(serve: Serve) -> None:
    server = serve()
    with server.client() as client:
        hops = b"Received: from a by b; Sun, 22 Nov 2026 10:00:00 +0000\r\n"
        assert dialogue(client, CASES["nothing against it"], hops * 100 + MESSAGE)[0] == "accepted"
        assert dialogue(client, CASES["nothing against it"], hops * 101 + MESSAGE)[1:] == (
            554,
            "5.4.6 Too many hops: this message goes round in circles",
        )


@pytest.mark.parametrize(
    ("body", "name"),
    [(b"a\nb\r\n", "LF"), (b"a\rb\r\n", "CR"), (b"\n.\r\n", "LF"), (b"\r.\r\n", "CR"), (b"a\r\r\n", "CR")],
)
def test_bare_line_ends_are_refused(serve: Serve, body: bytes, name: str) -> None:
    """RFC 5321 section 2.3.8. Nothing that another server could take for the end of the message comes through."""
    server = serve()
    raw = server.raw()
    for line in (b"EHLO x.example", b"MAIL FROM:<ann@good.example>", b"RCPT TO:<bob@here.example>", b"DATA"):
        raw.say(line + b"\r\n")
    assert raw.say(MESSAGE + body + b"MAIL FROM:<smuggled@good.example>\r\n.\r\n").startswith(
        f"550 5.5.2 Bare <{name}>".encode()
    )
    assert raw.say(b"NOOP\r\n").startswith(b"250")
    assert server.delivered == []


def test_bare_line_ends_may_be_taken(serve: Serve) -> None:
    server = serve(rest="[listen]\nrefuse_bare_line_ends = false\nfields = []\n")
    with server.client() as client:
        assert dialogue(client, CASES["nothing against it"], MESSAGE + b"a\nb\r\n")[0] == "accepted"
    assert server.delivered[0].content == MESSAGE + b"a\nb\r\n"
