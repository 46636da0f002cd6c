"""Domain names, mailbox addresses, client addresses, reversed names.

Any text goes through every function without an exception; what comes out can be asked in the DNS.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import dns.reversename
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailauth.mail import names
from mailauth.plan import unaskable

LONG = ".".join(["x" * 62] * 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Example.ORG", "example.org"),
        ("example.org.", "example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("bücher。example．org｡", "xn--bcher-kva.example.org"),  # RFC 5895 section 2.4
        ("BÜCHER.Example.", "xn--bcher-kva.example"),
        ("_dmarc.example.org", "_dmarc.example.org"),
        ("", None),
        (".", None),
        ("..", None),
        ("。", None),
        ("a..b", None),
        (".example.org", None),
        ("example.org..", None),
        ("x" * 63 + ".org", "x" * 63 + ".org"),
        ("x" * 64 + ".org", None),
        (LONG[:253], LONG[:253]),
        (LONG[:253] + ".", LONG[:253]),
        (LONG + "xxx", None),
        ("☃.example", None),
        ("a" * 1_000_000, None),
    ],
)
def test_to_ascii(text: str, expected: str | None) -> None:
    assert names.to_ascii(text) == expected


@settings(max_examples=500)
@given(st.one_of(st.text(max_size=300), st.text("ab.-_üß。", max_size=300)))
def test_to_ascii_is_askable_and_stable(text: str) -> None:
    """What comes out can be asked, unless it holds NUL, and is its own A-label form."""
    name = names.to_ascii(text)
    if name is not None:
        assert unaskable(name) in {None, "name holds NUL"}
        assert names.to_ascii(name) == name
        assert name == name.lower()


@pytest.mark.parametrize(
    ("name", "host", "fqdn"),
    [
        ("example.org", True, True),
        ("EXAMPLE.org", True, True),
        ("localhost", True, False),
        ("a", True, False),
        ("3com.com", True, True),
        ("under_score.example", True, True),
        ("xn--bcher-kva.example", True, True),
        ("example.org.", False, False),
        ("-a.example", False, False),
        ("a-.example", False, False),
        ("a..example", False, False),
        (".example", False, False),
        ("", False, False),
        ("192.0.2.1", False, False),
        ("example.123", False, False),
        ("[192.0.2.1]", False, False),
        ("exa mple.org", False, False),
        ("example.org\n", False, False),
        ("bücher.example", False, False),
        ("x" * 64 + ".org", False, False),
        ("a\u0660.example", False, False),
        (LONG[:253], True, True),
        (LONG + "xxx", False, False),
    ],
)
def test_host_names(name: str, host: bool, fqdn: bool) -> None:
    assert names.is_hostname(name) is host
    assert names.is_fqdn(name) is fqdn


@pytest.mark.parametrize(
    ("name", "parent", "expected"),
    [
        ("example.org", "example.org", True),
        ("a.example.org", "example.org", True),
        ("A.EXAMPLE.org.", "Example.Org", True),
        ("badexample.org", "example.org", False),
        ("example.org", "a.example.org", False),
        ("example.org", "", False),
        ("org", "example.org", False),
    ],
)
def test_is_within(name: str, parent: str, expected: bool) -> None:
    assert names.is_within(name, parent) is expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("ann@example.org", ("ann", "example.org")),
        ("<ann@example.org>", ("ann", "example.org")),
        ('"a@b"@example.org', ('"a@b"', "example.org")),
        ("a@b@example.org", ("a@b", "example.org")),
        ("@hop.example,@next.example:ann@example.org", ("ann", "example.org")),  # RFC 5321 section 4.1.1.3
        ("ann+detail@example.org", ("ann+detail", "example.org")),
        ("ånn@bücher.example", ("ånn", "bücher.example")),  # RFC 6531
        ("ann@[192.0.2.1]", ("ann", "[192.0.2.1]")),
        ("", None),
        ("<>", None),
        ("postmaster", None),
        ("@example.org", None),
        ("ann@", None),
        ("@a:", None),
        ("ann@exam\r\nple.org", None),
        ("an\0n@example.org", ("an\0n", "example.org")),
        ("ann@example.org\x85", None),
        ("a" * 2000 + "@example.org", None),
    ],
)
def test_split_address(address: str, expected: tuple[str, str] | None) -> None:
    assert names.split_address(address) == expected
    if expected:
        assert str(names.split_address(address)) == "@".join(expected)


@given(st.text(max_size=1100))
def test_split_address_takes_any_text(text: str) -> None:
    """Any text is a mailbox or None; a mailbox joins to its text."""
    mailbox = names.split_address(text)
    if mailbox is not None:
        assert mailbox.local_part
        assert mailbox.domain
        assert "\n" not in str(mailbox)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),  # RFC 7208 section 5
        ("::ffff:c000:201", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::1", "::1"),
    ],
)
def test_parse_ip(text: str, expected: str) -> None:
    assert names.parse_ip(text) == ip_address(expected)
    assert names.parse_ip(ip_address(text)) == ip_address(expected)
    assert str(names.parse_ip(text)) == expected


@pytest.mark.parametrize(
    "text",
    ["", "example.org", "192.0.2", "192.0.2.256", "192.0.2.01", " 192.0.2.1", "1" * 5000, "fe80::1%" + "e" * 5000],
)
def test_parse_ip_refuses_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="not an IPv4 or IPv6 address") as caught:
        names.parse_ip(text)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize("thing", [None, 3221225985, b"\xc0\0\2\1", object()])
def test_parse_ip_refuses_other_types(thing: Any) -> None:
    with pytest.raises(TypeError, match="a client address is"):
        names.parse_ip(thing)


addresses = st.one_of(
    st.builds(IPv4Address, st.integers(0, 2**32 - 1)), st.builds(IPv6Address, st.integers(0, 2**128 - 1))
)


@given(addresses)
def test_reverse_names_agree_with_dnspython(ip: IPv4Address | IPv6Address) -> None:
    """The reverse name of any address is dnspython's."""
    plain = names.parse_ip(ip)
    assert names.reverse_name(plain) == dns.reversename.from_address(str(plain)).to_text(omit_final_dot=True)
    assert names.reverse_name(plain).startswith(names.reverse_labels(plain) + ".")


def test_reverse_labels() -> None:
    # RFC 5782 sections 2.1 and 2.4
    assert names.reverse_labels(ip_address("192.0.2.99")) == "99.2.0.192"
    assert names.reverse_labels(ip_address("2001:db8::b:567")).startswith("7.6.5.0.b.0.0.0.")
