"""Hypothesis on the whole of SPF.

Whatever the client and the DNS send, an evaluation ends in one of seven results.
"""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailauth.plan import Answer, Exchange, Outcome, Question, run
from mailauth.plan.dns import unaskable
from mailauth.spf import (
    Record,
    RecordError,
    Result,
    SpfPolicy,
    check_helo,
    check_host,
    lint,
    lint_text,
    parse_received_spf,
    received_spf,
)
from mailauth.spf.macros import expand_name, expand_text, parse_domain_spec, parse_macro_string, target_name
from mailauth.spf.problem import TermError
from mailauth.spf.record import parsed_record
from mailauth.spf.terms import (
    A,
    All,
    Exists,
    Explanation,
    Include,
    Ip4,
    Ip6,
    Mx,
    Ptr,
    Qualifier,
    Redirect,
    UnknownModifier,
)  # fmt: skip

NAMES = [
    "example.org",
    "a.example",
    "b.example",
    "c.example",
    "%{d}",
    "%{o}",
    "%{l}.a.example",
    "%{ir}.%{v}.b.example",
    "%{h}",
    "%{p}",
    "%{s}",
    "%{d2r}.c.example",
    "x..y",
    "%{h}.%{s}.%{l}.%{p}.%{i}.%{d}.example",
]

names = st.sampled_from(NAMES)
qualifiers = st.sampled_from(["", "+", "-", "~", "?"])
terms = st.one_of(
    st.builds("{}{}:{}".format, qualifiers, st.sampled_from(["include", "a", "mx", "exists", "ptr"]), names),
    st.builds(
        "{}{}".format,
        qualifiers,
        st.sampled_from(["a", "mx", "ptr", "all", "ip4:192.0.2.0/24", "ip6:2001:db8::/32", "a/24//64"]),
    ),
    st.builds("{}={}".format, st.sampled_from(["redirect", "exp", "unknown"]), names),
    st.sampled_from(["foo", "ip4:1.2.3", "a:%", "\x00"]),
)
records = st.builds(lambda words: ("v=spf1 " + " ".join(words)).encode(), st.lists(terms, max_size=8))
texts = st.lists(
    st.one_of(records, records, st.binary(max_size=60), st.builds(b"v=spf1 ".__add__, st.binary(max_size=60))),
    min_size=1,
    max_size=2,
)
addresses = st.sampled_from(["192.0.2.1", "2001:db8::1", "203.0.113.9", "::ffff:192.0.2.1"])
senders = st.one_of(
    st.text(max_size=40),
    st.builds("{}@{}".format, st.text(max_size=30), st.sampled_from(["example.org", "a.example", "Bücher.example"])),
)
NOTHING_FOUND = [Outcome.NO_DATA, Outcome.NO_SUCH_NAME, Outcome.TIMED_OUT, Outcome.SERVER_FAILURE, Outcome.REFUSED]


