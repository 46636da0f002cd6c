"""Results, traces, replies, Received-SPF, prefetching; sections 8 and 9.

A result says what happened, the same way for every driver; what it becomes in headers, replies and traces holds the
RFC's words and nothing that the client could use.
"""
# ruff: noqa: E501 (a case is a line)

from __future__ import annotations

import json
from typing import Any

import pytest

from mailauth.plan import Answer, Outcome, Question, run
from mailauth.resolvers import RecordingResolver, ZoneResolver
from mailauth.spf import (
    Result,
    SpfPolicy,
    SpfResult,
    check_helo,
    check_host,
    parse_received_spf,
    received_spf,
)
from mailauth.spf.result import result_of
from mailauth.spf.survey import whole_tree
from tests.spf.world import check, check_async, helo, record, world

TREE = """
example.org.    TXT "v=spf1 ip4:10.0.0.0/8 a mx include:b.example redirect=c.example"
example.org.    A   10.0.0.1
b.example.      TXT "v=spf1 ip4:192.0.2.0/24 -all"
c.example.      TXT "v=spf1 ip4:198.51.100.0/24 exists:%{l}.c.example -all exp=e.example"
e.example.      TXT "%{i} may not"
bob.c.example.  A 127.0.0.2
"""


class TestTrace:
    def test_a_tree_of_what_happened(self) -> None:
        result = check(world(TREE), "203.0.113.1", trace=True)
        assert str(result.trace).splitlines() == [
            "example.org: fail",
            '  ? example.org TXT: "v=spf1 ip4:10.0.0.0/8 a mx include:b.example redirect=c.example"',
            "  ip4:10.0.0.0/8: no match",
            "  a: no match (lookup 1)",
            "    ? example.org A: 10.0.0.1",
            "  mx: no match (lookup 2, void)",
            "    ? example.org MX: no-data",
            "  include:b.example: no match (lookup 3)",
            '    ? b.example TXT: "v=spf1 ip4:192.0.2.0/24 -all"',
            "    b.example: fail",
            "      ip4:192.0.2.0/24: no match",
            "      -all: match",
            "  redirect=c.example: used (lookup 4)",
            '    ? c.example TXT: "v=spf1 ip4:198.51.100.0/24 exists:%{l}.c.example -all exp=e.example"',
            "    c.example: fail",
            "      ip4:198.51.100.0/24: no match",
            "      exists:%{l}.c.example: no match (lookup 5, void)",
            "        ? ann.c.example A: no-such-name",
            "      -all: match",
            "  explanation",
            '    ? e.example TXT: "%{i} may not"',
        ]

    @pytest.mark.parametrize(
        ("ip", "sender", "last"),
        [
            ("10.0.0.1", "ann", ["  ip4:10.0.0.0/8: match"]),
            ("192.0.2.1", "ann", ["    b.example: pass", "      ip4:192.0.2.0/24: match"]),
            ("198.51.100.1", "ann", ["    c.example: pass", "      ip4:198.51.100.0/24: match"]),
            (
                "203.0.113.1",
                "bob",
                ["      exists:%{l}.c.example: match (lookup 5)", "        ? bob.c.example A: 127.0.0.2"],
            ),
        ],
    )
    def test_it_ends_where_the_evaluation_ends(self, ip: str, sender: str, last: list[str]) -> None:
        result = check(world(TREE), ip, f"{sender}@example.org", trace=True)
        assert str(result.trace).splitlines()[-len(last) :] == last

    def test_errors_are_shown_on_the_whole_way(self) -> None:
        more = 'b.example. TXT "v=spf1 include:c.example ?all"\nc.example. TXT "v=spf1 foo"'
        result = record("v=spf1 include:b.example -all", more=more, trace=True)
        lines = str(result.trace).splitlines()
        assert lines[0] == "example.org: permerror"
        assert "  include:b.example: permerror (lookup 1)" in lines
        assert "      include:c.example: permerror (lookup 2)" in lines
        assert "    b.example: permerror" in lines

    def test_an_include_that_matched_before_an_error_keeps_its_match(self) -> None:
        more = 'b.example. TXT "v=spf1 -all"\n'
        result = record("v=spf1 include:b.example include:gone.example", more=more, trace=True)
        assert "    b.example: fail" in str(result.trace).splitlines()
        assert "  include:b.example: no match (lookup 1)" in str(result.trace).splitlines()
        assert "  include:gone.example: permerror (lookup 2, void)" in str(result.trace).splitlines()

    def test_nothing_was_asked(self) -> None:
        assert str(helo(world(""), "[192.0.2.1]", trace=True).trace) == "(no domain): none"

    def test_it_holds_no_control_characters(self) -> None:
        zone = world('example.org. TXT "\\027[31m\\010" \nexample.org. TXT "v=spf1 exists:%{l}.x ?all"')
        text = str(check(zone, mail_from="a b@example.org", trace=True).trace)
        assert text.replace("\n", "").isprintable()
        assert "\\x1b[31m" in text

    def test_json(self) -> None:
        document = json.loads(json.dumps(check(world(TREE), "203.0.113.1", trace=True).to_dict()))
        terms = document["trace"]["terms"]
        assert [term["outcome"] for term in terms] == ["no match"] * 4 + ["used"]
        assert terms[3]["record"]["terms"][-1] == {
            "term": "-all",
            "outcome": "match",
            "number": 0,
            "void": False,
            "questions": [],
            "record": None,
        }
        assert terms[1]["questions"] == [
            {"name": "example.org", "type": "A", "outcome": "found", "records": ["10.0.0.1"]}
        ]

    def test_time_and_ttl_do_not_matter(self) -> None:
        one, other = world(TREE), world(TREE.replace("TXT", "77 TXT"))
        assert str(check(one, trace=True).trace) == str(check(other, trace=True).trace)
        assert check(one, trace=True).to_dict() == check(other, trace=True).to_dict()


