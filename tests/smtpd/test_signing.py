"""Whose keys sign a message (RFC 5322 section 3.6.2).

A key is looked up for the one author that every reader of From sees, or for none.
"""

from __future__ import annotations

import pytest

from mailauth.mail.author import author_address
from mailauth.mail.header import split


def author_of(message: bytes) -> str | None:
    return author_address(split(message).header)


@pytest.mark.parametrize(
    ("value", "author"),
    [
        ("ann@example.org", "ann@example.org"),
        ("Ann Example <ann@Example.ORG>", "ann@example.org"),
        ('"Example, Ann" <ann@example.org>', "ann@example.org"),
        ("Ann <ann@example.org> (at work)", "ann@example.org"),
        ("Staff: ann@example.org;", "ann@example.org"),
        ('"ann b"@example.org', '"ann b"@example.org'),
        ("ann@b\u00fccher.example", "ann@xn--bcher-kva.example"),
        ("ann@example.org, bob@example.org", None),
        ("Ann <ann@b@example.org>", None),
        ("Ann", None),
        ("", None),
    ],
)
def test_the_author(value: str, author: str | None) -> None:
    assert author_of(f"From: {value}\r\n\r\n".encode()) == author


def test_what_is_not_utf_8_can_be_read_in_two_ways() -> None:
    assert author_of(b"From: \xe4nn@example.org\r\n\r\n") is None


def test_an_address_that_is_none_stands_for_its_domain() -> None:
    assert author_of(b"From: " + b"x" * 2000 + b"@example.org\r\n\r\n") == "example.org"


@pytest.mark.parametrize(
    "header", [b"To: bob@example.net\r\n\r\n", b"From: a@example.org\r\nFrom: b@example.org\r\n\r\n"]
)
def test_not_one_from_field(header: bytes) -> None:
    assert author_of(header) is None
