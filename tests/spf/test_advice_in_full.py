"""Advice about records, each finding to its last field: what a person reads, and what a program takes from the JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

import mailauth.dkim
import mailauth.dmarc
import mailauth.greylist
import mailauth.spf
from mailauth.plan import Answer, Question, run
from mailauth.spf import Record, RecordError, check_host, flatten, lint
from mailauth.spf.advice import Finding, Severity, lint_text
from mailauth.spf.compile import IP6_OFFSET
from mailauth.spf.linter import LintReport
from mailauth.spf.macros import expand_name, parse_domain_spec
from mailauth.spf.problem import TermError
from mailauth.spf.slips import correct_pair, correct_word, nearly
from mailauth.spf.survey import whole_tree
from mailauth.spf.tree import amount
from tests.spf.world import check, helo, world


def linted(
    records: str, failures: Mapping[tuple[str, str], Any] | None = None, what: str = "example.org"
) -> LintReport:
    return run(lint(what), world(records, failures))


def found(report: LintReport, code: str) -> list[Finding]:
    return [finding for finding in report.findings if finding.code == code]


def test_a_finding_as_values() -> None:
    report = linted('example.org. TXT "v=spf1 include:b.example -all"\nb.example. TXT "v=spf1 nonsense -all"\n')
    (finding,) = found(report, "unknown-mechanism")
    assert finding.to_dict() == {
        "severity": "error", "code": "unknown-mechanism", "words": "no mechanism is called 'nonsense'",
        "domain": "b.example", "start": 7, "length": 8, "proposal": "", "term": "nonsense",
        "record": "v=spf1 nonsense -all", "path": [{"domain": "example.org", "term": "include:b.example"}], "texts": [],
    }  # fmt: skip
    assert Finding(Severity.NOTE, "code", "words").to_dict() == {
        "severity": "note", "code": "code", "words": "words", "domain": "", "start": 0, "length": 0, "proposal": "",
        "term": "", "record": "", "path": [], "texts": [],
    }  # fmt: skip


def test_a_report_as_values() -> None:
    report = linted('example.org. TXT "v=spf1 ip4:192.0.2.0/30 ip6:2001:db8::/48 a:x.example mx -all"\n')
    values = report.to_dict()
    tree = values.pop("tree")
    assert (tree["domain"], tree["record"]) == ("example.org", report.record)
    assert [each["code"] for each in values.pop("findings")] == ["void", "void"]
    assert values == {
        "domain": "example.org", "record": "v=spf1 ip4:192.0.2.0/30 ip6:2001:db8::/48 a:x.example mx -all",
        "ok": True, "verdict": "no errors", "complete": True, "lookups": 2, "void_lookups": {"ip4": 2, "ip6": 2},
        "ip4_addresses": 4, "ip6_networks": 65536, "questions": report.questions,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "start", "length", "term", "proposal"),
    [
        ("v=spf1 include : example.org -all", 7, 21, "include : example.org", "include:example.org"),
        ("v=spf1 mx - all", 10, 5, "- all", "-all"),
        ("v=spf1 ip6: 2001:db8::/32 -all", 7, 18, "ip6: 2001:db8::/32", "ip6:2001:db8::/32"),
        ("v=spf1 ip4:192.0.2.0 - 192.0.2.7 -all", 7, 25, "ip4:192.0.2.0 - 192.0.2.7", "ip4:192.0.2.0/29"),
    ],
)
def test_a_term_that_is_torn(text: str, start: int, length: int, term: str, proposal: str) -> None:
    (finding,) = lint_text(text)
    assert (finding.code, finding.start, finding.length) == ("torn-term", start, length)
    assert (finding.term, finding.proposal) == (term, proposal)


def test_what_is_in_error_and_no_end_leaves_the_record_without_an_end() -> None:
    assert [finding.code for finding in lint_text("v=spf1 include:none")] == ["bad-domain", "no-all"]


@pytest.mark.parametrize(
    ("octets", "severity"), [(450, None), (451, "note"), (1132, "note"), (1133, "warning")]
)  # fmt: skip
def test_3_4_the_length_of_a_record_with_its_name(octets: int, severity: str | None) -> None:
    text = "v=spf1 x=" + "y" * (octets - len("example.org") - 14) + " -all"
    assert len(text) + len("example.org") == octets
    severities = [each.severity.value for each in lint_text(text, "example.org") if each.code == "long-record"]
    assert severities == ([] if severity is None else [severity])


def test_3_4_the_octets_of_an_answer() -> None:
    """RFC 1035 section 4.1 with RFC 6891: 12, 17 and 11 octets around, and for each record 12 and its strings."""
    other = " ".join(f'"{"x" * 200}"' for _ in range(3))
    report = linted(f'example.org. TXT "v=spf1 ip4:192.0.2.1 -all"\nexample.org. TXT {other}\n')
    (finding,) = found(report, "long-answer")
    assert finding.severity is Severity.NOTE
    assert finding.words.startswith(
        "the answer has 693 octets, with 1 other TXT records of the name; 512 fit everywhere"
    )


def test_no_one_record_can_be_made_of_two_redirects() -> None:
    records = 'example.org. TXT "v=spf1 redirect=a.example"\nexample.org. TXT "v=spf1 redirect=b.example"\n'
    (finding,) = found(linted(records), "several-records")
    assert (finding.proposal, len(finding.texts)) == ("", 2)
    records = 'example.org. TXT "v=spf1 mx -all"\nexample.org. TXT "v=spf1 a mx ~all"\n'
    (finding,) = found(linted(records), "several-records")
    assert finding.proposal in ("v=spf1 mx a ~all", "v=spf1 a mx ~all")


def test_a_name_that_is_for_mx_is_proposed_where_a_stands() -> None:
    report = linted(
        'example.org. TXT "v=spf1 a:m.example.org exists:m.example.org -all"\nm.example.org. MX 10 h.example.org.\n'
    )
    assert [(each.proposal, each.severity.value) for each in found(report, "void")] == [
        ("mx:m.example.org", "warning"), ("", "warning"),
    ]  # fmt: skip


def test_why_an_include_adds_nobody() -> None:
    report = linted(
        'example.org. TXT "v=spf1 ip4:192.0.2.0/24 include:b.example include:c.example -all"\n'
        'b.example. TXT "v=spf1 -all"\nc.example. TXT "v=spf1 ip4:192.0.2.1 -all"\n'
    )
    assert [each.words for each in found(report, "adds-nobody")] == [
        "include:b.example adds nobody: nobody passes by its record",
        "include:c.example adds nobody: the terms before it have all of its networks",
    ]


HOSTS = "".join(f"x{number}.example. A 192.0.2.{number}\n" for number in range(1, 4))


@pytest.mark.parametrize(("end", "severity"), [("+all", "note"), ("ip6:2001:db8::/32 -all", "error"), ("-all", "note")])
def test_4_6_4_void_lookups_of_hosts_without_ipv6(end: str, severity: str) -> None:
    """An error only where IPv6 clients are authorised behind the third."""
    report = linted(f'example.org. TXT "v=spf1 a:x1.example a:x2.example a:x3.example {end}"\n{HOSTS}')
    (finding,) = found(report, "too-many-void-lookups")
    assert finding.severity.value == severity
    assert finding.words == (
        "3 terms find nothing for IPv6 clients, and receivers stop after 2: a:x1.example, a:x2.example, a:x3.example"
    )


def test_what_a_redirect_hides_is_not_called_complete() -> None:
    report = linted(
        'example.org. TXT "v=spf1 redirect=b.example"\nb.example. TXT "v=spf1 include:%{i}.x.example -all"\n'
    )
    assert (report.ok, report.complete) == (False, False)
    assert [(each.domain, each.severity.value) for each in found(report, "not-followed")] == [("b.example", "note")]


def test_a_tree_that_is_too_large_is_said_of_the_domain() -> None:
    wide = "".join(f"include:w{number}.example " for number in range(110))
    strings = " ".join(f'"{wide[start : start + 250]}"' for start in range(0, len(wide), 250))
    records = f'd0.example. TXT "v=spf1 " {strings} "-all"\n'
    records += "".join(f'w{number}.example. TXT "v=spf1 a mx -all"\n' for number in range(110))
    (finding,) = found(linted(records, what="d0.example"), "not-all-seen")
    assert (finding.domain, finding.severity.value) == ("d0.example", "warning")


def at_depth(frames: int, work: Callable[[], Any]) -> Any:
    """What `work` gives when its caller has so many frames on the stack already."""
    return work() if frames == 0 else at_depth(frames - 1, work)


@pytest.mark.parametrize("term", ["include:d{}.example", "redirect=d{}.example"])
def test_a_chain_without_end_takes_little_of_the_stack(term: str) -> None:
    """Any chain of records: a report, even where the caller stands five hundred frames deep."""
    zone = world("".join(f'd{n}.example. TXT "v=spf1 {term.format(n + 1)}"\n' for n in range(120)))
    report = at_depth(500, lambda: run(lint("d0.example"), zone))
    assert at_depth(500, report.to_dict)["complete"] is False
    assert [each.domain for each in found(report, "not-all-seen")] == ["d0.example"]
    assert report.lookups > 10
    assert at_depth(500, lambda: run(flatten("d0.example"), zone).to_dict())["domain"] == "d0.example"
    spf, tree = at_depth(500, lambda: run(whole_tree("192.0.2.1", mail_from="ann@d0.example"), zone))
    assert spf.reason == "too-many-lookups"
    assert at_depth(500, tree.to_dict)["domain"] == "d0.example"


# --- flattened records ---


def test_a_flattened_record_as_values() -> None:
    records = (
        'example.org. TXT "v=spf1 include:b.example redirect=c.example"\n'
        'b.example. TXT "v=spf1 ip4:192.0.2.0/24 include:d.example -all"\n'
        'd.example. TXT "v=spf1 ip4:198.51.100.0/24 exists:%{i}.x.example -all"\n'
        'c.example. TXT "v=spf1 a//64 mx/24//48 ptr exists:%{i}.y.example -all"\n'
    )
    flattened = run(flatten("example.org"), world(records))
    text = (
        "v=spf1 include:b.example a:c.example//64 mx:c.example/24//48 ptr:c.example exists:%{i}.y.example -all"
    )  # fmt: skip
    assert flattened.to_dict() == {
        "domain": "example.org", "record": text, "problem": None, "strings": [text], "octets": len(text),
        "lookups": {"before": 8, "after": 7}, "ttl": 300, "ttls": [{"question": "c.example TXT", "ttl": 300}],
        "kept": [
            {"term": "include:b.example",
             "why": "exists:%{i}.x.example in it: %{i} depends on the client: not followed"},
        ],
    }  # fmt: skip


def test_why_an_include_is_kept() -> None:
    records = 'example.org. TXT "v=spf1 include:b.example -all"\nb.example. TXT "v=spf1 include:d.example -all"\n'
    flattened = run(flatten("example.org"), world(records, {("d.example", "TXT"): "timeout"}))
    assert dict(flattened.kept) == {"include:b.example": "include:d.example in it: the DNS did not answer"}
    nothing = run(flatten("x.example"), world(records))
    assert nothing.to_dict() == {
        "domain": "x.example", "record": None, "problem": nothing.problem, "strings": [], "octets": 0,
        "lookups": {"before": 0, "after": 0}, "ttl": None, "ttls": [], "kept": [],
    }  # fmt: skip
    assert nothing.problem


# --- macros ---


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("a%_.example%_", "a .example "),  # RFC 7208 section 7.1: domain-end may be a macro-expand, which %_ is
        ("a%_b%_.example", "a b .example"),
        ("a%%.b%%", "a%.b%"),
    ],
)
def test_7_1_a_name_may_end_in_a_macro_of_any_kind(text: str, expanded: str) -> None:
    assert expand_name(parse_domain_spec(text), {}) == expanded


@pytest.mark.parametrize(
    ("text", "zero"),
    [("xyz%{d0}.example", True), ("000%{x}.example", False), ("%{d0r}.example", True), ("%{x0}.example", True)],
)
def test_7_3_a_number_that_is_zero_is_named(text: str, zero: bool) -> None:
    with pytest.raises(TermError) as caught:
        parse_domain_spec(text)
    assert ("must not be zero" in caught.value.words) is zero


def test_a_record_reads_as_it_is_written() -> None:
    text = (
        "v=spf1 a:b.example/24//64 -mx ~ptr:c.example ?exists:%{ir}.d.example ip6:2001:db8::/32 -all exp=e.example x=y"
    )
    assert str(Record.parse(text)) == text


# --- records that are none, and words that are nearly terms ---


NEARLY: list[tuple[str, str, str]] = [
    ("(v=spf1 mx -all)", '"(" stands before the version', "v=spf1 mx -all"),
    ("<v=spf1 mx -all>", '"<" stands before the version', "v=spf1 mx -all"),
    ("[v=spf1 mx -all]", '"[" stands before the version', "v=spf1 mx -all"),
    ("{v=spf1 mx -all}", '"{" stands before the version', "v=spf1 mx -all"),
    ("[v=spf1 mx -all", '"[" stands before the version', "v=spf1 mx -all"),
    ('IN TXT "v=spf1 mx" "-all"', '"IN TXT" stands before the version', "v=spf1 mx -all"),
    ("txt = v=spf1 mx -all", '"txt =" stands before the version', "v=spf1 mx -all"),
    ("IN TXT v=spf1", '"IN TXT" stands before the version', ""),
    ("\ufeffv=spf1 mx -all", "a byte-order mark stands before the version", "v=spf1 mx -all"),
    (" v=spf1 mx -all", "a blank stands before the version", "v=spf1 mx -all"),
    ("v=spf1\tmx -all", "a tab stands behind the version, where only a blank may", "v=spf1 mx -all"),
    ("v=spf1.0 mx -all", 'the version is not exactly "v=spf1"', "v=spf1 mx -all"),
    ("v=spf10 mx -all", 'the version is not exactly "v=spf1"', "v=spf1 mx -all"),
    ("v=spf1;mx -all", '";" stands behind the version, where only a blank may', "v=spf1 mx -all"),
    ("v=spf1\x01mx -all", '"U+0001" stands behind the version, where only a blank may', ""),
    ("spf1 mx -all", 'it does not begin with "v=spf1"', "v=spf1 mx -all"),
    ("v=sfp1 mx -all", 'it does not begin with "v=spf1"', "v=spf1 mx -all"),
    ("spf2.0/pra mx -all", "a Sender ID record (RFC 4406), which SPF does not read", "v=spf1 mx -all"),
    ("spf2.0/mfrom,pra", "a Sender ID record (RFC 4406), which SPF does not read", ""),
]


@pytest.mark.parametrize(("text", "words", "proposal"), NEARLY)
def test_4_5_what_was_meant_as_a_record(text: str, words: str, proposal: str) -> None:
    assert nearly(text.encode()) == (words, proposal)


@pytest.mark.parametrize(
    "text", ["IN TXT v=spf1x mx", "hello spf", "v=spf1 mx -all", "v=DMARC1; spf", "Xv=spf1 mx", "x" * 100]
)
def test_4_5_what_was_not(text: str) -> None:
    assert nearly(text.encode()) is None


@pytest.mark.parametrize(
    ("word", "proposal"),
    [
        ("ip4:192.000.2.1", "ip4:192.0.2.1"),
        ("-ip4:192.0.2.01", "-ip4:192.0.2.1"),
        ("ip4:010.1.1.1/08", "ip4:10.1.1.1/8"),
        ("ip4:010.1.1.1/8", "ip4:10.1.1.1/8"),
        ("ip4:192.0.2.1/024", "ip4:192.0.2.1/24"),
        ("ip4:192,0,2,1", "ip4:192.0.2.1"),
        ("ip4:192,0,2,0/24", "ip4:192.0.2.0/24"),
        ("ip4:192.0.2", "ip4:192.0.2.0/24"),
        ("ip6:2001:db8", "ip6:2001:db8::/32"),
        ("ip6:2001:db8:1:", "ip6:2001:db8:1::/48"),
        ("ip4:192.0.2.1;192.0.2.2", "ip4:192.0.2.1 ip4:192.0.2.2"),
        ("ip4::192.0.2.1", "ip4:192.0.2.1"),
        ("include:[b.example]", "include:b.example"),
        ("include:<b.example>", "include:b.example"),
        ("exists:%(i).b.example", "exists:%{i}.b.example"),
        ("exists:%<ir>.b.example", "exists:%{ir}.b.example"),
        ("exists:%i.b.example", "exists:%{i}.b.example"),
        ("exists:b.example/24", "exists:b.example"),
        ("include:b.example/32", "include:b.example"),
        ("a:192.0.2.1", "ip4:192.0.2.1"),
        ("mx:2001:db8::1", "ip6:2001:db8::1"),
    ],
)
def test_what_a_word_was_meant_to_be(word: str, proposal: str) -> None:
    correction = correct_word(word)
    assert correction is not None
    assert correction[1] == proposal
    # Written so, receivers can read it.
    assert Record.parse(f"v=spf1 {proposal}")


@pytest.mark.parametrize(
    ("first", "second", "proposal"),
    [
        ("-", "all", "-all"),
        ("all", "-", "-all"),
        ("ip4:192.0.2.0", "/24", "ip4:192.0.2.0/24"),
        ("ip4:192.0.2.0/", "24", "ip4:192.0.2.0/24"),
        ("include:", "b.example", "include:b.example"),
        ("include", ":b.example", "include:b.example"),
        ("redirect", "b.example", "redirect=b.example"),
        ("a", "b.example", "a:b.example"),
        ("m", "x", None),  # "mx", cut in two: that would be a guess
        ("a", "ll", None),
        ("include", "nonsense", None),
    ],
)
def test_two_words_that_a_blank_tears_apart(first: str, second: str, proposal: str | None) -> None:
    correction = correct_pair(first, second)
    assert (None if correction is None else correction[1]) == proposal


@pytest.mark.parametrize(
    ("word", "proposal"),
    [
        ("#comment", ""),
        ("//comment", ""),
        ("v=DMARC1;", ""),
        ("mx\ta", "mx a"),
        ("mx\r\na", "mx a"),
        ('"mx"', "mx"),
        ("mx;a", "mx a"),
    ],
)
def test_characters_that_do_not_belong_into_a_record(word: str, proposal: str) -> None:
    correction = correct_word(word)
    assert correction is not None
    assert correction[1] == proposal


def test_quotes_at_the_end_of_what_was_meant_as_a_record() -> None:
    assert nearly(b"v=spf1;mx -all\"'`") == ('";" stands behind the version, where only a blank may', "v=spf1 mx -all")
    assert nearly(b"[v=spf1 redirect=b.exampleX]") == ('"[" stands before the version', "v=spf1 redirect=b.exampleX")


# --- the tree of one client ---


def test_a_term_of_a_tree_as_values() -> None:
    records = 'example.org. TXT "v=spf1 include:b.example -all"\nb.example. TXT "v=spf1 ip4:192.0.2.0/24 -all"\n'
    include, end = linted(records).tree.to_dict()["terms"]
    record = include.pop("record")
    assert (record["domain"], record["path"]) == ("b.example", [{"domain": "example.org", "term": "include:b.example"}])
    assert include.pop("questions") == []  # its question is the record's own
    assert include == {
        "term": "include:b.example", "start": 7, "clients": [4, 6], "number": 1, "lookups": 1, "void": [],
        "may_be_void": False, "networks": ["192.0.2.0/24"], "failure": None, "hidden": None, "outcome": None,
    }  # fmt: skip
    assert (end["term"], end["start"], end["networks"]) == ("-all", 25, [])


def test_the_tree_of_a_client_knows_what_the_client_said() -> None:
    """RFC 7208 section 7.2: %{h} is the HELO name, %{l} and %{s} are of the sender."""
    zone = world(
        'example.org. TXT "v=spf1 exists:%{l}.l.example exists:%{h}.h.example -all"\n'
        "ann.l.example. A 127.0.0.2\nmx.example.net.h.example. A 127.0.0.2\n"
    )
    spf, tree = run(whole_tree("192.0.2.1", mail_from="ann@example.org", helo="mx.example.net"), zone)
    assert tree is not None
    assert (spf.helo, spf.sender, spf.mechanism) == ("mx.example.net", "ann@example.org", "exists:%{l}.l.example")
    assert [term.outcome for term in tree.terms] == ["match", "match", "match"]
    # As the HELO identity, the sender is postmaster at that name.
    zone = world('mx.example.net. TXT "v=spf1 exists:%{l}.l.example -all"\npostmaster.l.example. A 127.0.0.2\n')
    spf, tree = run(whole_tree("192.0.2.1", mail_from="ann@example.org", helo="mx.example.net", identity="helo"), zone)
    assert tree is not None
    assert (spf.result, tree.domain) == ("pass", "mx.example.net")
    assert [term.outcome for term in tree.terms] == ["match", "match"]


def test_the_edges_of_networks_in_the_tree_of_a_client() -> None:
    zone = world('example.org. TXT "v=spf1 ip4:192.0.2.2/31 ip6:2001:db8::/127 -all"\n')
    for ip, outcomes in (
        ("192.0.2.1", ["no match", "no match", "match"]),
        ("192.0.2.2", ["match", "no match", "match"]),
        ("192.0.2.3", ["match", "no match", "match"]),
        ("192.0.2.4", ["no match", "no match", "match"]),
        ("2001:db8::1", ["no match", "match", "match"]),
        ("2001:db8::2", ["no match", "no match", "match"]),
    ):
        _, tree = run(whole_tree(ip, mail_from="ann@example.org"), zone)
        assert tree is not None
        assert [term.outcome for term in tree.terms] == outcomes


@pytest.mark.parametrize(
    ("first", "count", "words"),
    [
        (0, 5, "5 IPv4"),
        (0, 1 << 24, "16,777,216 IPv4"),
        (IP6_OFFSET, 5, "5 IPv6"),
        (IP6_OFFSET, (1 << 64) - 1, "over 2^63 IPv6"),
        (IP6_OFFSET, 1 << 64, "1 IPv6 /64"),
        (IP6_OFFSET, (1 << 64) + 1, "2 IPv6 /64"),
        (IP6_OFFSET, 1 << 80, "65,536 IPv6 /64"),
    ],
)
def test_how_many_addresses_there_are(first: int, count: int, words: str) -> None:
    assert amount((first, first + count), few=0) == words


def test_a_client_with_a_name_is_no_void_lookup() -> None:
    zone = world(
        'example.org. TXT "v=spf1 ptr -all"\n1.2.0.192.in-addr.arpa. PTR mx.example.org.\nmx.example.org. A 192.0.2.1\n'
    )
    for ip, void in (("192.0.2.1", ()), ("192.0.2.9", (4,))):
        _, tree = run(whole_tree(ip, mail_from="ann@example.org"), zone)
        assert tree is not None
        assert tree.terms[0].void == void


def test_every_public_name_is_there() -> None:
    """They load when they are first needed."""
    for package in (mailauth.spf, mailauth.dkim, mailauth.dmarc, mailauth.greylist):
        assert all(getattr(package, name) is not None for name in package.__all__)


def test_7_1_a_top_level_label_is_of_letters_of_any_case() -> None:
    assert str(parse_domain_spec("a.X-Y")) == "a.X-Y"
    assert str(parse_domain_spec("a.X1")) == "a.X1"
    for wrong in ("a.-x", "a.x-", "a.12", "a.x_y"):
        with pytest.raises(TermError):
            parse_domain_spec(wrong)


def test_what_a_term_of_a_tree_fails_by_is_a_value() -> None:
    include, _ = linted('example.org. TXT "v=spf1 include:b.example -all"\n').tree.to_dict()["terms"]
    assert (include["failure"], include["hidden"]) == ("no-record", None)


@pytest.mark.parametrize("colon", ["\uff1a", ":"])
def test_typographic_signs_are_read_as_what_they_look_like(colon: str) -> None:
    correction = correct_word(f"include{colon}b.example;")
    assert correction is not None
    assert correction[1].rstrip(";") == "include:b.example"


@pytest.mark.parametrize(
    ("word", "proposal"),
    [
        ("a:https://b.example/", "a:b.example"),
        ("a:https://b.example", "a:b.example"),
        ("include:HTTP://b.example//", "include:b.example"),
        ("mx:https://b.example:443/", "mx:b.example"),
        ("a:https://192.0.2.1/", "ip4:192.0.2.1"),
        ("a:b.example/", "a:b.example"),
        ("a:https://b.example/page/", ""),  # whose page that is nobody can tell
    ],
)
def test_a_link_in_place_of_a_name(word: str, proposal: str) -> None:
    (finding,) = lint_text(f"v=spf1 {word} -all")
    assert (finding.term, finding.proposal) == (word, proposal)


@pytest.mark.parametrize(
    ("word", "end"),
    [
        ("softfail", "~all"),
        ("hardfail", "-all"),
        ("deny", "-all"),
        ("neutral", "?all"),
        ("none", "-all"),
        ("any", "-all"),
        ("everyone", "-all"),
        ("~everybody", "~all"),
        ("all:softfail", "~all"),
        ("all:?", "?all"),
    ],
)
def test_a_word_in_place_of_all(word: str, end: str) -> None:
    """Its correction is the end of the record: that none stands there is not said, too."""
    (finding,) = lint_text(f"v=spf1 mx {word}")
    assert (finding.severity.value, finding.proposal) == ("error", end)


def test_a_quote_at_the_end_of_a_sender_id_record() -> None:
    correction = nearly(b'spf2.0/pra mx -all x=y"')
    assert correction is not None
    assert correction[1] == "v=spf1 mx -all x=y"


def test_of_many_txt_records_the_first_twenty_are_looked_at() -> None:
    others = "".join(f'example.org. TXT "v=spf1;ip4:192.0.2.{number}"\n' for number in range(25))
    # One of the twenty is the record.
    assert len(found(linted('example.org. TXT "v=spf1 mx -all"\n' + others), "nearly")) == 19


def test_a_record_is_shown_by_its_terms() -> None:
    """Equal records print alike; what is made of the terms is not shown again."""
    record = Record.parse("v=spf1 mx -all")
    assert repr(record) == f"Record(terms={record.terms!r})"


def test_a_term_that_nobody_comes_to() -> None:
    lines = list(linted('example.org. TXT "v=spf1 ip4:0.0.0.0/0 ip6:::/0 a:x.example exp=e.example"\n').tree.lines())
    assert [line.split()[0] for line in lines if line.endswith("nobody comes to it")] == ["a:x.example"]


def test_a_record_at_the_limit_of_the_tree_was_not_asked() -> None:
    zone = world("".join(f'd{n}.example. TXT "v=spf1 include:d{n + 1}.example -all"\n' for n in range(40)))
    records = list(run(lint("d0.example"), zone).tree.records())
    assert [record.failure or None for record in records[-2:]] == [None, "not-asked"]
    assert records[-2].terms[0].hidden == "not followed: the tree is too large"


def test_a_record_behind_too_many_questions_was_not_asked() -> None:
    """Three hundred: the record's own, 21 for each of 14 mx, two for each "a", one for an exists."""
    mx = "".join(f"m{n}.example. MX 10 h{n}-{host}.example.\n" for n in range(14) for host in range(10))
    terms = " ".join(f"mx:m{n}.example" for n in range(14))
    text = f'example.org. TXT "v=spf1 {terms} " "a:x.example a:y.example exists:z.example include:b.example -all"\n'
    report = linted(f'{text}b.example. TXT "v=spf1 -all"\n{mx}')
    include = report.tree.terms[-2]
    assert include.record is not None
    assert (include.record.failure, include.hidden) == ("not-asked", "not followed: the tree is too large")
    assert not report.complete


