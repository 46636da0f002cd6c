"""Bounds, defaults and codes of DKIM, on both sides of each edge (RFC 6376 sections 3.5 and 3.6.1, RFC 8301)."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mailauth.dkim import DkimPolicy, MessageSigner, Result, Signature, SigningTable, Verifier, check_key
from mailauth.dkim.advice import about_base64, about_key, about_text, cut_off, other_record
from mailauth.dkim.crypto import private_key, public_half
from mailauth.dkim.keys import zone_line
from mailauth.dkim.record import MAX_KEY_OCTETS, MAX_RECORD_OCTETS, BadRecord, KeyRecord, parse_record
from mailauth.dkim.result import RESULT_OF, AuthorMatch, Reason
from mailauth.dkim.signature import (
    MAX_BODY_HASH_OCTETS,
    MAX_IDENTITY_OCTETS,
    MAX_SIGNATURE_OCTETS,
    MAX_SIGNED_NAMES,
    decode_base64,
    end_of_text,
    is_local_part,
    is_selector,
    place_of_b,
)
from mailauth.mail.lines import LineEnd
from mailauth.plan import Question, run
from mailauth.resolvers import ZoneResolver
from tests.dkim.makers import MESSAGE, NOW, b64, check, only, rsa_key, rsa_record, signed, zone

# How the DER form of an Ed25519 key (RFC 8410) begins, and a private RSA key (RFC 8017).
ED25519_START, PRIVATE = bytes.fromhex("302a300506032b6570032100"), bytes.fromhex("308204a5020100")
NULLS = b64(bytes(32))

# --- what a receiver demands ---


def test_the_defaults_of_a_receiver() -> None:
    policy = DkimPolicy()
    assert (policy.min_rsa_bits, policy.max_rsa_bits) == (1024, 4096)  # RFC 8301 section 3.2
    assert policy.algorithms == ("rsa-sha256", "ed25519-sha256")  # RFC 8301 section 3.1, RFC 8463
    assert (policy.allow_unsigned_content, policy.allow_testing_keys, policy.allow_several_from) == (False, True, False)
    assert (policy.required_fields, policy.clock_skew) == ((), 300.0)
    assert (policy.max_signatures, policy.max_keys, policy.max_header_octets) == (10, 3, 4 << 20)


@pytest.mark.parametrize(
    "values",
    [
        {"min_rsa_bits": 1024},
        {"min_rsa_bits": 4096},
        {"min_rsa_bits": 2048, "max_rsa_bits": 2048},
        {"max_rsa_bits": 16384},
        {"clock_skew": 0},
        {"max_signatures": 1},
        {"max_keys": 1},
        {"max_header_octets": 1},
        {"algorithms": ()},
        {"algorithms": ("ed25519-sha256",)},
        {"required_fields": ("to",)},
    ],
)
def test_a_policy_at_its_edges(values: dict[str, Any]) -> None:
    policy = DkimPolicy(**values)
    assert {name: getattr(policy, name) for name in values} == values


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"min_rsa_bits": 1023}, "min_rsa_bits is at least 1024"),
        ({"max_rsa_bits": 16385}, "max_rsa_bits is between min_rsa_bits and 16384"),
        ({"min_rsa_bits": 2049, "max_rsa_bits": 2048}, "max_rsa_bits is between"),
        ({"algorithms": ("rsa-sha1",)}, "algorithms are of rsa-sha256, ed25519-sha256"),
        ({"algorithms": "rsa-sha256"}, "algorithms is a tuple of names"),
        ({"required_fields": "to"}, "required_fields is a tuple of names"),
        ({"clock_skew": -0.1}, "clock_skew is in seconds"),
        ({"clock_skew": float("nan")}, "clock_skew is in seconds"),
        ({"max_signatures": 0}, "are at least 1"),
        ({"max_keys": 0}, "are at least 1"),
        ({"max_header_octets": 0}, "are at least 1"),
    ],
)
def test_a_policy_behind_its_edges(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DkimPolicy(**values)


# --- a result ---


def test_a_result_with_nothing_but_a_reason() -> None:
    assert Signature(Result.NEUTRAL, Reason.MALFORMED_TAG_LIST).to_dict() == {
        "result": "neutral", "reason": "malformed-tag-list", "detail": "", "domain": None, "selector": None,
        "identity": None, "algorithm": None, "key_bits": None, "header_canonicalization": None,
        "body_canonicalization": None, "signed_fields": [], "author_match": "none", "body_length": None,
        "unsigned_octets": 0, "key_flags": [], "signed_at": None, "expires_at": None, "signature_data": None,
        "line_end": "crlf", "index": 0,
    }  # fmt: skip
    assert Signature.of({"result": Result.PASS, "reason": Reason.VERIFIED}) == Signature(Result.PASS, Reason.VERIFIED)
    assert Signature(Result.PASS, Reason.VERIFIED, key_flags=("s", "y")).testing
    assert not Signature(Result.PASS, Reason.VERIFIED, key_flags=("s",)).testing
    assert {match.value for match in AuthorMatch} == {"same", "parent", "child", "none"}


def test_codes_are_for_years() -> None:
    """What logs and programs match on; RFC 8601 section 2.7.1 has the results."""
    assert {reason.value: result.value for reason, result in RESULT_OF.items()} == {
        "verified": "pass",
        "malformed-tag-list": "neutral", "duplicate-tag": "neutral", "missing-tag": "neutral",
        "malformed-tag": "neutral", "unsupported-version": "neutral", "unsupported-algorithm": "neutral",
        "unsupported-canonicalization": "neutral", "unsupported-query-method": "neutral",
        "identity-outside-domain": "permerror", "from-not-signed": "permerror", "header-too-large": "permerror",
        "no-key": "permerror", "key-revoked": "permerror", "key-malformed": "permerror",
        "key-hash-not-allowed": "permerror", "key-type-differs": "permerror", "key-not-for-email": "permerror",
        "key-forbids-subdomains": "permerror",
        "algorithm-not-allowed": "policy", "key-too-small": "policy", "key-too-large": "policy", "expired": "policy",
        "from-the-future": "policy", "field-not-signed": "policy", "several-from": "policy",
        "no-empty-line": "policy", "unsigned-content": "policy", "testing-key": "policy",
        "too-many-signatures": "policy",
        "body-hash-differs": "fail", "body-too-short": "fail", "signature-differs": "fail",
        "key-unavailable": "temperror",
    }  # fmt: skip
    assert set(RESULT_OF) == set(Reason)


# --- the field (RFC 6376 section 3.5) ---


LONGEST_DOMAIN = ".".join(["d" * 63] * 3)  # 191 octets


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"h": "from" + ":x" * (MAX_SIGNED_NAMES - 1)}, "verified"),
        ({"h": "from" + ":x" * MAX_SIGNED_NAMES}, "malformed-tag"),
        ({"t": "9" * 12}, "from-the-future"),
        ({"t": "9" * 13}, "malformed-tag"),
        ({"x": "9" * 12}, "verified"),
        ({"x": "9" * 13}, "malformed-tag"),
        ({"t": str(NOW + 300)}, "verified"),
        ({"t": str(NOW + 301)}, "from-the-future"),
        ({"t": str(NOW - 500), "x": str(NOW - 300)}, "verified"),
        ({"t": str(NOW - 500), "x": str(NOW - 301)}, "expired"),
        ({"l": "9" * 77}, "malformed-tag"),
        ({"i": '"' + "a" * (MAX_IDENTITY_OCTETS - 14) + '"@example.org'}, "verified"),
        ({"i": '"' + "a" * (MAX_IDENTITY_OCTETS - 13) + '"@example.org'}, "malformed-tag"),
        ({"bh": b64(bytes(31))}, "malformed-tag"),
        ({"bh": b64(bytes(33))}, "malformed-tag"),
        ({"bh": b64(bytes(32))}, "body-hash-differs"),
        ({"bh": ""}, "malformed-tag"),
        ({"a": "rsa-sha1"}, "malformed-tag"),  # with a digest of 32 octets
        ({"a": "rsa-sha1", "bh": b64(bytes(20))}, "algorithm-not-allowed"),
    ],
)
def test_tags_at_their_edges(tags: dict[str, str | None], reason: str) -> None:
    assert only(signed(tags=tags)).reason == reason


def test_the_longest_name_of_a_key() -> None:
    """RFC 1035 section 2.3.4: 50 + 12 + 191 = 253 octets."""
    longest = zone(name=f"{'s' * 50}._domainkey.{LONGEST_DOMAIN}")
    assert only(signed(tags={"s": "s" * 50, "d": LONGEST_DOMAIN}), dns=longest).reason is Reason.VERIFIED
    assert only(signed(tags={"s": "s" * 51, "d": LONGEST_DOMAIN}), dns=longest).reason is Reason.MALFORMED_TAG


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("a", True),
        ("a" * 63, True),
        ("a" * 64, False),
        ("a.b", True),
        ("a..b", False),
        (".a", False),
        ("a.", False),
        ("-a", False),
        ("a-", False),
        ("a-b", True),
        ("_a_", True),
        ("A", False),  # as A-labels in lower case
        ("a b", False),
        ("a\n", False),
        ("", False),
    ],
)
def test_what_is_a_selector(text: str, selector: bool) -> None:
    assert is_selector(text) is selector


@pytest.mark.parametrize(
    ("text", "allowed"),
    [("", True), ("ann", True), ('"a@b"', True), ("a@b", False), ('"a"@b', False), ("a\nb", False), ("a\x7fb", False)],
)
def test_what_stands_before_the_at_sign(text: str, allowed: bool) -> None:
    assert is_local_part(text) is allowed


def test_octets_of_base64_values() -> None:
    assert (MAX_SIGNATURE_OCTETS, MAX_BODY_HASH_OCTETS) == (2048, 64)
    assert decode_base64(b"", 0) == b""
    assert decode_base64(b" QU \t JD ", 3) == b"ABC"
    assert decode_base64(b"QUI", 2) == b"AB"  # RFC 6376 section 2.10: padding may be missing
    assert decode_base64(b"QUJDR", 10) is None
    assert decode_base64(b"QU-D", 10) is None
    longest = b64(bytes(MAX_SIGNATURE_OCTETS)).encode()
    assert decode_base64(longest, MAX_SIGNATURE_OCTETS) == bytes(MAX_SIGNATURE_OCTETS)
    assert decode_base64(b64(bytes(MAX_SIGNATURE_OCTETS + 10)).encode(), MAX_SIGNATURE_OCTETS) is None


def test_ten_signatures_are_looked_at() -> None:
    message = MESSAGE
    for _ in range(11):
        message = signed(message)
    reasons = [each.reason.value for each in check(message)]
    assert sorted(reasons) == ["too-many-signatures"] + ["verified"] * 10


# --- the key record (RFC 6376 section 3.6.1) ---


def test_a_record_that_says_no_more_than_it_must() -> None:
    assert parse_record(b"p=QUJD") == KeyRecord("rsa", b"ABC", None, ("*",), (), "")
    full = parse_record(b"v=DKIM1; k=ED25519; h=SHA256:x; s=Email:*; t=Y:s; n=for us; p=")
    assert full == KeyRecord("ed25519", b"", ("sha256", "x"), ("email", "*"), ("y", "s"), "for us")
    assert isinstance(full, KeyRecord)
    assert full.revoked


@pytest.mark.parametrize(
    ("text", "foreign"),
    [
        (b"v=spf1 -all", True),
        (b"hello", True),
        (b"k=rsa; p", True),
        (b"k=rsa", True),  # no p=, and nothing that calls it a key
        (b"v=DKIM1", False),
        (b"v=DKIM2; p=QUJD", False),
        (b"v=DMARC1; p=none", True),
        (b"k=rsa; p=QUJD; p=QUJD", False),  # it tries to be one
        (b" v=DKIM1 k", False),
        (b" v=DKIM1; k", False),
        (b"v=dkim1; k", True),
        (b"k=rsa; v=DKIM1; p=QUJD", False),
    ],
)
def test_what_is_a_bad_key_and_what_is_none(text: bytes, foreign: bool) -> None:
    record = parse_record(text)
    assert isinstance(record, BadRecord)
    assert (record.reason, record.foreign) == (Reason.KEY_MALFORMED, foreign)


def test_a_record_at_its_edges() -> None:
    start = b"v=DKIM1; p=QUJD; n="
    longest = start + b"x" * (MAX_RECORD_OCTETS - len(start))
    assert len(longest) == 16 * 1024
    assert isinstance(parse_record(longest), KeyRecord)
    longer = parse_record(longest + b"x")
    assert longer == BadRecord(Reason.KEY_MALFORMED, "the record has more than 16384 octets", False)
    items = b":".join([b"x"] * 31)
    for name in (b"h", b"s", b"t"):
        assert isinstance(parse_record(b"%b=%b:email; p=QUJD" % (name, items)), KeyRecord)
        assert isinstance(parse_record(b"%b=%b:email:x; p=QUJD" % (name, items)), BadRecord)
    assert MAX_KEY_OCTETS == 4096
    key = parse_record(b"p=" + b64(bytes(4096)).encode())
    assert isinstance(key, KeyRecord)
    assert len(key.key) == 4096
    assert isinstance(parse_record(b"p=" + b64(bytes(4106)).encode()), BadRecord)


def test_three_keys_are_tried() -> None:
    """RFC 6376 section 6.1.2 step 4: the order means nothing, the number has a bound."""
    others = ["v=DKIM1; p=" + b64(bytes([number]) * 30) for number in range(3)]
    found = only(signed(), [*others[:2], rsa_record()])
    assert found.reason is Reason.VERIFIED
    assert found.line_end is LineEnd.CRLF
    found = only(signed(), [*others, rsa_record()], policy=DkimPolicy(max_keys=4))
    assert found.reason is Reason.VERIFIED


# --- the test of a published key, and advice ---


def test_what_the_test_of_a_key_says_as_values() -> None:
    found = run(check_key("example.org", "sel"), zone(rsa_record(rsa_key(1024))))
    assert found.to_dict() == {
        "verdict": "doubtful",
        "findings": [{"code": "small", "detail": "1024 bits; 2048 are recommended (RFC 8301 section 3.2)"}],
        "name": "sel._domainkey.example.org",
        "record": rsa_record(rsa_key(1024)),
        "key_type": "rsa",
        "key_bits": 1024,
        "matches": None,
    }
    nothing = run(check_key("example.org", "sel"), ZoneResolver({}))
    assert (nothing.record, nothing.key_type, nothing.key_bits, nothing.matches) == (None, None, None, None)


@pytest.mark.parametrize(
    ("place", "appended"),
    [("sel._domainkey.example.org.example.org", True), ("sel.example.org", False), ("example.org", False)],
)
def test_a_key_that_stands_where_forms_put_it(place: str, appended: bool) -> None:
    found = run(check_key("example.org", "sel"), zone(rsa_record(), place))
    assert [code.value for code, _ in found.findings] == ["no-key", "misplaced"]
    words = found.findings[1][1]
    assert words.startswith(f"a key stands at {place}: it belongs at sel._domainkey.example.org")
    assert words.endswith("the form appends the domain itself") is appended


@pytest.mark.parametrize(
    ("record", "codes"),
    [
        ("V=DKIM1; p=", ["capitals", "revoked"]),
        ("k=RSA; v=DKIM1; p=", ["malformed"]),
        ("v=DKIM1; k=RSA; p=", ["capitals", "revoked"]),
        ("v=DKIM1;; p=", ["empty-tag", "revoked"]),
        (";v=DKIM1; p=", ["empty-tag", "revoked"]),
        ("v=DKIM1; h=sha1; s=x; t=y; p=", ["sha256-not-allowed", "not-for-email", "test-mode", "revoked"]),
        ("v=DKIM1; s=x:email; h=sha256:sha1; t=s; p=", ["revoked"]),
    ],
)
def test_habits_that_others_may_not_share(record: str, codes: list[str]) -> None:
    found = run(check_key("example.org", "sel"), zone(record))
    assert [code.value for code, _ in found.findings] == codes


@pytest.mark.parametrize(
    ("bits", "codes"), [(1024, ["small"]), (1536, ["small"]), (2048, []), (4096, []), (4608, ["too-large"])]
)
def test_sizes_of_keys(bits: int, codes: list[str]) -> None:
    record = f"v=DKIM1; p={b64(fake_spki(bits))}"
    found = run(check_key("example.org", "sel"), zone(record))
    assert [code.value for code, _ in found.findings] == codes
    assert found.key_bits == bits


def fake_spki(bits: int) -> bytes:
    """A public key of that size; nobody knows its private half."""
    numbers = rsa.RSAPublicNumbers(65537, (1 << (bits - 1)) | 1)
    return numbers.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.mark.parametrize("length", [0, 100, 255, 256, 600])
def test_a_zone_line_escapes_what_master_files_escape(length: int) -> None:
    """RFC 1035 section 5.1: a quote and a backslash within a string have a backslash before them."""
    text = 'v=DKIM1; n=say "hi" \\ ' + "x" * length + '"; p='
    line = zone_line("sel._domainkey.example.org", text, ttl=300)
    assert line.startswith("sel._domainkey.example.org. 300 IN TXT ")
    resolver = ZoneResolver.from_text(line + "\n")
    answer = resolver.lookup_now(Question("sel._domainkey.example.org", "TXT"))
    assert answer.texts == (text.encode(),)
    assert zone_line("a.example", "x").startswith('a.example. IN TXT "x"')


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"abc-def", 'it is base64 for URLs: "-" is written "+", and "_" is written "/"'),
        (b"abc_def", 'it is base64 for URLs: "-" is written "+", and "_" is written "/"'),
        (b"ab_c-def==", 'it is base64 for URLs: "-" is written "+", and "_" is written "/"'),
        (b"abcdef!", ""),
        (b"0f" * 50, "it is hexadecimal: base64 belongs there"),
        (b"0f:" * 50, "it is hexadecimal: base64 belongs there"),
        (b"0f" * 49, ""),
        (b'"QUJD"', "the quotes are part of the text: the provider's form adds its own"),
    ],
)
def test_why_a_text_is_no_base64(value: bytes, words: str) -> None:
    assert about_base64(value) == words


def test_how_much_of_a_key_is_missing() -> None:
    """The first octets of DER name its length (X.690 section 8.1.3)."""
    whole = b64(fake_spki(2048)).encode()
    assert len(whole) == 392
    assert cut_off(whole) == ""
    assert cut_off(whole[:255], whole[:255]).startswith("the key is cut off: 255 of 392 characters: the form took one")
    assert cut_off(whole[:300]).startswith("the key is cut off: 300 of 392 characters; a record of more than 255")
    assert cut_off(b64(bytes.fromhex("307f") + bytes(10)).encode()).startswith("the key is cut off: 16 of 172 char")
    assert cut_off(b64(bytes.fromhex("308180") + bytes(10)).encode()).startswith("the key is cut off: 20 of 176 char")
    assert cut_off(b64(bytes.fromhex("3080") + bytes(10)).encode()) == ""
    assert cut_off(b64(bytes.fromhex("31820100") + bytes(10)).encode()) == ""


@pytest.mark.parametrize(
    ("kind", "octets", "words"),
    [
        ("rsa", bytes(32), "32 octets are an Ed25519 key: k=ed25519"),
        ("rsa", bytes(31), ""),
        ("rsa", ED25519_START + bytes(32), "it is an Ed25519 key: k=ed25519, and the last 32 octets alone"),
        ("ed25519", ED25519_START + bytes(32), f"it is the DER form; RFC 8463 wants the 32 octets alone: p={NULLS}"),
        ("ed25519", ED25519_START + bytes(33), ""),
        ("ed25519", bytes.fromhex("3063") + bytes(99), "the octets look like an RSA key: k=rsa"),
        ("ed25519", bytes.fromhex("3063") + bytes(98), ""),
        ("ed25519", bytes(101), ""),
        ("rsa", PRIVATE + bytes(9), "it is a PRIVATE key: everybody has it now; make a new pair of keys"),
        ("rsa", bytes.fromhex("308204a53082") + bytes(9), "it is a certificate: p= takes its public key alone"),
    ],
)  # fmt: skip
def test_what_octets_are_that_are_no_key(kind: str, octets: bytes, words: str) -> None:
    assert about_key(kind, octets) == words


# --- the body (RFC 6376 section 3.4.4) ---


@pytest.mark.parametrize("blanks", [2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17])
@pytest.mark.parametrize("before", [b"", b"x"])
def test_runs_of_blanks_in_large_bodies(blanks: int, before: bytes) -> None:
    """Every length of a run, from an even and from an odd place, within a line and at its end."""
    line = before + b"ab" + b" " * blanks + b"cd" + b"\t " * blanks + b"\r\n"
    body = line * (20_000 // len(line))
    canonical = (before + b"ab cd\r\n") * (20_000 // len(line))
    message = b"From: ann@example.org\r\n\r\n"
    found = only(signed(message + body, {"h": "from"}).replace(body, b"") + canonical)
    assert found.reason is Reason.VERIFIED
    found = only(signed(message + canonical, {"h": "from"}).replace(canonical, body))
    assert found.reason is Reason.VERIFIED


# --- pieces, and the place of b= ---


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_pieces_may_be_any_octets(kind: Any) -> None:
    message = signed()
    verifier = Verifier(now=NOW)
    for start in range(0, len(message), 7):
        verifier.feed(kind(message[start : start + 7]))
    (found,) = run(verifier.finish(), zone())
    assert found.reason is Reason.VERIFIED


def test_the_end_of_a_message_may_be_said_again() -> None:
    verifier = Verifier(now=NOW)
    verifier.feed(signed())
    header = verifier.end_of_message()
    assert verifier.end_of_message() is header
    with pytest.raises(ValueError, match="the message was finished before"):
        verifier.feed(b"more")
    (found,) = run(verifier.finish(), zone())
    assert found.reason is Reason.VERIFIED


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"DKIM-Signature: v=1; b=abc; bh=x\r\n", b"abc"),
        (b"DKIM-Signature: v=1; bh=x; b=abc\r\n", b"abc"),
        (b"DKIM-Signature: v=1; bh=x; b = abc def \r\n", b" abc def "),
        (b"DKIM-Signature: b=abc; bh=x\r\n", b"abc"),
        (b"DKIM-Signature: v=1; h=b=c; b=abc;\r\n", b"abc"),
    ],
)
def test_3_7_where_the_signature_stands_in_its_field(raw: bytes, value: bytes) -> None:
    place = place_of_b(raw, raw.index(b":") + 1, len(raw) - 2)
    assert place is not None
    assert place[1] == value


def test_a_field_ends_where_its_line_ends() -> None:
    assert end_of_text(b"a: b\r\n", LineEnd.CRLF) == 4
    assert end_of_text(b"a: b\n", LineEnd.CRLF) == 5  # a bare LF is data
    assert end_of_text(b"a: b\n", LineEnd.LF) == 4
    assert end_of_text(b"a: b\r\n", LineEnd.LF) == 4
    assert end_of_text(b"a: b", LineEnd.LF) == 4


def test_a_pasted_record_may_be_folded() -> None:
    """RFC 6376 section 3.2: folding white space stands between any two parts."""
    assert isinstance(parse_record(b"v=DKIM1;\r\n k=rsa;\n\tp=QU\r\n JD"), KeyRecord)


def test_a_record_of_any_length_is_read_alike() -> None:
    """Those of usual length are kept, the others are not; nobody can tell."""
    for length in (2047, 2048, 2049):
        text = b"v=DKIM1; p=QUJD; n=" + b"x" * (length - 19)
        assert len(text) == length
        assert parse_record(text) == parse_record(text)
        assert isinstance(parse_record(text), KeyRecord)


@pytest.mark.parametrize(
    ("length", "reason"), [(253, "malformed-tag"), (254, "malformed-tag"), (5000, "malformed-tag")]
)
def test_a_selector_of_any_length_has_a_result(length: int, reason: str) -> None:
    assert only(signed(tags={"s": "s" * length})).reason == reason


@pytest.mark.parametrize(
    ("methods", "reason"),
    [
        ("dns/txt", "verified"),
        ("dns/txt:dns/txt", "verified"),
        ("x:dns/txt", "verified"),
        ("dns", "unsupported-query-method"),
        ("x", "unsupported-query-method"),
        ("", "malformed-tag"),
        ("dns/txt:", "malformed-tag"),
    ],
)
def test_3_5_query_methods(methods: str, reason: str) -> None:
    assert only(signed(tags={"q": methods})).reason == reason


# --- signing ---


@pytest.mark.parametrize(
    ("domain", "selector"), [(None, "sel"), ("example.org", None), (None, None)]
)  # fmt: skip
def test_a_key_needs_its_domain_and_its_selector(domain: str | None, selector: str | None) -> None:
    with pytest.raises(TypeError, match="a key needs its domain and its selector"):
        MessageSigner(rsa_key(), domain=domain, selector=selector)


class Awaited:
    """What an asynchronous signer gives; not a coroutine, which could be closed."""

    def __await__(self) -> Any:
        raise AssertionError("nobody awaits it")


class AsyncOnly:
    """A signer that must be awaited."""

    algorithm = "rsa-sha256"

    def sign(self, digest: bytes) -> Any:
        return Awaited()


def test_a_signer_that_must_be_awaited_is_told_from_one_that_is_called() -> None:
    signer = MessageSigner(AsyncOnly(), domain="example.org", selector="sel")
    signer.feed(MESSAGE)
    with pytest.raises(TypeError, match="this signer must be awaited"):
        signer.finish()


def test_a_path_in_a_key_list_may_hold_colons() -> None:
    read: list[str] = []

    def of_file(name: str) -> bytes:
        read.append(name)
        return bytes(32)  # a seed of Ed25519

    text = "*@example.org example.org:sel:keys:2026/a.pem\n*.example.net:example.net:old.private # the older form\n"
    table = SigningTable.from_key_list(text, of_file)
    assert read == ["keys:2026/a.pem", "old.private"]
    assert [(key.domain, key.selector) for key in table.keys_for("ann@example.org")] == [("example.org", "sel")]
    assert [(key.domain, key.selector) for key in table.keys_for("ann@a.example.net")] == [("example.net", "old")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"v=DKIM1; p=<your-key>", "a placeholder stands in the text"),
        (b"v=DKIM1; p=your_key", "a placeholder stands in the text"),
        (b"v=DKIM1; p=PUBLIC KEY", "a placeholder stands in the text"),
        (b"v=DKIM1 K=rsa; p=QUJD", 'no ";" stands behind v=DKIM1'),
        (b"v=DKIM1; k=rsa P=QUJD", 'a ";" is missing between two tags'),
        (b"v=DKIM1; P=QUJD", "tags are written in lower case (RFC 6376 section 3.2): v=, k=, p="),
        (
            b'a in txt "v=DKIM1; p=QUJD',
            "the whole line of a zone file is in the text: only what stands between the quotes belongs there",
        ),
        (b"SEL._DOMAINKEY v=DKIM1", "the name of the record is in the text: it begins with v=DKIM1"),
        (b"v=DKIM1; p=p=QUJD", "p= stands twice in front of the key"),
        (b"v=DKIM1; k=rsa; p=QUJD", ""),
    ],
)
def test_what_does_not_belong_into_a_record(text: bytes, words: str) -> None:
    assert about_text(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'"V=SPF1 -all"', "an SPF record stands there: it belongs at the domain itself"),
        (b"v=spf1 mx -all", "an SPF record stands there: it belongs at the domain itself"),
        (b"v=dmarc1; p=none", "a DMARC record stands there: it belongs at _dmarc. and the domain"),
        (b"v=DMARC1; p=none", "a DMARC record stands there: it belongs at _dmarc. and the domain"),
        (b"v=stsv1; id=1", "a record of another protocol stands there"),
        (b"V=TLSRPTv1", "a record of another protocol stands there"),
        (b" v=BIMI1", "a record of another protocol stands there"),
        (b"v=BIMI10", ""),
        (b"v=spf10", ""),
    ],
)
def test_records_of_other_protocols_are_named(text: bytes, words: str) -> None:
    assert other_record(text) == words


def test_a_key_that_is_loaded_already_stays_what_it_is() -> None:
    loaded = private_key(rsa_key())
    assert private_key(loaded) is loaded
    public = public_half(loaded)
    assert public_half(public) is public
    assert public_half(rsa_key().public_key()).bits == 2048
    for wrong in (7, "text", None):
        with pytest.raises(TypeError, match="a key record holds a public key"):
            public_half(wrong)  # type: ignore[arg-type]


def test_a_header_that_ends_with_the_message() -> None:
    """Without an empty line the header is complete only when the message is (RFC 5322 section 2.1)."""
    verifier = Verifier(now=NOW)
    verifier.feed(signed(MESSAGE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n").removesuffix(b"\r\n"))
    assert verifier.end_of_message() is verifier.end_of_message()
    (found,) = run(verifier.finish(), zone())
    assert found.reason is Reason.VERIFIED
