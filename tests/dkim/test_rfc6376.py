"""Statements of RFC 6376 that stand beside the rules: each test is named by its section (docs/conformance.md)."""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from mailauth.dkim import SIGNED_FIELDS, generate_key, sign, verify
from mailauth.dkim.header import canonicalizer
from mailauth.mail.header import split
from mailauth.plan import run
from mailauth.resolvers import ZoneResolver
from tests.dkim.makers import (
    MESSAGE,
    NOW,
    canonical_body,
    canonical_field,
    check,
    ed_key,
    ed_record,
    fields_of,
    only,
    rsa_key,
    rsa_record,
    selected,
    signed,
    zone,
)

HERE: dict[str, Any] = {"domain": "example.org", "selector": "sel"}


def tags_of(field: bytes) -> dict[str, str]:
    """The tags of a field, read without our own parser; white space is left out."""
    text = re.sub(rb"\s", b"", field.partition(b":")[2]).decode()
    return dict(tag.split("=", 1) for tag in text.rstrip(";").split(";"))  # type: ignore[misc]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a\r\n nn@example.org", "ann@example.org"),
        (" ann@exam\r\n\tple.org ", "ann@example.org"),
        ("j=C3=\r\n BC@example.org", "j\u00fc@example.org"),
        ("j=C3= B\tC@example.org", "j\u00fc@example.org"),
        ("@exam ple.org", "@example.org"),
    ],
)
def test_2_11_white_space_is_taken_out_before_decoding(written: str, meant: str) -> None:
    signature = only(signed(tags={"i": written}))
    assert (signature.result, signature.identity) == ("pass", meant)


@pytest.mark.parametrize("character", [*map(chr, range(0x80, 0x100)), "\u20ac", "=", "|"])
def test_2_11_what_must_be_encoded_is(character: str) -> None:
    """Controls, blanks and semicolons are refused before: see test_nothing_is_smuggled_in."""
    field = sign(MESSAGE, ed_key(), **HERE, identity=f"a{character}@example.org")
    octets = "".join(f"={octet:02X}" for octet in character.encode())
    assert tags_of(field)["i"] == f"a{octets}@example.org"
    assert only(field + MESSAGE, ed_record()).identity == f"a{character}@example.org"


def test_3_2_a_default_may_be_written_out() -> None:
    tags: dict[str, str | None] = {"c": "simple/simple", "i": "@example.org", "q": "dns/txt"}
    record = rsa_record().replace("v=DKIM1; ", "v=DKIM1; k=rsa; s=*; n=; t=; ")
    assert only(signed(tags=tags), record).result == only(signed(), record).result == "pass"


def test_3_3_2_the_exponent_of_new_keys() -> None:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(generate_key("rsa").pem(), None)
    assert isinstance(key, RSAPrivateKey)
    assert key.public_key().public_numbers().e == 65537


@pytest.mark.parametrize("c", ["simple/simple", "relaxed/relaxed"])
def test_3_4_the_octets_of_the_message_stay_as_they_are(c: str) -> None:
    """RFC 6376 section 3.4: canonicalization only prepares what is hashed."""
    octets = bytearray(signed(tags={"c": c}))
    before = bytes(octets)
    assert run(verify(octets, now=NOW), zone())[0].result == "pass"
    header, body = c.split("/")
    sign(octets, rsa_key(), **HERE, header=header, body=body)
    assert octets == before


def test_3_4_5_the_header_of_the_example() -> None:
    """The example's body is in test_body.py; its empty line ends the header."""
    message = b"A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n C \r\nD \t E\r\n\r\n\r\n"
    header = split(message).header
    fields = [field.raw for field in header.fields]
    assert canonicalizer("relaxed", header)(fields) == b"a:X\r\nb:Y Z\r\n"
    assert canonicalizer("simple", header)(fields) == b"A: X\r\nB : Y\t\r\n\tZ  \r\n"


@pytest.mark.parametrize("c", ["simple/simple", "relaxed/relaxed"])
def test_3_5_an_unknown_tag_is_signed(c: str) -> None:
    message = signed(tags={"c": c, "zz": "1"})
    assert only(message).result == "pass"
    assert only(message.replace(b"zz=1", b"zz=2")).reason == "signature-differs"
    assert only(message.replace(b"; zz=1", b"")).reason == "signature-differs"


