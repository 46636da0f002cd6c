"""Keys, key records, the test of published keys, and signing tables.

What keygen prints is what testkey and the verifier find good.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from mailauth.config import ConfigError, load_signing_table
from mailauth.dkim import (
    BadRecord,
    KeyRecord,
    SigningRule,
    SigningTable,
    TableError,
    check_key,
    generate_key,
    load_key,
    parse_record,
    record_name,
    record_text,
    selector_from,
    sign,
    zone_line,
)
from mailauth.plan import run
from mailauth.resolvers import ZoneResolver
from tests.dkim.makers import MESSAGE, ed_key, ed_record, only, rsa_key, rsa_record
from tests.dkim.small_keys import small_key


@pytest.mark.parametrize(("kind", "bits"), [("rsa", 2048), ("ed25519", 256)])
def test_from_a_new_key_to_a_passing_signature(kind: Any, bits: int) -> None:
    key = generate_key(kind)
    assert key.bits == bits
    text = record_text(key.public(), flags="y:s", notes="ours")
    line = zone_line(record_name("example.org", "sel"), text, ttl=300)
    dns = ZoneResolver.from_text(line)
    (record,) = dns.lookup_now(_question()).texts
    assert record == text.encode()
    field = sign(MESSAGE, key.pem(), domain="example.org", selector="sel")
    signature = only(field + MESSAGE, dns=dns)
    assert (signature.result, signature.key_bits, signature.key_flags) == ("pass", bits, ("y", "s"))
    check = run(check_key("example.org", "sel", key), dns)
    assert (check.verdict, check.matches, check.key_bits) == ("doubtful", True, bits)
    assert [code for code, _ in check.findings] == ["test-mode"]


def _question() -> Any:
    from mailauth.plan import Question

    return Question("sel._domainkey.example.org", "TXT")


def test_wrong_kinds_of_keys() -> None:
    with pytest.raises(ValueError, match="rsa or ed25519"):
        generate_key("dsa")  # type: ignore[arg-type]
    for bits in (512, 1024, 2047, 8192):
        with pytest.raises(ValueError, match="2048, 3072, 4096"):
            generate_key("rsa", bits)


@given(st.integers(0, 2000).map(lambda n: ("abc" * n)[:n]) | st.text(alphabet='a"\\ ;', max_size=600))
def test_zone_lines_read_back(text: str) -> None:
    """Any text: strings of at most 255 octets, which join to the text."""
    dns = ZoneResolver.from_text(zone_line("sel._domainkey.example.org", text))
    assert dns.lookup_now(_question()).texts == (text.encode(),)
    strings = zone_line("x", text).replace('\\"', "'").split('"')[1::2]
    assert all(len(string.replace("\\\\", "\\")) <= 255 for string in strings)


def test_records_hold_what_they_should() -> None:
    public = load_key(ed_key()).public()  # type: ignore[union-attr]
    assert record_text(public) == ed_record()
    for value in ("a;b", "a\nb", "\u00e4"):
        with pytest.raises(ValueError, match="no place"):
            record_text(public, notes=value)


@pytest.mark.parametrize(
    ("template", "selector"),
    [("%Y%m-{type}", "202611-rsa"), ("s%d", "s02"), ("plain", "plain"), ("UPPER.%Y", "upper.2026")],
)
def test_selectors_from_templates(template: str, selector: str) -> None:
    assert selector_from(template, date(2026, 11, 2), "rsa") == selector


@pytest.mark.parametrize("template", ["%H", "%", "a b", "", "{typ}", "-a"])
def test_bad_templates(template: str) -> None:
    with pytest.raises(ValueError, match=r"template|selector"):
        selector_from(template, date(2026, 11, 2), "rsa")


# --- records ----------------------------------------------------------------------------------------------------


def test_parsed_record() -> None:
    assert parse_record(b"v=DKIM1; h=sha256 : SHA1; k=RSA; n=a note; s=email:*; t=y : s; p=QUJD") == KeyRecord(
        "rsa", b"ABC", ("sha256", "sha1"), ("email", "*"), ("y", "s"), "a note"
    )
    assert parse_record(b"p=QUJD") == KeyRecord("rsa", b"ABC", None, ("*",), (), "")


@given(st.binary(max_size=80))
def test_any_record_has_a_result(text: bytes) -> None:
    """Any octets: a record, or why it is none."""
    assert isinstance(parse_record(text), KeyRecord | BadRecord)


# --- the test of published keys ---------------------------------------------------------------------------------

KEY_CHECKS: list[tuple[str, list[str | bytes], str, list[str]]] = [
    ("good", [rsa_record()], "good", []),
    ("Ed25519", [ed_record()], "good", []),
    ("nothing there", [], "bad", ["no-key"]),
    ("something else there", ["v=spf1 -all"], "bad", ["no-key"]),
    ("two of them", [rsa_record(), ed_record()], "doubtful", ["several-records"]),
    ("something beside it", [rsa_record(), "x"], "doubtful", ["several-records"]),
    ("no version", [rsa_record()[9:]], "doubtful", ["no-version"]),
    ("revoked", ["v=DKIM1; p="], "bad", ["revoked"]),
    ("malformed", ["v=DKIM1; p=!"], "bad", ["malformed"]),
    ("no key in it", ["v=DKIM1; p=QUJD"], "bad", ["malformed"]),
    ("unknown type", ["v=DKIM1; k=dsa; p=QUJD"], "bad", ["unknown-type"]),
    ("768 bits", [rsa_record(small_key(768))], "bad", ["too-small"]),
    ("1024 bits", [rsa_record(rsa_key(1024))], "doubtful", ["small"]),
    ("SHA-1 only", [rsa_record(extra="h=sha1; ")], "bad", ["sha256-not-allowed"]),
    ("not for email", [rsa_record(extra="s=tlsrpt; ")], "bad", ["not-for-email"]),
    ("test mode", [rsa_record(extra="t=y; ")], "doubtful", ["test-mode"]),
]


@pytest.mark.parametrize(("records", "verdict", "codes"), [c[1:] for c in KEY_CHECKS], ids=[c[0] for c in KEY_CHECKS])
def test_published_keys(records: list[str | bytes], verdict: str, codes: list[str]) -> None:
    dns = ZoneResolver({("sel._domainkey.example.org", "TXT"): records} if records else {})
    check = run(check_key("example.org", "sel"), dns)
    assert check.verdict == verdict
    assert [code for code, _ in check.findings] == codes
    assert check.to_dict()["verdict"] == verdict


def test_of_several_records_the_one_that_can_be_used_is_looked_at() -> None:
    """RFC 6376 section 3.6.2.2 leaves open which one verifiers take; who holds the private key wants its own."""
    broken, other, own = "v=DKIM1; k=rsa; p=!", rsa_record(rsa_key(2048, 3)), rsa_record()
    dns = ZoneResolver({("sel._domainkey.example.org", "TXT"): [broken, other, own]})
    assert run(check_key("example.org", "sel"), dns).record in (other, own)
    for key, record in ((rsa_key(), own), (rsa_key(2048, 3), other)):
        assert run(check_key("example.org", "sel", load_key(key)), dns).record == record  # type: ignore[arg-type]


def test_published_key_and_private_key() -> None:
    dns = ZoneResolver({("sel._domainkey.example.org", "TXT"): [rsa_record()]})
    for key, matches in ((rsa_key(), True), (rsa_key(1024), False), (ed_key(), False)):
        check = run(check_key("example.org", "sel", load_key(key)), dns)  # type: ignore[arg-type]
        assert check.matches is matches
        assert check.verdict == ("good" if matches else "bad")


def test_a_dns_error_is_no_verdict() -> None:
    dns = ZoneResolver({}, failures={("sel._domainkey.example.org", "TXT"): "servfail"})
    assert run(check_key("example.org", "sel"), dns).verdict == "temperror"
    with pytest.raises(ValueError, match="no domain name"):
        check_key("example..org", "sel")


# --- signing tables ---------------------------------------------------------------------------------------------


def selectors(table: SigningTable, sender: str) -> list[str]:
    return [f"{key.selector}@{key.domain}" for key in table.keys_for(sender)]


def test_the_most_specific_rule_signs() -> None:
    table = SigningTable(
        [
            SigningRule(("*",), "any", rsa_key()),
            SigningRule(("*.example.org",), "below", rsa_key()),
            SigningRule((".deep.example.org",), "deep", rsa_key()),
            SigningRule(("example.org",), "rsa", rsa_key()),
            SigningRule(("*@example.org",), "ed", ed_key()),
            SigningRule(("boss@example.org",), "boss", rsa_key()),
            SigningRule(("b\u00fccher.example",), "idn", rsa_key(), "mail.example"),
        ]
    )
    assert selectors(table, "boss@example.org") == selectors(table, "<Boss@Example.ORG>") == ["boss@example.org"]
    assert selectors(table, "ann@example.org") == ["rsa@example.org", "ed@example.org"]
    assert selectors(table, "example.org") == ["rsa@example.org", "ed@example.org"]
    assert selectors(table, "ann@a.b.example.org") == ["below@example.org"]
    assert selectors(table, "ann@x.deep.example.org") == ["deep@deep.example.org"]
    assert selectors(table, "ann@deep.example.org") == ["below@example.org"]
    assert selectors(table, "ann@badexample.org") == ["any@badexample.org"]
    assert selectors(table, "ann@B\u00dcCHER.example") == ["idn@mail.example"]
    assert selectors(table, "") == selectors(table, "ann@") == selectors(table, "<>") == []


def test_a_table_without_a_rule_for_the_sender() -> None:
    table = SigningTable([SigningRule(("example.org",), "s", rsa_key())])
    assert table.keys_for("ann@mail.example.org") == ()


@given(st.text(max_size=60))
def test_any_sender_has_an_answer(sender: str) -> None:
    """Any text as sender: a tuple of keys."""
    table = SigningTable([SigningRule(("*",), "s", ed_key())])
    assert isinstance(table.keys_for(sender), tuple)


@pytest.mark.parametrize(
    "sender", ["", "@example.org", "a*@example.org", "*.*.org", "ann@*.example.org", "org", "a b.org"]
)
def test_bad_patterns(sender: str) -> None:
    with pytest.raises(ValueError, match="no sender"):
        SigningTable([SigningRule((sender,), "s", rsa_key())])


TOML = """
[[sign]]
senders = ["example.org", "*.example.org"]
selector = "2026a"
key = "keys/a.pem"