def test_6_2_whose_explanation_is_asked() -> None:
    """RFC 7208 section 6.2: that of the record itself, and of a redirect's; not that of an include's."""
    for term, asked in (("redirect=b.example", ["e.example TXT"]), ("include:b.example", [])):
        records = f'example.org. TXT "v=spf1 {term}"\nb.example. TXT "v=spf1 -all exp=e.example"\n'
        below = linted(records + 'e.example. TXT "because"\n').tree.terms[0].record
        assert below is not None
        assert [str(each.question) for each in below.terms[-1].questions] == asked


def test_what_an_included_record_that_redirects_says_in_the_trace() -> None:
    records = (
        'example.org. TXT "v=spf1 include:b.example -all"\nb.example. TXT "v=spf1 redirect=c.example"\n'
        'c.example. TXT "v=spf1 {} ~all"\n'
    )
    for term, result in (("ip4:192.0.2.1", "pass"), ("-ip4:192.0.2.1", "fail"), ("mx", "softfail")):
        trace = check(world(records.format(term)), trace=True).trace
        assert trace is not None
        included = trace.terms[0].record
        assert included is not None
        assert (included.domain, included.result) == ("b.example", result)


# --- what a program or a person reads, to the last word ---


@pytest.mark.parametrize(
    ("text", "proposal"),
    [
        ("ip4:203.0.113.5/12", "ip4:203.0.0.0/12"),  # a network may be as large as a provider's
        ("ip4:203.0.113.5/11", "ip4:203.0.113.5"),
        ("ip6:2001:db8::1/20", "ip6:2001::/20"),
        ("ip6:2001:db8::1/19", "ip6:2001:db8::1"),
    ],
)
def test_an_address_with_bits_behind_its_prefix(text: str, proposal: str) -> None:
    """With a prefix that no author means, it is the address of a host."""
    (finding,) = lint_text(f"v=spf1 {text} -all")
    assert (finding.code, finding.severity.value, finding.proposal) == ("host-bits", "note", proposal)


