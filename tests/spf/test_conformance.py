"""RFC 7208: the statements that are about more than one function: whole sessions, and what is published.

Sections 2, 3.3, 6, 7.3 and 8. Where the others are shown: docs/conformance/rfc7208.md.
"""

from __future__ import annotations

from typing import Any

import dns.message
import dns.rrset
import pytest

from mailauth import sync
from mailauth.plan import DEFAULT_TIME_LIMIT, Answer, Question, run
from mailauth.resolvers import RecordingResolver
from mailauth.resolvers.wire import answer_of
from mailauth.restrictions import Restrictions, check_dmarc, check_spf
from mailauth.spf import Record, Result, build_record, check_host, flatten, lint
from tests.spf.world import check, record, world

IP, BOB = "192.0.2.1", "bob@mailbox.test"
MESSAGE = b"From: ann@example.org\r\nSubject: Hello\r\n\r\nHello.\r\n"

DOMAINS = """
pass.example.       TXT "v=spf1 ip4:192.0.2.1 -all"
fail.example.       TXT "v=spf1 -all"
other.example.      TXT "v=spf1 -all"
softfail.example.   TXT "v=spf1 ~all"
neutral.example.    TXT "v=spf1 ?all"
permerror.example.  TXT "v=spf1 foo"
none.example.       A   192.0.2.99
"""


def authenticator(**restrictions: Any) -> sync.Authenticator:
    zone = world(DOMAINS, {("temperror.example", "TXT"): "servfail"})
    lists = Restrictions(**restrictions) if restrictions else None
    return sync.Authenticator("mx.mailbox.test", resolver=zone, restrictions=lists)


def report(domain: str, helo: str = "pass.example", /, **restrictions: Any) -> Any:
    auth = authenticator(**restrictions)
    return auth.check(MESSAGE, ip=IP, helo=helo, mail_from=f"ann@{domain}", rcpt_to=BOB, now=1_800_000_000.0)


class TestIdentities:
    """Sections 2.2 to 2.5, by whole messages and sessions."""

    @pytest.mark.parametrize("helo", ["pass", "fail", "softfail", "neutral", "permerror", "temperror", "none"])
    @pytest.mark.parametrize("sender", ["pass", "fail"])
    def test_2_3_2_4_both_identities_are_checked_whatever_the_other_gives(self, helo: str, sender: str) -> None:
        found = report(f"{sender}.example", f"{helo}.example")
        assert (found.spf_helo.result, found.spf.result) == (helo, sender)
        assert (found.spf_helo.identity, found.spf.identity) == ("helo", "mailfrom")

    def test_2_3_helo_is_judged_before_mail_from(self) -> None:
        lists: dict[str, Any] = {"helo": [check_spf(identity="helo")], "sender": [check_spf()]}
        assert report("fail.example", "other.example", **lists).reply.text.startswith("SPF HELO check failed")
        assert report("fail.example", "pass.example", **lists).reply.text.startswith("SPF MAIL FROM check failed")

    def test_2_4_a_null_sender_is_checked_as_postmaster(self) -> None:
        found = authenticator().check(MESSAGE, ip=IP, helo="fail.example", mail_from="", rcpt_to=BOB)
        assert (found.spf.result, found.spf.sender) == ("fail", "postmaster@fail.example")

    def test_2_5_the_check_is_made_during_the_smtp_transaction(self) -> None:
        session = authenticator().session(IP)
        session.helo("pass.example")
        session.mail("ann@fail.example")
        decision = session.rcpt(BOB)
        assert (decision.refused, decision.reason) == (True, "spf-fail")
        session.helo("pass.example")
        session.mail("ann@pass.example")
        assert not session.rcpt(BOB).refused