class TestResult:
    def test_json_of_every_result(self) -> None:
        for text in ("+all", "-all", "~all", "?all", "foo", ""):
            document = json.loads(json.dumps(record(f"v=spf1 {text}").to_dict()))
            assert list(document) == [
                "result", "reason", "detail", "identity", "domain", "sender", "helo", "ip", "mechanism", "record",
                "record_domain", "explanation", "lookups", "void_lookups", "discarded", "trace",
            ]  # fmt: skip

    def test_it_is_immutable_and_comparable(self) -> None:
        result = record("v=spf1 +all")
        with pytest.raises(AttributeError):
            result.result = Result.FAIL  # type: ignore[misc]
        assert result == record("v=spf1 +all")
        assert result != record("v=spf1 -all")
        assert "result=<Result.PASS" in repr(result)

    def test_the_short_way_to_make_one_is_the_same(self) -> None:
        result = record("v=spf1 -all")
        made = SpfResult(**{name: getattr(result, name) for name in SpfResult.__dataclass_fields__})
        assert made == result
        assert result_of(dict(vars(made))) == made

    def test_words(self) -> None:
        assert str(record("v=spf1 -all")) == "fail (-all in the record of example.org matches)"
        assert record("v=spf1 a:%(d)").detail.startswith("the record of example.org is in error at a:%(d): ")

    def test_identities_side_by_side(self) -> None:
        from mailauth.plan import side_by_side

        zone = world('example.org. TXT "v=spf1 -all"\nmx.example.net. TXT "v=spf1 +all"')
        both = side_by_side(
            check_helo("192.0.2.1", "mx.example.net"), check_host("192.0.2.1", mail_from="ann@example.org")
        )
        one, other = run(both, zone)
        assert (one.identity, one.result, other.identity, other.result) == ("helo", "pass", "mailfrom", "fail")


