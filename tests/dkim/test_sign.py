"""Signing.

Whatever is signed verifies, is hashed as it is emitted, and holds nothing that a parameter smuggled in.
"""

from __future__ import annotations

import asyncio
import io
import mmap
import re
from email.message import EmailMessage
from itertools import pairwise
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from mailauth.dkim import (
    MessageSigner,
    SigningError,
    SigningKey,
    SigningOptions,
    load_key,
    sign,
    signing,
    verify,
)
from mailauth.mail.header import split
from mailauth.mail.lines import BareLineEnds
from mailauth.resolvers import ZoneResolver
from tests.dkim.makers import MESSAGE, NOW, b64, check, ed_key, ed_record, only, rsa_key, rsa_record
from tests.dkim.small_keys import small_key

HERE: dict[str, Any] = {"domain": "example.org", "selector": "sel"}


def as_mmap(octets: bytes) -> mmap.mmap:
    mapped = mmap.mmap(-1, len(octets))
    mapped[:] = octets
    return mapped


def h_of(field: bytes) -> list[str]:
    found = re.search(rb"h=([^;]*)", re.sub(rb"\s", b"", field.partition(b"bh=")[0]))
    assert found is not None
    return found[1].decode().split(":")


@pytest.mark.parametrize("header", ["simple", "relaxed"])
@pytest.mark.parametrize("body", ["simple", "relaxed"])
@pytest.mark.parametrize("key", [rsa_key(), ed_key()], ids=["rsa", "ed25519"])
def test_signed_messages_verify(header: str, body: str, key: Any) -> None:
    record = rsa_record() if key is rsa_key() else ed_record()
    for message in (MESSAGE, MESSAGE.replace(b"\r\n", b"\n"), b"From: a@example.org\r\n", b"From: a\r\n\r\n"):
        field = sign(message, key, **HERE, header=header, body=body)
        assert only(field + message, record).result == "pass"
        line_end = b"\r\n" if b"\r\n" in message else b"\n"
        assert field.endswith(line_end)
        assert field.count(b"\n") == field.count(line_end)
        assert (b"\r" in field) == (b"\r" in message)


def test_defaults() -> None:
    field = sign(MESSAGE, rsa_key(), **HERE)
    signature = only(field + MESSAGE)
    assert (signature.header_canonicalization, signature.body_canonicalization) == ("relaxed", "relaxed")
    assert (signature.signed_at, signature.expires_at, signature.body_length) == (None, None, None)
    assert signature.identity == "@example.org"
    assert b"i=" not in field


def test_everything_that_may_be_asked_for() -> None:
    field = sign(
        MESSAGE,
        rsa_key(),
        **HERE,
        now=NOW,
        expires_after=86400,
        identity="ann+a=b@mail.example.org",
        body_length=True,
    )
    signature = only(field + MESSAGE)
    assert signature.result == "pass"
    assert (signature.signed_at, signature.expires_at) == (NOW, NOW + 86400)
    assert signature.identity == "ann+a=b@mail.example.org"
    assert signature.body_length == 19
    assert only(field + MESSAGE + b"more\r\n").reason == "unsigned-content"


def test_default_fields() -> None:
    """What identifies the mail is oversigned, present or not; an absent Date or Message-ID is left alone."""
    names = h_of(sign(MESSAGE, rsa_key(), **HERE))
    assert sorted(names) == ["cc", "date", "date", "from", "from", "reply-to", "subject", "subject", "to", "to"]
    more = b"Message-ID: <1>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\nList-Id: x\r\nX-Other: y\r\n" + MESSAGE
    names = h_of(sign(more, rsa_key(), **HERE))
    assert names.count("message-id") == names.count("mime-version") == names.count("content-type") == 2
    assert names.count("list-id") == 1
    assert not {"x-other", "received", "dkim-signature", "return-path"} & set(names)