class TestResults:
    """Section 8: what a receiver does with a result."""

    @pytest.mark.parametrize("lists", [{}, {"data": [check_spf(), check_spf(identity="helo"), check_dmarc()]}])
    def test_8_2_neutral_is_treated_like_none(self, lists: dict[str, Any]) -> None:
        neutral, none = (report(f"{name}.example", f"{name}.example", **lists) for name in ("neutral", "none"))
        assert (neutral.spf.result, none.spf.result) == ("neutral", "none")
        assert (neutral.action, neutral.verdict, neutral.reply) == (none.action, none.verdict, none.reply)
        assert (neutral.spf.reply, neutral.dmarc.result) == (none.spf.reply, none.dmarc.result)

    @pytest.mark.parametrize("result", ["fail", "softfail", "neutral", "none", "permerror", "temperror"])
    def test_8_4_9_what_is_not_rejected_is_recorded(self, result: str) -> None:
        everything = [check_spf(fail="pass", temperror="pass", permerror="pass")]
        found = report(f"{result}.example", sender=everything)
        assert found.reply is None
        assert f"spf={result} " in " ".join(found.authentication_results.decode().split())

    def test_8_5_softfail_is_never_a_reason_to_reject(self) -> None:
        for lists in ({}, {"sender": [check_spf(fail="reject", temperror="reject", permerror="reject")]}):
            found = report("softfail.example", **lists)
            assert (found.spf.result, found.reply) == ("softfail", None)

    @pytest.mark.parametrize(
        ("sender", "code", "enhanced"),
        [("fail", 550, "5.7.23"), ("temperror", 451, "4.4.3"), ("permerror", 550, "5.7.24")],
    )
    def test_8_4_8_6_8_7_codes_of_refusals(self, sender: str, code: int, enhanced: str) -> None:
        reply = report(f"{sender}.example", sender=[check_spf(permerror="reject")]).reply
        assert (reply.code, reply.enhanced) == (code, enhanced)


class TestLimits:
    """Section 4.6.4."""

    @pytest.mark.parametrize(("seconds", "result"), [(4.9, "pass"), (5.1, "temperror")])
    def test_4_6_4_the_default_time_limit_leaves_20_seconds(self, seconds: float, result: str) -> None:
        assert DEFAULT_TIME_LIMIT >= 20
        assert authenticator().time_limit == DEFAULT_TIME_LIMIT
        now = [0.0]
        zone = world(
            'example.org. TXT "v=spf1 a a:h1.example.org a:h2.example.org -all"\nexample.org. A 10.0.0.1\n'
            "h1.example.org. A 10.0.0.1\nh2.example.org. A 192.0.2.1"
        )

        class Slow:
            def lookup(self, question: Question, time_limit: float | None) -> Answer:
                now[0] += seconds
                return zone.lookup_now(question)

        plan = check_host(IP, mail_from="ann@example.org")
        assert run(plan, Slow(), clock=lambda: now[0]).result == result

    @pytest.mark.parametrize("term", ["ptr", "exists:%{p}.x.example.org", "include:%{p}"])
    def test_4_6_4_no_more_than_ten_names_of_the_client_are_asked(self, term: str) -> None:
        names = "".join(f"1.2.0.192.in-addr.arpa. PTR h{i:02}.example.org.\n" for i in range(40))
        dns = RecordingResolver(world(f'example.org. TXT "v=spf1 {term} -all"\n{names}'))
        check(dns)
        asked = [question.name for question in dns.questions if question.type == "A" and question.name[0] == "h"]
        assert asked == [f"h{i:02}.example.org" for i in range(10)]

    def test_4_6_4_no_more_than_ten_addresses_of_an_mx_are_asked(self) -> None:
        for count, asked in ((10, 12), (11, 2)):
            exchanges = "".join(f"example.org. MX {i} h{i}.example.org.\n" for i in range(count))
            dns = RecordingResolver(world('example.org. TXT "v=spf1 mx -all"\n' + exchanges))
            check(dns)
            assert len(dns.questions) == asked


class TestMacros:
    """Section 7.3."""

    def test_7_3_127_parts_and_more(self) -> None:
        parts = [f"{i:x}" for i in range(200)]
        sender = ".".join(parts)
        for digits, kept in ((126, 126), (127, 127), (128, 128), (300, 200)):
            more = f'e.example. TXT "%{{l{digits}}}"'
            found = record("v=spf1 -all exp=e.example", more=more, mail_from=f"{sender}@example.org")
            assert found.explanation == ".".join(parts[-kept:])[:400]

    def test_7_3_a_name_of_127_labels_is_asked_whole(self) -> None:
        dns = RecordingResolver(world('*.example. TXT "v=spf1 exists:%{d127} -all"'))
        domain = "a." * 122 + "example"
        check(dns, mail_from=f"ann@{domain}")
        assert [question.name for question in dns.questions] == [domain, domain]

    def test_7_3_a_final_dot_is_accepted(self) -> None:
        more = 'b.example. TXT "v=spf1 ip4:192.0.2.1 -all"\nh.example. A 192.0.2.1\ne.example. TXT "because"'
        for text in ("include:b.example. -all", "a:h.example. -all", "exists:h.example. -all", "redirect=b.example."):
            assert record(f"v=spf1 {text}", more=more).result == "pass"
        assert record("v=spf1 -all exp=e.example.", more=more).explanation == "because"

    def test_7_3_the_most_recent_helo_counts(self) -> None:
        zone = world('mx.example.org. TXT "v=spf1 -all"\nexample.org. TXT "v=spf1 exists:%{h}.list.example -all"\n'
                     "two.example.list.example. A 127.0.0.2")  # fmt: skip
        session = sync.Authenticator("mx.mailbox.test", resolver=zone).session(IP)
        for helo, refused in (("one.example", True), ("two.example", False), ("one.example", True)):
            session.helo(helo)
            session.mail("ann@example.org")
            assert session.rcpt(BOB).refused == refused


