"""Tag=value lists (RFC 6376 section 3.2).

Any octets have a result; a list that is taken reads back as what it says.
"""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.mail.taglist import MAX_TAGS, BadTagList, Problem, items, parse, without_blanks

GOOD = [
    (b"a=1", {b"a": b"1"}),
    (b"a=1;", {b"a": b"1"}),
    (b" a = 1 ; b\t=\t2 ; ", {b"a": b"1", b"b": b"2"}),
    (b"a=", {b"a": b""}),
    (b"a= ;b=", {b"a": b"", b"b": b""}),
    (b"a=b=c==", {b"a": b"b=c=="}),
    (b"a=x  y", {b"a": b"x  y"}),
    (b"A=1;a=2", {b"A": b"1", b"a": b"2"}),
    (b"a_1Z=x", {b"a_1Z": b"x"}),
    (b"a=\xc3\xa4", {b"a": b"\xc3\xa4"}),
    (b"a=:,!~", {b"a": b":,!~"}),
]
BAD = [
    (b"", "syntax"), (b" ", "syntax"), (b";", "syntax"), (b"a", "syntax"), (b"=1", "syntax"), (b"a=1;;b=2", "syntax"),
    (b";a=1", "syntax"), (b"a=1; ;", "syntax"), (b"a=1;;", "syntax"), (b"1a=x", "syntax"), (b"_a=x", "syntax"),
    (b"a-b=x", "syntax"), (b"a b=x", "syntax"), (b"a=1;b", "syntax"), (b"a=\0", "syntax"), (b"a=\x7f", "syntax"),
    (b"a=\x0b", "syntax"), (b"a=\r\n b", "syntax"), (b"\xc3\xa4=1", "syntax"), (b"a=1;a=1", "duplicate"),
    (b"a=1;b=2;a=", "duplicate"), (b";".join(b"a%d=1" % i for i in range(MAX_TAGS + 2)), "syntax"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "tags"), GOOD)
def test_good_lists(text: bytes, tags: dict[bytes, bytes]) -> None:
    assert parse(text) == tags
    assert parse(text, allow_empty=True) == tags


@pytest.mark.parametrize(("text", "problem"), BAD)
def test_bad_lists(text: bytes, problem: str) -> None:
    result = parse(text)
    assert isinstance(result, BadTagList)
    assert result.problem == problem
    assert result.detail.isprintable()


@pytest.mark.parametrize("text", [b"a=1;;b=2", b";a=1;b=2", b"a=1; ;\t;b=2;;", b" ; ; a=1;b=2; "])
def test_empty_specifications_may_be_allowed(text: bytes) -> None:
    assert parse(text, allow_empty=True) == {b"a": b"1", b"b": b"2"}


names = st.from_regex(rb"[A-Za-z][A-Za-z0-9_]{0,5}", fullmatch=True)
value_octets = [*string.printable.encode().translate(None, b"; \t\r\n\x0b\x0c"), 0xC3]
values = st.lists(st.lists(st.sampled_from(value_octets), min_size=1, max_size=5).map(bytes), max_size=3).map(b" ".join)
blanks = st.sampled_from([b"", b" ", b"\t", b"  \t"])


@given(
    st.dictionaries(names, values, min_size=1, max_size=8), st.lists(blanks, min_size=32, max_size=32), st.booleans()
)
def test_what_is_written_is_read(tags: dict[bytes, bytes], gaps: list[bytes], semicolon: bool) -> None:
    """Any tags, any blanks around them: the same tags, in the same order."""
    gap = iter(gaps)
    specs = [next(gap) + n + next(gap) + b"=" + next(gap) + v + next(gap) for n, v in tags.items()]
    text = b";".join(specs) + b";" * semicolon
    result = parse(text)
    assert result == tags
    assert list(result) == list(tags)


@given(st.one_of(st.binary(max_size=60), st.text(alphabet="ab=; \t\r\n1_", max_size=40).map(str.encode)), st.booleans())
def test_any_octets_have_a_result(text: bytes, allow_empty: bool) -> None:
    """Any octets: what the grammar says, read by a slow expression for the whole list."""
    result = parse(text, allow_empty=allow_empty)
    spec = rb"[ \t]*[A-Za-z][A-Za-z0-9_]*[ \t]*=[^;\x00-\x08\x0a-\x1f\x7f]*"
    empty = rb"(?:[ \t]*;)*" if allow_empty else rb""
    grammar = empty + spec + rb"(?:;" + empty + spec + rb")*;?" + empty + rb"[ \t]*"
    taken = re.fullmatch(grammar, text) is not None
    if isinstance(result, BadTagList):
        assert not taken or result.problem is Problem.DUPLICATE
    else:
        assert taken


def test_items() -> None:
    assert items(b" a : b:\tc ", 3) == [b"a", b"b", b"c"]
    assert items(b"a:b:c", 2) is None
    assert items(b"", 5) == [b""]
    assert without_blanks(b" a\t b ") == b"ab"
