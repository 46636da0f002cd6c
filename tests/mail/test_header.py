"""The message layer: where the header ends, which fields it has, and what is odd about it.

Any octets split into parts that join to the same octets, however they were cut on the way.
"""

from __future__ import annotations

import io
import time
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailauth.mail import addresses, lines
from mailauth.mail import header as message
from mailauth.mail.header import BrokenOff, Splitter, split
from mailauth.mail.lines import CrlfConverter


def joined(parts: message.Message) -> bytes:
    header = parts.header
    return header.mbox_line + b"".join(field.raw for field in header.fields) + header.separator + parts.body


GOOD = b"From: a@example.org\r\nSubject: two\r\n  lines\r\nto: b\r\n\r\nbody\r\n"
NO_EMPTY_LINE, MBOX_LINE = "no-empty-line", "mbox-line"
# (why, octets, names, body, what is odd)

CASES: list[tuple[str, bytes, list[str], bytes, list[str]]] = [
    (
        "an ordinary message",
        b"From: a@example.org\r\nSubject: two\r\n  lines\r\nto: b\r\n\r\nbody\r\n",
        ["from", "subject", "to"],
        b"body\r\n",
        [],
    ),
    ("nothing at all", b"", [], b"", []),
    ("only an empty line", b"\r\n", [], b"", []),
    ("no header, then a body", b"\r\nbody", [], b"body", []),
    ("no body, no empty line", b"A: 1\r\n", ["a"], b"", []),
    ("an empty body", b"A: 1\r\n\r\n", ["a"], b"", []),
    ("the input ends within a field", b"A: 1\r\nB: 2", ["a", "b"], b"", []),
    ("the input ends within a CRLF", b"A: 1\r\nB: 2\r", ["a", "b"], b"", []),
    ("no field and no line end", b"hello", [], b"hello", [NO_EMPTY_LINE]),
    ("no empty line before the body", b"A: 1\r\nhello\r\nB: 2\r\n", ["a"], b"hello\r\nB: 2\r\n", [NO_EMPTY_LINE]),
    ("a blank in a name is no name", b"A: 1\r\nB C: 2\r\n", ["a"], b"B C: 2\r\n", [NO_EMPTY_LINE]),
    ("no name before the colon", b"A: 1\r\n: 2\r\n\r\n", ["a"], b": 2\r\n\r\n", [NO_EMPTY_LINE]),
    ("an 8-bit octet is not in a name", b"A: 1\r\n\xc3\xa4: 2\r\n\r\n", ["a"], b"\xc3\xa4: 2\r\n\r\n", [NO_EMPTY_LINE]),
    ("8-bit octets in a value", b"A: \xff\xc3\xa4\r\n\r\n", ["a"], b"", []),
    ("an empty value", b"A:\r\n\r\nx", ["a"], b"x", []),
    ("a continuation with nothing to continue", b" x\r\nA: 1\r\n\r\n", [], b" x\r\nA: 1\r\n\r\n", [NO_EMPTY_LINE]),
    ("a line of blanks continues", b"A: 1\r\n \t\r\nB: 2\r\n\r\n", ["a", "b"], b"", []),
    ("blank before the colon", b"A : 1\r\nB\t : 2\r\n\r\n", ["a", "b"], b"", []),
    ("mbox line", b"From a@example.org Mon Nov 2 00:00:00 2026\r\nA: 1\r\n\r\n", ["a"], b"", [MBOX_LINE]),
    ("a From field with a blank is no mbox line", b"From : a\r\n\r\n", ["from"], b"", []),
    ("an mbox line counts only at the top", b"A: 1\r\nFrom x\r\n\r\n", ["a"], b"From x\r\n\r\n", [NO_EMPTY_LINE]),
    (
        "a continuation behind the mbox line",
        b"From x\r\n A: 1\r\n\r\n",
        [],
        b" A: 1\r\n\r\n",
        [NO_EMPTY_LINE, MBOX_LINE],
    ),
    ("NUL", b"A: \x00\r\n\r\n", ["a"], b"", []),
    ("bare LF is data in a field", b"A: 1\r\nB: 2\nC: 3\r\n\r\n", ["a", "b"], b"", []),
    ("bare CR is data in a field", b"A: 1\rB: 2\r\n\r\n", ["a"], b"", []),
    ("LF LF is no empty line", b"A: 1\r\nB: 2\n\nbody\r\n\r\n", ["a", "b"], b"", []),
    ("CR CR LF ends one line", b"A: 1\r\nB: 2\r\r\n\r\n", ["a", "b"], b"", []),
    ("smuggled end of data", b"A: 1\r\n\r\nx\n.\r\ny\r.\n", ["a"], b"x\n.\r\ny\r.\n", []),
    ("LF message", b"A: 1\nB: 2\n 3\n\nbody\n", ["a", "b"], b"body\n", []),
    ("LF message with CRLF in the header", b"A: 1\nB: 2\r\n\r\nbody\n", ["a", "b"], b"body\n", []),
    ("LF message with CRLF in the body", b"A: 1\n\nbody\r\n", ["a"], b"body\r\n", []),
    ("LF message with CR", b"A: 1\nB: \r2\n\n\r", ["a", "b"], b"\r", []),
]


