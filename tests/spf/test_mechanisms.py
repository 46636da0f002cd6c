"""Sections 5 and 6: the mechanisms, redirect and exp.

Each mechanism and modifier matches what RFC 7208 sections 5 and 6 say, and nothing else.
"""

from __future__ import annotations

import pytest

from mailauth.spf import SpfPolicy
from tests.spf.world import Counting, check, record, world


class TestAll:
    """Section 5.1."""

    def test_5_1_matches_always(self) -> None:
        assert record("v=spf1 -all", "2001:db8::1").result == "fail"

    def test_5_1_what_stands_behind_is_ignored(self) -> None:
        dns = Counting(world('example.org. TXT "v=spf1 ?all a mx ip4:192.0.2.1 include:x.org -all"'))
        assert check(dns).result == "neutral"
        assert len(dns.asked) == 1

    @pytest.mark.parametrize("text", ["redirect=b.example ~all", "~all redirect=b.example"])
    def test_5_1_redirect_is_ignored(self, text: str) -> None:
        assert record(f"v=spf1 {text}", more='b.example. TXT "v=spf1 +all"').result == "softfail"


class TestInclude:
    """Section 5.2."""

    @pytest.mark.parametrize(
        ("inner", "result"),
        [
            ("v=spf1 +all", "pass"),
            ("v=spf1 -all", "softfail"),
            ("v=spf1 ~all", "softfail"),
            ("v=spf1 ?all", "softfail"),
            ("v=spf1", "softfail"),
            ("v=spf1 foo", "permerror"),
            ("v=spf10 +all", "permerror"),
            ("v=spf1 redirect=c.example", "pass"),
            ("v=spf1 include:c.example", "pass"),
            ("v=spf1 -include:c.example", "softfail"),
            ("v=spf1 include:d.example", "permerror"),
            ("v=spf1 redirect=d.example", "permerror"),
        ],
    )
    def test_5_2_the_table(self, inner: str, result: str) -> None:
        more = f'b.example. TXT "{inner}"\nc.example. TXT "v=spf1 +all"'
        assert record("v=spf1 include:b.example ~all", more=more).result == result

    @pytest.mark.parametrize("qualifier", "+-~?")
    def test_5_2_the_outer_qualifier_counts(self, qualifier: str) -> None:
        result = record(f"v=spf1 {qualifier}include:b.example", more='b.example. TXT "v=spf1 +all"')
        assert result.result == {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}[qualifier]
        assert result.record_domain == "example.org"

    @pytest.mark.parametrize("target", ["b.example", "%{d1}", "x..example", "." + "x" * 64 + ".example"])
    def test_5_2_no_record_is_permerror(self, target: str) -> None:
        result = record(f"v=spf1 include:{target} +all")
        assert (result.result, result.reason) == ("permerror", "include-without-record")

    def test_5_2_temperror(self) -> None:
        zone = world('example.org. TXT "v=spf1 include:b.example +all"', {("b.example", "TXT"): "servfail"})
        assert check(zone).result == "temperror"

    def test_5_2_domain_is_the_included_one_and_restored(self) -> None:
        more = 'b.example. TXT "v=spf1 exists:%{d}.%{o}.x.example"\nexample.org.example.org.y.example. A 127.0.0.2\n'
        more += "q.example.org.x.example. A 127.0.0.2"
        assert record("v=spf1 include:b.example exists:%{d}.%{o}.y.example -all", more=more).result == "pass"


ADDRESSES = """
example.org.    A    192.0.2.10
example.org.    A    192.0.2.11
example.org.    AAAA 2001:db8::10
four.example.   A    192.0.2.1
six.example.    AAAA 2001:db8::1
alias.example.  CNAME four.example.
"""


