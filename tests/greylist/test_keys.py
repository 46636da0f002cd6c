"""Keys: which attempts count as the same.

Any address gives a key that is short, printable and of three parts, in linear time; what is one sender gives one key.
"""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.greylist import GreylistPolicy, keys, keys_of, normal_recipient, normal_sender
from mailauth.greylist.keys import MAX_KEY_OCTETS, parse_client, readable
from mailauth.mail.names import parse_ip

POLICY = GreylistPolicy()


@pytest.mark.parametrize(
    ("address", "normal"),
    [
        ("ann@example.org", "ann@example.org"),
        ("Ann@EXAMPLE.org", "ann@example.org"),
        ("<ann@example.org>", "ann@example.org"),
        ("<@relay.example:ann@example.org>", "ann@example.org"),
        ("ann@example.org.", "ann@example.org"),
        ("ann@münchen.example", "ann@xn--mnchen-3ya.example"),
        ("", "<>"),
        ("<>", "<>"),
        # detail, RFC 5233
        ("ann+news@example.org", "ann@example.org"),
        ("ann+a+b@example.org", "ann@example.org"),
        ("+ann@example.org", "+ann@example.org"),
        # VERP
        ("list-return-42-bob=example.net@lists.example", "list-return-#-#@lists.example"),
        ("list-return-43-bob=example.net@lists.example", "list-return-#-#@lists.example"),
        ("bounce+bob=example.net@lists.example", "bounce@lists.example"),
        ("bob=example.net@bounce.example", "#@bounce.example"),
        ("bob=notadomain@bounce.example", "bob=notadomain@bounce.example"),
        # BATV
        ("prvs=4123abcdef=ann@example.org", "ann@example.org"),
        ("prvs=9876fedcba=ann+x@example.org", "ann@example.org"),
        ("msprvs1=17849QeH4cdvS=bounces-77-3@example.org", "bounces-#-#@example.org"),
        ("btv1==4123abcdef==ann@example.org", "ann@example.org"),
        ("prvs=ann@example.org", "prvs=ann@example.org"),
        # SRS
        ("SRS0=HHH=TT=example.org=ann@forward.example", "srs0=example.org=ann@forward.example"),
        ("SRS0+xyz=33=example.org=ann@forward.example", "srs0=example.org=ann@forward.example"),
        ("SRS0=HHH=TT=example.org=prvs=4123abcdef=ann@forward.example", "srs0=example.org=ann@forward.example"),
        (
            "SRS1=HHH=forward.example==HHH=TT=example.org=ann@second.example",
            "srs1=forward.example=example.org=ann@second.example",
        ),
        # counters and tokens
        ("bounce-1234-0f3a9c77e1@example.org", "bounce-#-#@example.org"),
        ("0102018f3e2c8b1a-12345678-12ab-34cd-ab12-1234567890ab-000000@mail.example", "#-#-#@mail.example"),
        ("m.dGhpcyBpcyBhIHRva2Vu1@bounce.example", "m.#@bounce.example"),
        ("user123@example.org", "user123@example.org"),
        ("r2d2@example.org", "r2d2@example.org"),
        # not addresses
        ("bob", "bob"),
        ("a b@example.org", "a%20b@example.org"),
        ("a%b@example.org", "a%25b@example.org"),
        ("x\r\ny@example.org", "x%0d%0ay@example.org"),
        ("\udc80@example.org", "%ed%b2%80@example.org"),
    ],
)
def test_normal_sender(address: str, normal: str) -> None:
    assert normal_sender(address) == normal


@pytest.mark.parametrize(
    ("address", "normal"),
    [
        ("Bob@Example.NET", "bob@example.net"),
        ("<Postmaster>", "postmaster"),
        # the recipient is the site's own: each of its addresses is one of its own
        ("bob+lists@example.net", "bob+lists@example.net"),
        ("bob-42@example.net", "bob-42@example.net"),
    ],
)
def test_normal_recipient(address: str, normal: str) -> None:
    assert normal_recipient(address) == normal


