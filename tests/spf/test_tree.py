"""The tree, and what is read from it, against the evaluation of single clients.

Whatever lint, ``explain --all`` and flatten say of all clients holds for each client that check_host() is asked about.
"""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from mailauth.plan import Answer, Exchange, Outcome, Question, run
from mailauth.resolvers import ZoneResolver
from mailauth.spf import SpfPolicy, check_host, flatten, lint
from mailauth.spf.compile import IP6_OFFSET
from mailauth.spf.ranges import (
    EVERYBODY,
    Ranges,
    both,
    counted,
    either,
    first_matches,
    networks,
    size,
    union,
    without,
)  # fmt: skip
from mailauth.spf.survey import MAX_QUESTIONS, MAX_WORDS, survey, whole_tree
from tests.spf.world import world

# --- random worlds ---------------------------------------------------------------------------------------------------

DOMAINS = ["example.org", "a.example", "b.example", "c.example", "d.example"]
HOSTS = ["h.example", "i.example", "gone.example", "four.example"]
ADDRESSES4 = [IPv4Address(text) for text in ("192.0.2.1", "192.0.2.200", "198.51.100.7", "203.0.113.9")]
ADDRESSES6 = [IPv6Address(text) for text in ("2001:db8::1", "2001:db8:1::1", "2001:db8:2::9")]
signs = st.sampled_from(["", "", "", "-", "~", "?"])
terms = st.one_of(
    st.builds("{}{}".format, signs, st.sampled_from([
        "ip4:192.0.2.0/24", "ip4:192.0.2.1", "ip4:198.51.100.0/25", "ip4:0.0.0.0/1", "ip4:128.0.0.0/1", "ip4:0.0.0.0/0",
        "ip6:2001:db8::/33", "ip6:2001:db8:1::/48", "ip6:::/0", "a", "mx", "ptr", "ptr:a.example", "a/24//48",
    ])),
    st.builds(
        "{}{}:{}".format, signs, st.sampled_from(["a", "mx", "exists", "ptr"]), st.sampled_from([*HOSTS, *DOMAINS])
    ),
    st.builds("{}include:{}".format, signs, st.sampled_from([*DOMAINS[1:], "%{d1r}.example", "_%{o}"])),
    st.builds(
        "{}{}".format, signs,
        st.sampled_from([
            "exists:%{ir}.x.example", "a:%{p}.x.example", "exists:%{d}.x.example", "exists:%{l}.x.example",
            "include:%{l}.example", "ptr:%{l}.example",
        ]),
    ),
)  # fmt: skip
endings = st.sampled_from(["", " -all", " ~all", " ?all", " all", " redirect=d.example", " redirect=c.example -all"])
# RFC 7208 section 6.1: a redirect is evaluated last, and may stand anywhere.
beginnings = st.sampled_from(["", "", "", " redirect=b.example"])
records = st.builds(
    lambda start, words, end: f"v=spf1{'' if 'redirect' in end else start} {' '.join(words)}{end}".encode(),
    beginnings, st.lists(terms, max_size=4), endings,
)  # fmt: skip
clients = st.sampled_from([*map(str, ADDRESSES4), *map(str, ADDRESSES6), "8.8.8.8", "2600::1"])


IP6_OVER = "no errors; IPv6 clients that no earlier term matches get permerror"


class World:
    """A DNS in which each question has some fixed answer."""

    def __init__(self, data: st.DataObject, failures: bool = False) -> None:
        self.data, self.failures = data, failures
        self.answers: dict[Question, Answer] = {}

    def lookup(self, question: Question, time_limit: float | None = None) -> Answer:
        if question not in self.answers:
            self.answers[question] = self.answer(question)
        return self.answers[question]

    def answer(self, question: Question) -> Answer:
        draw, name = self.data.draw, question.name
        if question.type == "TXT" and name in DOMAINS and draw(st.integers(0, 15)):
            return Answer(Outcome.FOUND, (draw(records),), 300)
        if self.failures and not draw(st.integers(0, 9)):
            return Answer(Outcome.SERVER_FAILURE)
        if name == "gone.example" or not draw(st.integers(0, 3)):
            return Answer(Outcome.NO_SUCH_NAME)
        found: dict[str, Any] = {
            "TXT": st.just([b"something else"]),
            "A": st.lists(st.sampled_from(ADDRESSES4), min_size=1, max_size=2),
            "AAAA": st.lists(st.sampled_from(ADDRESSES6), min_size=1, max_size=2),
            "MX": st.lists(
                st.builds(Exchange, st.integers(0, 3), st.sampled_from(["", *HOSTS])), min_size=1, max_size=3
            ),
            "PTR": st.lists(st.sampled_from([*HOSTS, "m.a.example"]), min_size=1, max_size=3),
        }
        return Answer(Outcome.FOUND, tuple(draw(found.get(question.type, st.just([b"v=spf1 -all"])))), 300)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.lists(clients, min_size=1, max_size=4, unique=True), st.booleans())
