"""Advice on records: each finding, from a record's text and from a domain with its DNS; and writing records."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.dmarc import DmarcRecord, build_record, lint, verify_destinations, zone_line
from mailauth.dmarc.destinations import mailto_address
from mailauth.plan import run
from mailauth.resolvers import ZoneResolver
from tests.dmarc.world import zone

GOOD = "v=DMARC1; p=reject; rua=mailto:agg@example.org"


def codes(what: str, resolver: ZoneResolver | None = None) -> dict[str, str]:
    report = run(lint(what), resolver or ZoneResolver())
    assert all(finding.words.isprintable() for finding in report.findings)
    return {finding.code: finding.severity.value for finding in report.findings}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD, {}),
        ("v=DMARC1", {"no-policy": "error", "no-dmarc": "error"}),
        ("v=DMARC1; p=bad", {"bad-value": "error", "no-dmarc": "error"}),
        ("v=spf1; p=none", {"no-record": "error"}),
        ("v=DMARC1; p=none; p=reject", {"no-record": "error"}),
        (f"{GOOD}; pct=100", {"removed-tag": "note"}),
        (f"{GOOD}; ri=1; rf=afrf", {"removed-tag": "note"}),
        (f"{GOOD}; fo=1", {"useless-tag": "note"}),
        (f"{GOOD}; policy=x", {"unknown-tag": "warning"}),
        (f"{GOOD},nobody", {"bad-uri": "error"}),
        (f"{GOOD}!10m", {"obsolete-size": "note"}),
        (f"{GOOD}; sp=none", {"weaker-subdomains": "warning"}),
        (f"{GOOD}; np=quarantine", {"weaker-subdomains": "warning"}),
        ("v=DMARC1; p=none; sp=reject; rua=mailto:a@example.org", {"weaker-domain": "warning"}),
        ("v=DMARC1; p=none", {"no-reports": "warning"}),
        ("v=DMARC1; p=reject", {"no-reports": "note"}),
        (f"{GOOD}; t=y", {"test-mode": "note"}),
        (f"{GOOD}; psd=y", {"public-suffix": "warning"}),
        (f"{GOOD}; psd=y; ruf=mailto:f@example.org", {"public-suffix": "warning", "suffix-failure-reports": "warning"}),
        (f"{GOOD}; psd=n; ruf=mailto:f@example.org", {}),
        (f"{GOOD}; adkim=s", {"strict": "note"}),
        (f"{GOOD}; aspf=s", {"strict": "note"}),
    ],
)
def test_findings_in_a_text(text: str, expected: dict[str, str]) -> None:
    assert codes(text) == expected


PLACES: list[tuple[Any, dict[str, str]]] = [
    ({("_dmarc.example.org", "TXT"): [GOOD]}, {}),
    ({}, {"no-record": "error"}),
    ({("_dmarc.example.org", "TXT"): [GOOD, "v=DMARC1; p=none"]}, {"several-records": "error", "no-record": "error"}),
    ({("_dmarc.example.org", "TXT"): ["v=DMARC1; p=none; p=none"]}, {"duplicate-tag": "error", "no-record": "error"}),
    ({("_dmarc.example.org", "TXT"): ["p=none"]}, {"other-text": "warning", "no-record": "error"}),
    ({("example.org", "TXT"): [GOOD]}, {"no-record": "error", "misplaced": "error"}),
    ({("_dmarc.example.org.example.org", "TXT"): [GOOD]}, {"no-record": "error", "misplaced": "error"}),
    ({("example.org", "TXT"): [GOOD], ("_dmarc.example.org", "TXT"): [GOOD]}, {"misplaced": "warning"}),
    ({("_dmarc.org", "TXT"): ["v=DMARC1; p=reject; psd=y"]}, {"inherited-from-suffix": "warning"}),
    ({("_dmarc.org", "TXT"): ["v=DMARC1; p=reject"]}, {"inherited": "note", "top-level-record": "warning"}),
]


@pytest.mark.parametrize(("records", "expected"), PLACES)
def test_findings_of_a_place(records: Any, expected: dict[str, str]) -> None:
    assert codes("example.org", ZoneResolver(records)) == expected
    assert codes("_dmarc.example.org", ZoneResolver(records)) == expected


def test_what_a_subdomain_inherits() -> None:
    assert codes("a.example.org", zone({"example.org": GOOD})) == {"inherited": "note"}
    below = zone({"example.org": GOOD, "a.example.org": f"{GOOD}; sp=reject"})
    assert codes("a.example.org", below) == {"not-inherited": "warning"}
    assert codes("a.example.org", zone({}, {"a.example.org": "servfail"})) == {"dns-error": "error"}


def test_what_stands_above_a_domain_and_does_not_count() -> None:
    assert codes("a.example.org", zone({"example.org": [GOOD, f"{GOOD};"]})) == {
        "several-records": "error", "no-record": "error",
    }  # fmt: skip
    found = run(lint("a.example.org"), zone({"example.org": "v=DMARC1; p=none; p=reject"})).findings
    assert found[0].words == "_dmarc.example.org is ignored: p= stands twice: the whole record is invalid"


@pytest.mark.parametrize("hidden", ["a.example.org", "example.org", "org"])
def test_what_a_dns_error_hides_is_not_called_absent(hidden: str) -> None:
    """Whether a record applies is not known: neither that none does, nor that another one is inherited."""
    assert codes("a.example.org", zone({}, {hidden: "timeout"})) == {"dns-error": "error"}
    records = dict.fromkeys({"example.org", "org"} - {hidden}, GOOD)
    assert codes("a.example.org", zone(records, {hidden: "timeout"})).pop("dns-error") == "error"


def test_a_destination_of_another_organization_must_agree() -> None:
    """RFC 9990 section 4, with its example."""
    records = {
        ("_dmarc.blue.example.com", "TXT"): ["v=DMARC1; p=none; rua=mailto:reports@red.example.net"],
        ("_dmarc.example.net", "TXT"): ["v=DMARC1; p=none"],
    }
    assert codes("blue.example.com", ZoneResolver(records)) == {"not-authorised": "error"}
    permit = ("blue.example.com._report._dmarc.red.example.net", "TXT")
    assert codes("blue.example.com", ZoneResolver({**records, permit: ["v=DMARC1"]})) == {}
    assert codes("blue.example.com", ZoneResolver({**records, permit: ["something else"]})) == {
        "not-authorised": "error"
    }
    wildcard = ("*._report._dmarc.red.example.net", "TXT")
    assert codes("blue.example.com", ZoneResolver({**records, wildcard: ["v=DMARC1;"]})) == {}
    failing = ZoneResolver(records, failures={permit: "servfail"})  # type: ignore[dict-item]
    assert codes("blue.example.com", failing) == {"dns-error": "warning"}


def test_a_host_below_the_domain_may_be_of_another_organization() -> None:
    """Section 4 compares organizational domains, not names: psd=n below makes another one."""
    records = {
        ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=none; rua=mailto:r@sub.example.com"],
        ("_dmarc.sub.example.com", "TXT"): ["v=DMARC1; p=none; psd=n"],
    }
    assert codes("example.com", ZoneResolver(records)) == {"not-authorised": "error"}
    permit = ("example.com._report._dmarc.sub.example.com", "TXT")
    assert codes("example.com", ZoneResolver({**records, permit: ["v=DMARC1"]})) == {}


def test_a_destination_without_a_host() -> None:
    assert codes("example.com", zone({"example.com": "v=DMARC1; p=none; rua=urn:x,https:///a"})) == {"no-host": "error"}


def test_a_destination_of_the_same_organization_needs_no_permit() -> None:
    resolver = zone({"example.com": "v=DMARC1; p=none"})
    found = run(verify_destinations("a.example.com", ["mail.example.com", "example.net"]), resolver)
    assert {host: each.agreed for host, each in found.items()} == {"mail.example.com": True, "example.net": False}


@pytest.mark.parametrize("what", ["", "localhost", "a b", "[192.0.2.1]"])
def test_neither_a_domain_nor_a_record(what: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        lint(what)


@given(st.text(max_size=40))
def test_any_text_has_findings_or_is_the_callers_mistake(text: str) -> None:
    """Any text has findings, or is the caller's mistake (`ValueError`); nothing else raises."""
    run(lint(f"v=DMARC1; {text}"), ZoneResolver())