[[sign]]
senders = ["example.org"]
selector = "2026e"
key = "keys/e.pem"
domain = "example.org"
"""
LIST = """
# pattern             key
example.org           example.org:2026a:keys/a.pem
*.example.org         %:2026a:keys/a.pem      # each its own
example.net           keys/e.pem
*@example.com:mail.example.com:keys/e.pem
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "a.pem").write_bytes(load_key(rsa_key()).pem())  # type: ignore[union-attr]
    (tmp_path / "keys" / "e.pem").write_bytes(load_key(ed_key()).pem())  # type: ignore[union-attr]
    (tmp_path / "table.toml").write_text(TOML)
    (tmp_path / "keylist").write_text(LIST)
    return tmp_path


def test_tables_in_files(directory: Path) -> None:
    table = load_signing_table(directory / "table.toml")
    assert selectors(table, "ann@example.org") == ["2026a@example.org", "2026e@example.org"]
    assert selectors(table, "ann@mail.example.org") == ["2026a@example.org"]
    fields = sign(MESSAGE, table.keys_for("ann@example.org"))
    assert fields.count(b"DKIM-Signature:") == 2
    table = SigningTable.from_file(directory / "keylist")
    assert selectors(table, "ann@example.org") == ["2026a@example.org"]
    assert selectors(table, "ann@mail.example.org") == ["2026a@mail.example.org"]
    assert selectors(table, "ann@example.net") == ["e@example.net"]
    assert selectors(table, "ann@example.com") == ["e@mail.example.com"]


