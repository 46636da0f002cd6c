"""What becomes of a message that is accepted.

What is handed on are our fields, then every octet that came but forged fields of our name; whoever is one of ours is
let through and signed for.
"""

from __future__ import annotations

import base64
import datetime
import smtplib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailauth import authres, dkim, spf
from mailauth.plan import run
from mailauth.resolvers import ZoneResolver
from tests.smtpd.server import BASE, GOOD, MESSAGE, OURS, RECORDS, REST, STUFFED, Server, restrictions

Serve = Callable[..., Server]
ALL_FIELDS = '[listen]\nfields = ["received", "x-greylist", "received-spf", "authentication-results"]\n'
CHECKS = restrictions(
    client=["permit_mynetworks", "reject_unknown_client_hostname"], recipient=["check_spf"], data=["check_dkim"]
)


def send(client: smtplib.SMTP, message: bytes, sender: str = "ann@good.example", options: str = "") -> None:
    for line in (f"MAIL FROM:<{sender}>{options}", "RCPT TO:<bob@here.example>"):
        code, text = client.docmd(line)
        assert code == 250, text
    code, text = client.data(message)
    assert code == 250, text


def test_fields_stand_on_top_in_their_order(serve: Serve) -> None:
    server = serve(CHECKS, rest=ALL_FIELDS)
    with server.client() as client:
        send(client, MESSAGE)
    accepted = server.delivered[0]
    assert accepted.content.endswith(MESSAGE)
    results, others = accepted.content[: -len(MESSAGE)].decode().split("Received-SPF: ")
    found = authres.parse_field(results.encode())
    assert isinstance(found, authres.AuthenticationResults)
    assert found.authserv_id == "mx.here.example"
    assert [(one.method, one.result) for one in found.results] == [("iprev", "pass"), ("spf", "pass"), ("dkim", "none")]
    received_spf, received = others.split("Received: ")
    field = spf.parse_received_spf(received_spf)
    assert field is not None
    assert (field.result, field.get("envelope-from"), field.get("receiver")) == (
        "pass",
        "ann@good.example",
        "mx.here.example",
    )
    assert received == (
        "from mx.good.example (mx.good.example [127.0.0.4])\r\n"
        f" by mx.here.example with ESMTP id {accepted.id}\r\n"
        " for <bob@here.example>;\r\n"
        " Fri, 15 Jan 2027 08:00:00 +0000\r\n"
    )


def test_received_spf_stands_above_received_and_above_older_ones(serve: Serve) -> None:
    """RFC 7208 section 9.1."""
    server = serve(CHECKS, rest=ALL_FIELDS)
    older = b"Received-SPF: fail (elsewhere) client-ip=192.0.2.9;\r\nReceived: from a.example by b.example; today\r\n"
    with server.client() as client:
        send(client, older + MESSAGE)
    fields = [line for line in server.delivered[0].content.split(b"\r\n") if line.startswith(b"Received")]
    assert [field.partition(b" ")[0] for field in fields] == [b"Received-SPF:", b"Received:"] * 2
    assert fields[0].startswith(b"Received-SPF: pass (mx.here.example: ")
    assert older.startswith(fields[2])


def test_forged_fields_are_removed_and_nothing_else(serve: Serve) -> None:
    """RFC 8601 section 5; RFC 6376 section 6.2 speaks of it, too."""
    server = serve(CHECKS, rest=ALL_FIELDS)
    forged = b"Authentication-Results: mx.here.example; spf=pass smtp.mailfrom=bank.example\r\n"
    spaced = b"authentication-results:\r\n MX.HERE.example (ha) 1 ; dkim=pass\r\n"
    others = b"Authentication-Results: mx.elsewhere.example; spf=pass\r\n"
    rest = b"Subject:  two  blanks \r\n\tfolded\r\nFrom: ann@good.example\r\n\r\n..\r\n.\t\r\nend"
    with server.client() as client:
        send(client, forged + others + spaced + rest)
    content = server.delivered[0].content
    assert content.endswith(others + rest + b"\r\n")
    results = [authres.parse_field(line) for line in (content.split(b"\r\nReceived-SPF")[0] + b"\r\n",)]
    assert [getattr(found, "authserv_id", None) for found in results] == ["mx.here.example"]
    assert b"bank.example" not in content
    assert b"(ha)" not in content


