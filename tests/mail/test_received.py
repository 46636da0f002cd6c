"""Received fields (RFC 5321 section 4.4): the way of a message, its delays, and fields that are none."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.mail.header import Field, split
from mailauth.mail.received import MAX_FIELD_OCTETS, MAX_HOPS, Hop, parse_received, way

AT = datetime(2026, 11, 29, 18, 2, 41, tzinfo=UTC).timestamp()


def parse(value: str) -> Hop:
    return parse_received(Field(b"Received: " + value.encode() + b"\r\n", "received"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(
            "from bar.example (bar.example [192.0.2.1]) by foo.example (Postfix) with ESMTPS id 4aBc\r\n"
            "\tfor <bob@foo.example>; Sun, 29 Nov 2026 18:02:41 +0000 (UTC)",
            ("bar.example", "bar.example", "192.0.2.1", "foo.example", "ESMTPS", "4aBc", "bob@foo.example", AT),
            id="Postfix",
        ),
        pytest.param(
            "from [192.0.2.9] (helo=client.example) by mail.example with esmtpsa (TLS1.3) tls TLS_AES_256\r\n"
            " (Exim 4.98) (envelope-from <ann@example.org>) id 1tABCD-0001 for bob@example.net;"
            " Sun, 29 Nov 2026 19:02:41 +0100",
            ("[192.0.2.9]", "", "192.0.2.9", "mail.example", "esmtpsa", "1tABCD-0001", "bob@example.net", AT),
            id="Exim",
        ),
        pytest.param(
            "from AM0PR01.prod.example (2603:10a6::10) by AM0PR02.prod.example (2603:10a6:1::1) with Microsoft SMTP\r\n"
            " Server (version=TLS1_3) id 15.20.1; Sun, 29 Nov 2026 18:02:41 +0000",
            ("AM0PR01.prod.example", "", "2603:10a6::10", "AM0PR02.prod.example", "Microsoft", "15.20.1", "", AT),
            id="Exchange",
        ),
        pytest.param(
            "by 2002:a05:6402:42d6 with SMTP id i22csp1; Sun, 29 Nov 2026 10:02:41 -0800 (PST)",
            ("", "", None, "2002:a05:6402:42d6", "SMTP", "i22csp1", "", AT),
            id="Gmail inside",
        ),
        pytest.param(
            "from x (unknown [IPv6:2001:db8::7]) by y; yesterday",
            ("x", "", "2001:db8::7", "y", "", "", "", None),
            id="IPv6 literal, no date",
        ),
        pytest.param(
            "from helo.example (mail.example.org. [192.0.2.7]) by y with ESMTPS id z",
            ("helo.example", "mail.example.org", "192.0.2.7", "y", "ESMTPS", "z", "", None),
            id="a name with its final dot",
        ),
        pytest.param(
            "from unknown (HELO bank.example) (192.0.2.7) by 0 with SMTP; Sun, 29 Nov 2026 18:02:41 GMT",
            ("unknown", "", "192.0.2.7", "0", "SMTP", "", "", AT),
            id="qmail: what the client said is no name that was looked up",
        ),
        pytest.param(
            'from a (b (c; from d by e) f) by "quoted from x" with (SMTP) ESMTP; Sun, 29 Nov 2026 18:02:41 GMT',
            ("a", "", None, '"quoted from x"', "ESMTP", "", "", AT),
            id="comments nest, quotes hold",
        ),
    ],
)
def test_one_field(value: str, expected: tuple[object, ...]) -> None:
    hop = parse(value)
    found_ip = None if hop.from_ip is None else str(hop.from_ip)
    assert (hop.from_name, hop.from_host, found_ip, hop.by, hop.protocol, hop.id, hop.recipient, hop.date) == expected


def test_the_order_of_time_and_the_delays() -> None:
    message = (
        b"Received: by c; Sun, 29 Nov 2026 18:10:00 +0000\r\n"
        b"Received: by broken; never\r\n"
        b"Received: by b; Sun, 29 Nov 2026 17:59:58 +0000\r\n"
        b"Received: by a; Sun, 29 Nov 2026 19:00:00 +0100\r\n\r\n"
    )
    hops = way(split(message).header)
    assert [(hop.by, hop.delay) for hop in hops] == [("a", None), ("b", -2.0), ("broken", None), ("c", 602.0)]
    assert hops[0].to_dict()["date"] == AT - 161


def test_of_too_many_the_top_ones_count() -> None:
    header = split(b"".join(b"Received: by h%d\r\n" % number for number in range(1000)) + b"\r\n").header
    hops = way(header)
    assert len(hops) == MAX_HOPS
    assert (hops[-1].by, hops[0].by) == ("h0", f"h{MAX_HOPS - 1}")


@pytest.mark.parametrize(
    ("protocol", "encrypted"),
    [("ESMTP", False), ("ESMTPS", True), ("ESMTPSA", True), ("ESMTPA", False), ("UTF8SMTPS", True), ("LMTP", False),
     ("HTTPS", True), ("SMTP", False), ("", None)],
)  # fmt: skip
def test_tls_by_the_name_of_the_protocol(protocol: str, encrypted: bool | None) -> None:
    # RFC 3848, RFC 6531 section 4.3
    assert Hop(protocol=protocol).encrypted is encrypted


@given(st.binary(max_size=400))
def test_any_octets_have_a_result(octets: bytes) -> None:
    """Any octets: a hop, never an exception; its address is one, its date is a number."""
    hop = parse_received(Field(b"Received:" + octets + b"\r\n", "received"))
    assert hop.from_ip is None or ip_address(str(hop.from_ip)) == hop.from_ip
    assert hop.date is None or hop.date == hop.date


@pytest.mark.parametrize("piece", [b"(", b'"', b"from ", b"[1.", b"\\", b"a.", b";", b" ", b"1:"])
def test_the_work_is_linear(piece: bytes) -> None:
    """Megabytes of one thing end within the test's time limit, and what is kept of them is little."""
    hop = parse_received(Field(b"Received: " + piece * 1_000_000 + b"\r\n", "received"))
    assert len(hop.raw) == MAX_FIELD_OCTETS