class TestA:
    """Section 5.3, and what section 5 says on prefix lengths and address families."""

    @pytest.mark.parametrize(
        ("term", "ip", "matches"),
        [
            ("a", "192.0.2.10", True),
            ("a", "192.0.2.11", True),
            ("a", "192.0.2.12", False),
            ("a", "2001:db8::10", True),
            ("a", "2001:db8::11", False),
            ("a", "::ffff:192.0.2.10", True),
            ("a", "::192.0.2.10", False),
            ("A:FOUR.example.", "192.0.2.1", True),
            ("a:four.example", "2001:db8::1", False),
            ("a:six.example", "192.0.2.1", False),
            ("a:alias.example", "192.0.2.1", True),
            ("a:nowhere.example", "192.0.2.1", False),
            ("a/24", "192.0.2.99", True),
            ("a/24", "192.0.3.10", False),
            ("a/31", "192.0.2.11", True),
            ("a/0", "203.0.113.1", True),
            ("a/0", "2001:db8::11", False),
            ("a//0", "2001:db9::1", True),
            ("a//0", "203.0.113.1", False),
            ("a:four.example/0", "2001:db8::1", False),
            ("a:nowhere.example/0", "192.0.2.1", False),
            ("a//64", "2001:db8::ffff", True),
            ("a//64", "2001:db8:0:1::1", False),
            ("a/24//64", "2001:db8::ffff", True),
            ("a/24//64", "192.0.2.200", True),
            ("a:%{d}", "192.0.2.10", True),
            ("a:%{d1r}.org", "192.0.2.10", True),
        ],
    )
    def test_5_3(self, term: str, ip: str, matches: bool) -> None:
        assert record(f"v=spf1 {term} -all", ip, more=ADDRESSES).result == ("pass" if matches else "fail")

    @pytest.mark.parametrize(("ip", "rtype"), [("192.0.2.1", "A"), ("2001:db8::1", "AAAA"), ("::ffff:192.0.2.1", "A")])
    def test_5_only_the_family_of_the_client_is_asked(self, ip: str, rtype: str) -> None:
        dns = Counting(world('example.org. TXT "v=spf1 a a:x.example mx -all"\nexample.org. MX 1 six.example.'))
        check(dns, ip)
        assert [question.type for question in dns.asked] == ["TXT", rtype, rtype, "MX", rtype]

    @pytest.mark.parametrize("term", ["a:x..example", "mx:x..example", "exists:x..example", "ptr:x..example"])
    def test_4_8_a_malformed_target_does_not_match(self, term: str) -> None:
        dns = Counting(world(f'example.org. TXT "v=spf1 {term} ~all"'))
        assert check(dns).result == "softfail"
        assert len(dns.asked) == 1

    @pytest.mark.parametrize("term", ["a", "mx", "mx:m.example", "exists:e.example", "include:i.example"])
    def test_5_a_dns_error_is_temperror(self, term: str) -> None:
        names = (
            ("example.org", "A"),
            ("example.org", "MX"),
            ("h.example", "A"),
            ("e.example", "A"),
            ("i.example", "TXT"),
        )
        zone = world(
            f'example.org. TXT "v=spf1 {term} +all"\nm.example. MX 1 h.example.', dict.fromkeys(names, "timeout")
        )
        assert (check(zone).result, check(zone).reason) == ("temperror", "dns-timed-out")


EXCHANGES = """
example.org.   MX 20 b.example.
example.org.   MX 10 a.example.
a.example.     A 192.0.2.1
b.example.     A 192.0.2.2
b.example.     AAAA 2001:db8::2
c.example.     A 192.0.2.3
null.example.  MX 0 .
"""


