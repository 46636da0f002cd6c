"""The author beside other readers of From: what is verified is what they all see.

The standard library has three: `parseaddr` and `getaddresses`, which guess, and the header registry, which follows RFC
5322.
"""

from __future__ import annotations

import email.policy
from email import message_from_bytes
from email.utils import getaddresses, parseaddr

from hypothesis import given, settings
from hypothesis import strategies as st

from mailauth.mail.names import to_ascii
from mailauth.trust import Verdict, believe

BORDER = b"Received: from x (x [203.0.113.9]) by mx.example.net with ESMTP; now\r\n"
PIECES = [
    "service@bank.example", "m@attacker.example", "<service@bank.example>", "<m@attacker.example>",
    '"service@bank.example"',
    "Bank", '"Bank"', "(Bank)", "<", ">", "@", ",", ";", ":", '"', "(", ")", "\\", " ", "\t", "\r\n ", "@bank.example",
    "@attacker.example", "service", "a", ".", "bank.example", "=?utf-8?q?service=40bank.example?=", "\u00fc",
    "\uff20", "\0",
    "[203.0.113.9]",
]  # fmt: skip
FROM = st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join)


def same(address: str, other: str) -> bool:
    other = other.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    (local_part, _, domain), (other_part, _, other_domain) = address.rpartition("@"), other.rpartition("@")
    return local_part.strip('"') == other_part.strip('"') and to_ascii(domain) == to_ascii(other_domain)


def by_registry(message: bytes) -> list[str]:
    """The addresses as the header registry reads them; it has errors of its own for odd ones."""
    try:
        addresses = message_from_bytes(message, policy=email.policy.default)["From"].addresses
        return [each.addr_spec for each in addresses]
    except (TypeError, IndexError, AttributeError):
        return []


@settings(max_examples=500)
@given(FROM, st.sampled_from(["bank.example", "attacker.example"]))
def test_what_is_verified_is_what_every_reader_sees(value: str, passed: str) -> None:
    """An author that is verified is the one that every other reader of From finds."""
    field = f"Authentication-Results: mx.example.net; dmarc=pass header.from={passed}\r\n".encode()
    message = field + BORDER + b"From: " + value.encode() + b"\r\n\r\n"
    verdict = believe(message, {"mx.example.net"})
    if verdict.verdict is not Verdict.VERIFIED:
        return
    address = verdict.address
    assert address is not None
    assert address.endswith("@" + passed)
    text = str(message_from_bytes(message)["From"])
    for seen in (
        by_registry(message),
        [parseaddr(text)[1]],
        [each for _, each in getaddresses([text])],
    ):
        # Some see words beside the address, or no UTF-8; none may see somebody else.
        found = [each for each in seen if "@" in each and "\N{REPLACEMENT CHARACTER}" not in each]
        assert all(same(address, each) for each in found), (value, seen)