def test_5_4_1_every_field_of_the_list_is_signed() -> None:
    """RFC 6376 section 5.4.1, with what the author or the mailing list says beside it (RFC 2045, 2183, 5322, 8058)."""
    once = [
        "content-id", "content-description", "content-disposition", "resent-date", "resent-from", "resent-sender",
        "resent-to", "resent-cc", "resent-message-id", "list-id", "list-help", "list-unsubscribe",
        "list-unsubscribe-post", "list-subscribe", "list-post", "list-owner", "list-archive",
    ]  # fmt: skip
    twice = [
        "from", "reply-to", "subject", "to", "cc", "sender", "date", "message-id", "mime-version", "content-type",
        "content-transfer-encoding", "in-reply-to", "references",
    ]  # fmt: skip
    names = [*once, *twice]
    message = b"".join(f"{name.title()}: a@example.org\r\n".encode() for name in names) + b"\r\nhello\r\n"
    assert sorted(h_of(sign(message, rsa_key(), **HERE))) == sorted([*names, *twice])


def test_added_fields_break_the_signature() -> None:
    signed = sign(MESSAGE, rsa_key(), **HERE) + MESSAGE
    for name in ("From", "Subject", "To", "Cc", "Reply-To"):
        added = f"{name}: eve@example.net\r\n".encode() + signed
        assert only(added).result != "pass", name
    for name in ("Message-ID", "Received", "X-Spam", "List-Id"):
        assert only(f"{name}: x\r\n".encode() + signed).result == "pass", name


def test_names_that_the_caller_changes_are_read_anew() -> None:
    names = {1: "subject"}
    view: Any = names.values()
    assert b"date" not in sign(MESSAGE, ed_key(), **HERE, signed_fields=view, oversigned_if_present=())
    names[2] = "date"
    assert b"date" in sign(MESSAGE, ed_key(), **HERE, signed_fields=view, oversigned_if_present=())


def test_fields_by_name() -> None:
    field = sign(
        MESSAGE, rsa_key(), **HERE, signed_fields=["Subject", "X-None"], oversigned_fields=["X-Never"],
        oversigned_if_present=["Subject", "Date"],
    )  # fmt: skip
    assert h_of(field) == ["from", "subject", "subject", "x-never"]
    assert only(field + MESSAGE).result == "pass"


def test_several_keys_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    from mailauth.dkim import signing

    made = []

    class Counted(signing.BodyHash):
        def __init__(self, *arguments: Any) -> None:
            made.append(arguments)
            super().__init__(*arguments)

    monkeypatch.setattr(signing, "BodyHash", Counted)
    keys = [SigningKey("example.org", "r", rsa_key()), SigningKey("mail.example.org", "e", ed_key())]
    fields = sign(MESSAGE, keys)
    dns = ZoneResolver(
        {
            ("r._domainkey.example.org", "TXT"): [rsa_record()],
            ("e._domainkey.mail.example.org", "TXT"): [ed_record()],
        }
    )
    assert [(s.result, s.selector) for s in check(fields + MESSAGE, dns=dns)] == [("pass", "r"), ("pass", "e")]
    assert len(made) == 1


# --- the form of the field --------------------------------------------------------------------------------------

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)


@given(
    st.lists(labels, min_size=1, max_size=6).map(".".join),
    labels,
    st.sampled_from(["simple", "relaxed"]),
    st.none() | st.from_regex(r"[a-z=|;]{0,60}".replace(";", ""), fullmatch=True),
    st.lists(st.from_regex(r"[A-Za-z-]{1,30}", fullmatch=True), max_size=40),
)
def test_the_field_is_folded_and_hashed_as_emitted(
    domain: str, selector: str, header: str, local_part: str | None, names: list[str]
) -> None:
    """Any parameters: lines under 78 columns where nothing is longer by itself, and a signature that verifies."""
    domain += ".example"
    names = [name for name in names if name.lower() != "dkim-signature"]
    field = sign(
        MESSAGE, ed_key(), domain=domain, selector=selector, header=header, signed_fields=names,
        oversigned_fields=names, identity=None if local_part is None else f"{local_part}@{domain}",
    )  # fmt: skip
    dns = ZoneResolver({(f"{selector}._domainkey.{domain}", "TXT"): [ed_record()]})
    assert only(field + MESSAGE, dns=dns).result == "pass"
    assert field.endswith(b"\r\n")
    assert field.count(b"\r") == field.count(b"\n") == field.count(b"\r\n")
    lines = field[:-2].split(b"\r\n")
    assert all(line.startswith(b" ") for line in lines[1:])
    assert all(len(line) < 78 or b" " not in line.strip() for line in lines)
    assert split(field).header.fields[0].raw == field