@pytest.mark.parametrize(("address", "proposal"), [("::ffff:ffff", "ip4:255.255.255.255"), ("::1:0:0", None)])
def test_an_ipv4_compatible_address_has_32_bits(address: str, proposal: str | None) -> None:
    """RFC 4291 section 2.5.5.1."""
    proposals = [each.proposal for each in lint_text(f"v=spf1 ip6:{address} -all") if each.code == "mapped"]
    assert proposals == ([] if proposal is None else [proposal])


@pytest.mark.parametrize(
    ("names", "meant"),
    [
        ("gmail.com googlemail.com", "include:_spf.google.com"),
        ("outlook.com hotmail.com live.com", "include:spf.protection.outlook.com"),
        ("yahoo.com ymail.com aol.com icloud.com me.com", ""),
        ("gmx.net gmx.de gmx.com web.de freemail.hu", ""),
        ("mail.ru yandex.ru yandex.com qq.com 163.com", ""),
    ],
)
def test_the_users_of_a_free_mail_service_are_everybody(names: str, meant: str) -> None:
    """Domains hosted there are to include another record."""
    for name in names.split():
        for written in (name, name.upper()):
            findings = [each for each in lint_text(f"v=spf1 include:{written} -all") if each.code == "free-mail"]
            assert [(each.severity.value, each.proposal) for each in findings] == [("warning", meant)]