class TestPrefetch:
    def test_what_a_record_needs_is_asked_level_by_level(self) -> None:
        from mailauth.plan import Execution

        plan = check_host("203.0.113.1", mail_from="ann@example.org", policy=SpfPolicy(prefetch=True))
        execution, zone, rounds = Execution(plan), world(TREE), []
        questions = execution.start()
        while questions:
            rounds.append(sorted(map(str, questions)))
            questions = [
                more for question in questions for more in execution.answer(question, zone.lookup_now(question))
            ]
        assert rounds == [
            ["example.org TXT"],
            ["b.example TXT", "c.example TXT", "example.org A", "example.org MX"],
            ["ann.c.example A"],
            ["e.example TXT"],
        ]
        assert execution.result == check(zone, "203.0.113.1", helo="")

    def test_the_hosts_of_mx_are_asked_side_by_side(self) -> None:
        from mailauth.plan import Execution

        zone = world(
            'example.org. TXT "v=spf1 mx -all"\nexample.org. MX 10 a.example.\nexample.org. MX 20 b.example.\n'
            "a.example. A 192.0.2.1\nb.example. A 192.0.2.2"
        )
        execution = Execution(check_host("192.0.2.2", mail_from="ann@example.org", policy=SpfPolicy(prefetch=True)))
        questions, rounds = execution.start(), []
        while questions:
            rounds.append(sorted(map(str, questions)))
            questions = [more for each in questions for more in execution.answer(each, zone.lookup_now(each))]
        assert rounds == [["example.org TXT"], ["example.org MX"], ["a.example A", "b.example A"]]
        assert execution.result.result == "pass"

    def test_nothing_behind_a_network_that_matches(self) -> None:
        dns = RecordingResolver(world(TREE))
        assert check(dns, "10.1.1.1", policy=SpfPolicy(prefetch=True)).result == "pass"
        assert len(dns.questions) == 1

    def test_it_is_bounded_like_the_evaluation(self) -> None:
        includes = " ".join(f"include:i{i}.example" for i in range(40))
        zone = world("".join(f'i{i}.example. TXT "v=spf1 include:j{i}.example"\n' for i in range(40)))
        dns = RecordingResolver(zone)
        zone2 = world(f'example.org. TXT "v=spf1 {includes[:200].rsplit(" ", 1)[0]}"' + "\n" + "".join(
            f'i{i}.example. TXT "v=spf1 include:j{i}.example"\n' for i in range(40)))  # fmt: skip
        dns = RecordingResolver(zone2)
        assert check(dns, policy=SpfPolicy(prefetch=True)).result == "permerror"
        assert len(dns.questions) <= 1 + 10 + 2


@pytest.mark.parametrize("ip", ["10.0.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1"])
@pytest.mark.parametrize("prefetch", [False, True])
def test_sync_and_async_agree(ip: str, prefetch: bool) -> None:
    zone, policy = world(TREE), SpfPolicy(prefetch=prefetch)
    assert check_async(zone, ip, policy=policy, trace=True) == check(zone, ip, policy=policy, trace=True)


class TestReply:
    """Section 8; RFC 7372."""

    def test_8_4_fail(self) -> None:
        reply = record("v=spf1 -all").reply
        assert (
            str(reply) == "550 5.7.23 SPF MAIL FROM check failed: 192.0.2.1 is not allowed to send mail for example.org"
        )

    def test_8_4_explanations_are_marked_as_theirs(self) -> None:
        reply = record("v=spf1 -all exp=e.example", more='e.example. TXT "See http://x/"').reply
        assert str(reply) == "550 5.7.23 SPF MAIL FROM check failed: the domain example.org explains: See http://x/"

    def test_8_4_helo(self) -> None:
        reply = helo(world('mx.example.org. TXT "v=spf1 -all"'), "mx.example.org").reply
        assert reply is not None
        assert (reply.code, reply.enhanced) == (550, "5.7.23")
        assert reply.text.startswith("SPF HELO check failed: ")

    def test_8_6_temperror(self) -> None:
        reply = check(world("", {("example.org", "TXT"): "timeout"})).reply
        assert str(reply) == "451 4.4.3 SPF MAIL FROM check: the DNS question example.org TXT timed out"

    def test_8_7_permerror(self) -> None:
        reply = record("v=spf1 foo").reply
        assert reply is not None
        assert (reply.code, reply.enhanced) == (550, "5.7.24")

    @pytest.mark.parametrize("text", ["+all", "~all", "?all", ""])
    def test_8_2_8_5_nothing_else_is_refused(self, text: str) -> None:
        assert record(f"v=spf1 {text}").reply is None
        assert helo(world(""), "localhost").reply is None

    def test_11_5_1_one_line_that_smtp_allows(self) -> None:
        more = 'e.example. TXT "' + "long " * 40 + "%{s}%{s}%{s}" + '"'
        sender = "x" * 64 + "@" + "d" * 60 + ".example.org"
        zone = world(f'{"d" * 60}.example.org. TXT "v=spf1 -all exp=e.example"\n{more}')
        assert len(str(check(zone, mail_from=sender).reply)) <= 510