def test_3_3_strings_are_joined_from_the_wire_and_from_a_zone() -> None:
    """Section 3.3."""
    strings, joined = '"v=spf1 ip4:192.0" ".2.1 -all"', b"v=spf1 ip4:192.0.2.1 -all"
    question = Question("example.org", "TXT")
    response = dns.message.make_response(dns.message.make_query("example.org.", "TXT"))
    response.answer = [dns.rrset.from_text("example.org.", 300, "IN", "TXT", strings)]
    sent = dns.message.from_wire(response.to_wire())
    for answer in (answer_of(sent, question), world(f"example.org. TXT {strings}").lookup(question)):
        assert answer.texts == (joined,)


class TestPublishing:
    """Sections 3.1, 5.5, 6, 6.1 and 7.3, as far as records are written here."""

    def test_6_6_1_modifiers_stand_at_the_end_and_redirect_last(self) -> None:
        built = build_record(mx=True, redirect="b.example", explanation="e.example.org")
        assert str(built) == "v=spf1 mx exp=e.example.org redirect=b.example"
        assert str(build_record(mx=True, explanation="e.example.org")) == "v=spf1 mx -all exp=e.example.org"

    def test_6_1_a_redirect_that_stays_in_a_flattened_record_stands_last(self) -> None:
        zone = world(
            'example.org. TXT "v=spf1 redirect=%{d}.b.example include:i.example mx"\n'
            'example.org.b.example. TXT "v=spf1 a:%{d} -all"\ni.example. TXT "v=spf1 ip4:192.0.2.9 -all"'
        )
        flattened = run(flatten("example.org"), zone).record
        assert str(flattened) == "v=spf1 ip4:192.0.2.9 mx redirect=%{d}.b.example"

    def test_6_1_of_two_records_in_one_the_redirect_stands_last(self) -> None:
        zone = world(
            'example.org. TXT "v=spf1 redirect=b.example exp=e.example ip4:192.0.2.1"\nexample.org. TXT "v=spf1 mx"\n'
        )
        [finding] = [each for each in run(lint("example.org"), zone).findings if each.code == "several-records"]
        assert finding.proposal == "v=spf1 ip4:192.0.2.1 mx exp=e.example redirect=b.example"

    def test_7_3_a_final_dot_is_not_written(self) -> None:
        built = build_record(a=["h.example."], mx="m.example.", include=["i.example."], redirect="r.example.")
        assert str(built) == "v=spf1 a:h.example mx:m.example include:i.example redirect=r.example"

    def test_5_5_ptr_is_not_written(self) -> None:
        with pytest.raises(TypeError):
            build_record(ptr=True)  # type: ignore[call-arg]
        assert [finding.code for finding in run(lint("v=spf1 ptr -all"), world("")).findings] == ["ptr"]


def test_6_2_without_exp_there_is_no_explanation_but_a_reply() -> None:
    """Section 6.2: a default explanation or an empty one."""
    found = record("v=spf1 -all")
    assert found.result is Result.FAIL
    assert found.explanation is None
    assert found.reply is not None
    assert "is not allowed to send mail for example.org" in found.reply.text


def test_4_6_a_record_is_checked_whole_before_it_is_evaluated() -> None:
    """Section 4.6: a match before the error changes nothing; a record that is right is equal to its print."""
    assert record("v=spf1 ip4:192.0.2.1 foo -all").result == "permerror"
    assert str(Record.parse("v=spf1 ip4:192.0.2.1 -all")) == "v=spf1 ip4:192.0.2.1 -all"
