"""What is wrong with a domain has a finding: one case for each, a sound domain with none, and what holds for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailauth import aio, dkim, sync
from mailauth.domain import Area, DomainReport, Severity
from mailauth.plan import Answer, Exchange, Outcome, Question
from mailauth.resolvers import ZoneResolver

Records = Mapping[tuple[str, str], Sequence[str | bytes]]

KEY = dkim.record_text(dkim.generate_key("ed25519"))
SOUND: Records = {
    ("example.org", "MX"): ["10 mx.example.org"],
    ("mx.example.org", "A"): ["192.0.2.25"],
    ("mx.example.org", "AAAA"): ["2001:db8::25"],
    ("25.2.0.192.in-addr.arpa", "PTR"): ["mx.example.org"],
    ("5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", "PTR"): ["mx.example.org"],
    ("example.org", "TXT"): ["v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/64 -all"],
    ("s2026._domainkey.example.org", "TXT"): [KEY],
    ("_dmarc.example.org", "TXT"): ["v=DMARC1; p=reject; rua=mailto:dmarc@example.org"],
    ("_smtp._tls.example.org", "TXT"): ["v=TLSRPTv1; rua=mailto:tls@example.org,https://tls.example.org/report"],
    ("_mta-sts.example.org", "TXT"): ["v=STSv1; id=20261129"],
    ("mta-sts.example.org", "A"): ["192.0.2.80"],
    ("default._bimi.example.org", "TXT"): ["v=BIMI1; l=https://example.org/l.svg; a=https://example.org/c.pem"],
}
Change = Mapping[tuple[str, str], "Sequence[str | bytes] | None"]


def check(changes: Change, failures: Mapping[tuple[str, str], Any] | None = None, **arguments: Any) -> DomainReport:
    records = {**SOUND, **changes}
    zone = ZoneResolver({key: value for key, value in records.items() if value is not None}, failures=failures)
    arguments = {"selectors": ["s2026"], "now": 0.0, **arguments}
    return sync.check_domain("example.org", resolver=zone, **arguments)


def codes(report: DomainReport) -> set[str]:
    return {finding.code for finding in report.findings}


def test_a_sound_domain_has_no_finding() -> None:
    report = check({}, clients=["192.0.2.25"])
    assert report.findings == ()
    assert report.worst is None
    assert [key.check.verdict for key in report.keys.keys] == ["good"]
    assert report.mail_hosts.hosts[0].name == "mx.example.org"
    assert [each.result for each in report.reverse] == ["pass", "pass"]
    assert (report.tls_rpt.valid, report.mta_sts.valid, report.bimi.valid) == (True, True, True)


MX, TXT, DMARC = ("example.org", "MX"), ("example.org", "TXT"), ("_dmarc.example.org", "TXT")
TLS, STS, BIMI = (
    ("_smtp._tls.example.org", "TXT"),
    ("_mta-sts.example.org", "TXT"),
    ("default._bimi.example.org", "TXT"),
)
HOST4, HOST6 = ("mx.example.org", "A"), ("mx.example.org", "AAAA")
PTR = ("25.2.0.192.in-addr.arpa", "PTR")
NOWHERE: Change = {HOST4: None, HOST6: None}
ALIAS: Change = {
    **NOWHERE,
    ("mx.example.org", "CNAME"): ["real.example.org"],
    ("real.example.org", "A"): ["192.0.2.1"],
}
THREE = "mailto:a@example.org,mailto:b@example.org,mailto:c@example.org"

CASES: dict[str, tuple[str, Change]] = {
    # RFC 5321 section 5.1, RFC 2181 section 10.3, RFC 1035 section 3.3.9
    "mx.none": ("warning", {MX: None}),
    "mx.implicit": ("warning", {MX: None, ("example.org", "A"): ["192.0.2.25"]}),
    "mx.alias": ("error", ALIAS),
    "mx.unresolvable": ("error", NOWHERE),
    "mx.address": ("error", {MX: ["10 192.0.2.25"]}),
    "mx.bad-name": ("error", {MX: ["10 localhost"]}),
    "mx.not-public": ("error", {HOST4: ["10.0.0.25"]}),
    "mx.duplicate": ("note", {MX: ["10 mx.example.org", "20 mx.example.org"]}),
    "mx.many": ("warning", {MX: [f"10 mx{number}.example.org" for number in range(25)]}),
    # RFC 7505
    "mx.null": ("note", {MX: ["0 ."]}),
    "mx.null-preference": ("warning", {MX: ["10 ."]}),
    "mx.null-among-others": ("error", {MX: ["0 .", "10 mx.example.org"]}),
    "mx.null-sender": ("warning", {MX: ["0 ."]}),
    # RFC 8601 section 3
    "reverse.no-name": ("note", {PTR: None}),
    "reverse.not-confirmed": ("note", {PTR: ["other.example.net"]}),
    # RFC 7208
    "spf.no-record": ("error", {TXT: None}),
    "spf.several-records": ("error", {TXT: ["v=spf1 -all", "v=spf1 a -all"]}),
    "spf.too-many-lookups": ("error", {TXT: ["v=spf1" + " exists:%{i}.x.example" * 11 + " -all"]}),
    "spf.void": ("warning", {TXT: ["v=spf1 a:gone.example.org -all"]}),
    "spf.loop": ("error", {TXT: ["v=spf1 include:example.org -all"]}),
    "spf.pass-all": ("warning", {TXT: ["v=spf1 +all"]}),
    "spf.neutral-all": ("note", {TXT: ["v=spf1 mx ?all"]}),
    "spf.no-all": ("warning", {TXT: ["v=spf1 mx"]}),
    "spf.ptr": ("warning", {TXT: ["v=spf1 ptr -all"]}),
    "spf.after-all": ("warning", {TXT: ["v=spf1 -all mx"]}),
    "spf.early-redirect": ("note", {TXT: ["v=spf1 redirect=spf.example.org mx"]}),
    "spf.bad-network": ("error", {TXT: ["v=spf1 ip4:192.0.2.300 -all"]}),
    "spf.unknown-mechanism": ("error", {TXT: ["v=spf1 ipv4:192.0.2.3 -all"]}),
    "spf.broad": ("warning", {TXT: ["v=spf1 ip4:64.0.0.0/3 -all"]}),
    # RFC 6376 section 3.6.1, RFC 8301
    "dkim.no-key": ("error", {("s2026._domainkey.example.org", "TXT"): None}),
    "dkim.revoked": ("error", {("s2026._domainkey.example.org", "TXT"): ["v=DKIM1; p="]}),
    "dkim.malformed": ("error", {("s2026._domainkey.example.org", "TXT"): ["v=DKIM1; p=%%%"]}),
    "dkim.test-mode": ("warning", {("s2026._domainkey.example.org", "TXT"): [KEY.replace("; k=", "; t=y; k=")]}),
    "dkim.several-records": ("warning", {("s2026._domainkey.example.org", "TXT"): [KEY, "v=DKIM1; p="]}),
    "dkim.no-version": ("note", {("s2026._domainkey.example.org", "TXT"): [KEY.replace("v=DKIM1; ", "")]}),
    # RFC 9989, RFC 9990
    "dmarc.no-record": ("error", {DMARC: None}),
    "dmarc.several-records": ("error", {DMARC: ["v=DMARC1; p=none", "v=DMARC1; p=reject"]}),
    "dmarc.not-enforced": ("note", {DMARC: ["v=DMARC1; p=none; rua=mailto:d@example.org"]}),
    "dmarc.bad-value": ("error", {DMARC: ["v=DMARC1; p=block"]}),
    "dmarc.no-reports": ("note", {DMARC: ["v=DMARC1; p=reject"]}),
    "dmarc.weaker-subdomains": ("warning", {DMARC: ["v=DMARC1; p=reject; sp=none"]}),
    "dmarc.removed-tag": ("note", {DMARC: ["v=DMARC1; p=reject; pct=50"]}),
    "dmarc.not-authorised": ("error", {DMARC: ["v=DMARC1; p=reject; rua=mailto:d@reports.example.net"]}),
    "dmarc.unreachable-destination": ("error", {DMARC: ["v=DMARC1; p=reject; rua=mailto:d@gone.example.net"]}),
    "dmarc.many-destinations": ("note", {DMARC: [f"v=DMARC1; p=reject; rua={THREE}"]}),
    "dmarc.not-mailto": ("note", {DMARC: ["v=DMARC1; p=reject; rua=https://example.org/dmarc"]}),
    "dmarc.blank-in-front": ("error", {DMARC: [" v=DMARC1; p=reject"]}),
    "dmarc.p-not-second": ("note", {DMARC: ["v=DMARC1; sp=reject; p=reject"]}),
    "dmarc.other-text": ("note", {DMARC: ["v=DMARC1; p=reject", "v=spf1 -all"]}),
    "dmarc.misplaced": ("error", {DMARC: None, TXT: ["v=DMARC1; p=reject"]}),
    # RFC 8460
    "tls-rpt.none": ("note", {TLS: None}),
    "tls-rpt.several-records": ("error", {TLS: [f"v=TLSRPTv1; rua=mailto:{n}@b.example" for n in "ab"]}),
    "tls-rpt.no-destination": ("error", {TLS: ["v=TLSRPTv1; ruf=x"]}),
    "tls-rpt.bad-uri": ("error", {TLS: ["v=TLSRPTv1; rua=tls@example.org"]}),
    "tls-rpt.unknown-tag": ("note", {TLS: ["v=TLSRPTv1; rua=mailto:a@b.example; x=y"]}),
    "tls-rpt.syntax-error": ("error", {TLS: ["v=TLSRPTv1; rua"]}),
    "tls-rpt.bad-version": ("error", {TLS: ["V=tlsrptv1; rua=mailto:a@b.example"]}),
    "tls-rpt.other-text": ("warning", {TLS: ["v=TLSRPTv1; rua=mailto:a@b.example", "v=spf1 -all"]}),
    "tls-rpt.misplaced": ("error", {TLS: None, TXT: ["v=TLSRPTv1; rua=mailto:a@b.example"]}),
    # RFC 8461
    "mta-sts.none": ("note", {STS: None}),
    "mta-sts.several-records": ("error", {STS: ["v=STSv1; id=1", "v=STSv1; id=2"]}),
    "mta-sts.no-id": ("error", {STS: ["v=STSv1;"]}),
    "mta-sts.bad-id": ("error", {STS: ["v=STSv1; id=2026-11-29"]}),
    "mta-sts.no-host": ("error", {("mta-sts.example.org", "A"): None}),
    "mta-sts.misplaced": ("error", {STS: None, TXT: ["v=STSv1; id=1"]}),
    # BIMI
    "bimi.none": ("note", {BIMI: None}),
    "bimi.no-picture": ("error", {BIMI: ["v=BIMI1;"]}),
    "bimi.bad-uri": ("error", {BIMI: ["v=BIMI1; l=http://example.org/l.svg"]}),
    "bimi.not-svg": ("warning", {BIMI: ["v=BIMI1; l=https://example.org/l.png; a=https://example.org/c.pem"]}),
    "bimi.declined": ("note", {BIMI: ["v=BIMI1; l=; a="]}),
    "bimi.no-certificate": ("note", {BIMI: ["v=BIMI1; l=https://example.org/l.svg"]}),
    "bimi.bad-evidence": ("error", {BIMI: ["v=BIMI1; l=https://example.org/l.svg; a=c.pem"]}),
    "bimi.policy": ("warning", {DMARC: ["v=DMARC1; p=none; rua=mailto:d@example.org"]}),
}  # fmt: skip


@pytest.mark.parametrize("code", CASES)
def test_each_finding_is_found(code: str) -> None:
    severity, changes = CASES[code]
    report = check(changes)
    found = {finding.code: finding for finding in report.findings}
    assert code in found, sorted(found)
    finding = found[code]
    assert finding.severity == severity
    assert finding.area == code.partition(".")[0]


@pytest.mark.parametrize("code", CASES)
def test_each_finding_says_what_why_and_what_to_do(code: str) -> None:
    for finding in check(CASES[code][1]).findings:
        assert finding.words
        assert finding.subject
        assert finding.source.startswith(("RFC ", "draft-"))
        assert finding.advice
        assert (finding.words + finding.advice + finding.source).isprintable()


def test_what_the_dns_does_not_answer_is_not_known() -> None:
    """RFC 2308: a timeout is no answer; nothing is said to be missing for it."""
    names = ["mx.example.org", "_dmarc.example.org", "s2026._domainkey.example.org", "_smtp._tls.example.org"]
    failures = {(name, "*"): "timeout" for name in (*names, "_mta-sts.example.org", "default._bimi.example.org")}
    report = check({}, failures)
    unknown = {finding.code for finding in report.findings if finding.severity is Severity.UNKNOWN}
    assert unknown == {f"{area}.dns-error" for area in ("mx", "dkim", "dmarc", "tls-rpt", "mta-sts", "bimi")}
    assert report.worst is Severity.UNKNOWN
    everything = check({}, {("*.example.org", "*"): "servfail", ("example.org", "*"): "servfail"})
    assert {finding.severity for finding in everything.findings} == {Severity.UNKNOWN}


def test_the_names_in_what_is_not_known_keep_their_hyphens() -> None:
    changes: Change = {TXT: ["v=spf1 include:spf-a.mail-host.example -all"]}
    report = check(changes, {("spf-a.mail-host.example", "*"): "timeout"}, clients=["192.0.2.25"])
    words = [finding.words for finding in report.findings if finding.subject == "192.0.2.25"]
    assert len(words) == 1
    assert "spf-a.mail-host.example" in words[0]
    silent = check({}, {("s2026._domainkey.example.org", "*"): "timeout"})
    assert [finding.words for finding in silent.findings] == ["the key could not be looked up: timed out"]


def test_a_domain_that_does_not_exist_has_one_finding() -> None:
    report = sync.check_domain("gone.example", resolver=ZoneResolver(), now=0.0)
    assert codes(report) == {"domain.no-such-name"}
    # The answer about MX says it already, whatever becomes of the other questions (RFC 8020).
    silent = {("gone.example", rtype): "timeout" for rtype in ("A", "AAAA", "TXT")}
    report = sync.check_domain("gone.example", resolver=ZoneResolver(failures=silent), now=0.0)
    assert codes(report) == {"domain.no-such-name"}


def test_mail_hosts_stand_in_the_order_of_preference() -> None:
    """RFC 5321 section 5.1. A host that stands in several records is tried at the best of their preferences."""
    hosts = {(f"mx{number}.example.org", "A"): [f"192.0.2.{number}"] for number in (1, 2, 3)}
    records = ["30 mx1.example.org", "20 mx2.example.org", "10 mx1.example.org", "20 mx3.example.org"]
    found = check({MX: records, **hosts}).mail_hosts.hosts
    assert [(each.preference, each.name) for each in found] == [
        (10, "mx1.example.org"),
        (20, "mx2.example.org"),
        (20, "mx3.example.org"),
    ]


def test_clients_that_send_are_judged_more_severely() -> None:
    """Receivers refuse a client without a name; that a host which only takes mail has none matters to few."""
    report = check({PTR: None}, clients=["192.0.2.25", "198.51.100.7"])
    severities = {(finding.code, finding.subject): finding.severity for finding in report.findings}
    assert severities["reverse.no-name", "192.0.2.25"] is Severity.ERROR
    assert severities["spf.client-not-allowed", "198.51.100.7"] is Severity.ERROR
    assert [each.result for each in report.clients] == ["pass", "fail"]


def test_lists_are_asked_about_the_domain_its_clients_and_its_hosts() -> None:
    changes: Change = {
        ("example.org.domains.example", "A"): ["127.0.0.2"],
        ("25.2.0.192.addresses.example", "A"): ["127.0.0.3"],
    }
    report = check(changes, lists=["domains.example", "addresses.example"])
    listed = {finding.subject for finding in report.findings if finding.code == "lists.listed"}
    assert listed == {"example.org", "192.0.2.25"}


def test_usual_selectors_are_guesses() -> None:
    report = check({("selector1._domainkey.example.org", "TXT"): [KEY]}, selectors=[])
    assert [(key.selector, key.guessed) for key in report.keys.keys] == [("selector1", True)]
    assert check({}, selectors=[], guess=False).keys.keys == ()


def test_an_old_key_among_the_guesses_is_no_error() -> None:
    report = check({("k1._domainkey.example.org", "TXT"): ["v=DKIM1; p="]})
    assert [(finding.code, finding.severity) for finding in report.findings] == [("dkim.revoked", "note")]
    report = check({("k1._domainkey.example.org", "TXT"): ["v=DKIM1; p=%%%"]})
    assert [(finding.code, finding.severity) for finding in report.findings] == [("dkim.malformed", "warning")]


def test_a_wildcard_is_no_key() -> None:
    """RFC 4592: it answers for every selector, so that none was found is not what can be said."""
    change: Change = {("*._domainkey.example.org", "TXT"): ["v=DKIM1; p="]}
    report = check({**change, ("s2026._domainkey.example.org", "TXT"): None}, selectors=[])
    assert (report.keys.keys, report.keys.guesses) == ((), 0)
    [finding] = report.findings
    assert (finding.code, finding.severity) == ("dkim.wildcard", "note")
    assert "'v=DKIM1; p='" in finding.words
    assert [key.selector for key in check({("*._domainkey.example.org", "TXT"): [KEY]}).keys.keys] == ["s2026"]


def test_no_key_at_all_is_told_from_none_found() -> None:
    """RFC 8020: below a name that does not exist there is nothing."""
    none: Change = {("s2026._domainkey.example.org", "TXT"): None}
    assert "dkim.none" in codes(check(none, selectors=[]))
    other: Change = {**none, ("x9._domainkey.example.org", "TXT"): [KEY]}
    assert "dkim.none-found" in codes(check(other, selectors=[]))


def test_a_domain_without_mail_need_not_have_what_only_mail_needs() -> None:
    """RFC 7505 section 3 and RFC 7208 section 10.1.2: it says that it takes none, and sends none."""
    absent: Change = dict.fromkeys((TLS, STS, BIMI, ("s2026._domainkey.example.org", "TXT")))
    parked: Change = {**absent, MX: ["0 ."], TXT: ["v=spf1 -all"]}

    def to_do(change: Change) -> set[str]:
        report = check({**absent, **change, DMARC: ["v=DMARC1; p=reject"]}, selectors=[])
        return {each.code for each in report.findings if not each.advice.startswith("nothing needs to be done")}

    assert to_do(parked) == {"dmarc.no-reports"}
    assert check({**parked, DMARC: ["v=DMARC1; p=reject"]}, selectors=[]).worst == "note"
    assert {"tls-rpt.none", "mta-sts.none"} < to_do({TXT: ["v=spf1 -all"]})
    assert {"dkim.none", "bimi.none"} < to_do({MX: ["0 ."]})
    assert {"dkim.none", "bimi.none"} < to_do({TXT: ["v=spf1 a -all"]})


@pytest.mark.parametrize(("adkim", "severity"), [("r", "note"), ("s", "warning")])
def test_a_subdomain_may_be_signed_with_the_key_above(adkim: str, severity: str) -> None:
    """RFC 9989 section 4.4.1: relaxed alignment takes d= of the organizational domain."""
    records = {
        **SOUND,
        ("news.example.org", "TXT"): ["v=spf1 ip4:192.0.2.25 -all"],
        DMARC: [f"v=DMARC1; p=reject; adkim={adkim}"],
    }
    report = sync.check_domain("news.example.org", resolver=ZoneResolver(records), now=0.0)
    [finding] = [each for each in report.findings if each.code == "dkim.none"]
    assert finding.severity == severity
    assert ("d=example.org" in finding.advice) is (severity == "note")


def test_a_missing_semicolon_is_one_fault() -> None:
    """The tag that nobody finds for want of it is there."""
    for place, text, code in (
        (TLS, "v=TLSRPTv1 rua=mailto:tls@example.org", "tls-rpt.bad-version"),
        (STS, "v=STSv1, id=20261129", "mta-sts.bad-version"),
        (BIMI, "v=BIMI1 l=https://example.org/l.svg", "bimi.bad-version"),
    ):
        [finding] = check({place: [text]}).findings
        assert (finding.code, finding.severity) == (code, "error")
    assert codes(check({STS: ["v=STSv1"]})) == {"mta-sts.no-id"}


def test_a_record_that_is_nearly_one_of_dmarc() -> None:
    report = check({DMARC: ["v=DMARC1 p=reject; rua=mailto:d@example.org"]})
    finding = report.of(Area.DMARC)[0]
    assert (finding.code, finding.severity) == ("dmarc.nearly", "error")
    assert finding.advice == '_dmarc.example.org. TXT "v=DMARC1; p=reject; rua=mailto:d@example.org"'
    assert codes(check({DMARC: [" v=DMARC1; p=reject"], BIMI: None})) == {
        *("dmarc.blank-in-front", "dmarc.no-record", "bimi.none"),
    }


def test_records_are_shown_as_they_are_published() -> None:
    old = "v=DMARC1; pct=100; p=reject;  rua=mailto:d@example.org"
    assert check({DMARC: [old]}).dmarc_texts == (old,)
    assert check({DMARC: [old, "v=DMARC1; p=none", "x"]}).dmarc_texts == (old, "v=DMARC1; p=none")
    assert check({TXT: ["v=spf1 a -all", "v=spf1 -all", "x"]}).spf_texts == ("v=spf1 a -all", "v=spf1 -all")
    assert check({}).spf_texts == ("v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/64 -all",)


def test_the_advice_fits_the_fault() -> None:
    """A record in error lets no client pass, however many it names; a PTR record may name no host."""
    report = check({TXT: ["v=spf1 a:%{x ip4:192.0.2.25 -all"]}, clients=["192.0.2.25"])
    [finding] = [each for each in report.findings if each.code == "spf.client-not-allowed"]
    assert finding.advice.startswith("correct the record")
    [finding] = check({PTR: ["no_host!name.example"]}).findings
    assert (finding.code, finding.advice) == ("reverse.not-confirmed", "have the PTR record name a host")


def test_words_say_which_term() -> None:
    for record, term in (("v=spf1 exists:%{l}.%{z} -all", "exists:%{l}.%{z}"), ("v=spf1 a:x_.1 -all", "a:x_.1")):
        words = [each.words for each in check({TXT: [record]}).of(Area.SPF)]
        assert words, record
        assert all(term in each for each in words), words


def test_other_text_is_shown_as_it_is() -> None:
    report = check({DMARC: ["v=DMARC1; p=reject", "gr\u00fc\u00dfe".encode()]})
    assert "gr\u00fc\u00dfe" in next(each.words for each in report.findings if each.code == "dmarc.other-text")


def test_an_address_that_nobody_reaches_has_no_name_to_miss() -> None:
    assert codes(check({HOST4: ["10.0.0.25"]})) == {"mx.not-public"}


def test_the_picture_of_the_organization() -> None:
    """BIMI draft section 7.2: without a record of its own, that of the organizational domain."""
    report = sync.check_domain("news.example.org", resolver=ZoneResolver(SOUND), now=0.0)
    assert report.bimi.name == "default._bimi.example.org"
    assert report.bimi.valid


def test_the_order_is_that_of_the_areas_the_worst_first() -> None:
    report = check({TXT: ["v=spf1 ip4:1.2.3.4/33 a:gone.example.org"], DMARC: None, MX: None})
    areas = [list(Area).index(finding.area) for finding in report.findings]
    assert areas == sorted(areas)
    spf = [list(Severity).index(finding.severity) for finding in report.of(Area.SPF)]
    assert spf == sorted(spf)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"domain": "localhost"}, "not a domain"),
        ({"domain": "a b.example"}, "not a domain"),
        ({"selectors": ["a b"]}, "no selector"),
        ({"clients": ["192.0.2.300"]}, "not an IPv4"),
        ({"clients": [f"192.0.2.{number}" for number in range(30)]}, "at most 20"),
        ({"selectors": [f"s{number}" for number in range(101)]}, "at most 100"),
        ({"lists": ["zen..example"]}, "zen"),
        ({"message": b"From: a@b.example\r\n\r\n"}, "name its address"),
    ],
)
def test_the_callers_mistakes(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sync.check_domain(**{"domain": "example.org", "resolver": ZoneResolver(), **arguments})


async def _check_async(zone: ZoneResolver) -> DomainReport:
    return await aio.check_domain("example.org", selectors=["s2026"], resolver=zone, now=0.0)


def test_the_same_when_awaited() -> None:
    import asyncio

    zone = ZoneResolver(SOUND)
    expected = sync.check_domain("example.org", selectors=["s2026"], resolver=zone, now=0.0)
    assert asyncio.run(_check_async(zone)).to_dict() == expected.to_dict()


class _Hostile:
    """A DNS whose every answer is what a fuzzer likes; it counts the questions."""

    def __init__(self, texts: list[bytes], hosts: list[str], outcome: Outcome) -> None:
        self.texts, self.hosts, self.outcome, self.asked = texts, hosts, outcome, 0

    def lookup(self, question: Question, time_limit: float | None = None) -> Answer:
        self.asked += 1
        if question.type == "TXT" and self.texts:
            return Answer(Outcome.FOUND, tuple(self.texts))
        if question.type == "MX" and self.hosts:
            return Answer(Outcome.FOUND, tuple(Exchange(10, host) for host in self.hosts))
        if question.type in ("PTR", "CNAME") and self.hosts:
            return Answer(Outcome.FOUND, tuple(self.hosts))
        return Answer(self.outcome)


PREFIXES = (b"v=spf1 ", b"v=DMARC1; ", b"v=TLSRPTv1; ", b"v=STSv1; ", b"v=BIMI1; ", b"v=DKIM1; ", b"")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.builds(bytes.__add__, st.sampled_from(PREFIXES), st.binary(max_size=60)), max_size=4),
    st.lists(st.text(max_size=30), max_size=30),
    st.sampled_from(Outcome),
)
def test_any_dns_has_a_report(texts: list[bytes], hosts: list[str], outcome: Outcome) -> None:
    """Any answers: a report whose findings can be printed, after a bounded number of questions."""
    resolver = _Hostile(texts, hosts, outcome)
    report = sync.check_domain("example.org", selectors=["s"], clients=["192.0.2.1"], resolver=resolver, now=0.0)
    assert all(finding.words.isprintable() and finding.advice.isprintable() for finding in report.findings)
    assert resolver.asked < 1200
    report.to_dict()


def test_a_list_that_refuses_is_no_listing() -> None:
    """127.255.255.254: "you are asking through a public resolver"; a list that fails is not known."""
    changes: Change = {("25.2.0.192.bl.example", "A"): ["127.255.255.254"]}
    report = check(changes, {("25.2.0.192.slow.example", "*"): "timeout"}, lists=["bl.example", "slow.example"])
    assert {(finding.code, finding.severity) for finding in report.of(Area.LISTS)} == {
        ("lists.refused", "note"),
        ("lists.dns-error", "unknown"),
    }
