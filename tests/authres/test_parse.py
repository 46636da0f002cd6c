"""Reading Authentication-Results fields.

Any octets give a field or a typed failure with its place; what RFC 8601 allows is read as it says.
"""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.authres import AuthenticationResults, ParseFailure, Property, Reason, parse, parse_field
from mailauth.authres.words import MAX_COMMENT_DEPTH, MAX_FIELD_OCTETS
from mailauth.testing.conformance import cases


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


READ = {case.id: case.request["value"] for case in cases("authres") if case.request["do"] == "parse"}


@pytest.mark.parametrize("value", READ.values(), ids=READ.keys())
def test_a_field_is_the_same_however_it_is_given(value: str) -> None:
    """The numbered cases (tests/conformance holds their results): as text and octets, alone and as a whole field."""
    found = parse(value)
    if isinstance(found, ParseFailure):
        assert parse(value.encode()) == found  # all ASCII: octets are characters
        return
    value = value.removesuffix("\r\n")
    for text in (value, value + "\r\n", " " + value, value.replace("\r\n", "\n")):
        assert parse(text) == found
        assert parse(text.encode()) == found
    assert parse_field(f"Authentication-Results: {value}\r\n") == found
    for result in found.results:
        assert [result.value(each.type.upper(), each.name.upper()) for each in result.properties] == [
            each.value for each in result.properties
        ]


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
