"""Reading Authentication-Results fields.

Any octets give a field or a typed failure with its place; what RFC 8601 allows is read as it says.
"""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.authres import AuthenticationResults, MethodResult, ParseFailure, Property, Reason, parse, parse_field
from mailauth.authres.words import MAX_COMMENT_DEPTH, MAX_FIELD_OCTETS


def P(name: str, value: str, comment: str = "") -> Property:
    ptype, _, rest = name.partition(".")
    return Property(ptype, rest, value, comment)


def good(value: bytes | str) -> AuthenticationResults:
    result = parse(value)
    assert isinstance(result, AuthenticationResults), result
    return result


def bad(value: bytes | str) -> ParseFailure:
    result = parse(value)
    assert isinstance(result, ParseFailure), result
    return result


# RFC 8601 appendix B, with the line ends of a message; B.1 has no field.
APPENDIX_B = {
    "B.2": ("example.org 1; none", AuthenticationResults("example.org")),
    "B.3": (
        "example.com;\r\n          spf=pass smtp.mailfrom=example.net",
        AuthenticationResults("example.com", (MethodResult("spf", "pass", (P("smtp.mailfrom", "example.net"),)),)),
    ),
    "B.4, first": (
        "example.com;\r\n          auth=pass (cram-md5) smtp.auth=sender@example.net;\r\n"
        "          spf=pass smtp.mailfrom=example.net",
        AuthenticationResults(
            "example.com",
            (
                MethodResult("auth", "pass", (P("smtp.auth", "sender@example.net"),), comment="cram-md5"),
                MethodResult("spf", "pass", (P("smtp.mailfrom", "example.net"),)),
            ),
        ),
    ),
    "B.4, second": (
        "example.com; iprev=pass\r\n          policy.iprev=192.0.2.200",
        AuthenticationResults("example.com", (MethodResult("iprev", "pass", (P("policy.iprev", "192.0.2.200"),)),)),
    ),
    "B.5, first": (
        "example.com;\r\n          dkim=pass (good signature) header.d=example.com",
        AuthenticationResults(
            "example.com", (MethodResult("dkim", "pass", (P("header.d", "example.com"),), comment="good signature"),)
        ),
    ),
    "B.5, second": (
        "example.com;\r\n          auth=pass (cram-md5) smtp.auth=sender@example.com;\r\n"
        "          spf=fail smtp.mailfrom=example.com",
        AuthenticationResults(
            "example.com",
            (
                MethodResult("auth", "pass", (P("smtp.auth", "sender@example.com"),), comment="cram-md5"),
                MethodResult("spf", "fail", (P("smtp.mailfrom", "example.com"),)),
            ),
        ),
    ),
    "B.6, first": (
        'example.com;\r\n      dkim=pass reason="good signature"\r\n        header.i=@mail-router.example.net;\r\n'
        '      dkim=fail reason="bad signature"\r\n        header.i=@newyork.example.com',
        AuthenticationResults(
            "example.com",
            (
                MethodResult("dkim", "pass", (P("header.i", "@mail-router.example.net"),), "good signature"),
                MethodResult("dkim", "fail", (P("header.i", "@newyork.example.com"),), "bad signature"),
            ),
        ),
    ),
    "B.6, second": (
        "example.net;\r\n      dkim=pass (good signature) header.i=@newyork.example.com",
        AuthenticationResults(
            "example.net",
            (MethodResult("dkim", "pass", (P("header.i", "@newyork.example.com"),), comment="good signature"),),
        ),
    ),
    "B.7": (
        "foo.example.net (foobar) 1 (baz);\r\n"
        "    dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n"
        "      policy (A dot can go here) . (like that) expired\r\n"
        "      (this surprised me) = (as I wasn't expecting it) 1362471462",
        AuthenticationResults("foo.example.net", (MethodResult("dkim", "fail", (P("policy.expired", "1362471462"),)),)),
    ),
}


@pytest.mark.parametrize("example", APPENDIX_B)
def test_the_examples_of_the_rfc(example: str) -> None:
    value, expected = APPENDIX_B[example]
    for text in (value, value + "\r\n", " " + value, value.replace("\r\n", "\n")):
        assert parse(text) == expected
        assert parse(text.encode()) == expected
    assert parse_field(f"Authentication-Results: {value}\r\n") == expected