class TestMx:
    """Section 5.4."""

    @pytest.mark.parametrize(
        ("term", "ip", "matches"),
        [
            ("mx", "192.0.2.1", True),
            ("mx", "192.0.2.2", True),
            ("mx", "192.0.2.3", False),
            ("mx", "2001:db8::2", True),
            ("mx/30", "192.0.2.3", True),
            ("mx//32", "2001:db8::ff", True),
            ("mx:example.org", "192.0.2.2", True),
            ("mx:%{o}", "192.0.2.2", True),
            ("mx:null.example", "192.0.2.1", False),
            ("mx:nowhere.example", "192.0.2.1", False),
        ],
    )
    def test_5_4(self, term: str, ip: str, matches: bool) -> None:
        assert record(f"v=spf1 {term} -all", ip, more=EXCHANGES).result == ("pass" if matches else "fail")

    def test_5_4_no_implicit_mx(self) -> None:
        assert record("v=spf1 mx:c.example -all", "192.0.2.3", more=EXCHANGES).result == "fail"

    def test_5_4_hosts_are_asked_in_order_of_preference_until_one_matches(self) -> None:
        dns = Counting(world('example.org. TXT "v=spf1 mx -all"' + EXCHANGES))
        assert check(dns, "192.0.2.1").result == "pass"
        assert [question.name for question in dns.asked] == ["example.org", "example.org", "a.example"]

    def test_4_6_4_an_mx_counts_as_one_void_lookup(self) -> None:
        more = "".join(f"example.org. MX {i} v{i}.example.\n" for i in range(5))
        result = record("v=spf1 mx -all", more=more)
        assert (result.result, result.lookups, result.void_lookups) == ("fail", 1, 1)

    def test_7505_null_mx_asks_for_no_host(self) -> None:
        dns = Counting(world('example.org. TXT "v=spf1 mx:null.example -all"' + EXCHANGES))
        result = check(dns)
        assert (result.result, result.void_lookups, len(dns.asked)) == ("fail", 0, 2)


REVERSE = """
1.2.0.192.in-addr.arpa.  PTR mail.example.org.
2.2.0.192.in-addr.arpa.  PTR example.org.
3.2.0.192.in-addr.arpa.  PTR bad-example.org.
4.2.0.192.in-addr.arpa.  PTR liar.example.org.
5.2.0.192.in-addr.arpa.  PTR down.example.org.
5.2.0.192.in-addr.arpa.  PTR mail5.example.org.
6.2.0.192.in-addr.arpa.  PTR void1.example.org.
6.2.0.192.in-addr.arpa.  PTR void2.example.org.
6.2.0.192.in-addr.arpa.  PTR void3.example.org.
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR MAIL.Example.ORG.
mail.example.org.        A 192.0.2.1
mail.example.org.        AAAA 2001:db8::1
example.org.             A 192.0.2.2
bad-example.org.         A 192.0.2.3
liar.example.org.        A 192.0.2.99
mail5.example.org.       A 192.0.2.5
"""


class TestPtr:
    """Section 5.5."""

    @pytest.mark.parametrize(
        ("term", "ip", "matches"),
        [
            ("ptr", "192.0.2.1", True),
            ("ptr", "192.0.2.2", True),
            ("ptr", "192.0.2.3", False),
            ("ptr", "192.0.2.4", False),
            ("ptr", "192.0.2.5", True),
            ("ptr", "192.0.2.6", False),
            ("ptr", "192.0.2.7", False),
            ("ptr", "2001:db8::1", True),
            ("ptr:mail.example.org", "192.0.2.1", True),
            ("ptr:mail.example.org", "192.0.2.2", False),
            ("ptr:%{d1r}.ORG.", "192.0.2.1", True),
            ("ptr:org", "192.0.2.1", None),
        ],
    )
    def test_5_5(self, term: str, ip: str, matches: bool | None) -> None:
        zone = world(f'example.org. TXT "v=spf1 {term} -all"' + REVERSE, {("down.example.org", "*"): "servfail"})
        assert check(zone, ip).result == {True: "pass", False: "fail", None: "permerror"}[matches]

    def test_5_5_an_error_of_the_reverse_name_is_no_match(self) -> None:
        zone = world('example.org. TXT "v=spf1 ptr -all"', {("1.2.0.192.in-addr.arpa", "PTR"): "timeout"})
        assert check(zone).result == "fail"

    def test_4_6_4_names_of_the_client_cannot_make_a_permerror(self) -> None:
        result = record("v=spf1 ptr -all", "192.0.2.6", more=REVERSE)
        assert (result.result, result.void_lookups) == ("fail", 0)

    def test_names_elsewhere_are_not_asked(self) -> None:
        dns = Counting(world('example.org. TXT "v=spf1 ptr -all"' + REVERSE))
        check(dns, "192.0.2.3")
        assert [question.type for question in dns.asked] == ["TXT", "PTR"]