def test_8601_5_the_authserv_id_is_ours_and_nobody_elses(serve: Serve) -> None:
    """RFC 8601 sections 2.5 and 5: the id of the site is written; forged fields with it or the host's name go."""
    server = serve(CHECKS, rest=ALL_FIELDS, base='authserv_id = "here.example"\n' + BASE)
    forged = [
        f"Authentication-Results: {name}; dkim=pass header.d=bank.example\r\n".encode()
        for name in ("here.example", "HERE.example.", "mx.here.example")
    ]
    with server.client() as client:
        send(client, b"".join(forged) + MESSAGE)
    content = server.delivered[0].content
    assert content.startswith(b"Authentication-Results: here.example;\r\n")
    assert content.count(b"Authentication-Results:") == 1
    assert b" by mx.here.example with ESMTP" in content


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\r", b".").replace(b"\n", b".")), max_size=20))
def test_every_body_comes_through_as_it_is(serve: Serve, lines: list[bytes]) -> None:
    """Any octets in lines that end in CRLF, dots at their beginning among them."""
    body = b"".join(line + b"\r\n" for line in lines)
    server = serve(rest="[listen]\nfields = []\n")
    with server.client() as client:
        send(client, b"Subject: x\r\n\r\n" + body)
    assert server.delivered[0].content == b"Subject: x\r\n\r\n" + body


def test_long_lines_and_large_messages(serve: Serve) -> None:
    server = serve(rest="[listen]\nfields = []\n")
    message = b"Subject: x\r\n\r\n" + b"x" * 3_000_000 + b"\r\n" + (b"." + b"y" * 70 + b"\r\n") * 30_000
    with server.client() as client:
        send(client, message)
    assert server.delivered[0].content == message


def test_an_empty_message(serve: Serve) -> None:
    server = serve(rest="[listen]\nfields = []\n")
    raw = server.raw()
    for line in (b"EHLO x.example", b"MAIL FROM:<ann@good.example>", b"RCPT TO:<bob@here.example>", b"DATA"):
        raw.say(line + b"\r\n")
    assert raw.say(b".\r\n").startswith(b"250 ")
    assert server.delivered[0].content == b""


# --- addresses ------------------------------------------------------------------------------------------------


def test_internationalized_addresses(serve: Serve) -> None:
    server = serve(CHECKS.replace("check_spf", "reject_unknown_sender_domain"), rest=ALL_FIELDS)
    with server.client() as client:
        client.command_encoding = "utf-8"
        send(client, MESSAGE, "jürgen@bücher.example", " SMTPUTF8 BODY=8BITMIME")
    accepted = server.delivered[0]
    assert (accepted.mail_from, accepted.smtputf8) == ("jürgen@bücher.example", True)
    assert b"with UTF8SMTP id" in accepted.content


@pytest.mark.parametrize(
    ("octets", "reply"),
    [
        ("MAIL FROM:<jürgen@bücher.example>".encode(), b"553 5.6.7"),
        ("MAIL FROM:<jürgen@bücher.example>".encode("latin-1"), b"553 5.1.3"),
        (b"MAIL FROM:<a\xff@b.example> SMTPUTF8", b"553 5.1.3"),
        (b"MAIL FROM:<a@b.example", b"553 5.1.3"),
        (b"MAIL FROM:<a@b.example>x", b"553 5.1.3"),
        (b"MAIL FROM:<a\x00@b.example>", b"553 5.1.3"),
        (b"MAIL FROM:<a\x1b[2J@b.example>", b"553 5.1.3"),
        (b"MAIL FROM:a@b.example", b"250 2.1.0"),
        (b"MAIL FROM: <a@b.example>", b"250 2.1.0"),
        (b'MAIL FROM:<"a b>"@b.example>', b"250 2.1.0"),
        (b"MAIL FROM:<@c.example,@d.example:a@b.example>", b"250 2.1.0"),
        (b"MAIL FROM:<>", b"250 2.1.0"),
        (b"MAIL FROM:<a@b.example> FOO=bar", b"555 "),
        (b"MAIL FROM:<" + b"a" * 980 + b"@b.example>", b"500 "),
        (b"MAIL FROM:<" + b"a" * 100_000 + b"@b.example>", b"500 "),
    ],
)
def test_addresses_that_are_and_that_are_none(serve: Serve, octets: bytes, reply: bytes) -> None:
    raw = serve().raw()
    raw.say(b"EHLO mx.good.example\r\n")
    line = raw.say(octets + b"\r\n")
    assert line.startswith(reply)
    assert raw.say(b"NOOP\r\n").startswith(b"250 ")


