"""Sections 2 to 4: identities, records and their selection, terms, limits, default.

Check_host() gives the result that RFC 7208 says, section by section. Every case names its section.
"""

from __future__ import annotations

from typing import Any

import pytest

from mailauth.spf import Reason, Result, SpfPolicy
from tests.spf.world import Counting, check, helo, record, world

SIMPLE = """
example.org.     TXT "v=spf1 ip4:192.0.2.1 -all"
mx.example.org.  TXT "v=spf1 ip4:192.0.2.2 -all"
"""


class TestIdentities:
    """Sections 2.3, 2.4 and 4.3."""

    @pytest.mark.parametrize(
        "mail_from",
        [
            "ann@example.org",
            "<ann@example.org>",
            "example.org",
            "@example.org",
            "ann@EXAMPLE.org",
            "ann@example.org.",
            '"a@b c"@example.org',
            "<@relay.example,@b.example:ann@example.org>",
        ],
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

    def test_2_3_helo(self) -> None:
        result = helo(world(SIMPLE), "MX.example.org", "192.0.2.2")
        assert (result.result, result.identity, result.domain) == ("pass", "helo", "mx.example.org")
        assert result.sender == "postmaster@mx.example.org"

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
        dns = Counting(world(SIMPLE))
        for result in (
            helo(dns, name),
            check(dns, mail_from="", helo=name),
            check(dns, mail_from=f"ann@{name or '.'}"),
        ):
            assert (result.result, result.reason, result.domain) == ("none", Reason.NO_DOMAIN, "")
        assert dns.asked == []

    def test_4_3_single_label_mail_from(self) -> None:
        assert check(world("org. TXT v=spf1"), mail_from="ann@org").result == "none"

    def test_4_3_local_part_postmaster(self) -> None:
        more = "postmaster._l.example.org. A 127.0.0.2"
        assert record("v=spf1 exists:%{l}._l.%{d} -all", more=more, mail_from="@example.org").result == "pass"

    def test_rfc_8616_u_labels_become_a_labels(self) -> None:
        zone = world(
            'xn--bcher-kva.example. TXT "v=spf1 exists:%{o}.x.example.org -all"\n'
            "xn--bcher-kva.example.x.example.org. A 127.0.0.2"
        )
        result = check(zone, mail_from="ann@Bücher.example")
        assert (result.result, result.domain) == ("pass", "xn--bcher-kva.example")

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

    def test_3_3_strings_are_joined_without_spaces(self) -> None:
        assert check(world('example.org. TXT "v=spf1 ip4:192.0" ".2.1 -all"')).result == "pass"

    def test_3_1_type_99_is_never_asked(self) -> None:
        zone = world("example.org. TYPE99 \\# 12 0B763D73706631202D616C6C")
        dns = Counting(zone)
        assert check(dns).result == "none"
        assert [question.type for question in dns.asked] == ["TXT"]

    def test_3_5_wildcards(self) -> None:
        assert check(world('*.example.org. TXT "v=spf1 -all"'), mail_from="ann@a.b.example.org").result == "fail"

    @pytest.mark.parametrize(
        ("failure", "reason"),
        [("timeout", "dns-timed-out"), ("servfail", "dns-server-failure"), ("refused", "dns-refused")],
    )
    def test_4_4_a_dns_error_is_temperror(self, failure: str, reason: str) -> None:
        result = check(world(SIMPLE, {("example.org", "TXT"): failure}))
        assert (result.result, result.reason) == ("temperror", reason)
        assert result.reply is not None
        assert str(result.reply).startswith("451 4.4.3 SPF MAIL FROM check: the DNS question example.org TXT ")

    def test_4_3_nxdomain_is_none(self) -> None:
        result = check(world(SIMPLE), mail_from="ann@nowhere.example")
        assert (result.result, result.reason) == ("none", "no-such-domain")
        assert result.void_lookups == 0

    @pytest.mark.parametrize(
        "texts",
        [
            "",
            '"v=spf10 -all"',
            '"v=spf1-all"',
            '"v=spf1\\009-all"',
            '" v=spf1 -all"',
            '"spf2.0/pra -all"',
            '"v=spf 1 -all"',
            '"\\255\\254 octets"',
            '""',
        ],
    )
    def test_4_5_other_records_are_discarded(self, texts: str) -> None:
        zone = world("example.org. A 192.0.2.9\n" + (f"example.org. TXT {texts}" if texts else ""))
        assert (check(zone).result, check(zone).reason) == ("none", "no-record")

    def test_4_5_other_records_beside_it(self) -> None:
        zone = world(SIMPLE + 'example.org. TXT "v=spf10 +all"\nexample.org. TXT "\\200\\201"\nexample.org. TXT "a=b"')
        assert check(zone).result == "pass"

    def test_4_5_several_records(self) -> None:
        result = check(world(SIMPLE + 'example.org. TXT "v=spf1 +all"'))
        assert (result.result, result.reason) == ("permerror", "several-records")

    def test_4_5_a_broken_second_record_counts(self) -> None:
        assert check(world(SIMPLE + 'example.org. TXT "V=SPF1 nonsense"')).reason == "several-records"

    @pytest.mark.parametrize("text", ["v=spf1", "v=spf1 ", "v=spf1   ", "V=SPF1", "v=SpF1 "])
    def test_4_5_version_alone_is_neutral(self, text: str) -> None:
        result = record(text)
        assert (result.result, result.reason, result.mechanism) == ("neutral", "default", None)


class TestSyntax:
    """Sections 4.6, 4.6.1 and 12: any error anywhere is a permerror, before anything is evaluated."""

    @pytest.mark.parametrize(
        "terms",
        [
            "+all  ",
            "  +all",
            "ALL",
            "+all +all",
            "+all moo.cow-far_out=man:dog/cat",
            "moo= +all",
            "+all all=x",
            "+all a=b",
            "+all ip4=1.2.3.4",
            "+all m=%{c}%{r}%{t}",
            "+all unknown=%%%_%-%{d2r.-}",
            "default=deny +all",
            "+all redirect=%{d}",
            "+all exp=x.example.org",
            "+all x=/:=,",
        ],
    )
    def test_4_6_1_valid(self, terms: str) -> None:
        assert record(f"v=spf1 {terms}").result == "pass"

    @pytest.mark.parametrize(
        "terms",
        [
            "foo",
            "-foo",
            "all.",
            "all:x",
            "all/8",
            "+all:",
            "ptr/8",
            "ptr:",
            "include",
            "include:",
            "include:x.org/24",
            "exists",
            "exists:",
            "exists:x.org/24",
            "a:",
            "mx:",
            "a/",
            "a//",
            "a/24/64",
            "a:x.org/",
            "a:x.org//",
            "a/33",
            "a//129",
            "a/024",
            "a/00",
            "a//00",
            "mx/33",
            "mx//129",
            "a:museum",
            "a:museum.",
            "a:111.222.33.44",
            "a:x.123",
            "a:x.-b",
            "a:x.b-",
            "a:x.b_c",
            "a:x..",
            "a:%{d}x",
            "a:x.org\\\\000red",
            "a:x.org\\\\200",
            "ip4",
            "ip4:",
            "ip4:1.2.3",
            "ip4:1.2.3.4.5",
            "ip4:256.2.3.4",
            "ip4:01.2.3.4",
            "ip4:1.2.3.4/33",
            "ip4:1.2.3.4/032",
            "ip4:1.2.3.4/",
            "ip4:1.2.3.4//32",
            "ip4:1.2.3.4:8080",
            "ip4:::1",
            "ip4:x.org",
            "ip6",
            "ip6:",
            "ip6:::1/129",
            "ip6:::1/",
            "ip6:::1//64",
            "ip6:1.2.3.4",
            "ip6:2001:db8::g",
            "ip6:::1%eth0",
            "ip6:[::1]",
            "ip6:1:2:3:4:5:6:7",
            "redirect=",
            "redirect=x.org redirect=y.org",
            "redirect=x.org/24",
            "exp=",
            "exp=x.org EXP=y.org",
            "+redirect=x.org",
            "-exp=x.org",
            "~foo=bar",
            "+",
            "++all",
            "=x",
            "1=x",
            "a:%{e}.x.org",
            "a:%{d",
            "a:%",
            "a:%(d).x.org",
            "a:%{d0}",
            "a:%{d00r}",
            "a:%{D,r}",
            "a:%{dr2}",
            "a:%{d2x}",
            "a:%{d}}.c%m",
            "exists:%{c}",
            "include:%{r}",
            "redirect=%{t}",
            "exp=%{c}",
            "foo=%",
            "foo=%{x}",
            "foo=a\\\\009b",
            "a:x.org\\\\009mx",
            "a;mx",
            "a,mx",
            'a:\\\\"x\\\\".org/999',
            "a:example.org:8080",
            "a:/24",
            "mx:/24//64",
            "a:x.org/-1",
            "ip4:1.2.3.4/+8",
            "ip4:1.2.3.4/ 8",
        ],
    )
    def test_4_6_errors(self, terms: str) -> None:
        text = terms.replace("\\\\", "\\")
        result = check(world(f'example.org. TXT "v=spf1 +all {text}"'))
        assert (result.result, result.reason) == ("permerror", "syntax-error")
        assert result.reply is not None
        assert result.reply.code == 550

    @pytest.mark.parametrize(
        "term",
        [
            "a:foo:bar/baz.example.org",
            "a:.com",
            "a:x.org.",
            "a:x.1-2",
            "a:x.xn--p1ai",
            "a:%%.org",
            "a:%{d}",
            "a:x%_",
            "a:x%-",
            "a:!\\034#$&'()*+,-/<=>?@[\\\\]^_`{|}~.org",
            "a:x.1a",
            "a:x.a1",
            "a/0//0",
            "mx:%{d}/24//64",
            "exists:%{d127}",
            "exists:%{d99999999999999999999}",
            "exists:%{d01}",
            "exists:%{D.-+,/_=}",
        ],
    )
    def test_7_1_valid_domain_specs(self, term: str) -> None:
        result = check(world(f'example.org. TXT "v=spf1 {term} ?all"'))
        assert result.result in ("neutral", "pass")

    def test_4_6_nothing_is_evaluated_before_the_error(self) -> None:
        dns = Counting(world('example.org. TXT "v=spf1 a mx include:x.org foo"'))
        assert check(dns).result == "permerror"
        assert len(dns.asked) == 1

    def test_4_6_an_error_in_an_include_is_permerror(self) -> None:
        assert record("v=spf1 include:b.example +all", more='b.example. TXT "v=spf1 +all foo"').result == "permerror"


class TestEvaluation:
    """Sections 4.6.2 and 4.7."""

    @pytest.mark.parametrize(
        ("qualifier", "result"), [("", "pass"), ("+", "pass"), ("-", "fail"), ("~", "softfail"), ("?", "neutral")]
    )
    def test_4_6_2_qualifiers(self, qualifier: str, result: str) -> None:
        for mechanism in ("all", "ip4:192.0.2.1", "exists:e.example.org"):
            got = record(f"v=spf1 {qualifier}{mechanism} -all", more="e.example.org. A 127.0.0.2")
            assert (got.result, got.reason) == (result, "matched")
            assert got.mechanism == qualifier.replace("+", "") + mechanism

    def test_4_6_2_left_to_right(self) -> None:
        assert record("v=spf1 -ip4:192.0.2.0/24 ip4:192.0.2.1 +all").mechanism == "-ip4:192.0.2.0/24"
        assert record("v=spf1 ~ip4:192.0.2.1 -ip4:192.0.2.0/24 +all").mechanism == "~ip4:192.0.2.1"

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

    def test_4_6_4_ten_lookups(self) -> None:
        result = record(f"v=spf1 {terms(10)} -all", more=hosts(10))
        assert (result.result, result.lookups) == ("fail", 10)

    def test_4_6_4_eleven_lookups(self) -> None:
        result = record(f"v=spf1 {terms(11)} -all", more=hosts(11))
        assert (result.result, result.reason, result.lookups) == ("permerror", "too-many-lookups", 10)

    def test_4_6_4_terms_behind_a_match_do_not_count(self) -> None:
        assert record(f"v=spf1 {terms(10)} ip4:192.0.2.1 {terms(11)} -all", more=hosts(11)).result == "pass"

    @pytest.mark.parametrize("count", [9, 10])
    def test_4_6_4_redirect_counts(self, count: int) -> None:
        more = hosts(10) + 'b.example. TXT "v=spf1 -all"'
        result = record(f"v=spf1 {terms(count)} redirect=b.example", more=more)
        assert result.result == ("fail" if count == 9 else "permerror")

    def test_4_6_4_includes_count_with_what_is_in_them(self) -> None:
        more = hosts(10) + f'b.example. TXT "v=spf1 {terms(5)} ?all"'
        assert record(f"v=spf1 include:b.example {terms(4)} -all", more=more).lookups == 10
        assert record(f"v=spf1 include:b.example {terms(5)} -all", more=more).reason == "too-many-lookups"

    def test_4_6_4_loops_end(self) -> None:
        for text in ("include:example.org", "redirect=example.org", "include:%{d}", "redirect=%{d}"):
            dns = Counting(world(f'example.org. TXT "v=spf1 {text}"'))
            assert check(dns).reason == "too-many-lookups"
            assert len(dns.asked) == 11

    def test_4_6_4_all_ip4_ip6_and_exp_do_not_count(self) -> None:
        more = hosts(10) + 'e.example. TXT "because"'
        result = record(f"v=spf1 ip4:10.0.0.0/8 ip6:::1 {terms(10)} exp=e.example -all", more=more)
        assert (result.result, result.explanation, result.lookups) == ("fail", "because", 10)

    @pytest.mark.parametrize(("count", "result"), [(2, "fail"), (3, "permerror")])
    def test_4_6_4_void_lookups(self, count: int, result: str) -> None:
        got = record(f"v=spf1 {terms(count)} -all", more="h1.example.org. TXT x")
        assert (got.result, got.void_lookups) == (result, count)

    def test_4_6_4_void_lookups_across_includes(self) -> None:
        more = 'b.example. TXT "v=spf1 a:v1.example mx:v2.example ?all"'
        result = record("v=spf1 include:b.example exists:v3.example -all", more=more)
        assert (result.result, result.reason) == ("permerror", "too-many-void-lookups")

    def test_4_6_4_ten_mx_hosts(self) -> None:
        mx = "".join(f"example.org. MX {i} h{i}.example.org.\n" for i in range(10))
        result = record("v=spf1 mx -all", more=mx + hosts(10))
        assert (result.result, result.lookups) == ("fail", 1)

    def test_4_6_4_eleven_mx_hosts(self) -> None:
        mx = "".join(f"example.org. MX {i} h{i}.example.org.\n" for i in range(11))
        dns = Counting(world('example.org. TXT "v=spf1 mx -all"\n' + mx + hosts(11, value="192.0.2.1")))
        result = check(dns)
        assert (result.result, result.reason) == ("permerror", "too-many-mx-hosts")
        assert len(dns.asked) == 2

    def test_4_6_4_mx_limit_is_for_each_mx(self) -> None:
        mx = "".join(f"example.org. MX {i} h{i}.example.org.\nb.example. MX {i} h{i}.example.org.\n" for i in range(10))
        result = record("v=spf1 mx mx:b.example -all", more=mx + hosts(10))
        assert (result.result, result.lookups) == ("fail", 2)

    def test_4_6_4_the_eleventh_ptr_name_is_ignored(self) -> None:
        ptr = "".join(f"1.2.0.192.in-addr.arpa. PTR h{i:02}.example.org.\n" for i in range(11))
        addresses = "h10.example.org. A 192.0.2.1\n" + "".join(f"h{i:02}.example.org. A 10.0.0.1\n" for i in range(10))
        dns = Counting(world('example.org. TXT "v=spf1 ptr -all"\n' + ptr + addresses))
        assert check(dns).result == "fail"
        assert len(dns.asked) == 12

    def test_4_6_4_a_ptr_macro_counts_once(self) -> None:
        text = f"v=spf1 exists:%{{p}}.x.example.org exists:%{{p}}.y.example.org {terms(7)} -all"
        more = hosts(7) + "1.2.0.192.in-addr.arpa. PTR h.example.org.\nh.example.org. A 192.0.2.1\n"
        more += "".join(f"h.example.org.{name}.example.org. A 10.0.0.1\n" for name in "ab")
        result = record(text, more=more)
        assert (result.result, result.lookups) == ("fail", 10)

    def test_4_6_4_a_client_without_a_name_is_no_void_lookup_of_a_ptr_macro(self) -> None:
        dns = Counting(world('example.org. TXT "v=spf1 exists:%{p}.x.example.org exists:%{p}.y.example.org -all"'))
        result = check(dns)
        assert (result.result, result.lookups, result.void_lookups) == ("fail", 3, 2)
        assert [question.type for question in dns.asked] == ["TXT", "PTR", "A", "A"]
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
        slow = Counting(world('example.org. TXT "v=spf1 a mx -all"\nexample.org. A 10.0.0.1'))
        result = run(
            check_host("192.0.2.1", mail_from="ann@example.org"), slow, time_limit=20, clock=lambda: next(clock)
        )
        assert (result.result, result.reason) == ("temperror", "dns-timed-out")
        assert len(slow.asked) == 1


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