def test_the_customers_of_shared_servers_are_many() -> None:
    """RFC 7208 section 11.4."""
    for name in ("websitewelcome.com", "secureserver.net", "bluehost.com", "hostgator.com", "mx.ovh.com"):
        findings = lint_text(f"v=spf1 include:{name} -all")
        assert [(each.code, each.severity.value) for each in findings] == [("shared-servers", "note")]


def test_what_would_not_be_a_term_is_no_proposal() -> None:
    (finding,) = lint_text("v=spf1 a:mail/24 -all", "example.org")
    assert finding.proposal == "a:mail.example.org/24"
    (finding,) = lint_text("v=spf1 a:mail/99 -all", "example.org")
    assert (finding.code, finding.proposal) == ("bad-prefix-length", "")


def test_an_explanation_is_no_mechanism() -> None:
    """RFC 7208 section 6.2: whatever stands there, no address is authorised by it."""
    for address in ("192.0.2.1", "2001:db8::1"):
        (finding,) = lint_text(f"v=spf1 exp={address} -all")
        assert finding.proposal == ""
        assert finding.words == "exp= takes a name, and a TXT record at that name holds the words"


@pytest.mark.parametrize("colon", [":", "="])
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("in", "include:"), ("inc", "include:"), ("incl", "include:"), ("includes", "include:"),
        ("included", "include:"), ("p", "ptr:"), ("exist", "exists:"), ("host", "a:"), ("aaaa", "a:"),
        ("redir", "redirect="), ("Redirects", "redirect="),
    ],
)  # fmt: skip
def test_what_people_write_for_the_name_of_a_term(name: str, meant: str, colon: str) -> None:
    correction = correct_word(f"{name}{colon}b.example")
    assert correction is not None
    assert correction[1] == f"{meant}b.example"