class TestNetworks:
    """Section 5.6."""

    @pytest.mark.parametrize(
        ("term", "ip", "matches"),
        [
            ("ip4:192.0.2.1", "192.0.2.1", True),
            ("ip4:192.0.2.1", "192.0.2.2", False),
            ("IP4:192.0.2.1/32", "192.0.2.1", True),
            ("ip4:192.0.2.77/24", "192.0.2.1", True),
            ("ip4:192.0.2.0/25", "192.0.2.128", False),
            ("ip4:192.0.2.0/25", "192.0.2.127", True),
            ("ip4:0.0.0.0/0", "255.255.255.255", True),
            ("ip4:255.255.255.255", "255.255.255.255", True),
            ("ip4:0.0.0.0/0", "2001:db8::1", False),
            ("ip4:0.0.0.0/0", "::1.2.3.4", False),
            ("ip4:192.0.2.0/24", "::ffff:192.0.2.1", True),
            ("ip6:2001:db8::1", "2001:db8::1", True),
            ("ip6:2001:DB8::/32", "2001:db8:ffff::1", True),
            ("ip6:2001:db8::/33", "2001:db8:8000::1", False),
            ("ip6:::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", True),
            ("ip6:::/0", "192.0.2.1", False),
            ("ip6:::ffff:192.0.2.1", "::ffff:192.0.2.1", False),
            ("ip6:::ffff:0:0/96", "192.0.2.1", False),
            ("ip6:64:ff9b::192.0.2.1", "64:ff9b::c000:201", True),
        ],
    )
    def test_5_6(self, term: str, ip: str, matches: bool) -> None:
        assert record(f"v=spf1 {term} -all", ip).result == ("pass" if matches else "fail")

    def test_5_6_the_first_of_overlapping_networks_counts(self) -> None:
        text = "v=spf1 -ip4:10.0.0.0/9 ip6:2001:db8::/32 ~ip4:10.0.0.0/8 ?ip6:2001::/16 ip4:10.255.0.0/16 -all"
        for ip, result in [
            ("10.1.1.1", "fail"),
            ("10.255.0.1", "softfail"),
            ("2001:db8::1", "pass"),
            ("2001::1", "neutral"),
        ]:
            assert record(text, ip).result == result


class TestExists:
    """Section 5.7."""

    @pytest.mark.parametrize("ip", ["192.0.2.1", "2001:db8::1"])
    def test_5_7_any_a_record_even_for_ipv6(self, ip: str) -> None:
        more = "four.example. A 10.0.0.1\nsix.example. AAAA 2001:db8::1"
        assert record("v=spf1 exists:four.example -all", ip, more=more).result == "pass"
        assert record("v=spf1 exists:six.example -all", ip, more=more).result == "fail"


