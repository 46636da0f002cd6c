"""A message in memory taken apart into its header fields, with names and values as they stand, and its body.

dkimpy is its `rfc822_parse`. "email, header" is the standard library's `BytesHeaderParser`, which leaves the body
whole; "email" is its `BytesParser`, which reads the MIME parts as well.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from email.parser import BytesHeaderParser, BytesParser

import dkim as dkimpy
from benchmarks.dkimwork import HEADER, base64_body, prose
from benchmarks.measure import Case, call, ours, package
from mailauth.mail.header import split

TITLE = "Splitting a message"

PYTHON = f"Python {platform.python_version()}"
MANY = b"".join(
    b"X-Field-%d: the value of a field that is not short,\r\n\tand its second line\r\n" % i for i in range(200)
)


def cases() -> Iterator[Case]:
    messages = {
        "2 KB, 10 fields": HEADER + prose(2_000),
        "20 KB, 210 fields": MANY + HEADER + prose(2_000),
        "200 KB, 10 fields": HEADER + prose(200_000),
        "5 MB, 10 fields": HEADER + base64_body(5_000_000),
    }
    for name, message in messages.items():
        yield case(name, message)


def case(name: str, message: bytes) -> Case:
    def with_mailauth() -> tuple[list[tuple[str, bytes]], bytes]:
        parts = split(message)
        return [(field.name, field.value) for field in parts.header.fields], parts.body

    def with_dkimpy() -> tuple[list[list[bytes]], bytes]:
        fields, body = dkimpy.rfc822_parse(message)
        return fields, body

    def with_header_parser() -> tuple[list[tuple[str, str]], object]:
        parsed = BytesHeaderParser().parsebytes(message)
        return parsed.items(), parsed.get_payload()

    def with_parser() -> tuple[list[tuple[str, str]], object]:
        parsed = BytesParser().parsebytes(message)
        return parsed.items(), parsed.get_payload()

    fields, body = with_mailauth()
    names = [name for name, _ in fields]
    assert with_dkimpy()[1] == body
    assert [name.lower().decode() for name, _ in with_dkimpy()[0]] == names
    for parse in (with_header_parser, with_parser):
        assert [name.lower() for name, _ in parse()[0]] == names
    return Case(
        name,
        [
            ours(with_mailauth),
            call("dkimpy", with_dkimpy, package("dkimpy")),
            call("email, header", with_header_parser, PYTHON),
            call("email", with_parser, PYTHON),
        ],
    )