@pytest.mark.parametrize("colon", [":", "="])
@pytest.mark.parametrize("name", ["ip", "ipv4", "ipv6", "i4", "i6", "IP4", "IP6"])
@pytest.mark.parametrize(("address", "meant"), [("192.0.2.1", "ip4"), ("2001:db8::1", "ip6")])
def test_an_address_says_of_which_family_it_is(name: str, colon: str, address: str, meant: str) -> None:
    (finding,) = lint_text(f"v=spf1 {name}{colon}{address} -all") or [None]
    assert (finding.proposal if finding else f"{name}{colon}{address}").lower() == f"{meant}:{address}"


@pytest.mark.parametrize(
    ("word", "proposal"),
    [("spf.b.example", "include:spf.b.example"), ("spf-a.b.example", "include:spf-a.b.example"),
     ("_spf.b.example", "include:_spf.b.example"), ("mx.b.example", "a:mx.b.example")],
)  # fmt: skip
def test_a_name_alone_is_that_of_a_record_or_of_a_host(word: str, proposal: str) -> None:
    (finding,) = lint_text(f"v=spf1 {word} -all")
    assert finding.proposal == proposal


@pytest.mark.parametrize(
    ("written", "meant"), [("ip", "ip4"), ("ipv4", "ip4"), ("ipv6", "ip6"), ("inc", "include"), ("exist", "exists")]
)
def test_the_parser_proposes_a_name(written: str, meant: str) -> None:
    with pytest.raises(RecordError) as caught:
        Record.parse(f"v=spf1 {written}:b.example -all")
    assert caught.value.problem.proposal == meant
    assert str(caught.value) == f"{written}:b.example: no mechanism is called {written!r}; {meant!r} is"


