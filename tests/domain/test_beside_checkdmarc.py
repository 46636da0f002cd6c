"""Beside checkdmarc, on made-up domains that both ask of the same DNS server: ours says all that it says.

checkdmarc looks at the same records for the same people. Each of its messages about each domain has to have its
counterpart here; what is left out on purpose stands in docs/domain.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailauth.resolvers import DnspythonResolver, ZoneResolver
from mailauth.sync import check_domain
from tests.dnsserver import ZoneServer, sync_configuration

ZONE = Path(__file__).parent / "thirty.zone"
HOSTS = {"mx", "i1", "i2", "i3", "loop2", "elsewhere"}  # names that the domains use
DOMAINS = [
    f"{name}.example"
    for name in dict.fromkeys(re.findall(r"^([a-z0-9-]+) +(?:MX|TXT|A) ", ZONE.read_text(), re.MULTILINE))
    if name not in HOSTS
]

# What it says, and our code for it.
SAME = (
    ("has a null MX record", "mx.null"),
    ("has no MX records; mail could still be delivered", "mx.implicit"),
    ("MX records must not point at aliases", "mx.alias"),
    (r"The domain \S+ does not exist\.\. Consider using a TXT record", "mx.unresolvable"),
    (r"^The domain \S+ does not exist\.$", "mx.unresolvable"),
    ("does not have any reverse DNS", "reverse.no-name"),
    ("The reverse DNS of .* do not resolve to", "reverse.not-confirmed"),
    ("is listed in multiple MX records", "mx.duplicate"),
    ("An SPF record does not exist", "spf.no-record"),
    ("multiple SPF TXT records", "spf.several-records"),
    ("maximum DNS lookups", "spf.too-many-lookups"),
    ("maximum void DNS lookups", "spf.too-many-void-lookups"),
    ("A ptr mechanism", "spf.ptr"),
    ("Expected whitespace before 'all'", "spf.bad-network"),
    ("The SPF record for .* bytes", "spf.long-answer"),
    ("is not a valid IPv4 value", "spf.bad-network"),
    ("is not a valid SPF mechanism", "spf.unknown-mechanism"),
    ("Include loop", "spf.loop"),
    ("The include target .* has no SPF record", "spf.no-record"),
    ("TXT records at exp value", "spf.explanation"),
    ("Sender ID record", "spf.nearly"),
    ("A DMARC record does not exist", "dmarc.no-record"),
    ("Multiple DMARC policy records", "dmarc.several-records"),
    ("rua tag .* not found", "dmarc.no-reports"),
    ("makes DMARC unenforced", "dmarc.not-enforced"),
    ("does not indicate that it accepts DMARC reports", "dmarc.not-authorised"),
    ("is not a valid DMARC report URI", "dmarc.bad-uri"),
    ("URI .* uses the https scheme", "dmarc.not-mailto"),
    ("more than two rua URIs", "dmarc.many-destinations"),
    ("Tag p must have one of", "dmarc.bad-value"),
    ("is not a valid option for the DMARC fo tag", "dmarc.bad-value"),
    ("starts with whitespace", "dmarc.blank-in-front"),
    ("Duplicate p tags", "dmarc.duplicate-tag"),
    ("Unrelated TXT records were discovered.*_dmarc", "dmarc.other-text"),
    ("An SMTP TLS Reporting record does not exist", "tls-rpt.none"),
    ("is missing the required rua tag", "tls-rpt.no-destination"),
    ("The SMTP TLS Reporting record must be located at", "tls-rpt.misplaced"),
    ("An MTA-STS DNS record does not exist", "mta-sts.none"),
    ("Found an SPF record where an MTA-STS record should be", "mta-sts.other-text"),
    ("Multiple MTA-STS records", "mta-sts.several-records"),
    ("The id value must be 1-32 letters or digits", "mta-sts.bad-id"),
    ("A BIMI record does not exist", "bimi.none"),
    ("The l tag value must be empty or a single HTTPS URI", "bimi.bad-uri"),
    ("Unknown BIMI record tag", "bimi.unknown-tag"),
    (r"The DMARC (subdomain )?policy \(s?p tag\) must be", "bimi.policy"),
    ("without a valid mark certificate", "bimi.no-certificate"),
)  # fmt: skip
LEFT_OUT = ("no network in this test",)  # the policy of MTA-STS and the picture of BIMI are not fetched here


@pytest.fixture(scope="module")
def zone() -> ZoneResolver:
    return ZoneResolver.from_file(ZONE)


@pytest.fixture(scope="module")
def server(zone: ZoneResolver) -> Iterator[ZoneServer]:
    with ZoneServer(zone) as server:
        yield server


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """checkdmarc fetches policies and pictures, and asks the system's DNS about DNSSEC: neither leaves this machine."""
    import requests

    smtp = pytest.importorskip("checkdmarc.smtp")

    def refuse(*_: object, **__: object) -> None:
        raise requests.ConnectionError("no network in this test")

    monkeypatch.setattr(requests.Session, "request", refuse)
    monkeypatch.setattr(smtp, "check_dnssec", lambda *_, **__: False)
    monkeypatch.setattr(smtp, "get_tlsa_records", lambda *_, **__: [])


def theirs(domain: str, port: int) -> list[str]:
    """Every error and warning of checkdmarc."""
    from checkdmarc.bimi import check_bimi
    from checkdmarc.dmarc import check_dmarc
    from checkdmarc.mta_sts import check_mta_sts
    from checkdmarc.smtp import check_mx
    from checkdmarc.smtp_tls_reporting import check_smtp_tls_reporting
    from checkdmarc.spf import check_spf

    how: dict[str, Any] = {"resolver": sync_configuration(port, lifetime=5), "retries": 0}
    dmarc = check_dmarc(domain, **how)
    results: list[Any] = [
        check(domain, **how) for check in (check_mx, check_spf, check_smtp_tls_reporting, check_mta_sts)
    ]
    results += [dmarc, check_bimi(domain, parsed_dmarc_record=dmarc, **how)]
    return [
        " ".join(str(words).split())
        for each in results
        for words in [*each.get("warnings", []), each.get("error", "")]
        if words
    ]


def test_there_are_thirty() -> None:
    assert len(DOMAINS) >= 30


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.usefixtures("at_home")
def test_ours_says_all_that_it_says(domain: str, server: ZoneServer) -> None:
    messages = theirs(domain, server.port)
    assert messages
    with DnspythonResolver.asking([server.address], server.port) as resolver:
        ours = {finding.code for finding in check_domain(domain, resolver=resolver, now=0.0).findings}
    for message in messages:
        if any(words in message for words in LEFT_OUT):
            continue
        codes = {code for pattern, code in SAME if re.search(pattern, message)}
        assert codes, f"nobody knows this message: {message}"
        assert codes & ours, f"{message!r} has no counterpart in {sorted(ours)}"


def test_what_only_ours_says(zone: ZoneResolver) -> None:
    """What checkdmarc does not look at, or passes over where something else is wrong."""
    found = {
        domain: {finding.code for finding in check_domain(domain, resolver=zone, now=0.0).findings}
        for domain in DOMAINS
    }
    assert "spf.pass-all" in found["wide-spf.example"]  # a record that lets everybody send
    assert "dmarc.removed-tag" in found["old-tags.example"]  # seen beside the tag in error
    assert "dmarc.unreachable-destination" in found["elsewhere-rua.example"]
    assert all("dkim.none" in codes or domain == "wildcard.example" for domain, codes in found.items())
    assert found["sound.example"] == {"dkim.none", "bimi.none"}
