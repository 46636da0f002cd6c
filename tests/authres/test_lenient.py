"""Reading Authentication-Results as servers really write it.

With lenient=True any octets give a field; what strict reading takes is read the same, without defects; and no value
is read that stands in the field in another form than the one given.
"""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.authres import AuthenticationResults, ParseFailure, Reason, parse, parse_field
from mailauth.authres.parse import _RECEIVED_SPF_KEYS, MAX_DEFECTS
from mailauth.authres.words import MAX_FIELD_OCTETS

from .strategies import fields, utf8_characters
from .test_parse import HOSTILE, PIECES, READ


def read(value: bytes | str) -> AuthenticationResults:
    return parse(value, lenient=True)


def results(field: AuthenticationResults) -> list[str]:
    """Each result in one line."""
    return [
        " ".join([f"{r.method}={r.result}", *(f"{p.type}.{p.name}={p.value}" for p in r.properties)])
        for r in field.results
    ]


def defects(field: AuthenticationResults) -> list[tuple[Reason, int]]:
    return [(defect.reason, defect.position) for defect in field.defects]


def test_no_authserv_id() -> None:
    value = (
        "spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=a.example; dkim=none (message not signed) header.d=none;"
        "dmarc=bestguesspass action=none header.from=a.example;compauth=pass reason=109"
    )
    field = read(value)
    assert field.authserv_id == ""
    assert results(field) == [
        "spf=pass smtp.mailfrom=a.example",
        "dkim=none header.d=none",
        "dmarc=bestguesspass header.from=a.example",
        "compauth=pass",
    ]
    assert field.results[0].comment == "sender IP is 192.0.2.1"
    assert field.results[3].reason == "109"
    assert defects(field) == [(Reason.NO_AUTHSERV_ID, 0), (Reason.UNEXPECTED, value.index("=none header.from"))]
    assert [r.result for r in field.of("spf")] == ["pass"]