GOOD = [
    # authserv-id: a token or a quoted string (RFC 8601 section 2.2)
    ("mx;none", AuthenticationResults("mx")),
    ("mx;NoNe", AuthenticationResults("mx")),
    ('"mx one"; none', AuthenticationResults("mx one")),
    (r'"m\x\"\\"; none', AuthenticationResults('mx"\\')),
    ('"mx.b\u00fccher.example"; none', AuthenticationResults("mx.b\u00fccher.example")),
    ('"m\r\n x"; none', AuthenticationResults("m x")),
    ("(a (nested \\) (deep)) comment) mx (b); (c) none (d)", AuthenticationResults("mx")),
    ("mx 01; none", AuthenticationResults("mx")),
    # methods, versions, results; unknown ones are kept, keywords are lower case
    ("mx; DKIM=Pass", AuthenticationResults("mx", (MethodResult("dkim", "pass"),))),
    ("mx; x-foo/2=weird", AuthenticationResults("mx", (MethodResult("x-foo", "weird", version=2),))),
    ("mx; none=pass", AuthenticationResults("mx", (MethodResult("none", "pass"),))),
    ("mx; none/1=pass", AuthenticationResults("mx", (MethodResult("none", "pass"),))),
    ("mx;a=b;c=d", AuthenticationResults("mx", (MethodResult("a", "b"), MethodResult("c", "d")))),
    # reasons and comments
    ("mx; a=b reason=c", AuthenticationResults("mx", (MethodResult("a", "b", (), "c"),))),
    ('mx; a=b reason = ""', AuthenticationResults("mx", (MethodResult("a", "b", (), ""),))),
    ('mx; a=b (x) reason="c" ( y\t z )', AuthenticationResults("mx", (MethodResult("a", "b", (), "c", "x y z"),))),
    ("mx; a=b(x)c.d=e", AuthenticationResults("mx", (MethodResult("a", "b", (P("c.d", "e"),), None, "x"),))),
    ("mx; a=b reason.c=d", AuthenticationResults("mx", (MethodResult("a", "b", (P("reason.c", "d"),)),))),
    ("mx; a=b c.d=e (f (g) \\) h) i.j=k (l)",
     AuthenticationResults("mx", (MethodResult("a", "b", (P("c.d", "e", "f (g) ) h"), P("i.j", "k", "l"))),))),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), GOOD, ids=[value for value, _ in GOOD])
def test_what_the_grammar_allows(value: str, expected: AuthenticationResults) -> None:
    assert parse(value) == expected


VALUES = [
    # token, quoted-string, domain-name, @domain-name, local-part@domain-name (RFC 8601 section 2.2)
    ("token!#$%&'*+-.^_`{|}~", "token!#$%&'*+-.^_`{|}~"),
    ('""', ""),
    ('"a b"', "a b"),
    ('"a\r\n  b"', "a  b"),
    (r'"a\"b\\c; d=e (f)"', 'a"b\\c; d=e (f)'),
    ("example.org", "example.org"),
    ("@example.org", "@example.org"),
    ("ann@example.org", "ann@example.org"),
    ("SRS0=x/y=t=example.net=ann@example.org", "SRS0=x/y=t=example.net=ann@example.org"),
    ('"ann b"@example.org', '"ann b"@example.org'),
    (r'"a\"@b"@example.org', r'"a\"@b"@example.org'),
    ('"ann\r\n b"@example.org', '"ann b"@example.org'),
    ("ann (the user) @example.org", "ann@example.org"),
    ('"ann" @example.org', '"ann"@example.org'),
    ("j\u00fcrgen@b\u00fccher.example", "j\u00fcrgen@b\u00fccher.example"),
    # Others leave the quotes out; nothing else could be meant (docs/conformance.md).
    ("2001:db8::1", "2001:db8::1"),
    ("<ann@example.org>", "<ann@example.org>"),
    ("ann@[192.0.2.1]", "ann@[192.0.2.1]"),
    ("root@localhost", "root@localhost"),
    ("256/256", "256/256"),
    ("Ab/Cd+fg", "Ab/Cd+fg"),
    ("127.0.0.2,127.0.0.3", "127.0.0.2,127.0.0.3"),
]