SMUGGLED = ["\r\nX: y", "\n", "\r", ";", "; d=evil.example", "\0", " ", "\t", "\x7f", "\u2028"]


@pytest.mark.parametrize("octets", SMUGGLED)
@pytest.mark.parametrize("parameter", ["domain", "selector", "identity"])
def test_nothing_is_smuggled_in(parameter: str, octets: str) -> None:
    settings: dict[str, Any] = HERE | {"identity": "ann@example.org"}
    for place in (octets + settings[parameter], settings[parameter][:2] + octets + settings[parameter][2:]):
        if parameter == "identity" and octets == "\u2028":
            # Not ASCII, so it is encoded.
            assert b"=E2=80=A8" in sign(MESSAGE, rsa_key(), **(settings | {parameter: place}))
        else:
            with pytest.raises(ValueError, match=r"is no |is not within"):
                sign(MESSAGE, rsa_key(), **(settings | {parameter: place}))
    for names in ([octets], ["x" + octets], ["a:b"], [""], ["DKIM-Signature"], "from"):
        with pytest.raises(ValueError, match=r"field name|by name"):
            sign(MESSAGE, rsa_key(), **HERE, signed_fields=names)


def test_non_ascii_parameters_become_ascii() -> None:
    field = sign(
        MESSAGE, rsa_key(), domain="b\u00fccher.example", selector="sel", identity="\u00f6@b\u00fccher.example"
    )
    assert field.isascii()
    dns = ZoneResolver({("sel._domainkey.xn--bcher-kva.example", "TXT"): [rsa_record()]})
    signature = only(field + MESSAGE, dns=dns)
    assert (signature.result, signature.identity) == ("pass", "\u00f6@xn--bcher-kva.example")


# --- what is refused --------------------------------------------------------------------------------------------

REFUSED = [
    ("no From", MESSAGE.replace(b"From:", b"X-From:"), "no From field"),
    ("two From", b"From: x\r\n" + MESSAGE, "2 From fields"),
    ("From with a blank before the colon", b"From : x\r\n" + MESSAGE, "2 From fields"),
    ("nothing", b"", "no From field"),
    ("mbox line", b"From ann Mon Nov  2\r\n" + MESSAGE, "mbox"),
    ("mbox line without a message", b"From ann Mon Nov  2\r\n", "begins with an mbox line"),
    ("quoted mbox line", b">From ann Mon Nov  2\r\n" + MESSAGE, "begins with an mbox line"),
    ("bare LF in the body", b"From: x\r\n\r\none\r\ntwo\nthree\r\n", "a bare LF in line 4:"),
    ("bare LF in the header", b"From: x\r\nSubject: a\n b\r\n\r\n", "a bare LF in line 2:"),
    ("bare LF right behind the header", b"From: x\r\n\r\n\n", "a bare LF in line 3:"),
    ("bare CR in the body", b"From: x\r\n\r\none\rtwo\r\n", "a bare CR in line 3:"),
    ("bare CR at the end", b"From: x\r\n\r\none\r\ntwo\r", "a bare CR in line 4:"),
    ("CR CR LF", b"From: x\r\n\r\none\r\r\n", "a bare CR in line 3:"),
    ("bare CR in an LF message", b"From: x\n\none\n\rtwo\n", "a bare CR in line 4:"),
    ("the first of several", b"From: x\r\n\r\n1\n2\r3\r\n", "a bare LF in line 3:"),
    ("no empty line", b"From: x\r\nhello\r\n", "no empty line"),
    ("header over the bound", b"From: x\r\n" + b"X: y\r\n" * 700_000, "too-"),
    ("1001 fields to sign", b"From: x\r\n" + b"To: y\r\n" * 1000, "more than 1000"),
]


