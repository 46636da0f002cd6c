"""Writing Authentication-Results fields, and the round trip.

Whatever the values hold, what is built is one field of the structure given, folded at legal places, and reading it
gives the values back.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailauth.authres import (
    AuthenticationResults,
    MethodResult,
    ParseFailure,
    Property,
    build,
    dkim,
    method_result,
    parse,
    parse_field,
    spf,
)
from mailauth.authres.words import CUT_MARK, MAX_LINE_CHARACTERS, MAX_LINE_OCTETS, MAX_VALUE_OCTETS
from mailauth.mail import header as message

from .strategies import ascii_characters, fields, hostile_fields, hostile_pieces, identities, utf8_characters


def field(*results: MethodResult, smtputf8: bool = False) -> str:
    return AuthenticationResults("mx.example.net", results).to_text(smtputf8=smtputf8)


def written(value: str, name: str = "c.d", *, smtputf8: bool = False) -> str:
    """How a property value stands in the field."""
    text = re.sub("\r\n(?=[ \t])", "", field(method_result("a", "b", {name: value}), smtputf8=smtputf8))
    return text.removesuffix("\r\n").partition(name + "=")[2]


def reread(value: str, *, smtputf8: bool = False) -> str:
    result = parse_field(field(method_result("a", "b", {"c.d": value}), smtputf8=smtputf8))
    assert isinstance(result, AuthenticationResults), result
    found = result.results[0].value("c", "d")
    assert found is not None
    return found


def test_a_field() -> None:
    octets = build(
        "mx.example.net",
        dkim("pass", domain="example.org", selector="2026a", signature="Ab/Cdefghijkl", comment="2048 bit"),
        spf("softfail", mail_from="ann@example.org", reason="the record ends with ~all"),
        method_result("x-other", "fine"),
    )
    assert octets == (
        b"Authentication-Results: mx.example.net;\r\n"
        b"    dkim=pass (2048 bit) header.d=example.org header.s=2026a\r\n"
        b'        header.b="Ab/Cdefg";\r\n'
        b'    spf=softfail reason="the record ends with ~all" smtp.mailfrom=example.org;\r\n'
        b"    x-other=fine\r\n"
    )


def test_no_results() -> None:
    assert build("mx.example.net") == b"Authentication-Results: mx.example.net; none\r\n"


def test_milters_get_the_value_alone() -> None:
    results = AuthenticationResults("mx.example.net", (method_result("a", "b"), method_result("c", "d")))
    assert results.folded_value(line_end="\n") == "mx.example.net;\n    a=b;\n    c=d"
    assert str(results) == "Authentication-Results: " + results.folded_value() + "\r\n"


WRITTEN = [
    # RFC 8601 section 2.2: a token or an identity stands as it is, everything else is quoted.
    ("example.org", "example.org"),
    ("@example.org", "@example.org"),
    ("ann@example.org", "ann@example.org"),
    ("ann+x=y/z@example.org", "ann+x=y/z@example.org"),
    ('"ann; b"@example.org', '"ann; b"@example.org'),
    ("192.0.2.1", "192.0.2.1"),
    ("", '""'),
    ("2001:db8::1", '"2001:db8::1"'),
    ("root@localhost", '"root@localhost"'),  # no domain-name of RFC 6376 section 3.5: one label
    ("ann@[192.0.2.1]", '"ann@[192.0.2.1]"'),
    ("a@b@example.org", '"a@b@example.org"'),
    ("ann.@example.org", '"ann.@example.org"'),
    ("ann@-x.example", '"ann@-x.example"'),
    # a quoted local part is one quoted string, and not two with something between them
    ('"a"; dkim=pass c.d="b"@example.org', '"\\"a\\"; dkim=pass c.d=\\"b\\"@example.org"'),
    ('"a" e.f="b"@example.org', '"\\"a\\" e.f=\\"b\\"@example.org"'),
    ('"a\\"@example.org', '"\\"a\\\\\\"@example.org"'),
    ("a; dkim=pass", '"a; dkim=pass"'),
    ("(a)", '"(a)"'),
    ('say "x" \\', '"say \\"x\\" \\\\"'),
    ("a\tb", '"a\tb"'),
    # What may not stand there is escaped as RFC 6533 section 3 does.
    ("a\r\nX: y", '"a\\\\x{D}\\\\x{A}X: y"'),
    ("a\0\x7f", '"a\\\\x{0}\\\\x{7F}"'),
    ("j\u00fcrgen@example.org", '"j\\\\x{FC}rgen@example.org"'),
    ("\U0001f600", '"\\\\x{1F600}"'),
    ("\udc80", '"\\\\x{DC80}"'),
]


@pytest.mark.parametrize(("value", "form"), WRITTEN, ids=[repr(value) for value, _ in WRITTEN])
def test_how_values_are_written(value: str, form: str) -> None:
    assert written(value) == form


def test_internationalized_messages_hold_utf8() -> None:
    """RFC 8601 section 2.2, RFC 6532 section 3.2: UTF-8 in quotes, comments and identities, not in tokens."""
    assert written("j\u00fcrgen@b\u00fccher.example", smtputf8=True) == "j\u00fcrgen@b\u00fccher.example"
    assert written("@b\u00fccher.example", smtputf8=True) == "@b\u00fccher.example"
    assert written("b\u00fccher", smtputf8=True) == '"b\u00fccher"'
    assert written("a\u3000b@example.org", smtputf8=True) == '"a\u3000b@example.org"'
    assert written("a\u2028\x85\x0b", smtputf8=True) == '"a\\\\x{2028}\\\\x{85}\\\\x{B}"'
    assert "(\u00fc)" in field(method_result("a", "b", comment="\u00fc"), smtputf8=True)
    octets = build("mx.b\u00fccher.example", smtputf8=True)
    assert octets == 'Authentication-Results: "mx.b\u00fccher.example"; none\r\n'.encode()


def test_u_labels_become_a_labels_in_ascii_messages() -> None:
    """RFC 8616 section 3: U-labels and A-labels are equivalent. Only where the value is a domain or an address."""
    assert written("b\u00fccher.example", "header.d") == "xn--bcher-kva.example"
    assert written("ann@b\u00fccher.example", "smtp.mailfrom") == "ann@xn--bcher-kva.example"
    assert written("j\u00fc@b\u00fccher.example", "smtp.mailfrom") == '"j\\\\x{FC}@b\\\\x{FC}cher.example"'
    assert written("\u2615.example", "header.d") == '"\\\\x{2615}.example"'
    assert written("b\u00fccher.example", "policy.txt") == '"b\\\\x{FC}cher.example"'
    assert written("b\u00fc" * 5000 + ".example", "header.d").endswith(CUT_MARK + '"')
    assert build("mx.b\u00fccher.example") == b"Authentication-Results: mx.xn--bcher-kva.example; none\r\n"


def test_an_id_without_an_ascii_form_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="no ASCII form"):
        build("m\u00fc x")
    assert build("m\u00fc x", smtputf8=True)


def test_comments() -> None:
    assert "a=b (x \\(y\\) \\\\ z)" in field(method_result("a", "b", comment=" x (y)\r\n\t\\ z "))
    assert "a=b (x\\\\x{0})" in field(method_result("a", "b", comment="x\0"))
    assert "(" not in field(method_result("a", "b", comment=" \r\n "))


@pytest.mark.parametrize("octets", [10_240, 1_000_000])
@pytest.mark.parametrize("character", ["a", '"', "\\", " ", "\u00fc", "\0", "a ", "a.", "@"])
def test_long_values_are_cut_and_marked(octets: int, character: str) -> None:
    for smtputf8 in (False, True):
        value = reread(character * (octets // len(character)), smtputf8=smtputf8)
        assert value.endswith(CUT_MARK)
        assert MAX_VALUE_OCTETS - 12 < len(value.encode()) <= MAX_VALUE_OCTETS
        assert reread(value, smtputf8=smtputf8) == value


def test_a_cut_value_is_no_shorter_name() -> None:
    """What is left of a long name must not pass for the name that it begins with."""
    begin = "ann@example.org"
    long = begin + "." * (MAX_VALUE_OCTETS - len(begin) - len(CUT_MARK)) + ".evil.example"
    form = written(long)
    assert form.startswith('"')
    assert form.endswith(CUT_MARK + '"')


def test_the_longest_address_is_not_cut() -> None:
    """RFC 5321 section 4.5.3.1: 64 octets of local part, 255 of domain."""
    address = "l" * 64 + "@" + ".".join(["d" * 63] * 3 + ["d" * 61])
    assert reread(address) == address


def test_long_reasons_are_folded_at_their_blanks() -> None:
    reason = "the signature does not verify since the body was changed on its way, perhaps by a mailing list"
    text = field(method_result("dkim", "fail", reason=reason))
    assert all(len(line) <= MAX_LINE_CHARACTERS for line in text.split("\r\n"))
    result = parse_field(text)
    assert isinstance(result, AuthenticationResults)
    assert result.results[0].reason == reason


@pytest.mark.parametrize(
    "arguments",
    [
        ("", "b"),
        ("a b", "b"),
        ("a_b", "b"),
        ("a-", "b"),
        ("a", "p\u00e4ss"),
        ("a", "b;c"),
        ("a" * 65, "b"),
        ("a\r\n", "b"),
    ],
)
def test_words_that_are_no_keywords(arguments: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=r"keyword|characters long"):
        MethodResult(*arguments)


@pytest.mark.parametrize("authserv_id", ["", "  ", "mx\r\nX: y", "mx\0", "x" * 256, "\u2028"])
def test_ids_that_cannot_be(authserv_id: str) -> None:
    with pytest.raises(ValueError, match="authserv-id"):
        AuthenticationResults(authserv_id)


def test_wrong_types() -> None:
    for mistake in (
        lambda: Property("a", "b", None),  # type: ignore[arg-type]
        lambda: Property("a", "b", b"c"),  # type: ignore[arg-type]
        lambda: MethodResult("a", "b", ("c.d",)),  # type: ignore[arg-type]
        lambda: MethodResult("a", "b", reason=b"c"),  # type: ignore[arg-type]
        lambda: MethodResult("a", "b", version="1"),  # type: ignore[arg-type]
        lambda: AuthenticationResults(b"mx"),  # type: ignore[arg-type]
        lambda: AuthenticationResults("mx", ("a=b",)),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError):
            mistake()
    for wrong in (lambda: AuthenticationResults("mx", (), 2), lambda: MethodResult("a", "b", version=-1)):
        with pytest.raises(ValueError, match="version"):
            wrong()


def test_enumerations_are_words() -> None:
    from enum import StrEnum

    class Result(StrEnum):
        PASS = "pass"

    result = MethodResult("spf", Result.PASS)
    assert type(result.result) is str
    assert result == MethodResult("SPF", "Pass")
    assert hash(result) == hash(MethodResult("SPF", "Pass"))


def assert_well_formed(octets: bytes) -> None:
    assert octets.endswith(b"\r\n")
    lines = octets[:-2].split(b"\r\n")
    assert lines[0].startswith(b"Authentication-Results:")
    assert not re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", b"".join(lines))
    for number, line in enumerate(lines):
        text = line.decode()
        assert len(line) <= MAX_LINE_OCTETS
        assert text.strip(" \t"), "a folded line of blanks alone"
        assert number == 0 or text.startswith((" ", "\t"))
        # A longer line has no place left to fold: no blank between its indent and its end, where a fold would help.
        if len(text) > MAX_LINE_CHARACTERS:
            indent = len(text) - len(text.lstrip(" \t"))
            first_fold = re.search(r"(?<=[^ \t])[ \t]", text[indent:MAX_LINE_CHARACTERS])
            assert first_fold is None, text


@given(hostile_fields(), st.booleans())
def test_no_value_breaks_the_field(results: AuthenticationResults, smtputf8: bool) -> None:
    """Any texts: one header field, well-formed, with the methods, results and properties given, and no others."""
    octets = results.to_bytes(smtputf8=smtputf8)
    assert_well_formed(octets)
    assert smtputf8 or octets.isascii()
    whole = message.split(octets + b"Next: field\r\n\r\nbody")
    assert [f.raw for f in whole.header.fields] == [octets, b"Next: field\r\n"]
    assert len(octets.decode().splitlines()) == octets.count(b"\r\n")
    read = parse_field(octets)
    assert isinstance(read, AuthenticationResults), read
    assert read.authserv_id == results.authserv_id
    assert [_structure(r) for r in read.results] == [_structure(r) for r in results.results]
    assert read.to_bytes(smtputf8=smtputf8) == octets, "escaping and cutting once is enough"


def _structure(result: MethodResult) -> object:
    names = [(p.type, p.name) for p in result.properties]
    return result.method, result.version, result.result, result.reason is None, names


@given(fields(utf8_characters))
def test_reading_undoes_building(results: AuthenticationResults) -> None:
    """A field in its normal form comes back from its octets, where UTF-8 is allowed."""
    octets = results.to_bytes(smtputf8=True)
    assert_well_formed(octets)
    assert parse_field(octets) == results
    assert parse(results.folded_value(smtputf8=True, line_end="\n")) == results


@given(fields(ascii_characters))
def test_reading_undoes_building_in_ascii(results: AuthenticationResults) -> None:
    """Results of any words in ASCII are written as a field that reads as the same results."""
    octets = results.to_bytes()
    assert octets.isascii()
    assert_well_formed(octets)
    assert parse_field(octets) == results
    assert parse_field(str(results)) == results


COMMENTS = ["", "(x)", " (a (b \\) c) d)", "\r\n ", "\r\n\t(y)\r\n  ", " "]


def without_comments(results: AuthenticationResults) -> AuthenticationResults:
    def plain(r: MethodResult) -> MethodResult:
        return replace(r, comment="", properties=tuple(replace(p, comment="") for p in r.properties))

    return replace(results, results=tuple(map(plain, results.results)))


@st.composite
def spelled_out(draw: st.DrawFn) -> tuple[AuthenticationResults, str]:
    """A field, and one of the many ways to write it (RFC 8601 section 2.2): white space and comments anywhere."""
    results = draw(fields(utf8_characters))
    bare = AuthenticationResults(
        results.authserv_id,
        tuple(
            MethodResult(
                r.method,
                r.result,
                tuple(Property(p.type, p.name, p.value) for p in r.properties),
                r.reason,
                "",
                r.version,
            )
            for r in results.results
        ),
    )

    def quoted(text: str) -> str:
        escape = draw(st.sampled_from(['(["\\\\])', '(["\\\\@;a])']))
        return '"' + re.sub(escape, r"\\\1", text) + '"'

    def gap(*, needed: bool = False) -> str:
        text = draw(st.sampled_from(COMMENTS))
        return text if text or not needed else " "

    def plain_gap(*, needed: bool = False) -> str:
        """Where a comment would belong to a result or a property: blanks only."""
        return draw(st.sampled_from([" ", "\r\n ", "\t"] + ([] if needed else [""])))

    parts = [gap(), quoted(bare.authserv_id)]
    if draw(st.booleans()):
        parts += [gap(needed=True), "1"]
    for r in bare.results:
        version = [] if r.version == 1 and draw(st.booleans()) else [gap(), "/", gap(), str(r.version)]
        parts += [
            plain_gap(),
            ";",
            gap(),
            r.method.upper(),
            *version,
            gap(),
            "=",
            gap(),
            r.result,
            plain_gap(needed=True),
        ]
        if r.reason is not None:
            parts += ["Reason", gap(), "=", gap(), quoted(r.reason), plain_gap(needed=True)]
        for p in r.properties:
            parts += [p.type, gap(), ".", gap(), p.name, gap(), "=", gap(), quoted(p.value), plain_gap()]
    if not bare.results:
        parts += [gap(), ";", gap(), "None", gap()]
    return bare, "".join(parts) + draw(st.sampled_from(["", "\r\n", "\n"]))


@settings(max_examples=150)
@given(spelled_out())
def test_every_spelling_is_read(case: tuple[AuthenticationResults, str]) -> None:
    """White space and comments wherever the grammar has CFWS, quoted pairs wherever a character stands."""
    results, text = case
    assert parse(text) == results
    assert parse(text.encode()) == results


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=60), hostile_pieces, identities).map(lambda text: "mx; a=b c.d=" + text))
def test_building_undoes_reading(value: str) -> None:
    """What was read is written again, and reads the same."""
    results = parse(value)
    if not isinstance(results, ParseFailure):
        assert parse_field(results.to_bytes(smtputf8=True)) == results


def test_cost_of_hostile_values_is_bounded() -> None:
    """A value a hundred times as long costs about as much: what is cut off is not looked at."""

    def cost(size: int) -> float:
        result = method_result("a", "b", {"smtp.mailfrom": "\u00fc" * size}, reason="\0" * size)
        best = float("inf")
        for _ in range(3):
            begin = time.process_time()
            build("mx", result)
            best = min(best, time.process_time() - begin)
        return best

    assert cost(1_000_000) < 20 * cost(10_000) + 0.01