@pytest.mark.parametrize(("written", "value"), VALUES)
def test_property_values(written: str, value: str) -> None:
    for text in (f"mx; a=b c.d={written}", f"mx; a=b c . d = (x) {written} (y)", f"mx; a=b c.d={written};e=f"):
        assert good(text).results[0].value("C", "D") == value
    two = good(f"mx; a=b c.d={written} e.f=g").results[0]
    assert (two.value("c", "d"), two.value("e", "f")) == (value, "g")


BAD = [
    ("", Reason.NO_AUTHSERV_ID, 0),
    (" \r\n", Reason.NO_AUTHSERV_ID, 1),
    ("; none", Reason.NO_AUTHSERV_ID, 0),
    ('""; none', Reason.NO_AUTHSERV_ID, 0),
    ("spf=pass smtp.mailfrom=a.example", Reason.NO_AUTHSERV_ID, 0),
    ("mx", Reason.NO_RESULTS, 2),
    ("mx 1 (x) ", Reason.NO_RESULTS, 9),
    ("mx;", Reason.EXPECTED_METHOD, 3),
    ("mx; a=b;", Reason.EXPECTED_METHOD, 8),
    ("mx; ;a=b", Reason.EXPECTED_METHOD, 4),
    ("mx 2; a=b", Reason.UNSUPPORTED_VERSION, 3),
    ("mx 99999999999999999999; a=b", Reason.UNSUPPORTED_VERSION, 3),
    ("mx 1x; a=b", Reason.UNEXPECTED, 4),
    ("mx one; a=b", Reason.UNEXPECTED, 3),
    ('"mx"1; a=b', Reason.UNEXPECTED, 4),
    ("mx/x; a=b", Reason.UNEXPECTED, 2),
    ("mx; a", Reason.UNEXPECTED, 5),
    ("mx; a=", Reason.EXPECTED_RESULT, 6),
    ("mx; a=\"b\"", Reason.EXPECTED_RESULT, 6),
    ("mx; a-=b", Reason.EXPECTED_METHOD, 4),
    ("mx; a=b-", Reason.EXPECTED_RESULT, 6),
    ("mx; a_b=c", Reason.UNEXPECTED, 5),
    ("mx; a/=b", Reason.UNEXPECTED, 6),
    ("mx; a=b c", Reason.UNEXPECTED, 9),
    ("mx; a=b c=d", Reason.UNEXPECTED, 9),
    ("mx; a=b c.=d", Reason.EXPECTED_PROPERTY, 10),
    ("mx; a=b c.d", Reason.UNEXPECTED, 11),
    ("mx; a=b c.d=", Reason.EXPECTED_VALUE, 12),
    ("mx; a=b c.d=;e=f", Reason.EXPECTED_VALUE, 12),
    ("mx; a=b c.d= e.f=g", Reason.UNEXPECTED, 16),
    ("mx; a=b c.d=e=f", Reason.UNEXPECTED, 13),
    ("mx; a=b c.d=ann@", Reason.EXPECTED_VALUE, 16),
    ("mx; a=b c.d=e@f=g", Reason.UNEXPECTED, 15),
    ("mx; a=b c.d=e\"f\"", Reason.EXPECTED_PROPERTY, 13),
    ("mx; a=b reason=", Reason.EXPECTED_VALUE, 15),
    ("mx; a=b reason=\"x\"c.d=e", Reason.UNEXPECTED, 18),
    ("mx; a=b reason=x reason=y", Reason.UNEXPECTED, 23),
    ("mx; a=b c.d=e reason=y", Reason.UNEXPECTED, 20),
    ("mx; none; a=b", Reason.UNEXPECTED, 8),
    ("mx; a=b; none", Reason.UNEXPECTED, 13),
    ("mx; none x", Reason.UNEXPECTED, 9),
    ("mx (", Reason.UNTERMINATED_COMMENT, 3),
    ("mx ((a)", Reason.UNTERMINATED_COMMENT, 3),
    ("mx (a\\", Reason.UNTERMINATED_COMMENT, 3),
    ("mx a) ; none", Reason.UNEXPECTED, 3),
    ('"mx', Reason.UNTERMINATED_QUOTED_STRING, 0),
    ('mx; a=b c.d="e\\"', Reason.UNTERMINATED_QUOTED_STRING, 12),
    ("m\0x; none", Reason.CONTROL_CHARACTER, 1),
    ("mx; a=b c.d=\"e\x01\"", Reason.CONTROL_CHARACTER, 14),
    ("mx; a=b (c\x7f)", Reason.CONTROL_CHARACTER, 10),
    ("mx; a=b c.d=e\x0bf", Reason.CONTROL_CHARACTER, 13),
    ("mx;\r\na=b", Reason.BAD_FOLD, 3),
    ("mx;\na=b", Reason.BAD_FOLD, 3),
    ("mx; a=\rb", Reason.BAD_FOLD, 6),
    ("mx; a=b (c\r)", Reason.BAD_FOLD, 10),
    ('mx; a=b c.d="e\r\nX: y"', Reason.BAD_FOLD, 14),
    ("mx; none\r\n\r\n", Reason.BAD_FOLD, 8),
    ("x" * 256 + "; none", Reason.TOO_LONG, 0),
    ("mx; " + "x" * 65 + "=y", Reason.TOO_LONG, 4),
    ("mx " + "(" * (MAX_COMMENT_DEPTH + 1), Reason.COMMENT_TOO_DEEP, 3 + MAX_COMMENT_DEPTH),
]  # fmt: skip


