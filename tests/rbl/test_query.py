"""`query`: the questions that are asked and what the answers are taken for.

One listing for each zone given, in order, none hidden, whatever the lists answer; nothing private is ever asked; what
a list wrote is safe to show.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import pkgutil
import re
from ipaddress import IPv4Address, IPv6Address, ip_network
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailauth import rbl
from mailauth.plan import TIMED_OUT, Answer, Execution, Outcome, PlanError, Question, run
from mailauth.rbl import Kind, Listing, RblPolicy, Rule, RuleError, query
from mailauth.resolvers import ZoneResolver

# A busy machine is no failure.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

KEY = "abcdefghijkl1234mnopqrst56"
CLIENT = "192.0.2.1"
REVERSED = "1.2.0.192"


class Recorder:
    """A resolver that notes what was asked."""

    def __init__(self, zone: ZoneResolver) -> None:
        self.zone = zone
        self.asked: list[Question] = []

    def lookup(self, question: Question, time_limit: float | None = None) -> Answer:
        self.asked.append(question)
        return self.zone.lookup(question)


def listed(zone: str, *codes: str, text: str | bytes | None = None, subject: str = REVERSED) -> dict[Any, Any]:
    """The records of one entry."""
    records: dict[Any, Any] = {(f"{subject}.{zone}", "A"): list(codes)}
    if text is not None:
        records[f"{subject}.{zone}", "TXT"] = [text]
    return records


def ask(subject: Any, zones: Any, records: dict[Any, Any] | None = None, **options: Any) -> list[Listing]:
    failures = options.pop("failures", None)
    return run(query(subject, zones, **options), ZoneResolver(records or {}, failures=failures))


def asked(subject: Any, zones: Any, records: dict[Any, Any] | None = None, **options: Any) -> list[str]:
    recorder = Recorder(ZoneResolver(records or {}))
    run(query(subject, zones, **options), recorder)
    return [str(question) for question in recorder.asked]


# --- the questions ------------------------------------------------------------------------------------------------


def test_ipv4_octets_are_reversed() -> None:
    # RFC 5782 section 2.1, with its example
    assert asked("192.0.2.99", ["bad.example.com"]) == ["99.2.0.192.bad.example.com A"]


def test_ipv6_nibbles_are_reversed() -> None:
    # RFC 5782 section 2.4, with its example
    name = "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ugly.example.com"
    assert asked("2001:db8:1:2:3:4:567:89ab", ["ugly.example.com"]) == [f"{name} A"]


@pytest.mark.parametrize("subject", ["::ffff:192.0.2.1", IPv6Address("::ffff:192.0.2.1"), "[192.0.2.1]", "192.0.2.1."])
def test_addresses_in_disguise_are_ipv4(subject: Any) -> None:
    assert asked(subject, ["bl.example"]) == [f"{REVERSED}.bl.example A"]


def test_an_ipv6_literal() -> None:
    assert asked("[IPv6:2001:db8::1]", ["bl.example"])[0].endswith("8.b.d.0.1.0.0.2.bl.example A")


@pytest.mark.parametrize(
    ("domain", "name"),
    [
        ("invalid.edu", "invalid.edu.doms.example.net"),  # RFC 5782 section 3
        ("MAIL.Example.ORG.", "mail.example.org.doms.example.net"),
        ("bücher.example", "xn--bcher-kva.example.doms.example.net"),
        ("_dmarc.example.org", "_dmarc.example.org.doms.example.net"),
    ],
)
def test_domains_stand_before_the_zone(domain: str, name: str) -> None:
    assert asked(domain, ["doms.example.net"]) == [f"{name} A"]


def test_the_reason_is_asked_only_of_lists_that_list() -> None:
    records = listed("one.example", "127.0.0.2") | listed("two.example", "127.0.0.9")
    questions = asked(CLIENT, ["none.example", "one.example", "two.example=127.0.0.2"], records)
    assert sorted(questions) == sorted(
        [f"{REVERSED}.{q}" for q in ("none.example A", "one.example A", "one.example TXT", "two.example A")]
    )


def test_the_reason_need_not_be_asked() -> None:
    questions = asked(CLIENT, ["bl.example"], listed("bl.example", "127.0.0.2"), policy=RblPolicy(ask_text=False))
    assert questions == [f"{REVERSED}.bl.example A"]


def test_a_zone_with_several_filters_is_asked_once() -> None:
    records = listed("bl.example", "127.0.0.2", "127.0.0.10", text="why")
    zones = ["bl.example=127.0.0.2*3", "bl.example=127.0.0.[10..11]*5", "bl.example=127.0.0.4*7"]
    assert asked(CLIENT, zones, records) == [f"{REVERSED}.bl.example A", f"{REVERSED}.bl.example TXT"]
    assert [(one.score, one.text) for one in ask(CLIENT, zones, records)] == [(3, "why"), (5, "why"), (0, "")]


def test_all_lists_are_asked_at_the_same_time_and_each_reason_follows_at_once() -> None:
    zones = [f"l{n}.example" for n in range(30)]
    execution = Execution(query(CLIENT, zones))
    first = execution.start()
    assert first == [Question(f"{REVERSED}.{zone}", "A") for zone in zones]
    found = Answer(Outcome.FOUND, (IPv4Address("127.0.0.2"),))
    # No other list has answered yet.
    assert execution.answer(first[7], found) == [Question(f"{REVERSED}.l7.example", "TXT")]
    execution.expire()
    assert execution.finished


NOT_PUBLIC = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.0.0.2", "169.254.1.1",
    "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.168.1.1", "198.18.0.1", "198.19.255.255", "224.0.0.1",
    "239.1.2.3", "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::c000:201",
    "100::1", "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1", "ff02::1", "4000::1", "2001:2::1", "2001:10::1",
]  # fmt: skip


@pytest.mark.parametrize("subject", NOT_PUBLIC)
def test_no_list_is_told_of_an_address_that_is_not_public(subject: str) -> None:
    assert asked(subject, ["bl.example"]) == []
    (listing,) = ask(subject, ["bl.example"])
    assert (listing.result, listing.reason) == ("not-listed", "not-asked")
    assert "not a public address" in listing.detail


@pytest.mark.parametrize("subject", ["8.8.8.8", "172.32.0.1", "100.128.0.1", "192.0.2.1", "2001:db8::1", "2a00::1"])
def test_public_addresses_are_asked(subject: str) -> None:
    assert len(asked(subject, ["bl.example"])) == 1


DOCUMENTATION = [ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")]
DOCUMENTATION.append(ip_network("3fff::/20"))


@unhurried
@given(
    st.one_of(
        st.ip_addresses(v=4),
        st.ip_addresses(v=6),
        st.ip_addresses(network="2001::/20"),
        st.ip_addresses(network="::/64"),
        *[st.ip_addresses(network=f"{n}.0.0.0/8") for n in (0, 10, 100, 127, 169, 172, 192, 198)],
    )
)
def test_the_standard_library_has_no_private_address_that_is_asked(address: IPv4Address | IPv6Address) -> None:
    """Invariant, by a second table: what Python calls private, loopback, link-local, multicast or reserved is never
    asked; the networks for documentation are."""
    mapped = getattr(address, "ipv4_mapped", None) or address
    if any(mapped in net for net in DOCUMENTATION):
        assert asked(address, ["bl.example"])
    elif mapped.is_private or mapped.is_loopback or mapped.is_link_local or mapped.is_multicast or mapped.is_reserved:
        assert asked(address, ["bl.example"]) == []


def test_what_is_not_asked_is_adjustable() -> None:
    policy = RblPolicy(not_public=(), not_public_domains=())
    assert asked("10.0.0.1", ["mine.example"], policy=policy) == ["1.0.0.10.mine.example A"]
    assert asked("host.local", ["mine.example"], policy=policy) == ["host.local.mine.example A"]


@pytest.mark.parametrize(
    "subject",
    [
        "", ".", "localhost", "mail", "host.local", "a.internal", "pc.home.arpa", "x.onion", "1.2.0.192.in-addr.arpa",
        "mail.CORP.lan.", "exchange.corp", "nas.home", "a.intranet", "a.private", "a.alt",
        "192.0.2", "1.2.3.256", "999.1.1.1", "mx.example..org", "-a.example", "a b.example", "a.example\r\nb",
        "a\0.org",
        "ann@example.org", "☃☃.example\u202e", "x" * 64 + ".org", "a." * 127 + "org", "x" * 100_000, "[192.0.2.1",
        "*.example.org", "a.example.org:25", "\ud800.example",
    ],
)  # fmt: skip
def test_no_list_is_told_of_what_is_no_public_domain(subject: str) -> None:
    assert asked(subject, ["bl.example"]) == []
    (listing,) = ask(subject, ["bl.example"])
    assert (listing.result, listing.reason) == ("not-listed", "not-asked")
    assert listing.subject.isprintable()
    assert len(listing.subject) < 260


def test_addresses_never_go_to_a_list_of_domains() -> None:
    (known, named) = ask(CLIENT, ["dbl.spamhaus.org", Rule("doms.example", kind=Kind.DOMAIN)])
    assert known.reason == named.reason == "not-asked"
    assert asked(CLIENT, ["dbl.spamhaus.org", "multi.uribl.com", "multi.surbl.org"]) == []


def test_domains_never_go_to_a_list_of_addresses() -> None:
    assert asked("example.org", ["zen.spamhaus.org", Rule("ips.example", kind=Kind.ADDRESS)]) == []


def test_a_name_that_would_be_too_long_is_not_asked() -> None:
    domain = ".".join(["a" * 60] * 4)
    (listing,) = ask(domain, ["bl.example.org"])
    assert listing.reason == "not-asked"
    assert "too long" in listing.detail


DEAD = ["bl.sorbs.net", "dnsbl.sorbs.net=127.0.0.2", "ix.dnsbl.manitu.net", "dnsbl.ahbl.org", "db.wpbl.info"]


@pytest.mark.parametrize("zone", DEAD)
def test_a_dead_list_is_refused_by_name(zone: str) -> None:
    assert asked(CLIENT, [zone]) == []
    (listing,) = ask(CLIENT, [zone])
    assert (listing.result, listing.reason) == ("refused", "dead-list")
    assert "shut down" in listing.detail


# --- e-mail addresses by hash -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "canonical"),
    [
        ("ann@example.org", "ann@example.org"),
        ("Ann@EXAMPLE.org.", "ann@example.org"),
        ("<ann@example.org>", "ann@example.org"),
        ("ann+lists+2@example.org", "ann@example.org"),
        ("a.n.n@example.org", "a.n.n@example.org"),
        ("a.n.n+x@gmail.com", "ann@gmail.com"),
        ("A.nn@GoogleMail.com", "ann@gmail.com"),
        ("a.nn@mail.gmail.com", "a.nn@mail.gmail.com"),
        ('"ann"@example.org', "ann@example.org"),
        ("+ann@example.org", "+ann@example.org"),
        ("ann@b\u00fccher.example", "ann@xn--bcher-kva.example"),
        ("\u00e4nn@example.org", "\u00e4nn@example.org"),
    ],
)
def test_a_list_of_addresses_is_asked_the_hash_of_the_canonical_one(address: str, canonical: str) -> None:
    name = hashlib.sha1(canonical.encode()).hexdigest()
    assert asked(address, ["ebl.msbl.org"]) == [f"{name}.ebl.msbl.org A"]


def test_an_ebl_lists_an_address() -> None:
    name = "a4414de3ce1f77d2615b90c3ba16219b38193ced"  # printf ann@example.org | sha1sum
    records = listed("ebl.msbl.org", "127.0.0.2", text="dropbox", subject=name)
    (listing,) = ask("Ann+1@example.org", ["ebl.msbl.org"], records)
    assert (listing.result, listing.subject, listing.text) == ("listed", "Ann+1@example.org", "dropbox")
    (grey,) = ask("ann@example.org", ["ebl.msbl.org"], listed("ebl.msbl.org", "127.0.1.3", subject=name))
    assert (grey.result, grey.reason) == ("not-listed", "other-code")
    own = Rule("hashes.example", kind=Kind.EMAIL)
    assert ask("ann@example.org", [own], listed("hashes.example", "127.0.0.2", subject=name))[0].listed


@pytest.mark.parametrize("subject", [CLIENT, "example.org", "ann@mail.local", "ann@[192.0.2.1]", "ann@mail", "@x.org"])
def test_what_no_list_of_addresses_is_asked(subject: str) -> None:
    assert asked(subject, ["ebl.msbl.org"]) == []
    assert ask(subject, ["ebl.msbl.org"])[0].reason == "not-asked"


def test_no_other_list_is_told_of_an_address() -> None:
    assert asked("ann@example.org", ["bl.example", "dbl.spamhaus.org", "zen.spamhaus.org", "dwl.dnswl.org"]) == []


@unhurried
@given(st.text(max_size=80), st.sampled_from(["example.org", "gmail.com"]))
def test_any_local_part_is_a_hash_or_not_asked(local_part: str, domain: str) -> None:
    """Whatever stands before the "@", what is asked is a SHA-1 in hexadecimal, or nothing."""
    for question in asked(f"{local_part}@{domain}", ["ebl.msbl.org"]):
        assert re.fullmatch(r"[0-9a-f]{40}\.ebl\.msbl\.org A", question)


def test_dkim_domains() -> None:
    assert asked("example.org", ["dwl.dnswl.org"]) == ["example.org.dwl.dnswl.org A"]
    (listing,) = ask("example.org", ["dwl.dnswl.org"], listed("dwl.dnswl.org", "127.0.3.2", subject="example.org"))
    assert (listing.result, listing.score) == ("listed", -1)


def test_lists_of_one_version_of_ip() -> None:
    zones = ["bl.spameatingmonkey.net", "bl.ipv6.spameatingmonkey.net", "psbl.surriel.com"]
    assert [listing.reason for listing in ask(CLIENT, zones)] == ["no-entry", "not-asked", "no-entry"]
    assert [listing.reason for listing in ask("2a00::1", zones)] == ["not-asked", "no-entry", "no-entry"]


# --- the answers --------------------------------------------------------------------------------------------------

ZONE = "bl.example"


@pytest.mark.parametrize(
    ("rule", "codes", "result", "reason"),
    [
        (ZONE, [], "not-listed", "no-entry"),
        (ZONE, ["127.0.0.2"], "listed", "listed"),
        (ZONE, ["127.1.2.3"], "listed", "listed"),
        (ZONE, ["127.255.254.255"], "listed", "listed"),
        # what filtering resolvers answer: no listing unless the rule or the catalogue says so
        (ZONE, ["127.0.0.1"], "not-listed", "other-code"),
        (ZONE, ["0.0.0.0"], "not-listed", "not-a-list"),
        ("zen.spamhaus.org", ["127.0.0.1"], "not-listed", "other-code"),
        (f"{ZONE}=127.0.0.1", ["127.0.0.1"], "listed", "listed"),
        ("hostkarma.junkemailfilter.com=127.0.0.1*-1", ["127.0.0.1"], "listed", "listed"),
        # scores may say something good: they count where the rule names them
        (ZONE, ["127.0.1.255"], "listed", "listed"),
        (ZONE, ["127.0.4.95"], "not-listed", "other-code"),
        (f"{ZONE} allow", ["127.0.4.5"], "not-listed", "other-code"),
        (ZONE, ["127.0.9.2"], "listed", "listed"),
        (f"{ZONE}=127.0.4.[0..79]", ["127.0.4.40"], "listed", "listed"),
        ("score.senderscore.com", ["127.0.4.95"], "not-listed", "other-code"),
        ("score.senderscore.com", ["127.0.4.79"], "listed", "listed"),
        ("score.senderscore.com", ["127.255.255.255"], "refused", "error-code"),
        ("sa-trusted.bondedsender.org", ["127.255.255.255"], "refused", "error-code"),
        (f"{ZONE}=127.0.0.2", ["127.0.0.3"], "not-listed", "other-code"),
        (f"{ZONE}=127.0.0.2", ["127.0.0.3", "127.0.0.2"], "listed", "listed"),
        # errors are never listings, not even for a filter that names them
        (ZONE, ["127.255.255.252"], "refused", "error-code"),
        (ZONE, ["127.255.255.254"], "refused", "error-code"),
        (ZONE, ["127.255.255.255"], "refused", "error-code"),
        (ZONE, ["127.255.255.1"], "refused", "error-code"),
        (f"{ZONE}=127.255.255.[0..255]", ["127.255.255.254"], "refused", "error-code"),
        (ZONE, ["127.0.0.2", "127.255.255.254"], "refused", "error-code"),
        # a lapsed domain that answers everything with its web server
        (ZONE, ["198.51.100.7"], "not-listed", "not-a-list"),
        (ZONE, ["126.255.255.255"], "not-listed", "not-a-list"),
        (ZONE, ["128.0.0.2"], "not-listed", "not-a-list"),
        (f"{ZONE}=198.51.100.7", ["198.51.100.7"], "not-listed", "not-a-list"),
        (ZONE, ["198.51.100.7", "127.0.0.2"], "listed", "listed"),
        # lists in the catalogue: their own codes count
        ("zen.spamhaus.org", ["127.0.0.4"], "listed", "listed"),
        ("zen.spamhaus.org", ["127.0.0.77"], "not-listed", "other-code"),
        ("zen.spamhaus.org=127.0.0.77", ["127.0.0.77"], "listed", "listed"),
        ("bl.spamcop.net", ["127.0.0.3"], "not-listed", "other-code"),
        ("rep.mailspike.net", ["127.0.0.10"], "listed", "listed"),
        ("rep.mailspike.net", ["127.0.0.20"], "not-listed", "other-code"),
        ("rep.mailspike.net=127.0.0.[17..20]*-1", ["127.0.0.20"], "listed", "listed"),
        ("hostkarma.junkemailfilter.com", ["127.0.0.1"], "not-listed", "other-code"),
        ("hostkarma.junkemailfilter.com", ["127.0.0.2"], "listed", "listed"),
        ("list.dnswl.org", ["127.0.5.0"], "not-listed", "other-code"),
        ("list.dnswl.org", ["127.0.5.3"], "listed", "listed"),
        ("list.dnswl.org", ["127.0.0.255"], "refused", "error-code"),
        (f"{KEY}.zen.dq.spamhaus.net", ["127.0.0.4"], "listed", "listed"),
        (f"{KEY}.zen.dq.spamhaus.net", ["127.0.0.77"], "not-listed", "other-code"),
    ],
)
def test_an_answer_about_an_address(rule: str, codes: list[str], result: str, reason: str) -> None:
    zone = Rule.parse(rule).zone
    (listing,) = ask(CLIENT, [rule], listed(zone, *codes) if codes else {})
    assert (listing.result, listing.reason) == (result, reason)
    assert set(listing.codes) == set(codes)
    assert listing.score == (listing.weight if result == "listed" else 0)


@pytest.mark.parametrize(
    ("zone", "codes", "result", "meanings"),
    [
        ("multi.uribl.com", ["127.0.0.1"], "refused", {"refused: too many queries, or a public resolver"}),
        ("multi.uribl.com", ["127.0.0.2"], "listed", {"black: spam domain"}),
        (
            "multi.uribl.com",
            ["127.0.0.14"],
            "listed",
            {"black: spam domain", "grey: bulk mail that not everybody wants", "red: found automatically"},
        ),
        ("multi.uribl.com=127.0.0.[&2]", ["127.0.0.4"], "not-listed", {"grey: bulk mail that not everybody wants"}),
        ("multi.surbl.org", ["127.0.0.1"], "refused", {"refused: the use is not allowed"}),
        ("multi.surbl.org", ["127.0.0.24"], "listed", {"PH: phishing", "MW: malware"}),
        ("multi.surbl.org=127.0.0.[&128]", ["127.0.0.24"], "not-listed", {"PH: phishing", "MW: malware"}),
        ("dbl.spamhaus.org", ["127.0.1.4"], "listed", {"phishing domain"}),
        ("dbl.spamhaus.org", ["127.0.1.104"], "listed", {"abused legitimate domain: phishing"}),
        ("dbl.spamhaus.org", ["127.0.1.255"], "refused", {"an address was asked, not a domain"}),
        ("dbl.spamhaus.org", ["127.0.1.2", "127.0.1.5"], "listed", {"spam domain", "malware domain"}),
    ],
)
def test_an_answer_about_a_domain(zone: str, codes: list[str], result: str, meanings: set[str]) -> None:
    records = listed(Rule.parse(zone).zone, *codes, subject="bad.example")
    (listing,) = ask("bad.example", [zone], records)
    assert listing.result == result
    assert set(listing.meanings) == meanings


def test_meanings_are_those_of_the_codes_that_count() -> None:
    records = listed("zen.spamhaus.org", "127.0.0.2", "127.0.0.10")
    (all_codes, pbl) = ask(CLIENT, ["zen.spamhaus.org", "zen.spamhaus.org=127.0.0.[10..11]"], records)
    assert len(all_codes.meanings) == 2
    assert pbl.meanings == ("PBL: should not send mail directly, says its provider",)
    assert pbl.codes == ("127.0.0.2", "127.0.0.10")
    assert pbl.matched == ("127.0.0.10",)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [("timeout", "timed-out"), ("servfail", "server-failure"), ("refused", "refused-by-server")],
)
def test_a_dns_error_is_a_temperror_of_that_list_alone(failure: Any, reason: str) -> None:
    listings = ask(
        CLIENT,
        ["sick.example", ZONE],
        listed(ZONE, "127.0.0.2"),
        failures={(f"{REVERSED}.sick.example", "A"): failure},
    )
    assert [(one.result, one.reason) for one in listings] == [("temperror", reason), ("listed", "listed")]


def test_a_reason_that_did_not_come_leaves_the_listing() -> None:
    (listing,) = ask(CLIENT, [ZONE], listed(ZONE, "127.0.0.2"), failures={(f"{REVERSED}.{ZONE}", "TXT"): "timeout"})
    assert (listing.result, listing.text) == ("listed", "")


def test_at_the_deadline_the_lists_that_answered_count() -> None:
    """Time stands still in the resolver, and jumps past the deadline at the third question."""
    now = [0.0]

    class Slow(Recorder):
        def lookup(self, question: Question, time_limit: float | None = None) -> Answer:
            answer = super().lookup(question)
            if len(self.asked) == 3:
                now[0] = 100.0
                return TIMED_OUT
            return answer

    resolver = Slow(ZoneResolver(listed("a.example", "127.0.0.2", text="why") | listed("c.example", "127.0.0.2")))
    plan = query(CLIENT, ["a.example", "b.example", "c.example"])
    listings = run(plan, resolver, time_limit=5, clock=lambda: now[0])
    assert [(one.result, one.text) for one in listings] == [
        ("listed", "why"),
        ("temperror", ""),
        ("temperror", ""),
    ]


@unhurried
@given(
    st.lists(st.sampled_from(["listed", "clean", "timeout", "error"]), max_size=12),
    st.randoms(use_true_random=False),
    st.integers(0, 30),
)
def test_the_order_of_answers_does_not_matter(kinds: list[str], random: Any, cut: int) -> None:
    """Whatever order the answers come in, and whenever the deadline cuts them off, there is one listing
    for each zone, in order; those answered in time are judged by their answer alone, the others are temperrors."""
    answers = {
        "listed": Answer(Outcome.FOUND, (IPv4Address("127.0.0.2"),)),
        "clean": Answer(Outcome.NO_SUCH_NAME),
        "timeout": TIMED_OUT,
        "error": Answer(Outcome.FOUND, (IPv4Address("127.255.255.254"),)),
    }
    results = {"listed": "listed", "clean": "not-listed", "timeout": "temperror", "error": "refused"}
    zones = [f"l{n}.example" for n in range(len(kinds))]
    execution = Execution(query(CLIENT, zones))
    waiting = execution.start()
    answered = set()
    while waiting and cut:
        cut -= 1
        question = waiting.pop(random.randrange(len(waiting)))
        if question.type == "TXT":
            waiting += execution.answer(question, Answer(Outcome.FOUND, (b"why",)))
            continue
        number = zones.index(question.name.removeprefix(f"{REVERSED}."))
        answered.add(number)
        waiting += execution.answer(question, answers[kinds[number]])
    execution.expire()
    listings = execution.result
    assert [one.zone for one in listings] == zones
    expected = [results[kind] if n in answered else "temperror" for n, kind in enumerate(kinds)]
    assert [one.result for one in listings] == expected


# --- what is shown ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Spam source, see http://bl.example/?192.0.2.1", "Spam source, see http://bl.example/?192.0.2.1"),
        ("evil\r\nX-Injected: yes", "evil X-Injected: yes"),
        (b"a\x00b\x1b[31mc\x7f", "a?b?[31mc?"),
        ("b\u00fccher \u202e", "b?cher ?"),
        (b"\xff\xfe", "?"),
        ("   \t  ", ""),
        ("%s %n $(id) `id`", "%s %n $(id) `id`"),
        ("x" * 60_000, "x" * 400),
    ],
)
def test_the_reason_is_made_safe(text: str | bytes, shown: str) -> None:
    (listing,) = ask(CLIENT, [ZONE], listed(ZONE, "127.0.0.2", text=text))
    assert listing.text == shown


@unhurried
@given(st.lists(st.binary(max_size=600), max_size=20))
def test_any_reason_is_one_short_line(texts: list[bytes]) -> None:
    """Whatever octets a list sends, the text is one line of printable ASCII of bounded length."""
    (listing,) = ask(CLIENT, [ZONE], {**listed(ZONE, "127.0.0.2"), (f"{REVERSED}.{ZONE}", "TXT"): texts or [b""]})
    assert listing.text.isascii()
    assert not listing.text or listing.text.isprintable()
    assert len(listing.text) <= 400


def test_several_reasons_are_joined() -> None:
    records = {**listed(ZONE, "127.0.0.2"), (f"{REVERSED}.{ZONE}", "TXT"): ["one", "two"]}
    (listing,) = ask(CLIENT, [ZONE], records)
    assert listing.text == "one / two"


def test_evidence_is_bounded() -> None:
    codes = [f"127.0.{n // 250}.{n % 250 + 2}" for n in range(3000)]
    (listing,) = ask(CLIENT, [ZONE], listed(ZONE, *codes))
    assert listing.listed
    assert len(listing.codes) == len(listing.matched) == 32


def test_a_key_appears_nowhere() -> None:
    zone = f"{KEY}.zen.dq.spamhaus.net"
    records = listed(zone, "127.0.0.2", text=f"see https://lists.example/{KEY.upper()}/x")
    records |= listed(f"{KEY}.other.example", "127.0.0.2")
    zones = [zone, f"{KEY}.other.example*2", f"{KEY}.third.example"]
    listings = ask(CLIENT, zones, records, failures={(f"{REVERSED}.{KEY}.third.example", "*"): "servfail"})
    for listing in listings:
        shown = f"{listing!r} {listing} {listing.zone} {json.dumps(listing.to_dict())}".lower()
        assert KEY not in shown
        assert KEY in listing.rule.zone
    assert listings[0].text == "see https://lists.example/***/x"


def test_a_listing_goes_into_json() -> None:
    (listing,) = ask(CLIENT, ["zen.spamhaus.org=127.0.0.2*3 reject"], listed("zen.spamhaus.org", "127.0.0.2", text="w"))
    assert json.loads(json.dumps(listing.to_dict())) == {
        "zone": "zen.spamhaus.org",
        "rule": "zen.spamhaus.org=127.0.0.2*3 reject",
        "subject": "192.0.2.1",
        "result": "listed",
        "reason": "listed",
        "detail": "SBL: spam sources and spam services",
        "codes": ["127.0.0.2"],
        "matched": ["127.0.0.2"],
        "meanings": ["SBL: spam sources and spam services"],
        "text": "w",
        "weight": 3,
        "score": 3,
        "action": "reject",
        "removal_page": "https://check.spamhaus.org/",
    }


# --- mistakes of the caller ---------------------------------------------------------------------------------------


def test_one_string_is_no_list_of_zones() -> None:
    with pytest.raises(TypeError, match="not one string"):
        query(CLIENT, "zen.example")


@pytest.mark.parametrize("zones", [["zen"], ["zen.example=1"], [""]])
def test_a_bad_zone_raises_when_called(zones: list[str]) -> None:
    with pytest.raises(RuleError):
        query(CLIENT, zones)


def test_wrong_types_raise_when_called() -> None:
    with pytest.raises(TypeError):
        query(CLIENT, [7])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        query(3232235777, ["zen.example"])  # type: ignore[arg-type]


def test_a_policy_that_would_protect_nothing_is_refused() -> None:
    for wrong in ({"not_public": ("10.0.0.0/8",)}, {"not_public_domains": "local"}):
        with pytest.raises(TypeError, match=next(iter(wrong))):
            RblPolicy(**wrong)


def test_no_zones_no_listings() -> None:
    assert ask(CLIENT, []) == []


def test_a_plan_runs_once() -> None:
    plan = query(CLIENT, ["bl.example"])
    run(plan, ZoneResolver())
    with pytest.raises(PlanError):
        run(plan, ZoneResolver())


# --- the package --------------------------------------------------------------------------------------------------


def test_no_function_hides_a_module_of_its_name() -> None:
    """``mailauth.rbl.query`` is the function, wherever it is imported from; what the facade needs is public."""
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("mailauth.rbl.query")
    modules = {module.name for module in pkgutil.iter_modules(rbl.__path__)}
    hidden = [name for name in rbl.__all__ if name in modules and not isinstance(getattr(rbl, name), ModuleType)]
    assert hidden == []
    assert [rule.zone for rule in rbl.rules_of(["bl.example*2", Rule("other.example")])] == [
        "bl.example",
        "other.example",
    ]
