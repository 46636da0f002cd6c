"""Reading the addresses of From: one way only, or not at all.

A domain is named only where every reader of RFC 5322 finds the same one; any octets have an answer.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.mail.addresses import address_domains

READABLE: list[tuple[bytes, tuple[str, ...]]] = [
    (b" ann@example.org", ("example.org",)),
    (b" Ann <ann@example.org>", ("example.org",)),
    (b" Ann B. Example <ann@example.org>\r\n", ("example.org",)),
    (b' "Ann, B." <ann@example.org>', ("example.org",)),
    (b' "bob@bank.example" <ann@example.org>', ("example.org",)),  # RFC 5322 section 3.2.4: a quoted string is one word
    (b" =?utf-8?q?Ann?= <ann@example.org> (a comment)", ("example.org",)),
    (b" (comment (nested)) ann@example.org", ("example.org",)),
    (b" (a bracket \\) in a comment) ann@example.org", ("example.org",)),
    (b" Ann\r\n <ann@example.org>", ("example.org",)),
    (b" Ann < ann@example.org >", ("example.org",)),
    (b' "a b"@example.org', ("example.org",)),
    (b' "a@b"@example.org', ("example.org",)),
    (b" ann@[192.0.2.1]", ("[192.0.2.1]",)),
    (b" ann@EXAMPLE.org", ("example.org",)),
    ("Änn <änn@bücher.example>".encode(), ("xn--bcher-kva.example",)),
    (b" ann@a.example, bob@b.example", ("a.example", "b.example")),
    (b" Ann <ann@a.example>, (x) Bob <bob@b.example>", ("a.example", "b.example")),
    (b" The group: ann@a.example, Bob <bob@b.example>;", ("a.example", "b.example")),
    (b" undisclosed:;", ()),
    (b" ann@example.org,", ("example.org",)),  # RFC 5322 section 4.4: empty list elements
    (b"", ()),
    (b" (nobody)", ()),
]

DOUBTFUL = [
    b" bob@bank.example <ann@example.org>",  # which one does the reader's program show?
    b" =?utf-8?q?bob@bank.example?= <ann@example.org>",
    b" ann@bank.example@example.org",
    b" <ann@bank.example> <bob@example.org>",
    b" <ann@bank.example> bob@example.org",
    b" <ann@bank.example> Bob",
    b" ann@bank.example bob@example.org",
    b" ann@example.org\r\n .bank.example",
    b" ann@example (x) .org",
    b" ann (x) @example.org",
    b" <@bank.example:ann@example.org>",
    b" <ann@example.org",
    b" ann@example.org>",
    b" <<ann@example.org>>",
    b" <>",
    b" Ann",
    b" @example.org",
    b" ann@",
    b' ann@"example.org"',
    b' "ann@example.org',
    b" (ann@example.org",
    b" ann@example.org)",
    b" ann@[192.0.2.1",
    b" a\\@b@example.org",
    b" ann\0@example.org",
    b" ann@example.org\0.bank.example",
    b" ann@example.org\rX",
    b" group: ann@example.org",
    b" group: other: ann@example.org;;",
    b" ann@example.org;",
    b" bob@bank.example: ann@example.org;",
    b" ann@example..org",
    b" ann@\xff.example",
    b" ann@" + b"x" * 64 + b".example",
    b" Ann, B. <ann@example.org>",
]


@pytest.mark.parametrize(("value", "domains"), READABLE)
def test_one_reading(value: bytes, domains: tuple[str, ...]) -> None:
    assert address_domains(value) == domains


@pytest.mark.parametrize("value", DOUBTFUL)
def test_doubt(value: bytes) -> None:
    assert address_domains(value) is None


@given(st.binary(max_size=100) | st.text('"()<>,:;@\\[]ab. \r\n', max_size=60).map(str.encode))
def test_any_octets_have_an_answer(value: bytes) -> None:
    """Any octets have domains, or None; nothing raises."""
    domains = address_domains(value)
    assert domains is None or all(domain and "@" not in domain for domain in domains)


@given(st.lists(st.sampled_from([b"a@x.example", b"<", b">", b" ", b",", b'"n"', b"@", b"b", b"(c)"]), max_size=8))
def test_no_address_is_passed_over(pieces: list[bytes]) -> None:
    """As many domains as there are "@" outside of quotes and comments, or doubt."""
    domains = address_domains(b"".join(pieces))
    assert domains is None or len(domains) == b"".join(pieces).count(b"@")


@pytest.mark.parametrize("unit", [b"(", b"<", b"a@b,", b'"', b"a ", b"a@", b":", b";", b"\\", b"<,", b"g:"])
def test_long_fields_cost_linear_time(unit: bytes) -> None:
    """A quarter of a million octets of anything are read at once; quadratic work would take minutes."""
    address_domains(unit * (250_000 // len(unit)))
    address_domains(b"<" + unit * (250_000 // len(unit)))