def test_eight_bit_text_needs_no_announcement(serve: Serve) -> None:
    server = serve(rest="[listen]\nfields = []\n")
    message = "Subject: Grüße\r\n\r\nHallo Jürgen\r\n".encode("latin-1")
    with server.client() as client:
        send(client, message)
    assert server.delivered[0].content == message


@pytest.mark.parametrize("helo", [b"a;b(c", b"a\tb", b"\x01\x1b[31m", b"a" * 900, b"<script>", b"a\xffb", b"[1.2.3.4"])
def test_a_helo_that_is_no_name_reaches_no_field(serve: Serve, helo: bytes) -> None:
    server = serve(CHECKS, rest=ALL_FIELDS)
    raw = server.raw()
    assert raw.say(b"EHLO " + helo + b"\r\n").startswith(b"250 ")
    for line in (b"MAIL FROM:<ann@good.example>", b"RCPT TO:<bob@here.example>"):
        assert raw.say(line + b"\r\n").startswith(b"250 ")
    raw.say(b"DATA\r\n")
    assert raw.say(STUFFED + b".\r\n").startswith(b"250 ")
    added = server.delivered[0].content[: -len(MESSAGE)]
    assert added.isascii()
    assert b"Received: from [127.0.0.4] (" in added or helo == b"[1.2.3.4"
    for line in added.split(b"\r\n")[:-1]:
        assert line[:1] == b" " or line.split(b":")[0] in (b"Authentication-Results", b"Received-SPF", b"Received")
        assert line.decode().isprintable()


# --- those who are ours ---------------------------------------------------------------------------------------


def key_table(folder: Path) -> tuple[str, str]:
    """A ``[[signing]]`` table with its key file, and the public key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
    file = folder / "key.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    table = f"""
[[signing]]
senders = ["good.example", "*.sub.example", "eve@third.example"]
domain = "good.example"
selector = "s2"
key = "{file}"
"""
    return table, base64.b64encode(key.public_key().public_bytes_raw()).decode()


@pytest.mark.parametrize(
    ("author", "is_signed"),
    [
        ("ann@good.example", True),
        ("ann@a.sub.example", True),
        ("ann@sub.example", False),
        ("ann@x.good.example", False),
        ("ann@other.example", False),
        ("Eve <eve@third.example>", True),
        ("ann@third.example", False),
    ],
)
def test_our_own_mail_is_signed_by_the_table(serve: Serve, tmp_path: Path, author: str, is_signed: bool) -> None:
    table, public = key_table(tmp_path)
    server = serve(CHECKS + table, rest=ALL_FIELDS)
    message = MESSAGE.replace(b"ann@good.example", author.encode())
    with server.client(OURS) as client:
        send(client, message)
    accepted = server.delivered[0]
    zone = ZoneResolver({**RECORDS, ("s2._domainkey.good.example", "TXT"): [f"v=DKIM1; k=ed25519; p={public}"]})
    signatures = run(dkim.verify(accepted.content, now=server.clock.now), zone)
    assert [signature.result for signature in signatures] == (["pass"] if is_signed else [])
    assert accepted.trusted
    # Nobody outside needs to know how our own client was judged.
    assert b"Authentication-Results" not in accepted.content


def test_6376_5_6_a_signature_goes_on_top_and_no_other_is_touched(serve: Serve, tmp_path: Path) -> None:
    """RFC 6376 sections 3.5, 4.2 and 5.6: above those that are there, which stay."""
    server = serve(key_table(tmp_path)[0], rest='[listen]\nfields = ["received"]\n')
    there = b"DKIM-Signature: v=1; d=broken.example\r\n"
    with server.client(OURS) as client:
        send(client, there + MESSAGE)
    content = server.delivered[0].content
    assert content.endswith(there + MESSAGE)
    ours = content.index(b"DKIM-Signature: v=1; a=ed25519-sha256;")
    assert content.count(b"DKIM-Signature:") == 2
    assert ours < content.index(there)


@pytest.mark.parametrize("c", ["simple", "relaxed"])
def test_6376_3_7_a_signature_covers_no_dots_of_smtp(serve: Serve, tmp_path: Path, c: str) -> None:
    """RFC 6376 section 3.7: before dots are doubled, and so after they were taken away again."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    message = MESSAGE + b".\r\n..\r\n...x\r\n. \r\n"
    key = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
    field = dkim.sign(message, key, domain="good.example", selector="s2", header=c, body=c)
    record = f"v=DKIM1; k=ed25519; p={key_table(tmp_path)[1]}"
    zone = ZoneResolver({**RECORDS, ("s2._domainkey.good.example", "TXT"): [record]})
    server = serve(CHECKS, resolver=zone)
    with server.client() as client:
        send(client, field + message)
    assert [signature.result for signature in server.delivered[0].report.dkim] == ["pass"]