def test_build() -> None:
    record = build_record(p="reject", sp="quarantine", np="reject", adkim="s", rua=["agg@example.org"], t=True)
    assert str(record) == "v=DMARC1; p=reject; sp=quarantine; np=reject; adkim=s; t=y; rua=mailto:agg@example.org"
    assert DmarcRecord.parse(str(record)) == record
    assert (
        str(build_record(ruf=["https://example.org/r"], fo="1:d"))
        == "v=DMARC1; p=none; ruf=https://example.org/r; fo=1:d"
    )
    for wrong in (
        {"p": "monitor"},
        {"fo": "1"},
        {"rua": ["not an address"]},
        {"psd": "x"},
        {"sp": "x", "rua": ["a@b.c"]},
        {"p": "none; sp=reject"},
        {"rua": ["a@b.c; sp=reject"]},
        {"rua": ["a b@example.org"]},
    ):
        with pytest.raises(ValueError, match=r"\S"):
            build_record(**wrong)  # type: ignore[arg-type]


def test_build_writes_an_address_so_that_it_is_read_as_it_was() -> None:
    """RFC 9989 section 4.8: "," and "!" are encoded."""
    record = build_record(rua=["dmarc!10m+x@bücher.example", "a%b@example.org"])
    assert record.rua == ("mailto:dmarc%2110m+x@xn--bcher-kva.example", "mailto:a%25b@example.org")
    assert [mailto_address(uri) for uri in record.rua] == ["dmarc!10m+x@xn--bcher-kva.example", "a%b@example.org"]