def test_lint_says_ok_only_if_no_client_gets_permerror(data: st.DataObject, ips: list[str], failures: bool) -> None:
    """Any tree that lint calls ok: no client gets permerror. One without errors: none does but by a limit of IPv6."""
    dns = World(data, failures)
    report = run(lint("example.org"), dns)
    assume(report.ok or (report.complete and not report.errors))
    assert report.ok or report.ip6_over_limit
    for ip in ips:
        for helo in ("h.example", "a.example"):
            spf = run(check_host(ip, mail_from="ann@example.org", helo=helo), dns)
            event(f"{spf.result}")
            if ":" in ip and not report.ok:
                assert spf.result != "permerror" or spf.reason == "too-many-void-lookups"
            else:
                assert spf.result != "permerror", (spf.detail, report.findings)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("mx -all", "no errors"),
        ("include:%{i}.example.org -all", "no errors in what could be followed"),
        ("a:f1.example.org a:f2.example.org a:f3.example.org -all", IP6_OVER),
        (
            "a:f1.example.org a:f2.example.org a:f3.example.org mx -all",
            "errors: receivers give permerror to clients that no earlier term matches",
        ),
    ],
)
def test_what_lint_calls_ok(text: str, verdict: str) -> None:
    """Not what it could not follow, nor what is over a limit for clients of IPv6 alone; the last line says so."""
    hosts = "".join(f"f{i}.example.org. A 203.0.113.{i}\n" for i in (1, 2, 3))
    more = "example.org. MX 1 m.example.org.\nm.example.org. A 192.0.2.1\nm.example.org. AAAA 2001:db8::1\n"
    report = run(lint("example.org"), world(f'example.org. TXT "v=spf1 {text}"\n{hosts}{more}'))
    assert report.verdict == verdict
    assert report.ok == (verdict == "no errors")
    assert not report.errors or "errors:" in verdict


def test_a_text_that_stands_nowhere_is_not_called_ok() -> None:
    """The addresses of its domain are not known: three of such terms may be one void lookup too many."""
    report = run(lint("v=spf1 a a/24 a//64 -all"), ZoneResolver({}))
    assert (report.errors, report.ok) == ((), False)
    assert run(lint("v=spf1 ip4:192.0.2.1 -all"), ZoneResolver({})).ok


@settings(max_examples=300, deadline=None)
@given(st.data(), st.lists(clients, min_size=1, max_size=4, unique=True))
def test_whom_a_tree_authorises_passes(data: st.DataObject, ips: list[str]) -> None:
    """Any tree in which nothing depends on the client: who is among its networks passes, and nobody else.

    The limits do not count here.
    """
    dns = World(data)
    found = run(survey("example.org"), dns)
    assume(not found.truncated and found.tree.record is not None)
    unlimited = SpfPolicy(max_lookups=60, max_void_lookups=60)
    for ip in ips:
        spf = run(check_host(ip, mail_from="ann@example.org", policy=unlimited), dns)
        assume(spf.result != "permerror")
        authorised = bool(both(found.tree.passes, union([range_of(ip)])))
        event(f"{authorised} {spf.result}")
        if found.tree.certain:
            assert authorised == (spf.result == "pass")