@pytest.mark.parametrize(("octets", "names", "body", "odd"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_splitting(octets: bytes, names: list[str], body: bytes, odd: list[str]) -> None:
    parts = split(octets)
    assert [field.name for field in parts.header.fields] == names
    assert parts.body == body
    assert parts.header.no_empty_line == (NO_EMPTY_LINE in odd)
    assert bool(parts.header.mbox_line) == (MBOX_LINE in odd)
    assert joined(parts) == octets


def test_fields_by_name() -> None:
    header = split(b"X: 1\r\nFROM: a\r\nx: 2\r\nFrom: b\r\n\r\n").header
    assert [field.value for field in header.all("X")] == [b" 1\r\n", b" 2\r\n"]
    first, last = header.first("x"), header.last("x")
    assert first is not None
    assert last is not None
    assert (first.unfolded, last.unfolded) == (b"1", b"2")
    assert header.first("y") is header.last("y") is None
    assert [field.unfolded for field in header.from_fields] == [b"a", b"b"]


def test_unfolding() -> None:
    assert split(b"A:\r\n b\r\n\t c \r\n\r\n").header.fields[0].unfolded == b"b\t c"
    assert split(b"A : b\n c\n\n").header.fields[0].unfolded == b"b c"


def test_caller_mistakes() -> None:
    with pytest.raises(TypeError, match="a message is bytes, not str"):
        split("From: a\r\n")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="bytes or a binary file, not int"):
        list(lines.blocks(3))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="binary mode"):
        list(lines.blocks(io.StringIO("From: a")))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1"):
        Splitter(max_header_octets=0)
    splitter = Splitter()
    splitter.close()
    with pytest.raises(ValueError, match="was closed"):
        splitter.feed(b"x")


# --- the invariants -----------------------------------------------------------------------------------------

PIECES = [
    b"A",
    b"From",
    b"From x",
    b":",
    b" ",
    b"\t",
    b"\r",
    b"\n",
    b"\r\n",
    b"b",
    b"\xff",
    b"\0",
    b"\r\n\r\n",
    b"C: 1\r\n",
]
odd_messages = st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(PIECES), max_size=25).map(b"".join))


def slowly(octets: bytes) -> tuple[bytes, list[bytes], bytes, bytes]:
    """The rules of docs/conformance.md, line by line: mbox line, fields, separator, body."""
    newline = octets.find(b"\n")
    lf = newline >= 0 and octets[max(newline - 1, 0) : newline] != b"\r"
    lines = [part + (b"\n" if lf else b"\r\n") for part in octets.split(b"\n" if lf else b"\r\n")]
    lines[-1] = lines[-1][: -1 if lf else -2]
    mbox, fields = b"", []
    for number, line in enumerate(lines):
        name, colon, _ = line.partition(b":")
        name = name.rstrip(b" \t")
        if line == b"\r\n" or (lf and line == b"\n"):
            return mbox, fields, line, b"".join(lines[number + 1 :])
        if colon and name and all(33 <= octet <= 126 for octet in name):
            fields.append(line)
        elif fields and line[:1] in (b" ", b"\t"):
            fields[-1] += line
        elif number == 0 and line.startswith(b"From ") and line.endswith(b"\n"):
            mbox = line
        else:
            return mbox, fields, b"", b"".join(lines[number:])
    return mbox, fields, b"", b""