class TestReceivedSpf:
    """Section 9.1."""

    def test_9_1_pass(self) -> None:
        field = received_spf(record("v=spf1 ip4:192.0.2.1 -all"), receiver="mybox.example.net")
        assert field == (
            "Received-SPF: pass (mybox.example.net: domain of example.org designates 192.0.2.1 as permitted sender)\r\n"
            " identity=mailfrom;\r\n"
            " client-ip=192.0.2.1;\r\n"
            ' envelope-from="ann@example.org";\r\n'
            " helo=mx.example.org;\r\n"
            " receiver=mybox.example.net;\r\n"
            ' mechanism="ip4:192.0.2.1";\r\n'
        )

    def test_9_1_quoting(self) -> None:
        spf = record("v=spf1 ?all", "2001:db8::1", mail_from='"a\\"b c"@example.org', helo='x"\\\r\nBcc: y')
        read = parse_received_spf(received_spf(spf))
        assert read is not None
        assert read.pairs == (
            ("identity", "mailfrom"),
            ("client-ip", "2001:db8::1"),
            ("envelope-from", '"a\\"b c"@example.org'),
            ("helo", 'x"\\??Bcc: y'),
            ("mechanism", "?all"),
        )

    def test_9_1_default_and_problem(self) -> None:
        read = parse_received_spf(received_spf(record("v=spf1")))
        assert read is not None
        assert read.get("mechanism") == "default"
        read = parse_received_spf(received_spf(record("v=spf1 foo")))
        assert read is not None
        assert (read.result, read.get("mechanism")) == ("permerror", None)
        assert "foo" in (read.get("problem") or "")

    def test_9_1_helo_identity_has_no_envelope_from(self) -> None:
        field = received_spf(helo(world('mx.example.org. TXT "v=spf1 -all"'), "mx.example.org"))
        assert "identity=helo;" in field
        assert "envelope-from" not in field

    @pytest.mark.parametrize(
        ("field", "result", "pairs"),
        [
            (
                "Received-SPF: pass (mybox.example.org: domain of\r\n myname@example.com designates 192.0.2.1 as permitted sender)\r\n"
                '    receiver=mybox.example.org; client-ip=192.0.2.1;\r\n    envelope-from="myname@example.com"; helo=foo.example.com;\r\n',
                "pass",
                {
                    "receiver": "mybox.example.org",
                    "client-ip": "192.0.2.1",
                    "envelope-from": "myname@example.com",
                    "helo": "foo.example.com",
                },
            ),
            ("fail", "fail", {}),
            ("FAIL client-ip=192.0.2.1", "fail", {"client-ip": "192.0.2.1"}),
            ('(c) none (x (y) \\) z) (d) a = b ; (e) c="" ;', "none", {"a": "b", "c": ""}),
            (
                "pass client-ip=2001:db8::1; mechanism=ip4:192.0.2.1/24;",
                "pass",
                {"client-ip": "2001:db8::1", "mechanism": "ip4:192.0.2.1/24"},
            ),
            ("softfail a=1; a=2", "softfail", {"a": "1"}),
        ],
    )
    def test_9_1_reading(self, field: str, result: str, pairs: dict[str, str]) -> None:
        for form in (field, field.encode()):
            read = parse_received_spf(form)
            assert read is not None
            assert (read.result, read.to_dict()["pairs"]) == (result, pairs)

    @pytest.mark.parametrize(
        "field",
        [
            "",
            "maybe",
            "pass a",
            "pass a=",
            "pass a=b c=d",
            "pass =b",
            'pass a="b',
            "pass a=b;;",
            "pass\0",
            "pass " + "a=b;" * 5000,
        ],
    )
    def test_9_1_what_is_none(self, field: str) -> None:
        assert parse_received_spf(field) is None


@pytest.mark.parametrize("record", ["v=spf1 ptr -all", "v=spf1 ptr mx -all", "v=spf1 ptr:example.net -all"])
@pytest.mark.parametrize("asked", ["PTR", "A"])
def test_a_time_limit_that_ends_within_ptr_is_a_temperror(record: str, asked: str) -> None:
    """RFC 7208 section 4.6.4: what the limit cut off is no answer, though section 5.5 skips other DNS errors."""
    now = [0.0]

    class Slow:
        def lookup(self, question: Question, time_limit: float | None) -> Answer:
            if question.type == "TXT":
                return Answer(Outcome.FOUND, (record.encode(),))
            if question.type == "PTR" and asked == "A":
                return Answer(Outcome.FOUND, ("mx.example.org", "mx.example.net"))
            now[0] += 25.0
            return Answer(Outcome.TIMED_OUT)

    plan = check_host("192.0.2.1", helo="mx.example.org", mail_from="ann@example.org", now=0.0)
    found = run(plan, Slow(), time_limit=20, clock=lambda: now[0])
    assert (found.result, found.reason) == ("temperror", "dns-timed-out")