@settings(max_examples=300, deadline=None)
@given(st.data(), clients, st.booleans(), st.sampled_from(["ann@example.org", "ünn@example.org", "ann@c.example"]))
def test_explain_all_and_check_say_the_same(data: st.DataObject, ip: str, failures: bool, sender: str) -> None:
    """Any tree and client: without limits, the first term of the tree that decides gives the result of check_host()."""
    dns = World(data, failures)
    unlimited = SpfPolicy(max_lookups=60, max_void_lookups=60)
    spf, tree = run(whole_tree(ip, mail_from=sender, helo="h.example", policy=unlimited), dns)
    assert spf == run(check_host(ip, mail_from=sender, helo="h.example", policy=unlimited), dns)
    assert tree is not None
    assume(not any(term.failure == "loop" for record in tree.records() for term in record.terms))
    assert tree.result == spf.result
    if spf.mechanism and spf.record_domain == tree.domain:
        decides = next(term for term in tree.terms if term.outcome == "match")
        assert decides.term == spf.directive
    assert all(len(line) <= 100 and line.isascii() and line.isprintable() for line in tree.lines())
    json.dumps(tree.to_dict())


@settings(max_examples=200, deadline=None)
@given(st.data(), st.lists(clients, min_size=1, max_size=4, unique=True))
def test_a_flattened_record_means_the_same(data: st.DataObject, ips: list[str]) -> None:
    """Any tree without errors: the proposal gives every client the result of the record."""
    dns = World(data)
    found = run(flatten("example.org"), dns)
    assume(found.record is not None)
    assert found.lookups <= found.tree.lookups
    unlimited = SpfPolicy(max_lookups=60, max_void_lookups=60)
    before = [run(check_host(ip, mail_from="ann@example.org", policy=unlimited), dns) for ip in ips]
    assume(all(spf.result != "permerror" for spf in before))
    dns.answers[Question("example.org", "TXT")] = Answer(Outcome.FOUND, (str(found.record).encode(),))
    after = [run(check_host(ip, mail_from="ann@example.org", policy=unlimited), dns) for ip in ips]
    assert [spf.result for spf in after] == [spf.result for spf in before]


def range_of(ip: str) -> tuple[int, int]:
    address = ip_address(ip)
    number = int(address) + (IP6_OFFSET if address.version == 6 else 0)
    return number, number + 1


# --- sets of clients -------------------------------------------------------------------------------------------------

bounds = st.lists(st.integers(0, 40), max_size=8, unique=True).map(
    lambda edges: tuple(sorted(edges)[: len(edges) & ~1])
)


def members(ranges: Ranges) -> set[int]:
    return {number for first, behind in zip(ranges[::2], ranges[1::2], strict=True) for number in range(first, behind)}


@given(bounds, bounds)
def test_ranges_are_sets(one: Ranges, other: Ranges) -> None:
    """Any two sets: united, cut and subtracted like sets of numbers, their bounds in rising order."""
    for operation, expected in (
        (either, members(one) | members(other)),
        (both, members(one) & members(other)),
        (without, members(one) - members(other)),
    ):
        found = operation(one, other)
        assert members(found) == expected
        assert list(found) == sorted(set(found))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10), st.booleans()), max_size=8))
def test_the_first_match_decides(given: list[tuple[int, int, bool]]) -> None:
    """Any list of ranges: a number is wanted if the first range that holds it is."""
    ranges = [(first, first + length) for first, length, _ in given]
    wanted = [each for _, _, each in given]
    expected = set()
    for number in range(45):
        holding = [index for index, (first, behind) in enumerate(ranges) if first <= number < behind]
        if holding and wanted[holding[0]]:
            expected.add(number)
    assert members(first_matches(ranges, wanted)) == expected


@given(st.lists(st.tuples(st.integers(0, 2**32 - 2**20), st.integers(1, 2**20)), max_size=4))
def test_networks_hold_what_the_ranges_hold(given: list[tuple[int, int]]) -> None:
    """Any ranges: networks of the same size, each inside of them."""
    ranges = union([(first, first + length) for first, length in given])
    found = networks(ranges)
    assert sum(network.num_addresses for network in found) == size(ranges, 4)
    for network in found:
        first = int(network.network_address)
        assert both(ranges, (first, first + network.num_addresses)) == (first, first + network.num_addresses)


def test_a_number_of_many_digits_is_a_power() -> None:
    report = run(lint("v=spf1 ip6:2000::/3 ip6:4000::/16 -all"), ZoneResolver({}))
    assert [line.split()[-3:] for line in report.tree.lines()][1] == ["2^61", "IPv6", "/64"]
    assert report.findings[0].words == "2^61 IPv6 networks of /64 may send as this domain by ip6:2000::/3"
    assert [counted(number) for number in (0, 65536, (1 << 40) - 1, 3 << 60)] == [
        "0", "65,536", "1,099,511,627,775", "over 2^61",
    ]  # fmt: skip