def test_by_which_term_everybody_may_send() -> None:
    """The last one of those that together have all addresses."""
    terms = "ip4:0.0.0.0/1 ip6:::/0 ip4:128.0.0.0/1"
    (finding,) = found(linted(f'example.org. TXT "v=spf1 {terms} -ip4:192.0.2.1 -all"\n'), "everybody")
    assert finding.words == "everybody may send mail as this domain, by ip4:128.0.0.0/1"


def test_4_6_4_void_lookups_of_all_clients() -> None:
    (finding,) = found(linted('example.org. TXT "v=spf1 a:x.example a:y.example mx:z.example -all"\n'),
                       "too-many-void-lookups")  # fmt: skip
    assert finding.severity is Severity.ERROR
    assert finding.words == ("3 terms find nothing, and receivers stop after 2: a:x.example, a:y.example, mx:z.example")


def test_why_a_record_cannot_be_asked() -> None:
    report = linted("", {("example.org", "TXT"): "servfail"})
    (finding,) = report.findings
    assert (finding.code, finding.severity.value) == ("dns-error", "error")
    assert finding.words.endswith("server-failure")
    assert (report.tree.to_dict()["failure"], report.tree.to_dict()["result"]) == ("dns-error", "temperror")
    assert linted('example.org. TXT "v=spf1 -all"\n').tree.to_dict()["failure"] is None


