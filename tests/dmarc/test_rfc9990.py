"""Statements of RFC 9990 about aggregate reports: each test is named by its section (docs/conformance.md)."""

from __future__ import annotations

import email
import email.policy
import re
import time
from itertools import pairwise, product
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mailauth.cli import main
from mailauth.dmarc import DmarcPolicy, Policy
from mailauth.dmarc.reports import DAY, Reporter, make_report, published_of, row_of
from mailauth.dmarc.result import OverrideType
from mailauth.stores import open_report_store
from tests.dmarc.test_reports import CLIENT, NS, REPORTER, ROWS, SCHEMA, goes_to, published, row
from tests.dmarc.world import Dkim, Spf, evaluate, zone

RUA = "rua=mailto:a@example.com"


def test_3_1_2_one_report_for_each_policy_domain(tmp_path: Path) -> None:
    """RFC 9990 sections 3.1 and 3.1.2, with the example of the latter."""
    resolver = zone({"example.com": f"v=DMARC1; p=reject; {RUA}", "bar.example.com": f"v=DMARC1; p=none; {RUA}"})
    store = open_report_store(f"sqlite:{tmp_path}/results.db")
    for author in ("example.com", "foo.example.com", "bar.example.com", "foo.example.com"):
        found = evaluate(resolver, author, Spf(author))
        about = published_of(found)
        assert about is not None
        store.add(5, about, row_of(found, CLIENT))
    assert [(each.domain, each.p) for each in store.domains(5)] == [
        ("bar.example.com", "none"),
        ("example.com", "reject"),
    ]
    counts = {
        name: sorted((each.header_from, number) for each, number in store.rows(5, name))
        for name in ("bar.example.com", "example.com")
    }
    assert counts == {
        "bar.example.com": [("bar.example.com", 1)],
        "example.com": [("example.com", 1), ("foo.example.com", 2)],
    }
    for about in store.domains(5):
        root = ElementTree.fromstring(make_report(REPORTER, 5, about, store.rows(5, about.domain)).xml)
        assert next(each.text for each in root.iter(f"{NS}domain")) == about.domain
        assert len(root.findall(f"{NS}policy_published")) == 1
        assert len(root.findall(f"{NS}record")) == len(counts[about.domain])
    store.close()


def test_3_1_of_several_policies_the_last_one_is_noted(tmp_path: Path) -> None:
    """RFC 9990 section 3.1: the final configuration of the period."""
    store = open_report_store(f"sqlite:{tmp_path}/results.db")
    for policy in ("none", "quarantine", "reject"):
        store.add(5, published(p=policy), row())
    (about,) = store.domains(5)
    xml = make_report(REPORTER, 5, about, store.rows(5, about.domain)).xml
    assert re.findall(rb"<p>(\w+)</p>", xml) == [b"reject"]
    store.close()


ORDER = {
    "feedback": ["version", "report_metadata", "policy_published", "record"],
    "record": ["row", "identifiers", "auth_results"],
    "policy_evaluated": ["disposition", "dkim", "spf", "reason"],
    "auth_results": ["dkim", "spf"],
}


def test_3_1_1_the_order_of_the_elements() -> None:
    """RFC 9990 sections 3.1.1.2, 3.1.1.7, 3.1.1.9 and 3.1.1.11: as the tables list them."""
    root = ElementTree.fromstring(make_report(REPORTER, 5, published(), ROWS).xml)
    assert root.findtext(f"{NS}version") == "1.0"
    seen = set()
    for name, order in ORDER.items():
        for element in root.iter(NS + name):
            names = [child.tag.removeprefix(NS) for child in element]
            assert names == sorted(names, key=order.index)
            seen.add(name)
    assert seen == set(ORDER)


def test_3_1_1_4_a_period_is_a_utc_day() -> None:
    """RFC 9990 section 3.1.1.4: each begins where the one before it ended."""
    periods = [
        [int(text) for text in re.findall(rb"<(?:begin|end)>(\d+)<", make_report(REPORTER, day, published(), ROWS).xml)]
        for day in (19_000, 19_001, 19_002)
    ]
    for (_, end), (begin, _) in pairwise(periods):
        assert begin == end + 1
    assert all(begin % DAY == 0 for begin, _ in periods)