def test_networks_of_both_families() -> None:
    assert [str(network) for network in networks(EVERYBODY)] == ["0.0.0.0/0", "::/0"]
    assert len(networks(union([(1, 255)]), 3)) == 3


# --- the tree of one domain ------------------------------------------------------------------------------------------

TREE = """
example.org.      TXT "v=spf1 ip4:192.0.2.0/24 include:_spf.example.net mx a:four.example.org ~all"
example.org.      MX  10 mx.example.org.
mx.example.org.   A    203.0.113.25
mx.example.org.   AAAA 2001:db8::25
four.example.org. A    203.0.113.4
_spf.example.net. 60 TXT "v=spf1 ip4:198.51.100.0/24 exists:%{ir}.list.example.net include:deep.example.net -all"
deep.example.net. TXT "v=spf1 ip4:198.51.100.128/25 ip6:2001:db8:1::/48 redirect=more.example.net"
more.example.net. TXT "v=spf1 ip4:203.0.113.99 ?all"
"""


def test_lines() -> None:
    """Each term with its number of the ten, what it matches, and what is void for whom."""
    tree = run(lint("example.org"), world(TREE)).tree
    assert list(tree.lines()) == [
        "     example.org                                 75 octets, TTL 300",
        "       ip4:192.0.2.0/24                          256 IPv4",
        "  1    include:_spf.example.net                  257 IPv4 + 65,536 IPv6 /64, 4 lookups",
        "         _spf.example.net                        86 octets, TTL 60",
        "           ip4:198.51.100.0/24                   256 IPv4",
        "  2        exists:%{ir}.list.example.net         %{i} depends on the client: not followed",
        "  3        include:deep.example.net              203.0.113.99 2001:db8:1::/48, 2 lookups",
        "             deep.example.net                    74 octets, TTL 300",
        "               ip4:198.51.100.128/25             128 IPv4",
        "               ip6:2001:db8:1::/48               65,536 IPv6 /64",
        "  4            redirect=more.example.net         203.0.113.99",
        "                 more.example.net                28 octets, TTL 300",
        "                   ip4:203.0.113.99",
        "                   ?all                          everybody else: neutral",
        "           -all                                  everybody else: fail",
        "  5    mx                                        203.0.113.25 2001:db8::25",
        "  6    a:four.example.org                        203.0.113.4, nothing for IPv6 clients",
        "       ~all                                      everybody else: softfail",
    ]


def test_json() -> None:
    """The same for programs: where each term stands, what it costs, whom it matches."""
    document = json.loads(json.dumps(run(lint("example.org"), world(TREE)).to_dict()))
    tree = document["tree"]
    assert (document["lookups"], document["void_lookups"], tree["lookups"]) == (6, {"ip4": 0, "ip6": 1}, 6)
    include = tree["terms"][1]
    assert (include["term"], include["number"], include["lookups"]) == ("include:_spf.example.net", 1, 4)
    assert include["networks"] == ["198.51.100.0/24", "203.0.113.99/32", "2001:db8:1::/48"]
    deep = include["record"]["terms"][2]["record"]
    assert deep["path"] == [
        {"domain": "example.org", "term": "include:_spf.example.net"},
        {"domain": "_spf.example.net", "term": "include:deep.example.net"},
    ]
    assert tree["terms"][3]["void"] == [6]
    assert include["record"]["terms"][1]["hidden"] == "%{i} depends on the client: not followed"


def test_explain_all_goes_on_past_the_match_and_past_the_limits() -> None:
    spf, tree = run(whole_tree("192.0.2.7", mail_from="ann@example.org"), world(TREE))
    assert tree is not None
    assert (spf.result, spf.lookups) == ("pass", 0)
    assert [term.outcome for term in tree.terms] == ["match", "no match", "no match", "no match", "match"]
    many = " ".join(f"a:h{i}.example.org" for i in range(12))
    zone = world(
        f'example.org. TXT "v=spf1 {many} -all"\n' + "".join(f"h{i}.example.org. A 192.0.2.{i}\n" for i in range(12))
    )
    spf, tree = run(whole_tree("192.0.2.11", mail_from="ann@example.org"), zone)
    assert tree is not None
    assert spf.reason == "too-many-lookups"
    assert (tree.terms[11].number, tree.terms[11].outcome) == (12, "match")
    assert "over the limit of 10" in "\n".join(tree.lines())