@pytest.mark.parametrize(("message", "text"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_messages_that_cannot_be_signed(message: bytes, text: str) -> None:
    with pytest.raises(SigningError, match=text):
        sign(message, rsa_key(), **HERE)
    with pytest.raises(SigningError, match=text):
        sign(io.BytesIO(message), rsa_key(), **HERE)
    signer = MessageSigner(rsa_key(), **HERE)

    def in_pieces() -> bytes:
        for at in range(min(len(message), 200)):
            signer.feed(message[at : at + 1])
        signer.feed(message[200:])
        return signer.finish()

    with pytest.raises(SigningError, match=text):
        in_pieces()


@pytest.mark.parametrize("body", [b"one\ntwo\r\n", b"one\rtwo\r\n", b"\r\n\n"])
def test_bare_line_ends_are_signed_for_those_who_know(body: bytes) -> None:
    """RFC 6376 section 5.3: the signer converts, or knows that nobody does."""
    message = MESSAGE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body
    field = sign(message, rsa_key(), **HERE, allow_bare_line_ends=True)
    assert only(field + message).result == "pass"


def test_an_lf_message_may_have_crlf_lines() -> None:
    """Every LF ends a line there, with the CR before it."""
    message = b"From: ann@example.org\n\none\r\ntwo\n"
    assert only(sign(message, rsa_key(), **HERE) + message).result == "pass"


@given(
    st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\r\n", b"bc\r\n"]), max_size=12), st.integers(1, 5), st.booleans()
)
def test_bare_line_ends_are_found_however_the_message_is_cut(parts: list[bytes], size: int, lf: bool) -> None:
    """A bare line end is found in whatever pieces the message comes."""
    octets = (b"x\n" if lf else b"x\r\n") + b"".join(parts)
    ends = re.compile(rb"\r(?!\n)" if lf else rb"\r(?!\n)|(?<!\r)\n")
    first = ends.search(octets)
    expected = None
    if first is not None:
        word = "CR" if first[0] == b"\r" else "LF"
        expected = f"a bare {word} in line {octets.count(bytes([10]), 0, first.start()) + 1}"
    check = BareLineEnds()
    for at in range(0, len(octets), size):
        check.feed(octets[at : at + size])
    check.feed(b"", last=True)
    assert check.found == expected


@pytest.mark.parametrize("form", [bytearray, memoryview, as_mmap])
def test_any_octets_are_a_message(form: Any) -> None:
    field = sign(form(MESSAGE), rsa_key(), **HERE)
    assert field == sign(MESSAGE, rsa_key(), **HERE)
    assert only(form(field + MESSAGE)).result == "pass"


@pytest.mark.parametrize("wrong", [EmailMessage(), "From: ann@example.org\r\n\r\n"])
def test_text_and_message_objects_are_refused_with_the_way_out(wrong: Any) -> None:
    """Their octets would be made again to be sent, and may differ then."""
    with pytest.raises(TypeError, match=r"message\.as_bytes\(policy=email\.policy\.SMTP\)"):
        sign(wrong, rsa_key(), **HERE)
    with pytest.raises(TypeError, match=r"message\.as_bytes\(policy=email\.policy\.SMTP\)"):
        verify(wrong, now=NOW)
    with pytest.raises(TypeError, match="bytes-like"):
        MessageSigner(rsa_key(), **HERE).feed(wrong)


@pytest.mark.parametrize(
    "fields",
    [b"".join(b"X%d:\r\n" % i for i in range(64)), b"X: " + b"x" * 8200 + b"\r\n", b"X" * 8200 + b":\r\n"],
)
def test_nothing_is_remembered_of_unusual_headers(fields: bytes) -> None:
    """Whoever may sign could fill the memory with names."""
    before = signing._known_names.cache_info()
    assert sign(b"From: ann@example.org\r\n" + fields + b"\r\n", rsa_key(), **HERE)
    assert signing._known_names.cache_info() == before


def test_who_goes_on_with_a_message_that_cannot_be_signed_gets_no_signature() -> None:
    signer = MessageSigner(rsa_key(), **HERE)
    with pytest.raises(SigningError, match="no From field"):
        signer.feed(b"To: bob@example.net\r\n\r\n")
    with pytest.raises(SigningError, match="no From field"):
        signer.feed(MESSAGE)
    with pytest.raises(SigningError, match="no From field"):
        signer.finish()
    with pytest.raises(ValueError, match="finished before"):
        signer.finish()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"header": "nowsp"}, "simple or relaxed"),
        ({"body": ""}, "simple or relaxed"),
        ({"expires_after": 10}, "needs now"),
        ({"now": 1, "expires_after": 0}, "at least 1"),
        ({"now": 1, "expires_after": float("nan")}, "expires_after"),
        ({"now": 1, "expires_after": float("inf")}, "expires_after"),
        ({"now": NOW, "expires_after": 10**12 - NOW}, "12 digits"),
        ({"now": float("nan")}, "now"),
        ({"now": -1}, "now"),
        ({"identity": "ann"}, "no identity"),
        ({"identity": "ann@example.com@example.org"}, "no identity"),
        ({"identity": "ann@badexample.org"}, "not within"),
        ({"identity": "ann@example.net"}, "not within"),
        ({"domain": "org"}, "no domain name"),
        ({"domain": "192.0.2.1"}, "no domain name"),
        ({"domain": "a" * 64 + ".org"}, "no domain name"),
        ({"selector": ""}, "no selector"),
        ({"selector": "a..b"}, "no selector"),
        ({"selector": ".".join(["a" * 60] * 4)}, "253"),
    ],
)
def test_wrong_parameters(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        sign(MESSAGE, rsa_key(), **(HERE | settings))


def test_wrong_calls() -> None:
    key = SigningKey("example.org", "sel", rsa_key())
    with pytest.raises(TypeError, match="needs its domain"):
        sign(MESSAGE, rsa_key())
    with pytest.raises(TypeError, match="those of the SigningKey"):
        sign(MESSAGE, key, domain="example.org")
    with pytest.raises(TypeError, match="at least one"):
        sign(MESSAGE, [])
    with pytest.raises(TypeError, match="SigningKey objects"):
        sign(MESSAGE, [rsa_key()])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="either options"):
        sign(MESSAGE, key, options=SigningOptions(), now=1)
    with pytest.raises(TypeError, match="bytes or a binary file"):
        sign("From: a", key)  # type: ignore[arg-type]
    signer = MessageSigner(key)
    signer.feed(MESSAGE)
    signer.finish()
    with pytest.raises(ValueError, match="finished before"):
        signer.finish()