@pytest.mark.parametrize(
    ("ip", "policy", "proven", "client"),
    [
        ("192.0.2.77", POLICY, None, "192.0.2.0/24"),
        ("::ffff:192.0.2.77", POLICY, None, "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", POLICY, None, "2001:db8:1:2::/64"),
        ("192.0.2.77", GreylistPolicy(ipv4_prefix=32), None, "192.0.2.77/32"),
        ("192.0.2.77", GreylistPolicy(ipv4_prefix=0), None, "0.0.0.0/0"),
        ("255.255.255.255", GreylistPolicy(ipv4_prefix=1), None, "128.0.0.0/1"),
        ("2001:db8::1", GreylistPolicy(ipv6_prefix=128), None, "2001:db8::1/128"),
        ("192.0.2.77", POLICY, "Example.ORG.", "example.org"),
        ("192.0.2.77", POLICY, "münchen.example", "xn--mnchen-3ya.example"),
        # what cannot be a proven domain does not count as one
        ("192.0.2.77", POLICY, "", "192.0.2.0/24"),
        ("192.0.2.77", POLICY, "com", "192.0.2.0/24"),
        ("192.0.2.77", POLICY, "198.51.100.0", "192.0.2.0/24"),
        ("192.0.2.77", POLICY, "#waiting.example", "192.0.2.0/24"),
        ("192.0.2.77", POLICY, "a b.example", "192.0.2.0/24"),
    ],
)
def test_the_client(ip: str, policy: GreylistPolicy, proven: str | None, client: str) -> None:
    found = keys_of(parse_ip(ip), "ann@example.org", "bob@example.net", policy, proven)
    assert found.client == client
    assert found.triplet == f"{client} ann@example.org bob@example.net"


ADDRESSES = st.one_of(
    st.text(max_size=400),
    st.text(alphabet="prvs=batv+-0123456789abcdef@.<>SR", max_size=400),
    st.builds(lambda part, times: part * times, st.text(max_size=4), st.integers(0, 2000)),
)


@given(ADDRESSES, ADDRESSES, st.none() | ADDRESSES)
def test_a_key_is_short_and_printable(sender: str, recipient: str, proven: str | None) -> None:
    """Any text gives a key of three parts, printable ASCII, within its bound."""
    key = keys_of(parse_ip("192.0.2.1"), sender, recipient, POLICY, proven).triplet
    assert len(key) <= MAX_KEY_OCTETS
    assert key.isascii()
    assert key.isprintable()
    assert len(key.split(" ")) == len(readable(key)) == 3
    assert all(key.split(" "))


@given(ADDRESSES)
def test_the_case_of_a_domain_changes_nothing(address: str) -> None:
    """Spelling the domain in capitals gives the same sender."""
    local_part, at, domain = address.rpartition("@")
    if domain.isascii():
        assert normal_sender(f"{local_part}{at}{domain.upper()}") == normal_sender(f"{local_part}{at}{domain.lower()}")


@given(
    st.from_regex(r"[A-Za-z0-9._-]{1,64}@[A-Za-z0-9.-]{1,70}", fullmatch=True)
    | st.text(alphabet="aZ19f-._@", max_size=60)
    | ADDRESSES
)
def test_the_short_way_and_the_long_way_agree(address: str) -> None:
    """For any address, the fast path for plain ones changes nothing."""
    assert normal_sender(address) == keys._part(address, keys._without_variations)


def test_long_addresses_stay_apart() -> None:
    assert normal_sender("a" * 5000) != normal_sender("a" * 5001)
    assert normal_sender("a" * 400 + "@example.org") != normal_sender("a" * 401 + "@example.org")


@pytest.mark.parametrize("shape", ["a", "=", "a-", "1a", "prvs=", "srs0=", "0", "a=", "0a-", "f", "a.b="])
def test_the_work_is_linear(shape: str) -> None:
    """Ten times the address (up to the longest that is looked at) is not a hundred times the work."""

    def seconds(characters: int) -> float:
        address = (shape * characters)[:characters] + "@example.org"
        best = float("inf")
        for _ in range(5):
            start = time.perf_counter()
            for _ in range(20):
                normal_sender(address)
            best = min(best, time.perf_counter() - start)
        return best

    assert seconds(1000) < 40 * seconds(100) + 0.001


@pytest.mark.parametrize(
    ("text", "client"),
    [
        ("192.0.2.1", "192.0.2.0/24"),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.5/28", "192.0.2.0/28"),
        ("2001:db8::1", "2001:db8::/64"),
        ("Example.org", "example.org"),
    ],
)
def test_a_client_as_people_write_it(text: str, client: str) -> None:
    assert parse_client(text, POLICY) == client


@pytest.mark.parametrize("text", ["", "192.0.2.300", "nonsense", "192.0.2.0/33", "a b.example"])
def test_what_is_no_client(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_client(text, POLICY)
