"""Sections 5 and 6: the mechanisms, redirect and exp.

Each mechanism and modifier matches what RFC 7208 sections 5 and 6 say, and nothing else.
"""

from __future__ import annotations

import pytest

from mailauth.resolvers import RecordingResolver
from mailauth.spf import SpfPolicy
from tests.spf.world import check, record, world


class TestAll:
    """Section 5.1."""

    def test_5_1_what_stands_behind_is_ignored(self) -> None:
        dns = RecordingResolver(world('example.org. TXT "v=spf1 ?all a mx ip4:192.0.2.1 include:x.org -all"'))
        assert check(dns).result == "neutral"
        assert len(dns.questions) == 1


class TestInclude:
    """Section 5.2."""

    @pytest.mark.parametrize("qualifier", "+-~?")
    def test_5_2_the_outer_qualifier_counts(self, qualifier: str) -> None:
        result = record(f"v=spf1 {qualifier}include:b.example", more='b.example. TXT "v=spf1 +all"')
        assert result.result == {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}[qualifier]
        assert result.record_domain == "example.org"


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

    @pytest.mark.parametrize(("ip", "rtype"), [("192.0.2.1", "A"), ("2001:db8::1", "AAAA"), ("::ffff:192.0.2.1", "A")])
    def test_5_only_the_family_of_the_client_is_asked(self, ip: str, rtype: str) -> None:
        dns = RecordingResolver(
            world('example.org. TXT "v=spf1 a a:x.example mx -all"\nexample.org. MX 1 six.example.')
        )
        check(dns, ip)
        assert [question.type for question in dns.questions] == ["TXT", rtype, rtype, "MX", rtype]

    @pytest.mark.parametrize("term", ["a:x..example", "mx:x..example", "exists:x..example", "ptr:x..example"])
    def test_4_8_a_malformed_target_does_not_match(self, term: str) -> None:
        dns = RecordingResolver(world(f'example.org. TXT "v=spf1 {term} ~all"'))
        assert check(dns).result == "softfail"
        assert len(dns.questions) == 1


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

    def test_5_4_hosts_are_asked_in_order_of_preference_until_one_matches(self) -> None:
        dns = RecordingResolver(world('example.org. TXT "v=spf1 mx -all"' + EXCHANGES))
        assert check(dns, "192.0.2.1").result == "pass"
        assert [question.name for question in dns.questions] == ["example.org", "example.org", "a.example"]

    def test_7505_null_mx_asks_for_no_host(self) -> None:
        dns = RecordingResolver(world('example.org. TXT "v=spf1 mx:null.example -all"' + EXCHANGES))
        result = check(dns)
        assert (result.result, result.void_lookups, len(dns.questions)) == ("fail", 0, 2)


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

    def test_4_6_4_names_of_the_client_cannot_make_a_permerror(self) -> None:
        result = record("v=spf1 ptr -all", "192.0.2.6", more=REVERSE)
        assert (result.result, result.void_lookups) == ("fail", 0)

    def test_names_elsewhere_are_not_asked(self) -> None:
        dns = RecordingResolver(world('example.org. TXT "v=spf1 ptr -all"' + REVERSE))
        check(dns, "192.0.2.3")
        assert [question.type for question in dns.questions] == ["TXT", "PTR"]


class TestRedirect:
    """Section 6.1."""


class TestExplanation:
    """Section 6.2."""

    @pytest.mark.parametrize("end", ["+all", "~all", "?all", ""])
    def test_6_2_asked_only_on_fail(self, end: str) -> None:
        dns = RecordingResolver(world(f'example.org. TXT "v=spf1 exp=e.example {end}"'))
        check(dns)
        assert len(dns.questions) == 1

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
        dns = RecordingResolver(world('example.org. TXT "v=spf1 -all exp=e.example"'))
        check(dns, policy=SpfPolicy(explain=False))
        assert len(dns.questions) == 1

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