@given(odd_messages)
@example(b"From : \n")
@example(b"A:\r\n\n")
@example(b"From \r\n\r\n")
def test_the_obvious_splitter_agrees(octets: bytes) -> None:
    """Any octets: the same parts as the rules, read line by line, demand."""
    parts = split(octets)
    header = parts.header
    assert (header.mbox_line, [f.raw for f in header.fields], header.separator, parts.body) == slowly(octets)
    assert joined(parts) == octets


@given(odd_messages, st.lists(st.integers(0, 60), max_size=8), st.integers(1, 70), st.integers(1, 6))
@example(b"A: 1\r\n\r\nx", [6, 7, 8], 6, 9)
def test_cuts_do_not_matter(octets: bytes, cuts: list[int], bound: int, fields: int) -> None:
    """Any octets, any cuts, any bound: the same header, the same body; nothing lost."""
    whole = Splitter(max_header_octets=bound, max_fields=fields)
    whole_body = whole.feed(octets) + whole.close()
    pieces = Splitter(max_header_octets=bound, max_fields=fields)
    edges = [0, *sorted(min(cut, len(octets)) for cut in cuts), len(octets)]
    body = b"".join(pieces.feed(octets[a:b]) for a, b in pairwise(edges)) + pieces.close()
    assert pieces.header == whole.header
    assert body == whole_body
    assert whole.header is not None
    assert octets == octets[: whole.header.octets] + whole_body
    assert len(whole.header.fields) <= fields
    assert len(whole.header.raw) <= bound + 1 + len(whole.header.mbox_line)


@given(odd_messages, st.integers(1, 9))
def test_stream_and_bytes_agree(octets: bytes, block: int) -> None:
    """Any octets from a file in blocks of any size: the same split."""
    header, body = message.split_stream(io.BytesIO(octets), block)
    assert header == split(octets).header
    assert b"".join(body) == split(octets).body


@given(odd_messages, st.lists(st.integers(0, 60), max_size=8))
def test_crlf_conversion(octets: bytes, cuts: list[int]) -> None:
    """Any octets, any cuts: every LF stands behind a CR, and nothing else has changed."""
    converter = CrlfConverter()
    edges = [0, *sorted(min(cut, len(octets)) for cut in cuts), len(octets)]
    pieces = [converter.feed(octets[a:b]) for a, b in pairwise(edges)]
    converted = b"".join(pieces) + converter.close()
    assert converted == lines.to_crlf(octets)
    assert converted.count(b"\n") == converted.count(b"\r\n") == octets.count(b"\n")
    assert converted.replace(b"\r\n", b"\n") == octets.replace(b"\r\n", b"\n")


# --- addresses ----------------------------------------------------------------------------------------------

ADDRESSES: list[tuple[bytes, tuple[str, ...] | None]] = [
    (b"ann@example.org", ("example.org",)),
    (b" Ann Example\r\n <ann@Example.ORG>\r\n", ("example.org",)),
    (b'"Ann, \\"A\\" <x@y.example>" <ann@example.org>', ("example.org",)),
    (b"Ann (of @example.net, really) <ann@example.org>", ("example.org",)),
    (b"Ann (a (nested) comment) <ann@example.org> (and more)", ("example.org",)),
    (b"a@example.org, B <b@example.net>,", ("example.org", "example.net")),
    (b"Friends: a@example.org, <b@example.net>;", ("example.org", "example.net")),
    (b"Nobody:;", ()),
    (b"", ()),
    (b"<@relay.example,@b.example:ann@example.org>", None),  # a route: readers differ
    (b'"a@b.example"@example.org', ("example.org",)),
    (b"ann @ example . org", None),  # obsolete blanks: readers differ
    (b"\xc3\xa4@b\xc3\xbccher.example", ("xn--bcher-kva.example",)),
    (b"ann", None),
    (b"ann@", None),
    (b"@example.org", None),
    (b"<ann@example.org", None),
    (b"ann@example.org>", None),
    (b'"ann@example.org', None),
    (b"(ann@example.org", None),
    (b"<a@example.org> <b@example.net>", None),
    (b"ann@example.org\\", None),
    (b"ann@\xff.example", None),
    (b"a@example.org," * 10_000, None),
]


@pytest.mark.parametrize(("value", "domains"), ADDRESSES)
def test_domains_of_addresses(value: bytes, domains: tuple[str, ...] | None) -> None:
    assert addresses.address_domains(value) == domains