def test_what_is_not_pass_is_said() -> None:
    """Whom a term matches that lets nobody pass, and a redirect that nobody comes to any more."""
    zone = world("""
example.org. TXT "v=spf1 ?ip4:198.51.100.0/24 -include:b.example redirect=c.example"
b.example.   TXT "v=spf1 ip4:203.0.113.0/24 -all"
c.example.   TXT "v=spf1 ip4:192.0.2.0/24 -ip4:192.0.2.1 -ip4:192.0.3.1 -ip4:192.0.4.1 -all"
""")
    tree = run(lint("example.org"), zone).tree
    lines = "\n".join(tree.lines())
    assert "  256 IPv4: neutral\n" in lines
    assert "  203.0.113.0/24: fail\n" in lines
    assert "  ... 1 more network\n" in lines
    _, explained = run(whole_tree("203.0.113.9", mail_from="ann@example.org"), zone)
    assert explained is not None
    assert "  would be used, " in "\n".join(explained.lines())


def test_what_depends_on_the_client_two_records_down_is_not_sure() -> None:
    """Somebody for whom the exists matches does not pass by the includes, and comes to what stands behind them."""
    zone = world("""
example.org. TXT "v=spf1 include:a.example mx -all"
example.org. MX  1 m.example.org.
m.example.org. A 192.0.2.1
m.example.org. AAAA 2001:db8::1
a.example.   TXT "v=spf1 include:b.example"
b.example.   TXT "v=spf1 -exists:%{ir}.x.example all"
1.2.0.192.x.example. A 127.0.0.2
""")
    report = run(lint("example.org"), zone)
    assert [term.families for term in report.tree.terms] == [(4, 6)] * 3
    assert "unreachable" not in [finding.code for finding in report.findings]
    spf, tree = run(whole_tree("192.0.2.1", mail_from="ann@example.org"), zone)
    assert tree is not None
    assert (spf.result, spf.mechanism, tree.result) == ("pass", "mx", "pass")
    assert [term.outcome for term in tree.terms] == ["no match", "match", "match"]


def test_an_identity_without_a_domain_has_no_tree() -> None:
    spf, tree = run(whole_tree("192.0.2.7", helo="[192.0.2.7]", identity="helo"), world(TREE))
    assert (spf.result, tree) == ("none", None)


def test_a_macro_of_the_domain_is_followed() -> None:
    zone = world('example.org. TXT "v=spf1 include:_spf.%{d} -all"\n_spf.example.org. TXT "v=spf1 ip4:192.0.2.1 -all"')
    report = run(lint("example.org"), zone)
    assert (report.findings, report.ip4_addresses, report.complete) == ((), 1, True)


def test_a_hostile_tree_is_bounded() -> None:
    """Sixty thousand octets of networks, a hundred includes each: questions and networks are counted, and it ends."""
    networks_of = " ".join(f"ip4:11.{i % 250}.{i // 250}.0/{'24' if i % 2 else '25'}" for i in range(3000))
    wide = " ".join(f"include:d{i}.example" for i in range(90))

    class Hostile:
        count = 0

        def lookup(self, question: Question, time_limit: float | None) -> Answer:
            self.count += 1
            text = f"v=spf1 {wide} {networks_of} -all" if question.type == "TXT" else ""
            return Answer(Outcome.FOUND, (text.encode(),)) if text else Answer(Outcome.NO_DATA)

    dns = Hostile()
    report = run(lint("example.org"), dns)
    assert not report.ok
    assert not report.complete
    assert dns.count <= MAX_QUESTIONS
    assert sum(len(record.terms) for record in report.tree.records()) <= 2 * MAX_WORDS


# --- flattened records -----------------------------------------------------------------------------------------------


def flat(records: str, what: str = "example.org") -> tuple[str, int, dict[str, str]]:
    found = run(flatten(what), world(records))
    return str(found.record), found.lookups, dict(found.kept)


def test_includes_become_networks() -> None:
    text, lookups, kept = flat(TREE.replace("exists:%{ir}.list.example.net ", ""))
    assert text == (
        "v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.0/24 ip4:203.0.113.99 ip6:2001:db8:1::/48 mx a:four.example.org ~all"
    )
    assert (lookups, kept) == (2, {})