def test_a_zone_line_cuts_long_records() -> None:
    record = build_record(rua=[f"agg{number}@reports.example.org" for number in range(12)])
    line = zone_line("Example.Org.", record)
    assert line.startswith('_dmarc.example.org. 3600 IN TXT "v=DMARC1; p=none; rua=')
    assert all(len(part) <= 255 for part in line.split('"')[1::2])
    resolver = ZoneResolver.from_text(line)
    from mailauth.plan import Question

    assert resolver.lookup_now(Question("_dmarc.example.org", "TXT")).texts == (str(record).encode(),)
    with pytest.raises(ValueError, match="domain"):
        zone_line("nobody", record)


@pytest.mark.parametrize("hidden", ["_dmarc.mail.example.net", "_dmarc.example.net"])
def test_what_a_dns_error_hides_is_no_refusal(hidden: str) -> None:
    """Whether the host is of the same organization is not known, so neither is whether it has to agree."""
    own = {("_dmarc.sub.example.net", "TXT"): ["v=DMARC1; p=none; rua=mailto:r@mail.example.net"]}
    zone = ZoneResolver(own, failures={(hidden, "TXT"): "timeout"})
    assert "not-authorised" not in codes("sub.example.net", zone)


def test_what_test_mode_means_stands_in_the_words() -> None:
    """RFC 9989 section 4.7, t=: one level less; beside p=none it does nothing."""

    def words(text: str) -> str:
        return next(each.words for each in run(lint(text), zone({})).findings if each.code == "test-mode")

    assert words("v=DMARC1; p=reject; t=y") == "t=y: receivers are asked to act as for quarantine"
    assert words("v=DMARC1; p=none; t=y") == "t=y does nothing beside p=none"


def test_a_record_that_cannot_be_asked_for_is_told_from_one_that_is_wrong() -> None:
    """RFC 9989 section 4.10: an error hides whether there is a record; several of them are none."""
    failing = run(lint("example.org"), zone({}, {"example.org": "timeout"}))
    twice = run(lint("example.org"), zone({"example.org": ["v=DMARC1; p=none", "v=DMARC1; p=reject"]}))
    assert "_dmarc.example.org has" not in failing.findings[0].words
    assert twice.findings[0].words.startswith("_dmarc.example.org has")