def test_3_1_1_7_each_address_has_a_record(tmp_path: Path) -> None:
    """RFC 9990 section 3.1.1.7, through the whole: mail from each address, pass or fail."""
    from mailauth.sync import Authenticator
    from tests.facade.test_dmarc import world
    from tests.facade.world import GOOD, LISTED, NOW, PLAIN, STRANGER, signed

    store = open_report_store(f"sqlite:{tmp_path}/results.db")
    auth = Authenticator("mx.example.net", resolver=world(f"v=DMARC1; p=none; {RUA}"), dmarc_reports=store)
    for ip, message in product((GOOD, LISTED, STRANGER, "2001:db8::7"), (PLAIN, signed())):
        auth.check(message, ip=ip, helo="mx.example.org", mail_from="ann@example.org", now=NOW)
    rows = store.rows(int(NOW // DAY), "example.org")
    assert {each.source_ip for each, _ in rows} == {GOOD, LISTED, STRANGER, "2001:db8::7"}
    assert sum(number for _, number in rows) == 8
    store.close()


@pytest.mark.parametrize("asked", ["none", "quarantine", "reject"])
@pytest.mark.parametrize("t", ["n", "y"])
@pytest.mark.parametrize("applied", [None, *Policy])
@pytest.mark.parametrize("trusted", [False, True])
def test_3_1_1_9_what_differs_from_the_policy_has_a_reason(
    asked: str, t: str, applied: Policy | None, trusted: bool
) -> None:
    """RFC 9990 section 3.1.1.9, for every policy and everything that may be done; nothing was aligned."""
    resolver = zone({"example.com": f"v=DMARC1; p={asked}; t={t}; {RUA}"})
    policy = DmarcPolicy(trusted_forwarders=("forwarder.example",) if trusted else ())
    result = evaluate(resolver, "example.com", Spf("forwarder.example"), [Dkim("other.example")], policy=policy)
    found = row_of(result, CLIENT, applied=applied)
    assert found.disposition == (applied or result.disposition)
    if found.disposition != asked:
        assert found.reasons
    assert (found.spf, found.dkim) == ("fail", "fail")
    assert found.spf_result == ("forwarder.example", "pass")
    about = published_of(result)
    assert about is not None
    SCHEMA.validate(make_report(REPORTER, 5, about, [(found, 1)]).xml.decode())


def test_3_1_4_the_id_is_the_same_everywhere() -> None:
    """RFC 9990 section 3.1.4: in the XML, the subject and (section 3.5.2) the Message-ID."""
    report = make_report(REPORTER, 19_000, published(), ROWS, recipients=["agg@example.com"])
    mail = email.message_from_bytes(report.message, policy=email.policy.SMTP)
    assert re.findall(r"<report_id>(.*)</report_id>", report.xml.decode()) == [report.report_id]
    assert mail["Subject"].endswith(f"Report-ID: <{report.report_id}>")
    assert mail["Message-ID"] == f"<{report.report_id}>"


def test_3_1_6_the_types_of_reasons() -> None:
    """RFC 9990 section 3.1.6."""
    assert set(OverrideType) == {"local_policy", "mailing_list", "other", "policy_test_mode", "trusted_forwarder"}
    for kind in OverrideType:
        report = make_report(REPORTER, 5, published(), [(row(reasons=((kind.value, ""),)), 1)])
        SCHEMA.validate(report.xml.decode())


def test_3_5_each_address_gets_one_in_its_order() -> None:
    """RFC 9990 section 3.5: in the order of rua=, malformed ones ignored."""
    uris = ("mailto:b@example.com", "mailto:", "mailto:a@mail.example.com", "nonsense", "mailto:b@example.com")
    assert goes_to(uris, {}) == ["b@example.com", "a@mail.example.com"]


def test_3_5_1_each_report_has_an_id_of_its_own() -> None:
    """RFC 9990 section 3.5.1: another day, domain or reporter; of the form that the section has."""
    other = Reporter("mx2.receiver.example", "Receiver", "postmaster@receiver.example")
    reports = [
        make_report(reporter, day, published(domain=domain), ROWS)
        for reporter, day, domain in product((REPORTER, other), (1, 2, 19_000), ("example.com", "a.example.com"))
    ]
    ids = [report.report_id for report in reports]
    assert len(set(ids)) == len({report.filename for report in reports}) == len(reports)
    atom = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
    assert all(re.fullmatch(rf"{atom}(\.{atom})*@{atom}(\.{atom})*", each) for each in ids)


def test_3_5_1_a_day_that_is_not_over_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """RFC 9990 section 3.5.1: the report of the whole day will have the same id."""
    url, today = f"sqlite:{tmp_path}/results.db", int(time.time() // DAY)
    store = open_report_store(url)
    for day in (today - 1, today, today + 1):  # midnight may be near
        store.add(day, published(), row())
    store.close()
    (tmp_path / "zone").write_text('$TTL 60\n_dmarc.example.com. TXT "v=DMARC1; p=none"\n')
    words = ["dmarc", "report", "--store", url, "--output", str(tmp_path), "--domain", "mx.example", "--zone"]
    told = []
    for day in (today - 1, int(time.time() // DAY)):
        written = time.strftime("%Y-%m-%d", time.gmtime(day * DAY))
        assert main([*words, str(tmp_path / "zone"), "--day", written]) == 0
        told.append("the day is not over" in capsys.readouterr().err)
    assert told == [False, True]


def test_3_5_2_names_and_subjects_have_the_form_of_the_grammar() -> None:
    """RFC 9990 section 3.5.2; domain-name is that of RFC 6376 section 3.5."""
    label = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
    domain = rf"{label}(?:\.{label})+"
    for name in ("example.com", "xn--bcher-kva.example", "a.b.c.example.com", ".".join(["y" * 60] * 4)):
        report = make_report(REPORTER, 19_000, published(domain=name), ROWS, recipients=["agg@example.com"])
        assert re.fullmatch(rf"{domain}!{domain}!\d+!\d+\.xml\.gz", report.filename)
        subject = re.search(rb"^Subject: ((?:.|\r\n )*)\r\n", report.message, re.MULTILINE)
        assert subject is not None
        fws = r"(?:[ \t]*\r\n)?[ \t]+"
        form = rf"Report{fws}Domain:{fws}({domain}){fws}Submitter:{fws}({domain}){fws}Report-ID:{fws}<[^<> ]+>"
        found = re.fullmatch(form, subject[1].decode())
        assert found is not None
        assert found.groups() == (name, REPORTER.domain)


PERMIT = ("example.com._report._dmarc.red.example.net", "TXT")


@pytest.mark.parametrize(
    ("texts", "agreed"),
    [
        (["v=DMARC1"], True),
        (["v=DMARC1;"], True),
        (["v=DMARC1; p=none; unknown=1"], True),
        (["something else", "v=DMARC1"], True),
        ([], False),
        (["something else"], False),
        (["rua=mailto:x@red.example.net; v=DMARC1"], False),
        (["v=dmarc1"], False),
        (["v=DMARC2"], False),
        # RFC 9989 section 4.7, RFC 6376 section 3.2: a tag that stands twice makes the whole list invalid.
        (["v=DMARC1; rua=mailto:a@red.example.net; rua=mailto:b@red.example.net"], False),
        (["v=DMARC1; p=none; p=none", "v=DMARC1"], True),
    ],
)
def test_4_what_agrees(texts: list[str], agreed: bool) -> None:
    """RFC 9990 section 4 steps 6 to 8."""
    found = goes_to(("mailto:agg@red.example.net",), {PERMIT: texts} if texts else {})
    assert found == (["agg@red.example.net"] if agreed else [])


def test_4_a_name_that_is_too_long_agrees_to_nothing() -> None:
    """RFC 9990 section 4 step 4: no positive determination can be made."""
    host = ".".join(["h" * 60] * 3) + ".example.net"
    author = ".".join(["a" * 50] * 2) + ".example.com"
    result = evaluate(zone({author: f"v=DMARC1; p=reject; rua=mailto:agg@{host}"}), author)
    about = published_of(result)
    assert about is not None
    assert len(f"{author}._report._dmarc.{host}") > 253
    from mailauth.dmarc.reports import recipients_of
    from mailauth.plan import run

    everything = zone({"example.com": "v=DMARC1; p=none", "example.net": "v=DMARC1; p=none"})
    assert run(recipients_of(about), everything) == ((), (host,), ())


def test_7_3_of_a_public_suffix_there_are_aggregate_reports() -> None:
    """RFC 9990 section 7.3; failure reports there are none of anybody."""
    resolver = zone({"bank.example": f"v=DMARC1; p=reject; psd=y; {RUA}; ruf=mailto:f@bank.example"})
    about = published_of(evaluate(resolver, "gone.giant.bank.example", Spf("x.test")))
    assert about is not None
    assert (about.domain, about.rua) == ("bank.example", ("mailto:a@example.com",))
    report = make_report(REPORTER, 5, about, [(row(header_from="gone.giant.bank.example"), 1)])
    assert b"f@bank.example" not in report.xml
