"""Appendix A, with its DNS set-up as a master file.

The examples of RFC 7208's appendix A come out as it says.
"""

from __future__ import annotations

import pytest

from mailauth.resolvers import ZoneResolver
from tests.spf.world import check

SETUP = """
$TTL 3600
$ORIGIN example.com.
@           MX  10 mail-a
            MX  20 mail-b
            A   192.0.2.10
            A   192.0.2.11
amy         A   192.0.2.65
bob         A   192.0.2.66
mail-a      A   192.0.2.129
mail-b      A   192.0.2.130
www         CNAME example.com.
$ORIGIN example.org.
@           MX  10 mail-c
mail-c      A   192.0.2.140
$ORIGIN 2.0.192.in-addr.arpa.
10          PTR example.com.
11          PTR example.com.
65          PTR amy.example.com.
66          PTR bob.example.com.
129         PTR mail-a.example.com.
130         PTR mail-b.example.com.
140         PTR mail-c.example.org.
$ORIGIN 0.0.10.in-addr.arpa.
4           PTR bob.example.com.
"""
EVERYBODY = [
    "192.0.2.10",
    "192.0.2.11",
    "192.0.2.65",
    "192.0.2.66",
    "192.0.2.129",
    "192.0.2.130",
    "192.0.2.131",
    "192.0.2.140",
    "192.0.2.143",
    "10.0.0.4",
    "203.0.113.1",
]


@pytest.mark.parametrize(
    ("record", "passing"),
    [
        ("v=spf1 +all", EVERYBODY),
        ("v=spf1 a -all", ["192.0.2.10", "192.0.2.11"]),
        ("v=spf1 a:example.org -all", []),
        ("v=spf1 mx -all", ["192.0.2.129", "192.0.2.130"]),
        ("v=spf1 mx:example.org -all", ["192.0.2.140"]),
        ("v=spf1 mx mx:example.org -all", ["192.0.2.129", "192.0.2.130", "192.0.2.140"]),
        (
            "v=spf1 mx/30 mx:example.org/30 -all",
            ["192.0.2.129", "192.0.2.130", "192.0.2.131", "192.0.2.140", "192.0.2.143"],
        ),
        ("v=spf1 ptr -all", ["192.0.2.10", "192.0.2.11", "192.0.2.65", "192.0.2.66", "192.0.2.129", "192.0.2.130"]),
        (
            "v=spf1 ip4:192.0.2.128/28 -all",
            ["192.0.2.129", "192.0.2.130", "192.0.2.131", "192.0.2.140", "192.0.2.143"],
        ),
    ],
)
def test_a_1_simple_examples(record: str, passing: list[str]) -> None:
    zone = ZoneResolver.from_text(SETUP + f'example.com. TXT "{record}"')
    results = {ip: check(zone, ip, "fred@example.com").result for ip in EVERYBODY}
    assert {ip for ip, result in results.items() if result == "pass"} == set(passing)
    assert set(results.values()) <= {"pass", "fail"}


def test_a_2_multiple_domains() -> None:
    zone = ZoneResolver.from_text(
        SETUP
        + """
example.org.    TXT "v=spf1 include:example.com include:example.net -all"
example.com.    TXT "v=spf1 ip4:192.0.2.129 -all"
example.net.    TXT "v=spf1 ip4:192.0.2.140 -all"
la.example.org. TXT "v=spf1 redirect=example.org"
"""
    )
    for domain in ("example.org", "la.example.org"):
        assert check(zone, "192.0.2.129", f"a@{domain}").mechanism == "include:example.com"
        assert check(zone, "192.0.2.140", f"a@{domain}").mechanism == "include:example.net"
        assert check(zone, "192.0.2.10", f"a@{domain}").result == "fail"


MOBILE = (
    SETUP
    + """
example.com.                    TXT "v=spf1 mx include:mobile-users._spf.%{d} include:remote-users._spf.%{d} -all"
mobile-users._spf.example.com.  TXT "v=spf1 exists:%{l1r+}.%{d}"
remote-users._spf.example.com.  TXT "v=spf1 exists:%{ir}.%{l1r+}.%{d}"
$ORIGIN _spf.example.com.
mary.mobile-users                   A 127.0.0.2
fred.mobile-users                   A 127.0.0.2
15.15.168.192.joel.remote-users     A 127.0.0.2
16.15.168.192.joel.remote-users     A 127.0.0.2
"""
)


@pytest.mark.parametrize(
    ("sender", "ip", "result"),
    [
        ("mary", "203.0.113.1", "pass"),
        ("fred+lists", "203.0.113.1", "pass"),
        ("joel", "192.168.15.15", "pass"),
        ("joel+x", "192.168.15.16", "pass"),
        ("joel", "192.168.15.17", "fail"),
        ("eve", "192.168.15.15", "fail"),
        ("eve", "192.0.2.129", "pass"),
    ],
)
def test_a_3_dnsbl_style(sender: str, ip: str, result: str) -> None:
    assert check(ZoneResolver.from_text(MOBILE), ip, f"{sender}@example.com").result == result


@pytest.mark.parametrize(
    ("record", "result"),
    [
        ("v=spf1 mx ?exists:%{ir}.whitelist.example.org -all", "neutral"),
        ("v=spf1 mx exists:%{l}._spf_verify.%{d} -all", "pass"),
        ("v=spf1 mx redirect=%{l1r+}._at_.%{o}._spf.%{d}", "softfail"),
        ("v=spf1 exists:_h.%{h}._l.%{l}._o.%{o}._i.%{i}._spf.%{d} ?all", "pass"),
    ],
)
def test_c_and_d_1(record: str, result: str) -> None:
    zone = ZoneResolver.from_text(f"""
$TTL 300
example.com. TXT "{record}"
1.113.0.203.whitelist.example.org.                     A 127.0.0.2
joe._spf_verify.example.com.                           A 127.0.0.2
joe._at_.example.com._spf.example.com.                 TXT "v=spf1 ~all"
_h.mx.example.org._l.joe._o.example.com._i.203.0.113.1._spf.example.com. A 127.0.0.2
""")
    assert check(zone, "203.0.113.1", "joe@example.com").result == result
