"""Key records that went wrong at a DNS provider's form: each fault, and the words that name it.

Every broken record is made from a sound one, which is tested beside it; the same words stand in the detail of
verification and in the test of a published key.
"""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from mailauth.dkim import advice, check_key, load_key, record_text, verify, zone_line
from mailauth.plan import Question, run
from mailauth.resolvers import ZoneResolver
from tests.dkim.makers import ed_key, rsa_key
from tests.dkim.test_verify import NOW, rsa_record, signed

P = rsa_record().partition("p=")[2]
SPKI = b64decode(P)
HEAD = "v=DKIM1; k=rsa; p="
GOOD = HEAD + P
PEM = (
    rsa_key()
    .public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
PRIVATE = (
    rsa_key()
    .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    .decode()
)
ED_SPKI = (
    ed_key().public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
)
ED = b64encode(ED_SPKI[12:]).decode()
NAME = "sel._domainkey.example.org"
URL_SAFE = P.replace("+", "-").replace("/", "_")
assert URL_SAFE != P

FAULTS: list[tuple[str, str | bytes, str, str]] = [
    # name, record, what it comes to, and the words
    ("quotes", f'"{GOOD}"', "bad", "the quotes are part of the text"),
    ("quotes at its strings", f'{GOOD[:100]}" "{GOOD[100:]}', "bad", "the quotes between two strings"),
    ("a single quote", f"'{GOOD}'", "bad", "the quotes are part of the text"),
    ("backslashes", GOOD.replace(";", "\\;"), "bad", "a backslash stands before"),
    ("the whole line", f'{NAME}. 3600 IN TXT "{GOOD}"', "bad", "the whole line of a zone file"),
    ("the name", f"{NAME} {GOOD}", "bad", "the name of the record is in the text"),
    ("PEM armour", HEAD + PEM.replace("\n", ""), "bad", "the armour of the PEM file"),
    ("PEM armour and line ends", HEAD + PEM, "bad", "the armour of the PEM file"),
    ("line ends", HEAD + "\n".join(P[i : i + 64] for i in range(0, len(P), 64)), "bad", "line ends are part"),
    ("a private key", HEAD + PRIVATE.replace("\n", ""), "bad", "PRIVATE key: everybody has it now"),
    ("a private key without armour", HEAD + "".join(PRIVATE.splitlines()[1:-1]), "bad", "PRIVATE key: everybody"),
    ("base64 for URLs", HEAD + URL_SAFE, "bad", "base64 for URLs"),
    ("hexadecimal", HEAD + SPKI.hex(), "bad", "hexadecimal"),
    ("cut off by the form", (HEAD + P)[:255], "bad", f"cut off: {255 - len(HEAD)} of {len(P)} characters: the form"),
    ("cut off somewhere", (HEAD + P)[:200], "bad", f"cut off: {200 - len(HEAD)} of {len(P)} characters"),
    ("cut off by one", HEAD + P[:237], "bad", f"cut off: 237 of {len(P)} characters"),
    ("V= in capitals", GOOD.replace("v=", "V="), "doubtful", "tags are written in lower case"),
    ("P= in capitals", GOOD.replace("p=", "P="), "bad", "tags are written in lower case"),
    ("V= and P= in capitals", GOOD.replace("p=", "P=").replace("v=", "V="), "bad", "tags are written in lower case"),
    ("no semicolon", GOOD.replace("; k", " k", 1), "bad", 'no ";" stands behind v=DKIM1'),
    ("no semicolon before p=", GOOD.replace("; p", " p", 1), "bad", 'a ";" is missing between two tags'),
    ("commas", GOOD.replace(";", ","), "bad", 'tags are separated by ";"'),
    ("colons", GOOD.replace("=", ":", 3), "bad", 'a tag and its value are separated by "="'),
    ("typographic blanks", GOOD.replace("; ", ";\u00a0").encode(), "bad", "a typographic blank (such as U+00A0)"),
    ("typographic blanks in Latin-1", GOOD.replace("; ", ";\u00a0").encode("latin-1"), "bad", "a typographic blank"),
    ("typographic quotes", f"\u201c{GOOD}\u201d".encode(), "bad", "typographic quotes"),
    ("SPF", "v=spf1 include:_spf.example.net -all", "bad", "an SPF record stands there"),
    ("DMARC", "v=DMARC1; p=none", "bad", "a DMARC record stands there"),
    ("SPF in capitals", "V=SPF1 -ALL", "bad", "an SPF record stands there"),
    ("DMARC in lower case", "v=dmarc1; p=none", "bad", "a DMARC record stands there"),
    ("the whole line in lower case", f'sel 3600 in txt "{GOOD}"', "bad", "the whole line of a zone file"),
    ("HTML", GOOD.replace(";", "&#59;"), "bad", "characters of HTML"),
    ("a URL", HEAD + P.replace("+", "%2B").replace("/", "%2F"), "bad", "written as in a URL"),
    ("a key of SSH", HEAD + "ssh-rsa AAAAB3NzaC1yc2E", "bad", "a key of SSH"),
    ("a placeholder", HEAD + "<your public key>", "bad", "a placeholder"),
    ("p= twice", GOOD.replace("p=", "p=p="), "bad", "p= stands twice in front of the key"),
    ("no p=", GOOD.replace("p=", ""), "bad", "p= is missing in front of the key"),
    ("k=RSA", GOOD.replace("k=rsa", "k=RSA"), "doubtful", "write k=rsa"),
    ("an empty tag", GOOD.replace(";", ";;", 1), "doubtful", "RFC 6376 section 3.2"),
    ("dkim1", GOOD.replace("DKIM1", "dkim1"), "bad", "written DKIM1, in capitals"),
    ("v=1", GOOD.replace("DKIM1", "1"), "bad", "a key record says v=DKIM1"),
    ("Ed25519 in DER", f"v=DKIM1; k=ed25519; p={b64encode(ED_SPKI).decode()}", "bad", f"32 octets alone: p={ED}"),
    ("Ed25519 as RSA", f"v=DKIM1; k=rsa; p={ED}", "bad", "k=ed25519"),
    ("RSA as Ed25519", f"v=DKIM1; k=ed25519; p={P}", "bad", "k=rsa"),
]  # fmt: skip


def zone(*records: str | bytes, **more: list[str]) -> ZoneResolver:
    return ZoneResolver({(NAME, "TXT"): list(records)} if records else {})


def test_the_sound_record_is_good() -> None:
    assert run(check_key("example.org", "sel"), zone(GOOD)).findings == ()


@pytest.mark.parametrize(("record", "verdict", "words"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_each_fault_has_its_words(record: str | bytes, verdict: str, words: str) -> None:
    found = run(check_key("example.org", "sel"), zone(record))
    assert found.verdict == verdict
    assert any(words in detail for _, detail in found.findings), found.findings
    assert all(detail.isprintable() for _, detail in found.findings)
    if verdict == "bad" and "k=ed25519" not in str(record):
        # The same words in the detail of verification.
        (signature,) = run(verify(signed(), now=NOW), zone(record))
        assert signature.result != "pass"
        assert words in signature.detail, signature.detail


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("sel._domainkey.example.org.example.org", "the form appends the domain itself"),
        ("sel.example.org", "it belongs at sel._domainkey.example.org"),
        ("example.org", "it belongs at sel._domainkey.example.org"),
    ],
)
def test_a_record_at_another_name(place: str, words: str) -> None:
    found = run(check_key("example.org", "sel"), ZoneResolver({(place, "TXT"): [GOOD]}))
    assert [code for code, _ in found.findings] == ["no-key", "misplaced"]
    assert f"a key stands at {place}" in found.findings[1][1]
    assert words in found.findings[1][1]


def test_what_stands_at_other_names_is_asked_only_where_the_key_is_missing() -> None:
    asked: list[str] = []

    class Noting(ZoneResolver):
        def lookup_now(self, question: Question):  # type: ignore[no-untyped-def]
            asked.append(question.name)
            return super().lookup_now(question)

    run(check_key("example.org", "sel"), Noting({(NAME, "TXT"): [GOOD]}))
    assert asked == [NAME]
    # An SPF record at the domain is no key.
    found = run(check_key("example.org", "sel"), Noting({("example.org", "TXT"): ["v=spf1 -all"]}))
    assert [code for code, _ in found.findings] == ["no-key"]


def test_an_alias_that_leads_nowhere_is_named() -> None:
    found = run(check_key("example.org", "sel"), ZoneResolver({(NAME, "CNAME"): ["sel.esp.example"]}))
    assert "the CNAME leads to sel.esp.example" in found.findings[0][1]


def test_of_two_records_the_one_that_fits_the_private_key() -> None:
    both = zone(GOOD, rsa_record(rsa_key(1024)))
    found = run(check_key("example.org", "sel", load_key(rsa_key())), both)  # type: ignore[arg-type]
    assert found.matches
    assert found.record == GOOD
    assert "one fits the private key, delete the other" in found.findings[0][1]
    found = run(check_key("example.org", "sel", load_key(ed_key())), both)  # type: ignore[arg-type]
    assert found.matches is False
    assert "none fits the private key" in found.findings[0][1]


def test_a_zone_line_of_a_key() -> None:
    private = load_key(rsa_key())
    line = zone_line(NAME, private)  # type: ignore[arg-type]
    assert line == zone_line(NAME, record_text(private.public())) == zone_line(NAME, private.public())  # type: ignore[attr-defined]
    assert ZoneResolver.from_text(line).lookup_now(Question(NAME, "TXT")).texts == (GOOD.encode(),)


@given(st.binary(max_size=300))
def test_any_octets_have_advice_or_none(octets: bytes) -> None:
    """Any octets have advice in printable words, or none; nothing raises."""
    for words in (
        advice.about_text(octets),
        advice.about_base64(octets),
        advice.about_version(octets),
        advice.about_key("rsa", octets),
        advice.about_key("ed25519", octets),
        advice.cut_off(octets),
    ):
        assert words.isprintable()


@pytest.mark.parametrize("unit", [b'"', b" ", b"; a=b c=", b"a=", b"\\;", b"-----BEGIN ", b"&#1", b";MI"])
def test_the_work_is_bounded(unit: bytes) -> None:
    """A megabyte of anything is looked at in its first octets only."""
    advice.about_text(unit * (1_000_000 // len(unit)))
    advice.about_base64(unit * (1_000_000 // len(unit)))
