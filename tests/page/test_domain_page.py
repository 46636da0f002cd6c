"""The page about a domain: what to do first, and nothing that the DNS says makes it anything else."""

from __future__ import annotations

import pytest

from mailauth import sync
from mailauth.domain import DomainReport
from mailauth.page import render_domain
from mailauth.page.html import ELEMENTS
from mailauth.resolvers import RecordingResolver, ZoneResolver
from tests.domain.test_findings import CASES, SOUND, check
from tests.domain.test_sender import check as check_sender
from tests.page.samples import ATTACKS
from tests.page.test_html import Reader
from tests.page.test_message_page import FRAME


def page_of(records: dict[tuple[str, str], list[str | bytes]], **arguments: object) -> tuple[str, DomainReport]:
    recorder = RecordingResolver(ZoneResolver(records))
    report = sync.check_domain("example.org", resolver=recorder, now=0.0, **arguments)  # type: ignore[arg-type]
    return render_domain(report, asked=recorder.asked, now=0.0), report


def broken() -> str:
    """A domain with a bit of everything."""
    records = {
        **SOUND,
        ("example.org", "TXT"): ["v=spf1 a:gone.example.org include:_spf.example.net ip4:192.0.2.0/24 ?all"],
        ("_spf.example.net", "TXT"): ["v=spf1 ip4:198.51.100.0/24 -all"],
        ("example.org", "MX"): ["10 mx.example.org", "20 backup.example.org"],
        ("_dmarc.example.org", "TXT"): ["v=DMARC1; p=none; rua=mailto:d@reports.example.net"],
        ("25.2.0.192.bl.example", "A"): ["127.0.0.2"],
    }
    page, _ = page_of(records, selectors=["s2026"], clients=["192.0.2.25", "203.0.113.9"], lists=["bl.example"])  # type: ignore[arg-type]
    return page


def test_what_to_do_comes_first() -> None:
    page = broken()
    text = " ".join(Reader(page).text.split())
    assert page.index("<h1>") < page.index("<nav") < page.index('id="findings"') < page.index('id="mx"')
    findings = text[text.index("What to do") : text.index("Where its mail goes")]
    assert findings.index("error") < findings.index("warning") < findings.index("notes")
    assert "The MX host backup.example.org has no address" in findings
    assert "→ Publish its address" in findings
    assert "mx.unresolvable · RFC 5321 section 5.1" in findings
    assert "2 of 10 lookups" in text


@pytest.mark.parametrize("code", CASES)
def test_every_finding_has_its_card(code: str) -> None:
    report = check(CASES[code][1])
    page = render_domain(report)
    seen = Reader(page)
    assert all(finding.code in seen.text for finding in report.findings)
    ids = [value for name, value in seen.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = {value for name, value in seen.attributes if name == "href"}
    assert {f"#{each}" for each in ids} >= {link for link in links if link and link.startswith("#")}


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_records_add_no_element(attack: str) -> None:
    octets = attack.encode()
    names = ["example.org", "_dmarc.example.org", "s._domainkey.example.org", "_smtp._tls.example.org",
             "_mta-sts.example.org", "default._bimi.example.org"]  # fmt: skip
    for prefix in (
        b"",
        b"v=spf1 include:",
        b"v=DMARC1; p=",
        b"v=DKIM1; n=",
        b"v=TLSRPTv1; rua=",
        b"v=STSv1; id=",
        b"v=BIMI1; l=",
    ):
        page, _ = page_of({(name, "TXT"): [prefix + octets] for name in names}, selectors=["s"])
        seen = Reader(page)
        assert set(seen.elements) <= ELEMENTS | FRAME
        assert seen.elements.count("meta") == 7
        assert all((value or "").startswith("#") for name, value in seen.attributes if name == "href")


def test_spf_is_a_tree_of_what_each_term_costs() -> None:
    text = " ".join(Reader(broken()).text.split())
    tree = text[text.index("The tree") : text.index("SPF from 192.0.2.25")]
    assert "example.org 2 lookups; 512 IPv4 may send" in tree
    assert "a:gone.example.org !nothing for IPv4 and IPv6 lookup 1 of 10" in tree
    assert "include:_spf.example.net lookup 2 of 10 · 198.51.100.0/24 may send" in tree
    assert "ip4:192.0.2.0/24 256 IPv4 may send" in tree
    assert "?all everybody else: neutral" in tree


def test_a_void_lookup_of_a_mechanism_that_matches_others() -> None:
    """One MX host has no IPv6 address, the other has: "nothing for IPv6" would be wrong."""
    records = {
        **SOUND,
        ("example.org", "MX"): ["10 mx.example.org", "20 old.example.org"],
        ("old.example.org", "A"): ["192.0.2.26"],
        ("example.org", "TXT"): ["v=spf1 mx -all"],
    }
    text = " ".join(Reader(page_of(records, selectors=["s2026"])[0]).text.split())  # type: ignore[arg-type]
    assert "mx !a void lookup for IPv6 lookup 1 of 10 · 2 IPv4 + 1 IPv6 may send" in text


def test_a_record_that_is_not_there_is_none_and_not_in_order() -> None:
    page, _ = page_of({**SOUND, ("default._bimi.example.org", "TXT"): []}, selectors=["s2026"])  # type: ignore[arg-type]
    bimi = page[page.index('<section id="bimi"') :]
    assert bimi.index(">none</span>") < bimi.index("there is none")


def test_guesses_that_found_nothing_do_not_hide_the_questions() -> None:
    """Some sixty selectors are tried: they fold, in place of filling pages when the report is printed."""
    page, report = page_of(dict(SOUND), selectors=["gone"])  # type: ignore[arg-type]
    questions = page.partition('id="dns"')[2]
    table, _, rest = questions.partition("</table>")
    assert "gone._domainkey.example.org TXT" in table
    assert "selector1._domainkey.example.org" not in table
    assert f"<summary>{report.keys.guesses} guesses found nothing</summary>" in rest
    assert "selector1._domainkey.example.org TXT" in rest


def test_no_key_found_is_not_in_order() -> None:
    page, _ = page_of(
        {**SOUND, ("s2026._domainkey.example.org", "TXT"): [], ("x9._domainkey.example.org", "TXT"): ["x"]}
    )  # type: ignore[dict-item]
    assert ">none found</span>" in page.partition('href="#dkim"')[2].partition("</a>")[0]


def test_a_message_and_its_rules_stand_on_the_page() -> None:
    page = render_domain(check_sender(b"From: Ann <ann@example.org>\r\nSubject: x\r\n\r\nHello.\r\n"))
    text = " ".join(Reader(page).text.split())
    assert "Sender rules" in text
    assert "No DKIM signature passes (there is none)." in text
    assert "sender.no-unsubscribe · Gmail and Yahoo, of marketing and subscribed mail; RFC 8058 section 3" in text


def test_a_domain_that_does_not_exist_is_not_in_order() -> None:
    page, _ = page_of({})
    text = " ".join(Reader(page).text.split())
    assert "The domain does not exist in the DNS." in text
    assert "in order" not in text
    assert "<nav" not in page