class Chaos:
    """A DNS that answers each question in some fixed way, and counts."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.answers: dict[Question, Answer] = {}
        self.count = 0

    def lookup(self, question: Question, time_limit: float | None = None) -> Answer:
        self.count += 1
        assert unaskable(question.name) is None, question
        assert question.name.isprintable()
        if question not in self.answers:
            self.answers[question] = self.answer(question)
        return self.answers[question]

    def answer(self, question: Question) -> Answer:
        from ipaddress import ip_address

        found = {
            "TXT": texts,
            "SPF": texts,
            "A": st.lists(st.sampled_from([ip_address("192.0.2.1"), ip_address("10.0.0.1")]), min_size=1, max_size=3),
            "AAAA": st.just([ip_address("2001:db8::1")]),
            "MX": st.lists(
                st.builds(Exchange, st.integers(0, 3), st.sampled_from(["", "a.example", "b.example", "x\\000"])),
                min_size=1,
                max_size=12,
            ),
            "PTR": st.lists(
                st.sampled_from(["example.org", "a.example", "m.example.org", "bad\\000"]), min_size=1, max_size=12
            ),
        }[question.type]
        if self.data.draw(st.integers(0, 3)):
            return Answer(Outcome.FOUND, tuple(self.data.draw(found)), 300)
        return Answer(self.data.draw(st.sampled_from(NOTHING_FOUND)))


# Ten terms of at most 1 + 10 questions each, one PTR question for %{p} with ten names, the record, the explanation.
MOST_QUESTIONS = 10 * 11 + 11 + 2


@settings(max_examples=400, deadline=None)
@given(st.data(), addresses, senders, st.text(max_size=30))
def test_any_dns_any_client(data: st.DataObject, ip: str, sender: str, helo: str) -> None:
    """Any records, sender and HELO: one of seven results, bounded questions, texts that are safe to show."""
    dns = Chaos(data)
    spf = run(check_host(ip, mail_from=sender, helo=helo, now=1.0, receiver="mx.example.net"), dns)
    assert spf.result in Result
    assert dns.count <= MOST_QUESTIONS
    assert spf.lookups <= 10
    assert (spf.explanation is None) or (
        spf.result == "fail" and spf.explanation.isascii() and spf.explanation.isprintable()
    )
    assert (spf.reply is not None) == (spf.result in ("fail", "temperror", "permerror"))
    if spf.reply is not None:
        assert spf.reply.text.isascii()
        assert spf.reply.text.isprintable()
        assert len(str(spf.reply)) <= 510
    spf.to_dict()


@settings(max_examples=200, deadline=None)
@given(st.data(), addresses, senders, st.text(max_size=30))
def test_prefetch_and_trace_change_nothing(data: st.DataObject, ip: str, sender: str, helo: str) -> None:
    """With prefetching and with a trace: the same result, reason, mechanism, explanation and counts."""
    dns = Chaos(data)
    plain = run(check_host(ip, mail_from=sender, helo=helo), dns)
    eager = run(check_host(ip, mail_from=sender, helo=helo, policy=SpfPolicy(prefetch=True)), dns)
    assert eager == plain
    traced = run(check_host(ip, mail_from=sender, helo=helo, trace=True), dns)
    both = run(check_host(ip, mail_from=sender, helo=helo, trace=True, policy=SpfPolicy(prefetch=True)), dns)
    assert traced == both
    assert traced.trace is not None
    assert traced.trace.result == plain.result
    assert str(traced.trace).isascii()
    assert traced.to_dict() | {"trace": None} == plain.to_dict()


@settings(max_examples=200, deadline=None)
@given(st.data(), addresses, st.text(max_size=30))
def test_any_helo(data: st.DataObject, ip: str, helo: str) -> None:
    """Any HELO name: the HELO identity is what a null sender gives, but for its name."""
    dns = Chaos(data)
    one, other = run(check_helo(ip, helo), dns), run(check_host(ip, mail_from="", helo=helo), dns)
    assert (one.result, one.lookups, one.explanation) == (other.result, other.lookups, other.explanation)


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.builds(b"v=spf1 ".__add__, st.binary(max_size=200)), records))
@example(b"v=spf1 a:" + b"x." * 3000 + b"1")
@example(b"v=spf1 a:%{" + b"9" * 9000)
@example(b"v=spf1 " + b"a" * 9000 + b"!")
def test_any_octets(octets: bytes) -> None:
    """Any octets: a record that prints as one that is equal, or an error that points into them."""
    parsed = parsed_record(octets)
    if isinstance(parsed, Record):
        assert Record.parse(str(parsed)) == parsed
        assert str(Record.parse(str(parsed))) == str(parsed)
        assert "".join(parsed.strings(20)) == str(parsed)
    elif parsed is not None:
        assert 0 <= parsed.start <= len(octets)
        assert parsed.start + parsed.length <= len(octets) + 1
        assert str(parsed).isprintable()
    if parsed is None:
        with pytest.raises(RecordError):
            Record.parse(octets)
    for finding in lint_text(octets.decode("latin-1")):
        assert finding.start + finding.length <= len(octets) + 1


specs = names.filter(lambda name: name != "x").map(parse_domain_spec)
optional = st.none() | specs
signs = st.sampled_from(list(Qualifier))
values = st.one_of(
    st.builds(All, signs),
    st.builds(Include, signs, specs),
    st.builds(A, signs, optional, st.integers(0, 32), st.integers(0, 128)),
    st.builds(Mx, signs, optional, st.integers(0, 32), st.integers(0, 128)),
    st.builds(Ptr, signs, optional),
    st.builds(Ip4, signs, st.integers(0, 2**32 - 1), st.integers(0, 32)),
    st.builds(Ip6, signs, st.integers(0, 2**128 - 1), st.integers(0, 128)),
    st.builds(Exists, signs, specs),
    st.builds(
        UnknownModifier,
        st.from_regex(r"x[a-zA-Z0-9_.-]{0,8}", fullmatch=True),
        st.sampled_from(["", "a:b/c=d", "%{d}%%"]),
    ),
)


@given(st.lists(values, max_size=12), st.none() | st.builds(Redirect, specs), st.none() | st.builds(Explanation, specs))
def test_print_and_parse(some: list[object], redirect: Redirect | None, explanation: Explanation | None) -> None:
    """Any record made of terms: printed and parsed, it is the same."""
    record = Record((*some, *filter(None, (redirect, explanation))))  # type: ignore[arg-type]
    assert Record.parse(str(record)) == record
    assert hash(Record.parse(str(record))) == hash(record)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 2**32 - 1), st.integers(0, 32)), min_size=1, max_size=20),
    st.data(),
)
def test_networks_match_like_the_mechanisms_one_by_one(
    networks: list[tuple[bool, int, int]], data: st.DataObject
) -> None:
    """A run of networks as sorted bounds gives what comparing one after another gives."""
    from ipaddress import IPv4Address

    run_of = [Ip4(Qualifier.PASS if ok else Qualifier.FAIL, address, length) for ok, address, length in networks]
    record = Record((*run_of, All(Qualifier.NEUTRAL)))
    edges = [
        (term.address >> 32 - term.prefix_length << 32 - term.prefix_length) + step
        for term in run_of
        for step in (-1, 0, 1 << 32 - term.prefix_length)
    ]
    client = data.draw(st.sampled_from([edge % 2**32 for edge in edges]))
    expected = next(
        (term for term in run_of if term.address >> 32 - term.prefix_length == client >> 32 - term.prefix_length),
        All(Qualifier.NEUTRAL),
    )

    class Dns:
        def lookup(self, question: Question, time_limit: float | None) -> Answer:
            return Answer(Outcome.FOUND, (str(record).encode(),))

    spf = run(check_host(IPv4Address(client), mail_from="ann@example.org"), Dns())
    assert spf.directive == expected


macro_texts = st.one_of(
    st.text(alphabet="%{}slodiphcrtvSLODIPHCRTV0123456789r.-+,/_=abc ", max_size=40),
    st.lists(
        st.sampled_from(
            ["%{d}", "%{l1r-}", "%{O2}", "%{ir}", "%{S}", "%{hr.+}", "%%", "%_", "%-", "}", "{d}", "a.", "%"]
        ),
        max_size=60,
    ).map("".join),
)


@given(macro_texts, st.text(max_size=300))
def test_any_macro_string(text: str, value: str) -> None:
    """Any macro string and values: parts that expand to a name that can be asked, or to nothing; texts are cut."""
    try:
        string = parse_macro_string(text)
    except TermError:
        return
    table = dict.fromkeys([*"slodiphcrtv", "ir"], value)
    name = target_name(expand_name(string, table))
    assert name is None or unaskable(name) is None
    whole = expanded(text, value)
    assert target_name(expand_name(string, table)) == target_name(whole)
    assert expand_text(string, table, 50) == whole[:50]


def expanded(text: str, value: str) -> str:
    """The same by reading section 7.3 from left to right."""
    result = ""
    while text:
        if text[0] != "%":
            result, text = result + text[0], text[1:]
        elif text[1] != "{":
            result, text = result + {"%": "%", "_": " ", "-": "%20"}[text[1]], text[2:]
        else:
            macro, text = text[2:].split("}", 1)
            result += transformed(macro, value)
    return result


def transformed(macro: str, value: str) -> str:
    match = re.fullmatch(r"(.)([0-9]*)([rR]?)(.*)", macro)
    assert match is not None
    letter, digits, reverse, delimiters = match.groups()
    if macro != "ir" and (digits or reverse or delimiters):
        labels = re.split(f"[{re.escape(delimiters or '.')}]", value)
        labels = labels[::-1] if reverse else labels
        value = ".".join(labels[-int(digits) :] if digits else labels)
    return quote(value, safe="~") if letter.isupper() else value


@settings(deadline=None)
@given(st.data(), addresses, senders, st.text(max_size=400), st.none() | st.text(max_size=30))
def test_received_spf(data: st.DataObject, ip: str, sender: str, helo: str, receiver: str | None) -> None:
    """Any result: one header field in US-ASCII that nothing of the client's breaks, and that reads back."""
    spf = run(check_host(ip, mail_from=sender, helo=helo), Chaos(data))
    field = received_spf(spf, receiver=receiver)
    assert field.isascii()
    assert field.endswith(";\r\n")
    lines = field[:-2].split("\r\n")
    assert all(line.isprintable() and len(line) < 998 for line in lines)
    assert lines[0].startswith("Received-SPF: ")
    assert all(line.startswith(" ") and line.strip() for line in lines[1:])
    read = parse_received_spf(field)
    assert read is not None
    assert read.result == spf.result
    assert read.get("Client-IP") == str(spf.ip)
    assert read.get("identity") == "mailfrom"


@given(
    st.one_of(
        st.text(max_size=200),
        st.builds("pass {}".format, st.text(alphabet='()\\";= \r\nabc', max_size=60)),
        st.binary(max_size=80),
    )
)
@example("pass " + "(" * 9000)
@example("pass x=" + '"\\' * 5000)
def test_any_received_spf(field: str | bytes) -> None:
    """Any field: what it says, or None."""
    read = parse_received_spf(field)
    assert read is None or read.to_dict()["result"] in list(Result)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_lint_of_any_dns(data: st.DataObject) -> None:
    """Any tree of records: a report after a bounded number of questions."""
    dns = Chaos(data)
    report = run(lint("example.org"), dns)
    assert dns.count <= 300
    assert report.to_dict()["ok"] == report.ok
