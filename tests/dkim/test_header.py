"""Which fields are signed, and that each ends in a CRLF where it is hashed.

A signature covers the fields that RFC 6376 section 5.4.2 says, in the order of h=, each once.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.dkim import sign
from mailauth.dkim.header import places, select
from mailauth.mail.header import split
from tests.dkim.makers import rsa_key

names = st.sampled_from(["from", "to", "x", "dkim-signature"])


def reference(wanted: list[str], fields: list[bytes]) -> list[bytes]:
    """The words of RFC 6376 section 5.4.2: from the bottom, and each field is used up."""
    left, found = list(fields), []
    for name in wanted:
        for i in reversed(range(len(left))):
            if left[i].partition(b":")[0].decode() == name:
                found.append(left.pop(i))
                break
    return found


@given(st.lists(names, max_size=12), st.lists(st.tuples(names, st.integers(0, 2)), max_size=8))
def test_fields_are_taken_from_the_bottom(wanted: list[str], present: list[tuple[str, int]]) -> None:
    """Of several fields of a name, h= takes those nearest to the body first (RFC 6376 section 5.4.2)."""
    fields = [f"{name}: {number}\r\n".encode() for name, number in present]
    header = split(b"".join(fields) + b"\r\n").header
    assert select(places(tuple(wanted)), header, None) == reference(wanted, fields)


def test_the_signature_itself_is_left_out_and_its_double_is_not() -> None:
    double = b"DKIM-Signature: v=1\r\n"
    header = split(double * 2 + b"From: a\r\n\r\n").header
    first, second = header.octets_by_name["dkim-signature"]
    wanted = places(("from", "dkim-signature", "dkim-signature"))
    for own, other in ((first, second), (second, first)):
        found = select(wanted, header, own)
        assert found == [b"From: a\r\n", double]
        assert found[1] is other


@pytest.mark.parametrize("how", ["simple", "relaxed"])
def test_a_header_that_is_cut_short_is_hashed_with_its_line_end(how: str) -> None:
    """RFC 6376 section 3.7: each field is followed by a single CRLF."""
    whole = b"To: bob@example.net\r\nFrom: ann@example.org"
    signatures = {
        sign(whole + end, rsa_key(), domain="example.org", selector="s", header=how)
        for end in (b"", b"\r\n", b"\r\n\r\n")
    }
    assert len(signatures) == 1