BAD_TABLES = [
    ("x.toml", "sign = 1", "x.toml:1: sign: expected a list"),
    ("x.toml", "[[sign]\n", "not TOML"),
    ("x.toml", "[other]\na=1", "x.toml:1: other: unknown key"),
    ("x.toml", '[[sign]]\nsenders="example.org"', "x.toml:2: sign[0].senders: expected a list"),
    ("x.toml", '[[sign]]\nsenders=["example.org"]\nselector=1\nkey="k"', "x.toml:3: sign[0].selector: expected"),
    ("x.toml", '[[sign]]\nsenders=["example.org"]\nselector="s"', "x.toml:1: sign[0]: the key 'key' is missing"),
    ("x.toml", '[[sign]]\nsenders=["a.example"]\nselector="s"\nkey="k"\nkye="x"', "x.toml:5: sign[0].kye: unknown key"),
    ("x.toml", '[[sign]]\nsenders=["a b"]\nselector="s"\nkey="keys/a.pem"', "x.toml:1: sign[0]: 'a b' is no sender"),
    (
        "x.toml",
        '[[sign]]\nsenders=["a.example"]\nselector="s"\nkey="x.toml"',
        "sign[0]: the private key cannot be read",
    ),
    ("x.toml", TOML.replace("a.pem", "none.pem"), "sign[0].key: cannot read "),
    ("x.toml", TOML.replace("2026a", "2026 a"), "sign[0].selector: '2026 a' is no selector"),
    ("list", "\nexample.org", "line 2: not a pattern and a key"),
    ("list", "example.org a b", "line 1: not a pattern"),
    ("list", "example.org a:b", "line 1: not a pattern"),
    ("list", "example.org none.pem", "line 1: cannot read none.pem"),
    ("list", "example.org list", "line 1: the private key cannot be read"),
    ("list", "exa mple keys/a.pem", "line 1"),
    ("list", "ex..org keys/a.pem", "line 1: 'ex..org' is no sender"),
    ("list", "example.org bad..domain:s:keys/a.pem", "line 1: 'bad..domain' is no domain"),
]


@pytest.mark.parametrize(("name", "text", "words"), BAD_TABLES, ids=[case[2] for case in BAD_TABLES])
def test_bad_tables(directory: Path, name: str, text: str, words: str) -> None:
    (directory / name).write_text(text)
    with pytest.raises((TableError, ConfigError)) as caught:
        load_signing_table(directory / name)
    assert isinstance(caught.value, ConfigError) == name.endswith(".toml")
    assert words in str(caught.value)


def test_the_record_of_a_private_key_is_that_of_its_public_half() -> None:
    key = generate_key("ed25519")
    assert record_text(key) == record_text(key.public())


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_the_public_half_of_a_key_that_is_elsewhere(kind: Any) -> None:
    """An HSM gives its public key, never the private one: what `cryptography` makes of it is enough for a record."""
    key = generate_key(kind)
    elsewhere = serialization.load_pem_private_key(key.pem(), None).public_key()
    assert record_text(elsewhere) == record_text(key)  # type: ignore[arg-type]
    assert zone_line("sel._domainkey.example.org", elsewhere) == zone_line("sel._domainkey.example.org", key)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="RSA or Ed25519"):
        record_text(ec.generate_private_key(ec.SECP256R1()).public_key())  # type: ignore[arg-type]