class TestRedirect:
    """Section 6.1."""

    @pytest.mark.parametrize(
        ("inner", "result"),
        [
            ("v=spf1 +all", "pass"),
            ("v=spf1 -all", "fail"),
            ("v=spf1 ~all", "softfail"),
            ("v=spf1 ?all", "neutral"),
            ("v=spf1", "neutral"),
            ("v=spf1 foo", "permerror"),
            ("v=spf10", "permerror"),
        ],
    )
    def test_6_1(self, inner: str, result: str) -> None:
        more = f'b.example. TXT "{inner}"'
        for text in ("redirect=b.example", "redirect=B.EXAMPLE. ip4:10.0.0.1", "ip4:10.0.0.1 REDIRECT=b.example"):
            assert record(f"v=spf1 {text}", more=more).result == result

    def test_6_1_only_if_nothing_matches(self) -> None:
        assert record("v=spf1 redirect=b.example ip4:192.0.2.1", more='b.example. TXT "v=spf1 -all"').result == "pass"

    @pytest.mark.parametrize("target", ["nowhere.example", "x..example", "%{d1}", "h.example"])
    def test_6_1_no_record_is_permerror(self, target: str) -> None:
        result = record(f"v=spf1 redirect={target}", more="h.example. A 192.0.2.1")
        assert (result.result, result.reason) == ("permerror", "redirect-without-record")

    def test_6_1_temperror(self) -> None:
        zone = world('example.org. TXT "v=spf1 redirect=b.example"', {("b.example", "TXT"): "refused"})
        assert (check(zone).result, check(zone).reason) == ("temperror", "dns-refused")