def test_whether_a_record_authorises_nobody() -> None:
    """One that wants nobody to send has no terms but its end; what reports are to be sent for is none (RFC 6652)."""
    for text, codes in (
        ("mx -all", ["void", "nobody"]),
        ("-all", []),
        ("-all ra=postmaster", []),
        ("-mx -all", ["void", "nobody"]),
    ):
        assert [each.code for each in linted(f'example.org. TXT "v=spf1 {text}"\n').findings] == codes


class Asked:
    """A zone, and what it was asked."""

    def __init__(self, records: str) -> None:
        self.zone = world(records)
        self.questions: list[str] = []

    def lookup(self, question: Question, time_limit: float | None = None) -> Answer:
        self.questions.append(str(question))
        return self.zone.lookup_now(question)


def test_names_that_find_nothing_are_looked_at_as_others_a_few_times() -> None:
    """A record may be anybody's: however many names it has, the search for what was meant asks five times."""
    terms = " ".join(f"a:x{number}.example" for number in range(9))
    zone = Asked(f'example.org. TXT "v=spf1 {terms} -all"\n')
    run(lint("example.org"), zone)
    assert sum(question.endswith(" MX") for question in zone.questions) == 5


def test_7_3_a_name_of_the_client_is_validated_once() -> None:
    zone = Asked(
        'example.org. TXT "v=spf1 ptr:c.example ptr:b.example exists:%{p}.x.example -all"\n'
        "1.2.0.192.in-addr.arpa. PTR h.b.example.\nh.b.example. A 192.0.2.9\n"
    )
    assert run(check_host("192.0.2.1", helo="h.b.example", mail_from="ann@example.org"), zone).result == "fail"
    assert zone.questions.count("h.b.example A") == 1


def test_4_6_4_what_the_macro_p_costs_in_the_tree() -> None:
    report = linted('example.org. TXT "v=spf1 a:%{p}.x.example a:%{p}.y.example -all"\n')
    assert [(term.lookups, term.number) for term in report.tree.terms[:2]] == [(2, 2), (1, 3)]
    assert report.lookups == 3


def test_why_a_helo_name_has_no_result() -> None:
    """RFC 7208 section 4.3."""
    for name, words in (
        ("", "the HELO name is empty"),
        ("[192.0.2.1]", "the HELO name is an address literal"),
        ("localhost", "the HELO name is not a domain name of two labels or more"),
        ("x." * 1000 + "example", "the HELO name is longer than 1024 characters"),
    ):
        spf = helo(world(""), name)
        assert (spf.result, spf.reason, spf.detail) == ("none", "no-domain", words)


def test_long_terms_and_names_fit_a_line_of_the_tree() -> None:
    """A hundred columns; the words about a term stand behind it, however long it is."""
    name = f"{'x' * 60}.{'y' * 60}.example"
    zone = (
        f'example.org. TXT "v=spf1 include:{name}" " a:{name}/24" " -all"\n'
        f'{name}. TXT "v=spf1 a:%{{i}}.{name} ip4:198.51.100.0/24 -all"\n'
    )
    lines = list(linted(zone).tree.lines())
    assert max(map(len, lines)) == 100
    for start, words in (
        ("  1    include:xxx", "... 198.51.100.0/24, 2 lookups"),
        ("  2        a:%{i}.xxx", "... %{i} depends on the client: not followed"),
        ("  3    a:xxx", "... finds nothing"),
    ):
        assert [line.endswith(words) for line in lines if line.startswith(start)] == [True]
    name = "x" * 37 + ".example"
    (line,) = [each for each in linted(f'example.org. TXT "v=spf1 a:{name} -all"\n').tree.lines() if name in each]
    assert line == f"  1    a:{name} finds nothing"


def test_6_modifiers_stand_at_the_end_of_a_flattened_record() -> None:
    """RFC 7208 section 6: they SHOULD appear at the end of the record, after all mechanisms."""
    records = 'example.org. TXT "v=spf1 exp=e.example include:b.example -all"\nb.example. TXT "v=spf1 ip4:192.0.2.1"\n'
    flattened = run(flatten("example.org"), world(records))
    assert str(flattened.record) == "v=spf1 ip4:192.0.2.1 -all exp=e.example"