def test_what_depends_on_the_client_stays() -> None:
    text, lookups, kept = flat(TREE)
    assert "include:_spf.example.net" in text
    assert lookups == 6
    assert kept == {
        "include:_spf.example.net": "exists:%{ir}.list.example.net in it: %{i} depends on the client: not followed"
    }


def test_a_redirect_is_put_in_with_its_end_and_its_hosts() -> None:
    """RFC 7208 sections 6.1 and 6.2: all its results count, and its explanation."""
    records = """
example.org. TXT "v=spf1 ip4:192.0.2.1 redirect=b.example exp=no.example"
b.example.   TXT "v=spf1 a mx/24 -include:c.example ~all exp=why.b.example"
b.example.   A 203.0.113.1
b.example.   MX 1 b.example.
c.example.   TXT "v=spf1 ip4:198.51.100.64/26 -all"
"""
    text, lookups, _ = flat(records)
    assert text == "v=spf1 ip4:192.0.2.1 a:b.example mx:b.example/24 -ip4:198.51.100.64/26 ~all exp=why.b.example"
    assert lookups == 2


def test_a_redirect_in_front_is_put_in_behind_the_terms() -> None:
    """RFC 7208 section 6.1: it is evaluated after all mechanisms, wherever it stands."""
    records = """
example.org. TXT "v=spf1 redirect=b.example ip4:192.0.2.1"
b.example.   TXT "v=spf1 -ip4:192.0.2.0/24 ?all"
"""
    assert flat(records)[0] == "v=spf1 ip4:192.0.2.1 -ip4:192.0.2.0/24 ?all"


def everybody_but(hosts: int) -> str:
    """A record of 64,000 networks for each thousand of its terms."""
    return "v=spf1 " + " ".join(f"-ip6:{n + 1:x}:{n * 7919 % 65536:x}::{n + 9:x}" for n in range(hosts)) + " +all"


def test_an_include_of_too_many_networks_stays() -> None:
    """A short record may authorise everybody but a few: as networks that is more than any record has room for."""
    terms = "ip4:192.0.2.1 include:b.example -all"
    zone = ZoneResolver({
        ("example.org", "TXT"): [f"v=spf1 {terms}"],
        ("b.example", "TXT"): [everybody_but(200)],
    })  # fmt: skip
    found = run(flatten("example.org"), zone)
    assert str(found.record) == f"v=spf1 {terms}"
    assert dict(found.kept) == {"include:b.example": "more than 5000 networks in all"}
    assert found.lookups == 1


def test_a_list_of_networks_has_an_end() -> None:
    """In JSON, which says that there are more."""
    record = run(lint("example.org"), ZoneResolver({("example.org", "TXT"): [everybody_but(50)]})).tree.to_dict()
    assert len(record["networks"]) == 1000
    assert record["more_networks"] is True
    assert "more_networks" not in run(lint("v=spf1 ip4:192.0.2.1 -all"), ZoneResolver({})).tree.to_dict()


def test_when_it_is_stale() -> None:
    found = run(flatten("example.org"), world(TREE.replace("exists:%{ir}.list.example.net ", "")))
    assert found.ttl == 60
    assert found.ttls[0] == ("_spf.example.net TXT", 60)
    document = json.loads(json.dumps(found.to_dict()))
    assert document["lookups"] == {"before": 5, "after": 2}


def test_what_was_not_found_makes_nothing_stale() -> None:
    """How long it holds that there is nothing is often not known; a TTL of 0 would be no advice."""
    found = run(
        flatten("example.org"),
        world("""
example.org. TXT "v=spf1 include:b.example -all"
b.example.   TXT "v=spf1 a -all"
b.example.   A 192.0.2.1
"""),
    )
    assert [question for question, _ in found.ttls] == ["b.example TXT", "b.example A"]


@pytest.mark.parametrize(
    "records",
    ["", 'example.org. TXT "v=spf1 foo"', 'example.org. TXT "v=spf1"\nexample.org. TXT "v=spf1 a"'],
)
def test_nothing_to_flatten(records: str) -> None:
    found = run(flatten("example.org"), world(records))
    assert found.record is None
    assert found.problem


@pytest.mark.parametrize("what", ["", "localhost", "a b"])
def test_neither_domain_nor_record(what: str) -> None:
    if what != "a b":
        with pytest.raises(ValueError, match="neither"):
            flatten(what)
    else:
        assert run(flatten(what), ZoneResolver({})).record is None