@pytest.mark.parametrize("end", ["include:%{p} -all", "redirect=%{p}", "a:%{p} -all", "mx:%{p} -all"])
def test_a_time_limit_that_ends_within_the_macro_p_is_a_temperror(end: str) -> None:
    """The name that the limit cut off is not "unknown", by which an include would find no record: permerror."""
    zone = Late('example.org. TXT "v=spf1 ' + end + '"', late={"PTR"})
    assert zone.check().reason == "dns-timed-out"


def test_what_a_cache_holds_is_no_answer_after_the_time_limit() -> None:
    zone = Late('example.org. TXT "v=spf1 ptr a:mx.example.org -all"\nmx.example.org. A 10.0.0.1', late={"PTR"})
    zone.held = {Question("mx.example.org", "A")}
    assert zone.check().result == "temperror"
    zone.held = set()
    assert zone.check().result == "temperror"


@pytest.mark.parametrize("record", ["v=spf1 ptr -all", "v=spf1 include:%{p} -all"])
@pytest.mark.parametrize("early", [0.0, 0.01])
def test_a_resolver_that_gives_up_at_the_limit_has_no_error_of_its_own(record: str, early: float) -> None:
    """Whether its clock or ours is a moment ahead: section 4.6.4, and not the DNS error of section 5.5."""
    zone = Late(f'example.org. TXT "{record}"', late={"PTR"}, seconds=20 - early, answer=Answer(Outcome.TIMED_OUT))
    assert zone.check().reason == "dns-timed-out"
    assert zone.check(policy=SpfPolicy(prefetch=True)).reason == "dns-timed-out"
    zone.seconds = 5
    assert zone.check().reason != "dns-timed-out"


def test_a_fail_whose_explanation_the_limit_cut_off_has_none() -> None:
    records = 'example.org. TXT "v=spf1 -all exp=e.example.org"\ne.example.org. TXT "you are %{p}"'
    assert Late(records).check().explanation == "you are unknown"
    found = Late(records, late={"PTR"}).check()
    assert (found.result, found.explanation) == ("fail", None)


class Late:
    """A zone whose questions of some types take `seconds`, on a clock of its own, and then have `answer` or the zone's."""

    def __init__(
        self, records: str, late: set[str] | None = None, *, seconds: float = 25.0, answer: Answer | None = None
    ) -> None:
        self.zone = world(records)
        self.late, self.seconds, self.answer = late or set(), seconds, answer
        self.held: set[Question] = set()
        self.now = 0.0

    def lookup_now(self, question: Question) -> Answer | None:
        return self.zone.lookup_now(question) if question in self.held else None

    def lookup(self, question: Question, time_limit: float | None) -> Answer:
        if question.type in self.late:
            self.now += self.seconds
            if self.answer is not None:
                return self.answer
        return self.zone.lookup_now(question)

    def check(self, **options: Any) -> SpfResult:
        self.now = 0.0
        plan = check_host("192.0.2.1", helo="mx.example.org", mail_from="ann@example.org", now=0.0, **options)
        return run(plan, self, time_limit=20, clock=lambda: self.now)


def test_another_error_of_a_ptr_lookup_is_no_match() -> None:
    """RFC 7208 section 5.5: "If a DNS error occurs while doing the PTR RR lookup, then this mechanism fails to match"."""
    failures = {("1.2.0.192.in-addr.arpa", "PTR"): "timeout"}
    zone = ZoneResolver({("example.org", "TXT"): ["v=spf1 ptr -all"]}, failures=failures)
    plan = check_host("192.0.2.1", helo="mx.example.org", mail_from="ann@example.org", now=0.0)
    assert run(plan, zone).result == "fail"


@pytest.mark.parametrize("term", ["ptr", "a:%{p}"])
def test_what_the_limit_cut_off_is_an_error_in_the_tree_of_a_client(term: str) -> None:
    """RFC 7208 section 4.6.4: whether the term matches is not known."""
    zone = Late(f'example.org. TXT "v=spf1 {term} -all"', late={"PTR"})
    plan = whole_tree("192.0.2.1", helo="mx.example.org", mail_from="ann@example.org")
    spf, tree = run(plan, zone, time_limit=20, clock=lambda: zone.now)
    assert tree is not None
    assert spf.reason == "dns-timed-out"
    assert (tree.terms[0].outcome, tree.terms[0].failure, tree.result) == ("temperror", "dns-error", "temperror")