def test_a_trace_as_values() -> None:
    records = 'example.org. TXT "v=spf1 ip4:192.0.2.9 -all exp=e.example"\ne.example. TXT "no"\n'
    trace = check(world(records), trace=True).trace
    assert trace is not None
    document = trace.to_dict()
    assert [term.pop("term") for term in document["terms"]] == ["ip4:192.0.2.9", "-all"]
    assert document.pop("terms") == [
        {"outcome": outcome, "number": 0, "void": False, "questions": [], "record": None}
        for outcome in ("no match", "match")
    ]
    assert document == {
        "domain": "example.org", "result": "fail", "record": "v=spf1 ip4:192.0.2.9 -all exp=e.example",
        "questions": [{
            "name": "example.org", "type": "TXT", "outcome": "found",
            "records": ["v=spf1 ip4:192.0.2.9 -all exp=e.example"],
        }],
        "explanation": [{"name": "e.example", "type": "TXT", "outcome": "found", "records": ["no"]}],
    }  # fmt: skip


def test_a_hundred_words_are_corrected() -> None:
    """A record may be anybody's; the first hundred show what is wrong."""
    for word, code in (("ip4=192.0.2.1", "ignored-modifier"), ("ip4:192.0.2", "bad-network")):
        findings = [each for each in lint_text(f"v=spf1 {f'{word} ' * 105}-all") if each.code == code]
        assert [bool(each.proposal) for each in findings] == [True] * 100 + [False] * 5


def test_a_sender_that_was_not_unwrapped_whole() -> None:
    """RFC 5321 section 4.1.1.2: the angle brackets are the command's."""
    for mail_from, local_part in (("<ann@example.org>", "ann"), ("<ann@example.org", "<ann")):
        zone = world('example.org. TXT "v=spf1 exists:%{l}.x.example -all"\nann.x.example. A 127.0.0.2\n')
        spf = check(zone, mail_from=mail_from)
        assert (spf.domain, spf.result) == ("example.org", "pass" if local_part == "ann" else "fail")


@pytest.mark.parametrize("text", ["v=spf1 redirect=%{x} -all", "v=spf1 x=%{x} -all", "v=spf1 a exp=%{x}"])
def test_an_error_in_a_modifier_is_pointed_at(text: str) -> None:
    with pytest.raises(RecordError) as caught:
        Record.parse(text)
    problem = caught.value.problem
    assert text[problem.start : problem.start + problem.length] == "%{x}"


@pytest.mark.parametrize(
    ("word", "proposal"),
    [("redirect.b.example", "redirect=b.example"), ("Redirect-b.example", "Redirect=b.example"),
     ("include.b.example", "include:b.example"), ("existsb.example", "exists:b.example")],
)  # fmt: skip
def test_a_colon_that_is_missing(word: str, proposal: str) -> None:
    """RFC 7208 section 4.6.1: mechanisms take ":", modifiers "="."""
    assert correct_word(word) == ("the colon is missing", proposal)


def test_a_character_that_cannot_be_seen_is_named_by_its_number() -> None:
    assert correct_word("mx\u200b") == ("U+200B is no character of a record", "mx")
    assert correct_word("\u2013all") == ("\u2013 is no character of a record", "-all")


def test_by_which_path_a_record_without_an_answer_is_reached() -> None:
    path = [{"domain": "example.org", "term": "include:b.example"}]
    for failures, more in (({("b.example", "TXT"): "servfail"}, ""), ({}, ""), ({}, 'b.example. TXT "v=spf1 -all"\n')):
        report = linted('example.org. TXT "v=spf1 include:b.example -all"\n' + more, failures)
        assert report.to_dict()["tree"]["terms"][0]["record"]["path"] == path


@pytest.mark.parametrize("end", ["-all", "redirect=%{l}.z.example"])
def test_a_local_part_that_is_not_ascii_in_the_tree_of_a_client(end: str) -> None:
    """RFC 8616 section 4: terms with %{l} or %{s} do not match, and an include is no error."""
    zone = world(
        f'example.org. TXT "v=spf1 exists:%{{l}}.x.example include:%{{s}}.y.example {end}"\n'
        "xn--mller-kva.x.example. A 127.0.0.2\n"
    )
    spf, tree = run(whole_tree("192.0.2.1", mail_from="m\u00fcller@example.org"), zone)
    assert tree is not None
    assert [term.outcome for term in tree.terms[:2]] == ["no match", "no match"]
    assert (tree.result, spf.result) == (("fail",) * 2 if end == "-all" else ("permerror",) * 2)
    # Not even where what is left of it is ASCII.
    zone = world(f'example.org. TXT "v=spf1 exists:%{{l1r-}}.x.example {end}"\nann.x.example. A 127.0.0.2\n')
    for sender, outcome in (("ann-\u00fc@example.org", "no match"), ("ann-u@example.org", "match")):
        _, tree = run(whole_tree("192.0.2.1", mail_from=sender), zone)
        assert tree is not None
        assert tree.terms[0].outcome == outcome


def test_the_term_that_matches_is_shown_within_a_run_of_networks() -> None:
    networks = " ".join(f"ip4:192.0.{number}.0/24" for number in range(2, 12))
    zone = world(f'example.org. TXT "v=spf1 {networks} -all"\n')
    _, tree = run(whole_tree("192.0.8.1", mail_from="ann@example.org"), zone)
    assert tree is not None
    lines = [line.split() for line in tree.lines()]
    assert [words[0] for words in lines if "match," in words[1:2]] == ["ip4:192.0.8.0/24"]
    assert [words[1] for words in lines if words[0] == "..."] == ["3", "3"]


@pytest.mark.parametrize(("count", "more"), [(1000, None), (1001, True)])
def test_a_list_of_networks_in_json_is_cut_and_says_so(count: int, more: bool | None) -> None:
    terms = " ".join(f"ip4:10.{number // 250}.{number % 250}.0/25" for number in range(count))
    strings = " ".join(f'"{terms[start : start + 250]}"' for start in range(0, len(terms), 250))
    tree = linted(f'example.org. TXT "v=spf1 " {strings} " -all"\n').tree.to_dict()
    assert (len(tree["networks"]), tree.get("more_networks")) == (1000, more)