class TestExplanation:
    """Section 6.2."""

    @pytest.mark.parametrize(
        ("text", "explanation"),
        [
            (
                '"Mail from example.org comes from its own servers."',
                "Mail from example.org comes from its own servers.",
            ),
            ('"%{i} is not one of %{d}\'s servers."', "192.0.2.1 is not one of example.org's servers."),
            (
                '"See http://%{d}/why.html?s=%{S}&i=%{I}"',
                "See http://example.org/why.html?s=ann%40example.org&i=192.0.2.1",
            ),
            ('"two " "strings" "."', "two strings."),
            ('"  spaces  kept  "', "  spaces  kept  "),
            (
                '"%%%_%-%{c} %{r} %{h} %{v} %{p} %{t}"',
                "% %20192.0.2.1 us.example.net mx.example.org in-addr unknown 1700000000",
            ),
            ('"%{d2r}.%{l1r+}/%{o}"', "org.example.ann/example.org"),
            ('""', None),
            ('"bad %"', None),
            ('"bad %{x}"', None),
            ('"bad %{d0}"', None),
            ('"line\\010feed"', None),
            ('"line\\013\\010X-Evil: yes"', None),
            ('"tab\\009"', None),
            ('"nul\\000"', None),
            ('"l\\195\\164ngst"', None),
        ],
    )
    def test_6_2(self, text: str, explanation: str | None) -> None:
        zone = world(f'example.org. TXT "v=spf1 -all exp=e.%{{d}}"\ne.example.org. TXT {text}')
        result = check(zone, receiver="us.example.net", now=1_700_000_000.5)
        assert (result.result, result.explanation) == ("fail", explanation)

    @pytest.mark.parametrize("more", ["", "e.example. A 192.0.2.1", 'e.example. TXT "one"\ne.example. TXT "two"'])
    def test_6_2_none_or_several_records(self, more: str) -> None:
        result = record("v=spf1 exp=e.example -all", more=more)
        assert (result.result, result.explanation, result.void_lookups) == ("fail", None, 0)

    @pytest.mark.parametrize("failure", ["timeout", "servfail", "refused"])
    def test_6_2_a_dns_error(self, failure: str) -> None:
        zone = world('example.org. TXT "v=spf1 exp=e.example -all"', {("e.example", "TXT"): failure})
        assert (check(zone).result, check(zone).explanation) == ("fail", None)

    @pytest.mark.parametrize("end", ["+all", "~all", "?all", ""])
    def test_6_2_asked_only_on_fail(self, end: str) -> None:
        dns = Counting(world(f'example.org. TXT "v=spf1 exp=e.example {end}"'))
        check(dns)
        assert len(dns.asked) == 1

    def test_6_2_any_mechanism_that_fails(self) -> None:
        more = 'e.example. TXT "because"'
        assert record("v=spf1 -ip4:192.0.2.1 exp=e.example +all", more=more).explanation == "because"

    def test_6_2_include_uses_the_outer_explanation(self) -> None:
        more = 'b.example. TXT "v=spf1 +all exp=i.example"\nc.example. TXT "v=spf1 -all exp=i.example"\n'
        more += 'e.example. TXT "outer %{d}"\ni.example. TXT "inner"'
        for text in ("-include:b.example exp=e.example", "include:c.example -all exp=e.example"):
            result = record(f"v=spf1 {text}", more=more)
            assert (result.result, result.explanation) == ("fail", "outer example.org")
        assert record("v=spf1 -include:b.example", more=more).explanation is None

    def test_6_2_redirect_uses_the_inner_explanation(self) -> None:
        more = 'b.example. TXT "v=spf1 -all exp=i.example"\nc.example. TXT "v=spf1 -all"\n'
        more += 'e.example. TXT "outer"\ni.example. TXT "inner %{d} %{o}"'
        assert record("v=spf1 redirect=b.example exp=e.example", more=more).explanation == "inner b.example example.org"
        assert record("v=spf1 redirect=c.example exp=e.example", more=more).explanation is None

    def test_6_2_ascii_only_even_from_macros(self) -> None:
        zone = world('example.org. TXT "v=spf1 -all exp=e.example"\ne.example. TXT "no %{l}"')
        assert check(zone, mail_from="änn@example.org").explanation is None
        assert check(zone, mail_from='"a\r\nX: y"@example.org').explanation is None
        escaped = world('example.org. TXT "v=spf1 -all exp=e.example"\ne.example. TXT "no %{L}"')
        assert check(escaped, mail_from="änn\r\n@example.org").explanation == "no %C3%A4nn%0D%0A"

    def test_6_2_length_is_limited(self) -> None:
        more = 'e.example. TXT "' + "%{s}" * 60 + '"'
        assert record("v=spf1 -all exp=e.example", more=more).explanation == ("ann@example.org" * 60)[:400]
        policy = SpfPolicy(max_explanation=5)
        assert record("v=spf1 -all exp=e.example", more=more, policy=policy).explanation == "ann@e"

    def test_without_now_a_time_is_not_made_up(self) -> None:
        assert record("v=spf1 -all exp=e.example", more='e.example. TXT "at %{t}"').explanation is None

    def test_policy_can_leave_it_out(self) -> None:
        dns = Counting(world('example.org. TXT "v=spf1 -all exp=e.example"'))
        check(dns, policy=SpfPolicy(explain=False))
        assert len(dns.asked) == 1

    @pytest.mark.parametrize("receiver", [None, "", "a b", "x\r\ny", "é.example"])
    def test_7_3_receiver_unknown(self, receiver: str | None) -> None:
        result = record("v=spf1 -all exp=e.example", more='e.example. TXT "%{r}"', receiver=receiver)
        assert result.explanation == "unknown"

    def test_4_6_4_a_dns_error_of_an_explanation_is_never_an_error(self) -> None:
        more = 'e.example. TXT "%{p}"\n' + "".join(f"h{i}.example.org. A 10.0.0.1\n" for i in range(10))
        terms = " ".join(f"a:h{i}.example.org" for i in range(10))
        result = record(f"v=spf1 {terms} -all exp=e.example", more=more)
        assert (result.result, result.explanation, result.lookups) == ("fail", "unknown", 10)
        result = record("v=spf1 a:v1.example a:v2.example -all exp=e.example", more=more)
        assert (result.result, result.explanation, result.void_lookups) == ("fail", "unknown", 2)


class TestUnknownModifiers:
    """Section 6."""

    def test_6_ignored_wherever_and_however_often(self) -> None:
        assert record("v=spf1 x=1 x=1 X=2 a.b-c_d=%{s} ip4:192.0.2.1 y= -all").result == "pass"