# --- keys -------------------------------------------------------------------------------------------------------

ENCODINGS = serialization.Encoding
FORMATS = serialization.PrivateFormat
PLAIN = serialization.NoEncryption()
SECRET = serialization.BestAvailableEncryption(b"secret")
RSA_FORMS: list[Any] = [
    rsa_key().private_bytes(encoding, form, PLAIN)
    for encoding in (ENCODINGS.PEM, ENCODINGS.DER)
    for form in (FORMATS.PKCS8, FORMATS.TraditionalOpenSSL)
]
ED_FORMS: list[Any] = [
    ed_key().private_bytes(ENCODINGS.PEM, FORMATS.PKCS8, PLAIN),
    ed_key().private_bytes(ENCODINGS.DER, FORMATS.PKCS8, PLAIN),
    ed_key().private_bytes_raw(),
    b64(ed_key().private_bytes_raw()),
    b64(ed_key().private_bytes_raw()).encode() + b"\n",
    ed_key(),
]


@pytest.mark.parametrize("form", [*RSA_FORMS, RSA_FORMS[0].decode(), b"\n" + RSA_FORMS[1], rsa_key()])
def test_rsa_keys_as_people_have_them(form: Any) -> None:
    assert only(sign(MESSAGE, form, **HERE) + MESSAGE).result == "pass"


@pytest.mark.parametrize("form", ED_FORMS)
def test_ed25519_keys_as_people_have_them(form: Any) -> None:
    assert only(sign(MESSAGE, form, **HERE) + MESSAGE, ed_record()).result == "pass"