@pytest.mark.parametrize(("value", "reason", "position"), BAD, ids=[repr(value)[:40] for value, _, _ in BAD])
def test_what_it_does_not_allow(value: str, reason: Reason, position: int) -> None:
    failure = bad(value)
    assert (failure.reason, failure.position) == (reason, position)
    assert bad(value.encode()) == failure  # all ASCII: octets are characters


def test_positions_count_what_was_given() -> None:
    value = '"\u00e4\u20ac"; a'
    assert bad(value).position == 7
    assert bad(value.encode()).position == 10
    assert bad("mx; a=b (\u2028)").reason is Reason.CONTROL_CHARACTER
    field = parse_field(b"AUTHENTICATION-RESULTS \t: mx; a")
    assert isinstance(field, ParseFailure)
    assert field.position == len(b"AUTHENTICATION-RESULTS \t: mx; a")


def test_the_id_is_told_when_the_rest_fails() -> None:
    assert bad("mx.example.net (x) 2; a=b").authserv_id == "mx.example.net"
    assert bad("mx.example.net; a").authserv_id == "mx.example.net"
    assert bad("(").authserv_id == ""


def test_octets_that_are_no_utf8() -> None:
    failure = bad(b"mx; a=b (\xfc)")
    assert (failure.reason, failure.position) == (Reason.NOT_UTF8, 9)
    assert bad("mx; a=b (\udcfc)").reason is Reason.CONTROL_CHARACTER


def test_comments_may_nest_to_the_bound() -> None:
    assert good("mx " + "(" * MAX_COMMENT_DEPTH + ")" * MAX_COMMENT_DEPTH + "; none")


def test_a_field_over_the_bound_is_not_read() -> None:
    assert bad(b"mx; none (" + b"x" * MAX_FIELD_OCTETS + b")").reason is Reason.TOO_LONG


@pytest.mark.parametrize("field", [b"Received: x", b"", b"Authentication-Resultsx: mx; none", "X"])
def test_other_fields(field: bytes | str) -> None:
    result = parse_field(field)
    assert isinstance(result, ParseFailure)
    assert result.reason is Reason.OTHER_FIELD


def test_the_callers_mistake() -> None:
    with pytest.raises(TypeError, match="bytes or text"):
        parse(None)  # type: ignore[arg-type]


def test_what_a_consumer_may_use() -> None:
    """RFC 8601 sections 2.6 and 4.1: other versions and unknown words are to be ignored; unknown methods are kept."""
    field = good("mx; dkim=pass; dkim/2=pass; dkim=splendid; x-new=splendid; x-new/2=pass; spf=fail")
    assert [r.registered for r in field.results] == [True, False, False, False, False, True]
    assert [r.result for r in field.of("DKIM")] == ["pass"]
    assert [r.result for r in field.of("x-new")] == ["splendid"]
    assert field.of("iprev") == ()