@pytest.mark.parametrize(("key", "algorithm"), [(rsa_key(), "rsa-sha256"), (ed_key(), "ed25519-sha256")])
def test_3_5_what_is_required_is_written(key: Any, algorithm: str) -> None:
    tags = tags_of(sign(MESSAGE, key, **HERE))
    assert (tags["v"], tags["a"], tags["d"], tags["s"]) == ("1", algorithm, "example.org", "sel")
    assert {"b", "bh", "h"} <= set(tags)
    assert all(tags.values())


@pytest.mark.parametrize("where", [1, 20, 43])
def test_3_5_white_space_within_bh(where: int) -> None:
    found = re.search(rb"bh=([^;]+)", signed())
    assert found is not None
    folded = found[1][:where] + b"\r\n " + found[1][where:]
    template = b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=sel; h=from:to:subject:date; "
    message = signed(template=template + b"bh=" + folded + b"; b=%(b)s")
    assert only(message).reason == "verified"


@pytest.mark.parametrize(
    ("c", "means"), [(None, "simple/simple"), ("relaxed", "relaxed/simple"), ("simple", "simple/simple")]
)
def test_3_5_the_defaults_of_c(c: str | None, means: str) -> None:
    signature = only(signed(tags={"c": c}))
    assert signature.result == "pass"
    assert f"{signature.header_canonicalization}/{signature.body_canonicalization}" == means


def test_3_5_methods_of_q() -> None:
    """Whatever stands beside dns/txt and in whatever order, one question is asked and the result is the same."""
    results = set()
    for q in ("dns/txt", "x:dns/txt", "dns/txt:x/y", "x : dns/txt : y", "dns/txt:dns/txt"):
        message = signed(tags={"q": q})
        assert str(next(verify(message, now=NOW))) == "sel._domainkey.example.org TXT"
        results.add(only(message).reason)
    assert results == {"verified"}
    assert only(signed(tags={"q": "x:y"})).reason == "unsupported-query-method"


def test_3_5_selectors_are_written_in_a_labels() -> None:
    """RFC 6376 section 3.5, s=."""
    field = sign(MESSAGE, ed_key(), domain="example.org", selector="\u00e4.2026")
    assert tags_of(field)["s"] == "xn--4ca.2026"
    assert only(field + MESSAGE, dns=zone(ed_record(), "xn--4ca.2026._domainkey.example.org")).result == "pass"


def test_3_6_2_2_the_strings_of_a_record_are_joined() -> None:
    """RFC 6376 section 3.6.2.2: with nothing between them."""
    text = rsa_record().encode()
    for size in (1, 100, 255):
        strings = tuple(text[at : at + size] for at in range(0, len(text), size))
        records: Any = {("sel._domainkey.example.org", "TXT"): [strings]}
        assert only(signed(), dns=ZoneResolver(records)).result == "pass"


@pytest.mark.parametrize("c", ["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"])
@pytest.mark.parametrize("length", [False, True])
def test_3_7_the_two_hashes(c: str, length: bool) -> None:
    """Both hashes of what we sign, made step by step by the section's words, and the signature over the second."""
    header_how, body_how = c.split("/")
    field = sign(MESSAGE, rsa_key(), **HERE, header=header_how, body=body_how, body_length=length, now=NOW)
    tags = tags_of(field)
    header, _, body = MESSAGE.partition(b"\r\n\r\n")
    canonical = canonical_body(body, body_how)
    assert tags.get("l") == (str(len(canonical)) if length else None)
    assert b64decode(tags["bh"]) == hashlib.sha256(canonical).digest()
    fields = selected(tags["h"].split(":"), fields_of(header + b"\r\n"))
    own = re.sub(rb"(?s)(\sb=).*\Z", rb"\1", field) + b"\r\n"
    hashed = b"".join(canonical_field(raw, header_how) for raw in fields) + canonical_field(own, header_how)[:-2]
    rsa_key().public_key().verify(b64decode(tags["b"]), hashed, padding.PKCS1v15(), hashes.SHA256())