@pytest.mark.parametrize(
    ("value", "local_parts"),
    [
        (b"ann@example.org", ["ann"]),
        (b" Ann <ann+x@example.org>\r\n", ["ann+x"]),
        (b'"a@b.example"@example.org', ['"a@b.example"']),
        (b"a@example.org, (b) <\xc3\xa4@example.net>", ["a", "\u00e4"]),
        (b"\xff@example.org", ["\ufffd"]),
    ],
)
def test_local_parts_of_addresses(value: bytes, local_parts: list[str]) -> None:
    found = addresses.addresses(value)
    assert found is not None
    assert [address.local_part for address in found] == local_parts
    assert tuple(address.domain for address in found) == addresses.address_domains(value)


@given(
    st.lists(
        st.sampled_from([b'"', b"(", b")", b"<", b">", b",", b":", b";", b"@", b"\\", b"a", b".b", b" ", b"[", b"]"])
    )
)
@example([b"a", b".b", b"@", b"a"])
@example([b'"', b"a", b'"', b" ", b"<", b"a", b"@", b"a", b">", b" "])
@example([b"a", b"<", b".b", b"@", b".b", b">"])
def test_any_address_field_has_an_answer(parts: list[bytes]) -> None:
    """Any octets: a tuple or None; the quick way and the thorough way agree where both answer."""
    value = b"".join(parts)
    domains = addresses.address_domains(value)
    if addresses._USUAL_ADDRESS.match(value):
        assert addresses._unusual_pairs(value) == addresses._address_pairs(value)
    assert domains is None or all(domains)


# --- bounds -------------------------------------------------------------------------------------------------


def test_a_header_over_the_bound_is_cut_short() -> None:
    octets = b"A: 1\r\n" * 10 + b"B: " + b"x" * 100 + b"\r\n\r\nbody"
    splitter = Splitter(max_header_octets=80)
    body = splitter.feed(octets) + splitter.close()
    assert splitter.header is not None
    assert splitter.header.broken_off is BrokenOff.HEADER_TOO_LARGE
    assert splitter.header.raw + body == octets
    assert len(splitter.header.fields) == 10


def test_too_many_fields() -> None:
    parts = split(b"a:\r\n" * (message.MAX_HEADER_FIELDS + 1) + b"\r\n")
    assert len(parts.header.fields) == message.MAX_HEADER_FIELDS
    assert parts.header.broken_off is BrokenOff.TOO_MANY_FIELDS
    assert parts.body == b"a:\r\n\r\n"


def test_memory_does_not_grow_with_the_message() -> None:
    splitter = Splitter()
    block = b"x" * 65_000 + b"\r\n"
    tracemalloc.start()
    for _ in range(200):  # a header without end: 13 MB
        splitter.feed(block)
    splitter.feed(b"\r\n")
    for _ in range(200):
        splitter.feed(block)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * message.MAX_HEADER_OCTETS


class CountingBuffer(Splitter):
    """Counts the octets that each look at the header goes over."""

    looked_at = 0

    def _scan(self) -> bool:
        self.looked_at += len(self._buffer) - self._scanned
        return super()._scan()


@pytest.mark.parametrize(
    "header",
    [b"A: " + b"x" * 200_000 + b"\r\n", b"A: 1\r\n" + b" \r\n" * 60_000, b"A: " + b"\n" * 200_000,
     b"A: " + b"\r" * 200_000,
     b"A: 1\r\n" + b"B: " + b"\n" * 200_000],
    ids=["one long line", "many folds", "many LF", "many CR", "many bare LF"],
)  # fmt: skip
def test_work_is_linear_in_small_pieces(header: bytes) -> None:
    splitter = CountingBuffer()
    for at in range(0, len(header), 3):
        splitter.feed(header[at : at + 3])
    splitter.close()
    assert splitter.looked_at < 4 * len(header)


@pytest.mark.parametrize(
    "run_of", [b"x", b" ", b"x \t", b":", b"\r", b"\n", b"\r\n ", b"x\r\n", b"x:\r\n", b"\n\r", b"x:\r \n"], ids=ascii
)
@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"], ids=["crlf", "lf"])
def test_work_is_linear_in_one_piece(run_of: bytes, line_end: bytes) -> None:
    """Ten times the header may take ten times as long; quadratic work would take a hundred times."""

    def seconds(times: int) -> float:
        octets = b"A: 1" + line_end + run_of * times + line_end * 2
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            split(octets)
            best = min(best, time.process_time() - start)
        return best

    assert seconds(50_000) < 40 * seconds(5_000) + 0.05