def test_results_with_unknown_property_types_are_not_used() -> None:
    """RFC 8601 section 2.3: MUST NOT; section 4.1: MUST ignore. The types are those of the registry (RFC 8904: dns)."""
    field = good("mx; dkim=pass header.d=a.example other.d=b; dkim=pass header.d=c.example; dnswl=pass dns.zone=d")
    assert [r.registered for r in field.results] == [False, True, True]
    assert [r.value("header", "d") for r in field.of("dkim")] == ["c.example"]
    assert len(field.of("dnswl")) == 1
    assert good("mx; x-new=pass other.d=e").of("x-new")


def test_json() -> None:
    import json

    field = good('mx; dkim=pass (c) reason="r" header.d=example.org (d)')
    assert json.loads(json.dumps(field.to_dict())) == {
        "authserv_id": "mx",
        "version": 1,
        "results": [
            {
                "method": "dkim",
                "version": 1,
                "result": "pass",
                "reason": "r",
                "comment": "c",
                "properties": [{"type": "header", "name": "d", "value": "example.org", "comment": "d"}],
            }
        ],
    }
    assert json.loads(json.dumps(bad("mx").to_dict()))["reason"] == "no-results"


PIECES = st.sampled_from(
    ["mx", "a", "=", "b", ";", ".", "/", "@", '"', "\\", "(", ")", " ", "\t", "\r\n ", "\r\n", "\r", "\n", "\0", "1",
     "none", "reason", "c.d=e", "\u00fc", "\u2028", "<", ">", ",", ":", "-"]
)  # fmt: skip


@given(st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=40).map(lambda p: "".join(p).encode())))
def test_any_octets_have_a_result(value: bytes) -> None:
    """Any octets: a field, or a failure whose place is in them. Text gives what its octets give."""
    result = parse(value)
    if isinstance(result, ParseFailure):
        assert 0 <= result.position <= len(value)
        assert result.detail
        assert result.detail.isascii()
    try:
        text = value.decode()
    except UnicodeDecodeError:
        assert isinstance(result, ParseFailure)
        assert result.reason is Reason.NOT_UTF8
        return
    again = parse(text)
    if isinstance(result, ParseFailure):
        assert isinstance(again, ParseFailure)
        assert (again.reason, len(text[: again.position].encode())) == (result.reason, result.position)
    else:
        assert again == result


@given(st.text(max_size=100))
def test_any_text_has_a_result(value: str) -> None:
    """Any text is a field or a failure with its place; nothing raises."""
    assert isinstance(parse(value), AuthenticationResults | ParseFailure)
    assert isinstance(parse_field("Authentication-Results:" + value), AuthenticationResults | ParseFailure)


HOSTILE = {
    "open parentheses": ("mx ", "("),
    "comments": ("mx ", "()"),
    "long comment": ("mx (", "x"),
    "backslashes in a comment": ("mx (", "\\("),
    "backslashes in quotes": ('mx; a=b c.d="', "\\\\"),
    "folds": ("mx; a=b", "\r\n "),
    "folds in quotes": ('mx; a=b c.d="', "\r\n "),
    "blanks": ("mx; a=b c.d=e", " "),
    "at signs": ("mx; a=b c.d=", "@"),
    "local parts and comments": ("mx; a=b", " c.d=e (x)"),
    "equal signs": ("mx; a=b c.d=", "a="),
    "dots": ("mx; a=b c.d=", "a."),
    "hyphens": ("mx; a=", "-"),
    "digits": ("mx ", "1"),
    "results": ("mx", "; a=b"),
    "quoted values": ("mx; a=b", ' c.d=""'),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_time_grows_no_faster_than_the_field(case: str) -> None:
    """Eight times the octets take about eight times as long; quadratic work would take 64 times."""
    start, repeat = HOSTILE[case]
    size = MAX_FIELD_OCTETS // 8 // len(repeat) - 10

    def cost(times: int) -> float:
        value = start + repeat * times
        best = float("inf")
        for _ in range(3):
            begin = time.process_time()
            parse(value)
            best = min(best, time.process_time() - begin)
        return best

    assert cost(8 * size) < 32 * cost(size) + 0.01