WRITTEN = [
    ("mx; action=none; dkim=pass", ["action=none", "dkim=pass"], []),
    ("mx; dmarc=pass action=none", ["dmarc=pass"], [(Reason.UNEXPECTED, 21)]),
    ("mx; spf=pass;", ["spf=pass"], [(Reason.EXPECTED_METHOD, 13)]),
    ("mx; spf=pass; ;dkim=pass", ["spf=pass", "dkim=pass"], [(Reason.EXPECTED_METHOD, 14)]),
    ("mx;", [], [(Reason.EXPECTED_METHOD, 3)]),
    ("mx", [], [(Reason.NO_RESULTS, 2)]),
    ("", [], [(Reason.NO_AUTHSERV_ID, 0), (Reason.NO_RESULTS, 0)]),
    ("; spf=pass", ["spf=pass"], [(Reason.NO_AUTHSERV_ID, 0)]),
    ("mx spf=pass; dkim=pass", ["spf=pass", "dkim=pass"], [(Reason.UNEXPECTED, 3)]),
    ("mx.example/25; spf=pass", ["spf=pass"], [(Reason.UNEXPECTED, 0)]),
    ("mx; dkim=pass header.b=ab/cd== header.d=a.example", ["dkim=pass header.b=ab/cd== header.d=a.example"],
     [(Reason.UNEXPECTED, 28)]),
    ("mx; spf=pass client-ip=192.0.2.1; envelope-from=ann@a.example; helo=localhost; dkim=pass header.d=a.example",
     ["spf=pass", "dkim=pass header.d=a.example"],
     [(Reason.UNEXPECTED, 22), (Reason.EXPECTED_METHOD, 34), (Reason.EXPECTED_METHOD, 63)]),
    ("mx; spf=pass (no (end smtp.mailfrom=a.example; dkim=pass header.d=b.example", ["spf=pass",
     "dkim=pass header.d=b.example"], [(Reason.UNTERMINATED_COMMENT, 13), (Reason.UNTERMINATED_COMMENT, 17)]),
    ("mx; spf=pass (a (b) smtp.mailfrom=a.example", ["spf=pass smtp.mailfrom=a.example"],
     [(Reason.UNTERMINATED_COMMENT, 13)]),
    ("mx; spf=pass (a)) smtp.mailfrom=a.example", ["spf=pass smtp.mailfrom=a.example"], [(Reason.UNEXPECTED, 16)]),
    ('mx; spf=pass reason="open smtp.mailfrom=a.example; dkim=pass', ["spf=pass smtp.mailfrom=a.example", "dkim=pass"],
     [(Reason.UNTERMINATED_QUOTED_STRING, 20)]),
    ("mx; dkim=fail header.d=a.example reason=expired", ["dkim=fail header.d=a.example"], [(Reason.UNEXPECTED, 40)]),
    ("mx; dkim=pass header.d= header.s=s", ["dkim=pass header.d= header.s=s"], [(Reason.EXPECTED_VALUE, 24)]),
    ("mx; dkim=pass header.d=; spf=pass", ["dkim=pass", "spf=pass"], [(Reason.EXPECTED_VALUE, 23)]),
    ("mx; a.b=pass; spf=pass", ["spf=pass"], [(Reason.UNEXPECTED, 5)]),
    ("mx; spf=192.0.2.1; dkim=pass", ["dkim=pass"], [(Reason.UNEXPECTED, 11)]),
    ("mx 2; spf=pass", [], [(Reason.UNSUPPORTED_VERSION, 3)]),
    ("mx; none; spf=pass", ["spf=pass"], [(Reason.UNEXPECTED, 8)]),
    ("mx;\nspf=pass", ["spf=pass"], [(Reason.BAD_FOLD, 3)]),
    # What is damaged does not become another value.
    ('mx; a=b c.d=a.example".evil', ['a=b c.d=a.example".evil'], [(Reason.UNEXPECTED, 12)]),
    ("mx; a=b c.d=a.example\\.evil", ["a=b c.d=a.example\\.evil"], [(Reason.UNEXPECTED, 12)]),
    ("mx; a=b c.d=a.example\x00.evil", ["a=b c.d=a.example\ufffd.evil"], [(Reason.CONTROL_CHARACTER, 21)]),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected", "wrong"), WRITTEN, ids=[repr(value)[:60] for value, _, _ in WRITTEN])
def test_what_can_be_read_is_kept(value: str, expected: list[str], wrong: list[tuple[Reason, int]]) -> None:
    field = read(value)
    assert results(field) == expected
    assert defects(field) == wrong
    assert read(value.encode()) == field
    assert all(defect.detail.isascii() for defect in field.defects)


def test_raw_utf8_as_authserv_id() -> None:
    value = "mx.b\u00fccher.example; spf=pass; dkim=pass x"
    field = read(value.encode())
    assert (field.authserv_id, results(field)) == ("mx.b\u00fccher.example", ["spf=pass", "dkim=pass"])
    assert defects(field) == [(Reason.UNEXPECTED, 0), (Reason.UNEXPECTED, len(value.encode()))]
    field = read(b"mx.b\xfccher.example; spf=pass")
    assert (field.authserv_id, results(field)) == ("mx.b\ufffdcher.example", ["spf=pass"])
    assert defects(field) == [(Reason.NOT_UTF8, 4), (Reason.UNEXPECTED, 0)]


@pytest.mark.parametrize("value", READ.values(), ids=READ.keys())
def test_the_numbered_cases_are_read_as_strictly_or_have_a_defect(value: str) -> None:
    strict = parse(value)
    if isinstance(strict, ParseFailure):
        assert read(value).defects
    else:
        assert read(value) == strict


@given(fields(utf8_characters))
def test_every_field_of_our_own_is_read_as_strictly(field: AuthenticationResults) -> None:
    """A field that can be read strictly reads the same leniently, without a defect."""
    octets = field.to_bytes(smtputf8=True)
    strict = parse_field(octets)
    assert isinstance(strict, AuthenticationResults)
    if _RECEIVED_SPF_KEYS.isdisjoint(r.method for r in strict.results):
        assert parse_field(octets, lenient=True) == strict


@given(st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=40).map(lambda p: "".join(p).encode())))
def test_any_octets_give_a_field(value: bytes) -> None:
    """Any octets: a field that can be printed; defects have places in it, and are there where strict reading fails."""
    field = read(value)
    assert all(0 <= defect.position <= len(value) for defect in field.defects)
    assert len(field.defects) <= MAX_DEFECTS + 1
    assert field.results or field.defects or field.authserv_id
    str(field)
    field.to_dict()
    if isinstance(parse(value), ParseFailure):
        assert field.defects


@given(st.text(max_size=100))
def test_any_text_gives_a_field(value: str) -> None:
    """Any text, read leniently, is a field; nothing raises."""
    field = parse_field("Authentication-Results:" + value, lenient=True)
    assert isinstance(field, AuthenticationResults)
    str(field)


