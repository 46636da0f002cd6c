"""Sections 2 to 4: identities, records and their selection, terms, limits, default.

Check_host() gives the result that RFC 7208 says, section by section. Every case names its section.
"""

from __future__ import annotations

from typing import Any

import pytest

from mailauth.resolvers import RecordingResolver
from mailauth.spf import Reason, Result, SpfPolicy
from mailauth.testing import Zone
from tests.spf.world import check, helo, record, world

SIMPLE = """
example.org.     TXT "v=spf1 ip4:192.0.2.1 -all"
mx.example.org.  TXT "v=spf1 ip4:192.0.2.2 -all"
"""


class TestIdentities:
    """Sections 2.3, 2.4 and 4.3."""

    @pytest.mark.parametrize(
        "mail_from",
        ["<ann@example.org>", "ann@example.org.", "<@relay.example,@b.example:ann@example.org>"],
    )
    def test_2_4_mail_from(self, mail_from: str) -> None:
        result = check(world(SIMPLE), mail_from=mail_from)
        assert (result.result, result.identity, result.domain) == ("pass", "mailfrom", "example.org")

    @pytest.mark.parametrize("null", ["", "<>", None])
    def test_2_4_null_sender_is_postmaster_at_helo(self, null: Any) -> None:
        zone = world(SIMPLE)
        assert check(zone, "192.0.2.1", null).result == "fail"
        result = check(zone, "192.0.2.2", null)
        assert (result.result, result.identity) == ("pass", "mailfrom")
        assert (result.domain, result.sender) == ("mx.example.org", "postmaster@mx.example.org")

    @pytest.mark.parametrize(
        "name",
        [
            "[192.0.2.1]",
            "[IPv6:2001:db8::1]",
            "192.0.2.1",
            "localhost",
            "",
            None,
            "a..example.org",
            ".example.org",
            "x" * 64 + ".example.org",
            "a b.example.org",
            "example.org\r\nX: y",
            "x\0.example.org",
            "x." * 130 + "example.org",
            "-x.example.org",
            "foo.123",
            "@",
            "\udc80.org",
            "x" * 5000,
        ],
    )
    def test_4_3_no_domain_is_none_without_a_question(self, name: str | None) -> None:
        dns = RecordingResolver(world(SIMPLE))
        for result in (
            helo(dns, name),
            check(dns, mail_from="", helo=name),
            check(dns, mail_from=f"ann@{name or '.'}"),
        ):
            assert (result.result, result.reason, result.domain) == ("none", Reason.NO_DOMAIN, "")
        assert dns.questions == ()

    @pytest.mark.parametrize("ip", ["", "nonsense", "192.0.2", "192.0.2.1.5", "2001:db8::g", "192.0.2.1/32"])
    def test_bad_client_address_raises_at_once(self, ip: str) -> None:
        from mailauth.spf import check_helo, check_host

        with pytest.raises(ValueError, match="not an IPv4 or IPv6 address"):
            check_host(ip, mail_from="ann@example.org")
        with pytest.raises(ValueError, match="not an IPv4 or IPv6 address"):
            check_helo(ip, "mx.example.org")

    def test_wrong_types_raise_at_once(self) -> None:
        from mailauth.spf import check_host

        with pytest.raises(TypeError):
            check_host(b"192.0.2.1", mail_from="ann@example.org")  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            check_host("192.0.2.1", mail_from=b"ann@example.org")  # type: ignore[arg-type]


class TestRecords:
    """Sections 3, 4.4 and 4.5."""

    def test_3_1_type_99_is_never_asked(self) -> None:
        zone = world("example.org. TYPE99 \\# 12 0B763D73706631202D616C6C")
        dns = RecordingResolver(zone)
        assert check(dns).result == "none"
        assert [question.type for question in dns.questions] == ["TXT"]

    @pytest.mark.parametrize(
        ("failure", "reason"),
        [("timeout", "dns-timed-out"), ("servfail", "dns-server-failure"), ("refused", "dns-refused")],
    )
    def test_4_4_a_dns_error_is_temperror(self, failure: str, reason: str) -> None:
        result = check(world(SIMPLE, {("example.org", "TXT"): failure}))
        assert (result.result, result.reason) == ("temperror", reason)
        assert result.reply is not None
        assert str(result.reply).startswith("451 4.4.3 SPF MAIL FROM check: the DNS question example.org TXT ")


class TestSyntax:
    """Sections 4.6, 4.6.1 and 12: any error anywhere is a permerror, before anything is evaluated."""

    def test_4_6_nothing_is_evaluated_before_the_error(self) -> None:
        dns = RecordingResolver(world('example.org. TXT "v=spf1 a mx include:x.org foo"'))
        assert check(dns).result == "permerror"
        assert len(dns.questions) == 1