def test_mail_of_strangers_is_not_signed(serve: Serve, tmp_path: Path) -> None:
    server = serve(key_table(tmp_path)[0])
    with server.client() as client:
        send(client, MESSAGE)
    assert b"DKIM-Signature" not in server.delivered[0].content
    assert not server.delivered[0].trusted


def test_mail_without_a_clear_author_goes_unsigned(serve: Serve, tmp_path: Path) -> None:
    server = serve(key_table(tmp_path)[0])
    with server.client(OURS) as client:
        for first in (b"", b"From: eve@good.example\r\n", b"From: x@good.example, y@other.example\r\n"):
            send(client, first + MESSAGE if first else MESSAGE.replace(b"From:", b"X-From:"))
    assert [b"DKIM-Signature" in accepted.content for accepted in server.delivered] == [False] * 3


def check_password(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=data.password == b"right", handled=False, auth_data=data)


def test_clients_that_authenticate_may_relay_and_are_signed_for(serve: Serve, tmp_path: Path) -> None:
    table, _ = key_table(tmp_path)
    server = serve(CHECKS + table, authenticator=check_password, auth_require_tls=False)
    with server.client("127.0.0.6") as client:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("ann", "wrong")
        assert client.docmd("MAIL FROM:<ann@good.example>")[0] == 250
        assert client.docmd("RCPT TO:<x@elsewhere.example>")[0] >= 450
        client.rset()
        client.login("ann", "right")
        assert client.docmd("MAIL FROM:<ann@good.example>")[0] == 250
        code, text = client.docmd("RCPT TO:<x@elsewhere.example>")
        # The client list has no permit_authenticated in it: a nameless client is still refused by it.
        assert (code, text[:6]) == (450, b"4.7.25")
    with server.client(GOOD) as client:
        client.login("ann", "right")
        client.docmd("MAIL FROM:<ann@good.example>")
        assert client.docmd("RCPT TO:<x@elsewhere.example>")[0] == 250
        assert client.data(MESSAGE)[0] == 250
    accepted = server.delivered[0]
    assert accepted.report.authenticated == "ann"
    assert b"with ESMTPA id" in accepted.content
    assert b"DKIM-Signature" in accepted.content