def test_keys_with_a_password() -> None:
    pem = rsa_key().private_bytes(ENCODINGS.PEM, FORMATS.PKCS8, SECRET)
    assert load_key(pem, b"secret").algorithm == "rsa-sha256"
    for password in (None, b"other"):
        with pytest.raises(ValueError, match="cannot be read"):
            load_key(pem, password)
    with pytest.raises(ValueError, match="not PEM, DER or an Ed25519 seed"):
        load_key(b"no key at all", b"secret")


def test_parsed_keys_are_kept() -> None:
    assert load_key(RSA_FORMS[0]) is load_key(bytes(RSA_FORMS[0]))


def test_keys_that_are_none() -> None:
    ec_key = ec.generate_private_key(ec.SECP256R1()).private_bytes(ENCODINGS.PEM, FORMATS.PKCS8, PLAIN)
    public = rsa_key().public_key().public_bytes(ENCODINGS.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for octets in (b"", b"hello", b"-----BEGIN PRIVATE KEY-----\n", bytes(31), bytes(33), ec_key, public):
        with pytest.raises(ValueError, match="private key"):
            load_key(octets)
    with pytest.raises(ValueError, match="1024"):
        load_key(small_key(768))
    with pytest.raises(TypeError, match="not int"):
        load_key(3)  # type: ignore[arg-type]


def test_the_text_of_an_error_shows_no_key() -> None:
    pem = RSA_FORMS[0]
    with pytest.raises(ValueError, match="cannot be read") as caught:
        load_key(pem[:200] + b"!!" + pem[202:])
    assert pem[40:60].decode() not in str(caught.value)
    assert "MII" not in repr(load_key(pem))


class Remote:
    """A signer somewhere else; it gets a digest and nothing more."""

    algorithm = "rsa-sha256"

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def sign(self, digest: bytes) -> bytes:
        self.asked.append(digest)
        signature: bytes = load_key(rsa_key()).sign(digest)  # type: ignore[assignment]
        return signature


class AsyncRemote(Remote):
    async def sign(self, digest: bytes) -> bytes:  # type: ignore[override]
        await asyncio.sleep(0)
        return Remote.sign(self, digest)


def test_any_signer() -> None:
    remote = Remote()
    assert only(sign(MESSAGE, remote, **HERE) + MESSAGE).result == "pass"
    assert [len(digest) for digest in remote.asked] == [32]


def test_awaited_signers() -> None:
    keys = [SigningKey("example.org", "sel", key) for key in (AsyncRemote(), rsa_key())]
    signer = MessageSigner(keys)
    signer.feed(MESSAGE)
    fields = asyncio.run(signer.finish_async())
    assert [s.result for s in check(fields + MESSAGE)] == ["pass", "pass"]
    signer = MessageSigner(AsyncRemote(), **HERE)
    signer.feed(MESSAGE)
    with pytest.raises(TypeError, match="must be awaited"):
        signer.finish()


def test_in_two_steps() -> None:
    signer = MessageSigner(rsa_key(), **HERE)
    signer.feed(MESSAGE)
    (unsigned,) = signer.prepare()
    field = unsigned.complete(Remote().sign(unsigned.digest))
    assert only(field + MESSAGE).result == "pass"
    for wrong in (b"", b"x", bytes(5000)):
        with pytest.raises(ValueError, match="no signature"):
            unsigned.complete(wrong)
    with pytest.raises(TypeError, match="bytes, not str"):
        unsigned.complete("QUJD")  # type: ignore[arg-type]


def test_signers_of_unknown_algorithms() -> None:
    remote = Remote()
    remote.algorithm = "rsa-sha1"
    with pytest.raises(ValueError, match="rsa-sha1"):
        SigningKey("example.org", "sel", remote)


# --- streaming --------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 400), max_size=8), st.booleans())
def test_cuts_do_not_matter(cuts: list[int], lf: bool) -> None:
    """Any cuts: the same field."""
    message = MESSAGE.replace(b"\r\n", b"\n") if lf else MESSAGE
    signer = MessageSigner(rsa_key(), **HERE)
    for a, b in pairwise([0, *sorted(cuts), len(message)]):
        signer.feed(message[a:b])
    assert signer.finish() == sign(message, rsa_key(), **HERE) == sign(io.BytesIO(message), rsa_key(), **HERE)