class TestEvaluation:
    """Sections 4.6.2 and 4.7."""

    def test_4_7_default(self) -> None:
        result = record("v=spf1 ip4:10.0.0.0/8 a:x.example.org")
        assert (result.result, result.reason, result.mechanism) == ("neutral", "default", None)
        assert "no mechanism" in result.detail

    def test_result_names_the_record_that_decided(self) -> None:
        result = record("v=spf1 redirect=b.example", more='b.example. TXT "v=spf1 ip6:2001:db8::/32 -all"')
        assert (result.domain, result.record_domain, result.mechanism) == ("example.org", "b.example", "-all")
        assert str(result.record) == "v=spf1 ip6:2001:db8::/32 -all"


def hosts(count: int, kind: str = "A", value: str = "10.0.0.1") -> str:
    return "".join(f"h{i}.example.org. {kind} {value}\n" for i in range(count))


def terms(count: int, name: str = "a") -> str:
    return " ".join(f"{name}:h{i}.example.org" for i in range(count))


class TestLimits:
    """Section 4.6.4."""

    def test_4_6_4_loops_end(self) -> None:
        for text in ("include:example.org", "redirect=example.org", "include:%{d}", "redirect=%{d}"):
            dns = RecordingResolver(world(f'example.org. TXT "v=spf1 {text}"'))
            assert check(dns).reason == "too-many-lookups"
            assert len(dns.questions) == 11

    def test_4_6_4_eleven_mx_hosts(self) -> None:
        mx = "".join(f"example.org. MX {i} h{i}.example.org.\n" for i in range(11))
        dns = RecordingResolver(world('example.org. TXT "v=spf1 mx -all"\n' + mx + hosts(11, value="192.0.2.1")))
        result = check(dns)
        assert (result.result, result.reason) == ("permerror", "too-many-mx-hosts")
        assert len(dns.questions) == 2

    def test_4_6_4_the_eleventh_ptr_name_is_ignored(self) -> None:
        ptr = "".join(f"1.2.0.192.in-addr.arpa. PTR h{i:02}.example.org.\n" for i in range(11))
        addresses = "h10.example.org. A 192.0.2.1\n" + "".join(f"h{i:02}.example.org. A 10.0.0.1\n" for i in range(10))
        dns = RecordingResolver(world('example.org. TXT "v=spf1 ptr -all"\n' + ptr + addresses))
        assert check(dns).result == "fail"
        assert len(dns.questions) == 12

    def test_4_6_4_a_ptr_macro_counts_once(self) -> None:
        text = f"v=spf1 exists:%{{p}}.x.example.org exists:%{{p}}.y.example.org {terms(7)} -all"
        more = hosts(7) + "1.2.0.192.in-addr.arpa. PTR h.example.org.\nh.example.org. A 192.0.2.1\n"
        more += "".join(f"h.example.org.{name}.example.org. A 10.0.0.1\n" for name in "ab")
        result = record(text, more=more)
        assert (result.result, result.lookups) == ("fail", 10)

    def test_4_6_4_a_client_without_a_name_is_no_void_lookup_of_a_ptr_macro(self) -> None:
        dns = RecordingResolver(
            world('example.org. TXT "v=spf1 exists:%{p}.x.example.org exists:%{p}.y.example.org -all"')
        )
        result = check(dns)
        assert (result.result, result.lookups, result.void_lookups) == ("fail", 3, 2)
        assert [question.type for question in dns.questions] == ["TXT", "PTR", "A", "A"]
        assert record("v=spf1 ptr exists:%{p}.x.example.org a:void.example -all").result == "permerror"

    def test_policy_adjusts_the_limits(self) -> None:
        more = hosts(3)
        assert (
            record(f"v=spf1 {terms(3)} -all", more=more, policy=SpfPolicy(max_lookups=2)).reason == "too-many-lookups"
        )
        assert (
            record(f"v=spf1 {terms(4)} -all", more=more, policy=SpfPolicy(max_void_lookups=0)).reason
            == "too-many-void-lookups"
        )
        assert record(f"v=spf1 {terms(5)} -all", policy=SpfPolicy(max_void_lookups=5)).result == "fail"
        assert record(f"v=spf1 {terms(11)} -all", more=hosts(11), policy=SpfPolicy(max_lookups=11)).result == "fail"

    @pytest.mark.parametrize("bad", [-1, 1.5, "10", None])
    def test_policy_refuses_nonsense(self, bad: Any) -> None:
        with pytest.raises(ValueError, match="max_lookups"):
            SpfPolicy(max_lookups=bad)

    def test_4_6_4_time_limit_is_temperror(self) -> None:
        from mailauth.plan import run
        from mailauth.spf import check_host

        clock = iter(range(0, 1000, 15))
        zone = Zone({("example.org", "TXT"): ["v=spf1 a mx -all"], ("example.org", "A"): ["10.0.0.1"]})
        slow = RecordingResolver(zone, clock=lambda: 0.0)
        result = run(
            check_host("192.0.2.1", mail_from="ann@example.org"), slow, time_limit=20, clock=lambda: next(clock)
        )
        assert (result.result, result.reason) == ("temperror", "dns-timed-out")
        assert len(slow.questions) == 1


def test_results_are_the_seven() -> None:
    assert {result.value for result in Result} == {
        "none",
        "neutral",
        "pass",
        "fail",
        "softfail",
        "temperror",
        "permerror",
    }