def test_str_of_what_came_from_a_peer_never_raises() -> None:
    """A parsed authserv-id may have no ASCII form; only to write such a field is the caller's mistake."""
    strict = parse_field('Authentication-Results: "m\u00fc x"; none')
    assert isinstance(strict, AuthenticationResults)
    assert str(strict) == 'Authentication-Results: "m\u00fc x"; none\r\n'
    with pytest.raises(ValueError, match="ASCII"):
        strict.to_text()
    assert str(read("spf=pass")) == 'Authentication-Results: "";\r\n    spf=pass\r\n'
    with pytest.raises(ValueError, match="no authserv-id"):
        read("spf=pass").to_bytes()


def test_a_field_over_the_bound_is_not_read() -> None:
    field = read("mx; spf=pass " + "x" * MAX_FIELD_OCTETS)
    assert (field.results, defects(field)) == ((), [(Reason.TOO_LONG, MAX_FIELD_OCTETS)])


def test_defects_as_json() -> None:
    wrong = read("mx; a").to_dict()["defects"]
    assert wrong == [{"reason": "unexpected", "position": 5, "detail": 'expected "="'}]


# --- ARC (RFC 8617 section 4.1.1) ---------------------------------------------------------------------------


def test_arc_authentication_results() -> None:
    field = parse_field("ARC-Authentication-Results: i=2; mx.example;\r\n    spf=pass smtp.mailfrom=a.example\r\n")
    assert isinstance(field, AuthenticationResults)
    assert (field.instance, field.authserv_id, field.name) == (2, "mx.example", "ARC-Authentication-Results")
    assert results(field) == ["spf=pass smtp.mailfrom=a.example"]
    assert field.to_dict()["instance"] == 2
    assert str(field) == "ARC-Authentication-Results: i=2; mx.example;\r\n    spf=pass smtp.mailfrom=a.example\r\n"
    assert parse_field(str(field)) == field
    assert parse(field.folded_value(), arc=True) == field
    assert read("i=2; mx.example; spf=pass smtp.mailfrom=a.example") == field
    assert parse("I (x) = 02 (y) ; mx; none", arc=True) == AuthenticationResults("mx", instance=2)


@pytest.mark.parametrize(
    ("value", "position"), [("mx; none", 0), ("i=0; mx; none", 2), ("i=51; mx; none", 2), ("i=; mx", 2), ("j=1; mx", 0)]
)
def test_bad_instances(value: str, position: int) -> None:
    failure = parse(value, arc=True)
    assert isinstance(failure, ParseFailure)
    assert (failure.reason, failure.position) == (Reason.BAD_INSTANCE, position)
    field = parse(value, arc=True, lenient=True)
    assert field.instance is None
    assert field.defects[0].reason is Reason.BAD_INSTANCE


def test_an_instance_in_front_of_the_plain_field_is_a_defect_of_the_field() -> None:
    assert isinstance(parse("i=1; mx; none"), ParseFailure)
    for wrong in (0, 51, True, "1"):
        with pytest.raises(ValueError, match="instance"):
            AuthenticationResults("mx", instance=wrong)  # type: ignore[arg-type]


LENIENT_HOSTILE = HOSTILE | {
    "escaped parentheses": ("mx; a=b", "(;\\("),
    "comments in comments": ("mx; a=b ", "(()"),
    "escaped quotes": ("mx; a=b", '"\\'),
    "open quotes and semicolons": ("mx; a=b", ';"\\"'),
    "closing parentheses": ("mx; a=b", ")"),
    "semicolons": ("mx", ";"),
    "values without an end": ("mx; a=b", " c.d="),
    "junk": ("mx; a=b", " c"),
    "controls": ("mx; a=b", "\x00\r"),
}


@pytest.mark.parametrize("case", LENIENT_HOSTILE)
def test_time_grows_no_faster_than_the_field(case: str) -> None:
    start, repeat = LENIENT_HOSTILE[case]
    size = MAX_FIELD_OCTETS // 8 // len(repeat) - 10

    def cost(times: int) -> float:
        value = (start + repeat * times).encode()
        best = float("inf")
        for _ in range(3):
            begin = time.process_time()
            read(value)
            best = min(best, time.process_time() - begin)
        return best

    assert cost(8 * size) < 32 * cost(size) + 0.01