def certificate(folder: Path) -> Path:
    """A certificate for localhost that signs itself, with its key in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / "tls.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


def test_starttls_begins_anew(serve: Serve, tmp_path: Path) -> None:
    """RFC 3207 section 4.2: what was said before counts no more; and the connection is counted once."""
    server = serve(CHECKS, rest=f'[listen]\ntls_certificate = "{certificate(tmp_path)}"\n')
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with server.client() as client:
        client.docmd("MAIL FROM:<ann@good.example>")
        client.starttls(context=context)
        assert client.docmd("MAIL FROM:<ann@good.example>")[0] == 503
        client.ehlo("mx.good.example")
        assert server.handler.connections.total == 1
        send(client, MESSAGE)
    assert b"with ESMTPS id" in server.delivered[0].content


# --- a caller's own server ------------------------------------------------------------------------------------


def test_the_handler_alone_serves_a_plain_aiosmtpd_server(serve: Serve) -> None:
    from aiosmtpd.smtp import SMTP

    server = serve(CHECKS, rest=REST, kind=SMTP)
    with server.client() as client:
        send(client, MESSAGE)
        assert client.docmd("RCPT TO:<bob@here.example>")[0] == 503
    with server.client("127.0.0.5") as client:
        client.docmd("MAIL FROM:<ann@good.example>")
        assert client.docmd("RCPT TO:<bob@here.example>")[0] == 450
    assert server.delivered[0].content.endswith(MESSAGE)


@pytest.mark.parametrize(
    "path", [b'<"a\rb"@x.example>', b'<"a\x1b[2J"@x.example>', b'<"a\x00"@x.example>', b"<\xff@x.example>"]
)
def test_no_control_passes_a_plain_aiosmtpd_server(serve: Serve, path: bytes) -> None:
    from aiosmtpd.smtp import SMTP

    server = serve(rest=REST, kind=SMTP)
    raw = server.raw()
    raw.say(b"EHLO mx.good.example\r\n")
    assert raw.say(b"MAIL FROM:" + path + b" SMTPUTF8\r\n")[:1] == b"5"
    assert raw.say(b"MAIL FROM:<> SMTPUTF8\r\n") == b"250 2.1.0 Sender OK\r\n"
    assert raw.say(b"RCPT TO:" + path.replace(b"x.example", b"here.example") + b"\r\n")[:1] == b"5"
    assert raw.say(b'RCPT TO:<"a b"@here.example>\r\n') == b"250 2.1.5 Recipient OK\r\n"


def test_auth_has_no_place_in_a_transaction(serve: Serve) -> None:
    """RFC 4954 section 4; and what MAIL began as a stranger may not go on as one of us."""
    from aiosmtpd.smtp import AuthResult

    def anybody(*arguments: object) -> AuthResult:
        return AuthResult(success=True)

    server = serve(rest=REST, authenticator=anybody, auth_require_tls=False)
    with server.client("127.0.0.6") as client:
        assert client.docmd("MAIL FROM:<ann@good.example>")[0] == 250
        assert client.docmd("AUTH PLAIN AGEAYg==")[0] == 503
        assert client.docmd("RCPT TO:<bob@elsewhere.example>")[0] == 554
        client.docmd("RSET")
        assert client.docmd("AUTH PLAIN AGEAYg==")[0] == 235


def test_help_names_every_command(serve: Serve) -> None:
    with serve(rest=REST).client() as client:
        assert {b"DATA", b"VRFY", b"MAIL"} <= set(client.docmd("HELP")[1].split())


def test_what_is_said_before_tls_begins_is_not_heard_within_it(serve: Serve, tmp_path: Path) -> None:
    """RFC 3207 section 4.2; commands in the packet of STARTTLS could be anybody's who sits between."""
    server = serve(CHECKS, rest=f'[listen]\ntls_certificate = "{certificate(tmp_path)}"\n')
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    raw = server.raw()
    raw.say(b"EHLO mx.good.example\r\n")
    injected = b"EHLO mx.good.example\r\nMAIL FROM:<eve@good.example>\r\nRCPT TO:<bob@here.example>\r\n"
    assert raw.say(b"STARTTLS\r\n" + injected).startswith(b"220 ")
    with context.wrap_socket(raw.socket) as tls, tls.makefile("rb") as replies:
        for command, reply in ((b"DATA", b"503"), (b"EHLO mx.good.example", b"250 HELP"), (b"RCPT TO:<a@b>", b"503")):
            tls.sendall(command + b"\r\n")
            assert next(line for line in replies if line[3:4] != b"-").startswith(reply)
    assert server.delivered == []