MULTIPART = (
    b"From: ann@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
    b"--x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe=20\r\n"
    b"--x\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\n--x--\r\n"
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"=C3=BC", b"\xc3\xbc"),  # the same text in another encoding
        (b"QUJD", b"QUJE"),  # another attachment
        (b"QUJD", b"Q\r\nUJD"),  # the same attachment in two lines
        (b"\r\n--x--", b"\r\n--x\r\n\r\nmore\r\n--x--"),
        (b"Content-Type: application/octet-stream", b"Content-Type: text/html"),
    ],
)
def test_3_7_the_encoded_text_is_hashed_and_so_are_attachments(old: bytes, new: bytes) -> None:
    """RFC 6376 section 3.7: MIME is octets."""
    field = sign(MULTIPART, rsa_key(), **HERE)
    body = MULTIPART.partition(b"\r\n\r\n")[2]
    assert b64decode(tags_of(field)["bh"]) == hashlib.sha256(canonical_body(body, "relaxed")).digest()
    assert only(field + MULTIPART).result == "pass"
    assert only(field + MULTIPART.replace(old, new, 1)).reason == "body-hash-differs"


def test_5_4_fields_that_change_on_the_way_are_not_signed() -> None:
    """Return-Path, and trace fields, which servers add (RFC 5321 section 4.4; RFC 8601 section 5 for its own field)."""
    trace = ("return-path", "received", "authentication-results", "received-spf", "delivered-to", "dkim-signature")
    message = b"".join(b"%b: x\r\n" % name.encode() for name in trace[:-1]) + MESSAGE
    field = sign(message, rsa_key(), **HERE)
    assert not set(trace) & {*tags_of(field)["h"].split(":"), *SIGNED_FIELDS}
    for name in trace[:-1]:
        assert only(field + message.replace(b"%b: x\r\n" % name.encode(), b"")).result == "pass"


def test_6_1_the_order_of_signatures_means_nothing() -> None:
    """The fields of a message in any order: each has the result that it had before."""
    message = signed(signed(signed(tags={"s": "none"}), {"v": "3"}), {"h": "from:to"})
    fields = fields_of(message.partition(b"\r\n\r\n")[0] + b"\r\n")
    signatures, others = fields[:3], b"".join(fields[3:])
    assert all(field.startswith(b"DKIM-Signature:") for field in signatures)
    rest = others + b"\r\n" + message.partition(b"\r\n\r\n")[2]
    expected = {"verified", "unsupported-version", "no-key"}
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        found = check(b"".join(signatures[place] for place in order) + rest)
        assert {result.reason for result in found} == expected
        assert [result.reason for result in found] == [check(signatures[place] + rest)[0].reason for place in order]


@pytest.mark.parametrize(
    ("tags", "record", "changed", "reason"),
    [
        # sections 6.1.1, 6.1.2 and 6.1.3 in their order: everything behind the first fault is wrong, too
        ({"v": "2", "h": "to", "i": "a@b.example", "x": "1"}, "v=DKIM1; p=", True, "unsupported-version"),
        ({"a": None, "h": "to", "i": "a@b.example", "x": "1"}, "v=DKIM1; p=", True, "missing-tag"),
        ({"i": "a@b.example", "h": "to", "x": "1"}, "v=DKIM1; p=", True, "identity-outside-domain"),
        ({"h": "to", "x": "1"}, "v=DKIM1; p=", True, "from-not-signed"),
        ({"x": "1"}, "v=DKIM1; p=", True, "expired"),
        ({}, "v=DKIM2; h=sha1; p=", True, "key-malformed"),
        ({}, "v=DKIM1; h=sha1; k=ed25519; p=", True, "key-hash-not-allowed"),
        ({}, "v=DKIM1; k=ed25519; p=", True, "key-revoked"),
        ({}, ed_record(), True, "key-type-differs"),
        ({}, rsa_record(), True, "body-hash-differs"),
        ({}, rsa_record(), False, "signature-differs"),
    ],
)
def test_6_1_the_first_step_that_fails_speaks(
    tags: dict[str, str | None], record: str, changed: bool, reason: str
) -> None:
    message = signed(tags=tags).replace(b"Subject: two", b"Subject: 2")
    assert only(message.replace(b"bye", b"BYE") if changed else message, record).reason == reason


@pytest.mark.parametrize("c", ["simple/simple", "relaxed/relaxed"])
def test_6_1_3_names_are_compared_without_case(c: str) -> None:
    message = signed(tags={"c": c, "h": "FROM:tO:sUBJECT:Date"})
    assert only(message).result == "pass"
    assert only(message.replace(b"Subject: two", b"Subject: 2")).reason == "signature-differs"
    shouted = signed(MESSAGE.replace(b"From:", b"FROM:").replace(b"Subject:", b"subject:"), {"c": c})
    assert only(shouted).result == "pass"
    assert only(shouted.replace(b"subject: two", b"subject: 2")).reason == "signature-differs"
