"""Bounds, defaults and codes of DMARC: RFC 9989 and RFC 9990, each bound on both sides of its edge."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pytest

from mailauth.dmarc import DmarcPolicy, DmarcRecord, Policy, lint
from mailauth.dmarc.destinations import MAX_HOSTS, host_of, plain_address, verify_destinations
from mailauth.dmarc.record import MAX_RECORD_OCTETS, MAX_URIS, Alignment, Psd, RecordProblem, parse_record
from mailauth.dmarc.reports import (
    MAX_DESTINATIONS,
    MAX_ERRORS,
    MAX_ROWS,
    MAX_SIGNATURES,
    Published,
    Reporter,
    Row,
    make_report,
    published_of,
    recipients_of,
    row_of,
)
from mailauth.dmarc.result import DmarcResult, Identifier, Override, OverrideType, Reason, Result
from mailauth.dmarc.walk import MAX_RECORDS, MAX_WALK, walk_names
from mailauth.mail.names import parse_ip
from mailauth.plan import run
from mailauth.resolvers import RecordingResolver, ZoneResolver
from tests.dmarc.world import Dkim, Spf, asked, evaluate, zone

REPORTER = Reporter("mx.receiver.example", "Receiver", "postmaster@receiver.example")
PUBLISHED = Published("example.com", "reject", None, None, "r", "r", "0", "n", ("mailto:agg@example.com",))
ROW = Row("192.0.2.1", "none", "pass", "fail", "example.com")


# --- records (RFC 9989 sections 4.7 and 4.8) ---


def test_4_7_what_a_record_does_not_say() -> None:
    assert DmarcRecord() == DmarcRecord(
        p=None,
        sp=None,
        np=None,
        adkim=Alignment.RELAXED,
        aspf=Alignment.RELAXED,
        psd=Psd.UNKNOWN,
        t=False,
        rua=(),
        ruf=(),
        fo=("0",),
    )
    record = DmarcRecord.parse("v=DMARC1; p=none")
    assert record.to_dict() == {
        "p": "none", "sp": None, "np": None, "adkim": "r", "aspf": "r", "psd": "u", "t": "n", "rua": [], "ruf": [],
        "fo": "0", "problems": [],
    }  # fmt: skip


def test_a_record_is_what_it_says_however_it_is_written() -> None:
    assert DmarcRecord.parse("v=DMARC1; p=none; surplus=1") == DmarcRecord.parse("v=DMARC1;p = NONE;")


def test_a_full_record_as_values() -> None:
    record = DmarcRecord.parse(
        "v=DMARC1; p=quarantine; sp=reject; np=none; adkim=s; aspf=s; psd=n; t=y;"
        " rua=mailto:a@example.org,mailto:b@example.org; ruf=mailto:c@example.org; fo=1:d:s; x=1"
    )
    assert record.to_dict() == {
        "p": "quarantine", "sp": "reject", "np": "none", "adkim": "s", "aspf": "s", "psd": "n", "t": "y",
        "rua": ["mailto:a@example.org", "mailto:b@example.org"], "ruf": ["mailto:c@example.org"], "fo": "1:d:s",
        "problems": [{"code": "unknown-tag", "tag": "x", "words": "x= is not known and does nothing"}],
    }  # fmt: skip


def test_the_longest_record() -> None:
    start = "v=DMARC1; p=none; x="
    longest = (start + "x" * (MAX_RECORD_OCTETS - len(start))).encode()
    assert len(longest) == 16 * 1024
    assert isinstance(parse_record(longest), DmarcRecord)
    longer = parse_record(longest + b"x")
    assert longer == RecordProblem("too-long", "", "the record has more than 16384 octets")
    assert parse_record(b"x" + longest) is None


def test_as_many_uris_as_are_read() -> None:
    assert MAX_URIS == 50
    uris = [f"mailto:a{number}@example.org" for number in range(51)]
    assert DmarcRecord.parse(f"v=DMARC1; p=none; rua={','.join(uris)}").rua == tuple(uris[:50])


@pytest.mark.parametrize(
    ("options", "fo", "problem"),
    [
        ("0:d:s", ("0", "d", "s"), False),
        ("1", ("1",), False),
        ("D : S", ("d", "s"), False),
        ("0:1", ("0",), True),  # RFC 9989 section 4.7: 0 and 1 exclude each other
        ("d:d", ("0",), True),
        ("x", ("0",), True),
        ("1:x", ("0",), True),
        ("", ("0",), True),
    ],
)
def test_4_7_failure_options(options: str, fo: tuple[str, ...], problem: bool) -> None:
    record = DmarcRecord.parse(f"v=DMARC1; p=none; ruf=mailto:c@example.org; fo={options}")
    assert record.fo == fo
    assert [(each.code, each.tag) for each in record.problems] == ([("bad-value", "fo")] if problem else [])


def test_4_7_test_mode_asks_for_one_level_less() -> None:
    assert [policy.one_level_less for policy in Policy] == [Policy.NONE, Policy.NONE, Policy.QUARANTINE]


# --- the walk and the identifiers (RFC 9989 section 4.10) ---


def test_4_10_seven_labels_and_the_name_itself() -> None:
    assert MAX_WALK == 8
    eight = "a.b.c.d.e.f.g.example"
    assert walk_names(eight)[:2] == [eight, "b.c.d.e.f.g.example"]
    assert len(walk_names(eight)) == 8
    ten = "z.y." + eight
    assert walk_names(ten) == [ten, *walk_names(eight)[1:]]


def test_records_behind_the_hundredth_are_not_looked_at() -> None:
    assert MAX_RECORDS == 100
    other = [f"x{number}" for number in range(99)]
    assert evaluate(zone({"example.org": [*other, "v=DMARC1; p=reject"]}), "example.org").policy is Policy.REJECT
    assert evaluate(zone({"example.org": [*other, "x", "v=DMARC1; p=reject"]}), "example.org").policy is None


def test_a_bound_of_one_identifier_is_a_bound() -> None:
    records = zone({"example.org": "v=DMARC1; p=reject"})
    policy = DmarcPolicy(max_identifiers=1)
    found = evaluate(records, "example.org", dkim=[Dkim("a.example.org")], policy=policy)
    assert found.result is Result.PASS
    found = evaluate(records, "x.example.org", dkim=[Dkim("a.example.org"), Dkim("b.example.org")], policy=policy)
    assert found.reason is Reason.ALIGNED
    assert [each.aligned for each in found.identifiers] == [True, None]
    with pytest.raises(ValueError, match="max_identifiers is at least 1"):
        DmarcPolicy(max_identifiers=0)
    assert DmarcPolicy().max_identifiers == 10
    assert DmarcPolicy().quarantine is False


def test_a_result_with_nothing_but_a_reason() -> None:
    result = DmarcResult(Reason.NO_AUTHOR, "words", None)
    assert json.loads(json.dumps(result.to_dict())) == {
        "result": "permerror", "reason": "no-author", "detail": "words", "author_domain": None, "policy_domain": None,
        "organizational_domain": None, "policy": None, "policy_tag": None, "disposition": "none", "overrides": [],
        "spf_aligned": False, "dkim_aligned": False, "identifiers": [], "record": None, "exists": None, "queries": 0,
        "trace": [],
    }  # fmt: skip


def test_a_result_as_values() -> None:
    records = zone({"example.org": "v=DMARC1; p=reject; aspf=s"})
    found = evaluate(records, "example.org", Spf("bounce.example.org"), [Dkim("mail.example.org", selector="s1")])
    values = found.to_dict()
    trace = values.pop("trace")
    nothing = {"outcome": "no-such-name", "text": "", "record": None, "why": "no-record"}
    text = "v=DMARC1; p=reject; aspf=s"
    assert trace == [
        {"question": "_dmarc.example.org TXT", "outcome": "found", "text": text, "record": text, "why": ""},
        {"question": "_dmarc.org TXT"} | nothing,
        {"question": "_dmarc.mail.example.org TXT"} | nothing,
    ]
    assert values == {
        "result": "pass", "reason": "aligned",
        "detail": "dkim passed for mail.example.org: its organizational domain is example.org",
        "author_domain": "example.org", "policy_domain": "example.org", "organizational_domain": "example.org",
        "policy": "reject", "policy_tag": "p", "disposition": "none", "overrides": [],
        "spf_aligned": False, "dkim_aligned": True,
        "identifiers": [
            {"method": "spf", "domain": "bounce.example.org", "selector": None, "result": "pass", "aligned": False,
             "mode": "strict", "organizational_domain": None,
             "detail": "not the same domain as example.org, and alignment is strict"},
            {"method": "dkim", "domain": "mail.example.org", "selector": "s1", "result": "pass", "aligned": True,
             "mode": "relaxed", "organizational_domain": "example.org",
             "detail": "its organizational domain is example.org"},
        ],
        "record": "v=DMARC1; p=reject; aspf=s", "exists": None, "queries": 3,
    }  # fmt: skip


# --- advice ---


PROPOSALS: list[tuple[str, str, str]] = [
    ("v=DMARC1; p=bad", "bad-value", ""),
    ("v=DMARC1; rua=mailto:a@example.org", "no-policy", "p=none"),
    ("v=DMARC1; p=none; rua=nobody", "bad-uri", ""),
    ("v=DMARC1; p=none; what", "bad-tag", ""),
    ("v=DMARC1; p=none; what=1", "unknown-tag", ""),
    ("v=DMARC1; P=none", "capitals", ""),
    ("v=DMARC1; p=none; pct=10", "removed-tag", "leave it out"),
    ("v=DMARC1; p=none; fo=1", "useless-tag", "leave it out"),
    ("v=DMARC1; p=none; rua=mailto:a@example.org!1m", "obsolete-size", "leave the size out"),
    ("v=DMARC1; p=none;;", "empty-tag", ""),
]


@pytest.mark.parametrize(("text", "code", "proposal"), PROPOSALS)
def test_what_is_proposed_for_each_fault(text: str, code: str, proposal: str) -> None:
    report = run(lint(text), ZoneResolver())
    assert [finding.proposal for finding in report.findings if finding.code == code] == [proposal]


# --- reports (RFC 9990) ---


def test_3_5_a_report_goes_to_five_addresses() -> None:
    assert MAX_DESTINATIONS == 5
    uris = tuple(f"mailto:a{number}@example.com" for number in range(6))
    published = Published("example.com", "reject", None, None, "r", "r", "0", "n", uris)
    found = run(recipients_of(published), ZoneResolver())
    assert found.addresses == tuple(uri.removeprefix("mailto:") for uri in uris[:5])
    assert (found.refused, found.unknown) == ((), ())


def test_4_ten_hosts_are_asked() -> None:
    assert MAX_HOSTS == 10
    resolver = RecordingResolver(ZoneResolver())
    hosts = [f"h{number}.test" for number in range(11)]
    found = run(verify_destinations("example.com", hosts), resolver)
    assert list(found) == hosts[:10]
    assert not any("h10.test" in question for question in asked(resolver))


def test_3_1_3_a_row_has_a_hundred_signatures() -> None:
    assert MAX_SIGNATURES == 100
    signed = tuple(Identifier("dkim", f"{n}.test", "s", "pass", False, "relaxed", None, "") for n in range(101))
    row = row_of(DmarcResult(Reason.NOT_ALIGNED, "", "example.com", identifiers=signed), parse_ip("192.0.2.1"))
    assert len(row.dkim_results) == 100


def test_3_1_5_five_errors_are_told() -> None:
    assert MAX_ERRORS == 5
    bad = ",".join(f"nobody{number}" for number in range(6))
    found = evaluate(zone({"example.com": f"v=DMARC1; p=reject; rua=mailto:a@example.com,{bad}"}), "example.com")
    published = published_of(found)
    assert published is not None
    assert len(published.errors) == 5
    assert MAX_ROWS == 10_000


def test_a_row_that_says_nothing_of_spf() -> None:
    """Without an identifier of MAIL FROM there is no `envelope_from`, and no result of SPF (RFC 9990 appendix A)."""
    row = row_of(DmarcResult(Reason.NOTHING_PASSED, "", "example.com"), parse_ip("192.0.2.1"))
    assert row == Row("192.0.2.1", "none", "fail", "fail", "example.com", None, (), (), None)
    assert Row.from_json(row.to_json()) == row
    xml = make_report(REPORTER, 20_000, PUBLISHED, [(row, 1)]).xml
    assert b"envelope_from" not in xml
    assert b"<spf>fail</spf>" in xml
    assert b"<scope>" not in xml


def test_a_report_that_goes_nowhere_has_no_mail() -> None:
    report = make_report(REPORTER, 20_000, PUBLISHED, [(ROW, 1)])
    assert (report.recipients, report.message) == ((), b"")
    assert b"extra_contact_info" not in report.xml
    assert b"<error>" not in report.xml


def test_3_5_1_the_file_name_has_the_day_to_its_last_second() -> None:
    report = make_report(REPORTER, 20_000, PUBLISHED, [(ROW, 3)])
    assert report.filename == "mx.receiver.example!example.com!1728000000!1728086399.xml.gz"
    assert report.report_id == "2024-10-04_example.com@mx.receiver.example"
    assert b"<begin>1728000000</begin>" in report.xml
    assert b"<end>1728086399</end>" in report.xml
    assert b"<count>3</count>" in report.xml


def test_3_1_6_the_types_of_overrides() -> None:
    assert {kind.value for kind in OverrideType} == {
        "local_policy", "mailing_list", "other", "policy_test_mode", "trusted_forwarder",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("a" * 64 + "@example.org", True),
        ("a" * 65 + "@example.org", False),  # RFC 5321 section 4.5.3.1.1
        ("a.b@example.org", True),
        ("a..b@example.org", False),
        (".a@example.org", False),
        ("a.@example.org", False),
        ("!#$%&'*+/=?^_`{|}~-@example.org", True),  # RFC 5322 section 3.2.3, atext
        ("a b@example.org", False),
        ('"a"@example.org', False),
        ("a@[192.0.2.1]", False),
        ("a@localhost", False),
        ("a\n@example.org", False),
        ("a@example.org\n", False),
    ],
)
def test_an_address_that_every_server_takes(text: str, address: bool) -> None:
    assert plain_address(text) == (text if address else None)


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("mailto:a@Example.ORG", "example.org"),
        ("MAILTO:a@example.org?subject=x@other.example", "example.org"),
        ("mailto:a%40x@example.org", "example.org"),
        ("https://reports.example.org:8443/dmarc", "reports.example.org"),
        ("https://[2001:db8::1/", None),
        ("urn:x:y", None),
    ],
)
def test_4_step_1_the_host_of_a_uri(uri: str, host: Any) -> None:
    assert host_of(uri) == host


# --- what else a result and a finding say ---


def test_4_10_1_without_a_usable_policy_the_result_names_the_record_all_the_same() -> None:
    found = evaluate(zone({"example.org": "v=DMARC1; sp=none"}), "mail.example.org")
    assert (found.reason, found.policy_domain, found.organizational_domain) == (
        Reason.NO_POLICY, "example.org", "example.org",
    )  # fmt: skip
    assert found.record is not None
    assert found.queries == 3
    nothing = evaluate(zone({}), "mail.example.org")
    assert (nothing.reason, nothing.policy_domain, nothing.record) == (Reason.NO_RECORD, None, None)


def test_3_2_13_any_text_below_the_author_shows_that_it_exists() -> None:
    records = zone({"example.org": "v=DMARC1; p=none; sp=quarantine; np=reject", "a.example.org": "something else"})
    found = evaluate(records, "a.example.org")
    assert (found.exists, found.policy_tag, found.policy) == (True, "sp", Policy.QUARANTINE)
    found = evaluate(records, "b.example.org")
    assert (found.exists, found.policy_tag, found.policy) == (False, "np", Policy.REJECT)


def test_a_fail_names_five_identifiers() -> None:
    signed = [Dkim(f"d{number}.test") for number in range(6)]
    found = evaluate(zone({"example.org": "v=DMARC1; p=reject"}), "example.org", dkim=signed)
    assert found.reason is Reason.NOT_ALIGNED
    assert "dkim d4.test" in found.detail
    assert "d5.test" not in found.detail


def test_5_3_1_what_is_no_domain_is_shown() -> None:
    found = evaluate(zone({}), "x" * 300)
    assert found.detail.startswith("'xxxx")
    assert found.detail.endswith("is no domain name of two labels or more")
    assert evaluate(zone({}), "localhost").detail == "'localhost' is no domain name of two labels or more"


@pytest.mark.parametrize(
    ("record", "proposal"),
    [
        (b"V=dmarc1; p=none", '_dmarc.example.org. TXT "v=DMARC1; p=none"'),
        (b"v=DMARC1 p=none", '_dmarc.example.org. TXT "v=DMARC1; p=none"'),
        (b"v=dmarc1; p=none; p=reject", ""),
        (b"v=dmarc1; p=none; x=\xff\xfe", ""),  # RFC 9989 section 4.8: a value is of ASCII
        (b"v=dmarc1; p=none; x=\x01", ""),
        # RFC 1035 section 5.1: what would end a string is escaped, and a string has at most 255 octets.
        (b'v=dmarc1; p=none; x="a\\b', '_dmarc.example.org. TXT "v=DMARC1; p=none; x=\\"a\\\\b"'),
        (
            b"v=dmarc1; p=none; x=" + b"y" * 300,
            f'_dmarc.example.org. TXT "v=DMARC1; p=none; x={"y" * 235}" "{"y" * 65}"',
        ),
    ],
)
def test_a_record_that_is_nearly_one(record: bytes, proposal: str) -> None:
    report = run(lint("example.org"), zone({"example.org": record}))
    assert [each.proposal for each in report.findings if each.code == "nearly"] == [proposal]
    assert all(each.words.isprintable() for each in report.findings)


def test_what_a_subdomain_inherits_is_said() -> None:
    report = run(lint("a.example.org"), zone({"example.org": "v=DMARC1; p=reject; sp=none; rua=mailto:a@example.org"}))
    words = [each.words for each in report.findings if each.code == "inherited"]
    assert words == ["no record of its own: that of example.org applies (sp=none)"]
    report = run(lint("a.example.org"), zone({"example.org": "v=DMARC1; sp=none"}))
    assert any("(no usable policy)" in each.words for each in report.findings)


# --- reports as they are written ---


def test_3_1_1_the_metadata_of_a_report() -> None:
    reporter = Reporter(
        "mx.receiver.example", "Receiver & Co", "postmaster@receiver.example", "https://r.example/dmarc"
    )
    published = Published("example.com", "reject", "none", None, "r", "s", "1", "y", (), ("p=bad", "rua=bad"))
    report = make_report(reporter, 20_000, published, [(ROW, 1)], errors=["a third"])
    # XML 1.0 section 2.8: the declaration comes first.
    assert report.xml.startswith(b"<?xml version='1.0' encoding='utf-8'?>\n<feedback")
    root = ElementTree.fromstring(report.xml)
    found = {element.tag.partition("}")[2]: element.text for element in root.iter() if len(element) == 0}
    assert found.pop("generator", "").startswith("mailauth ")  # type: ignore[union-attr]
    assert found == {
        "version": "1.0", "org_name": "Receiver & Co", "email": "postmaster@receiver.example",
        "extra_contact_info": "https://r.example/dmarc", "report_id": "2024-10-04_example.com@mx.receiver.example",
        "begin": "1728000000", "end": "1728086399", "error": "p=bad; rua=bad; a third", "domain": "example.com",
        "discovery_method": "treewalk", "p": "reject", "sp": "none", "adkim": "r", "aspf": "s", "fo": "1",
        "testing": "y", "source_ip": "192.0.2.1", "count": "1", "disposition": "none", "dkim": "pass", "spf": "fail",
        "header_from": "example.com", "auth_results": None,
    }  # fmt: skip


def test_3_5_2_the_mail_to_its_last_field() -> None:
    to = ["agg@example.com", "more@example.com"]
    message = make_report(REPORTER, 20_000, PUBLISHED, [(ROW, 1)], recipients=to).message
    head, _, rest = message.partition(b"\r\n\r\n")
    fields = head.decode("ascii").split("\r\n")
    assert fields[:9] == [
        "From: postmaster@receiver.example",
        "To: agg@example.com,",
        " more@example.com",
        "Subject: Report Domain: example.com",
        " Submitter: mx.receiver.example",
        " Report-ID: <2024-10-04_example.com@mx.receiver.example>",
        "Date: Sat, 05 Oct 2024 00:00:00 +0000",
        "Message-ID: <2024-10-04_example.com@mx.receiver.example>",
        "Auto-Submitted: auto-generated",
    ]
    assert [field.partition(":")[0] for field in fields[9:] if field[:1] != " "] == ["MIME-Version", "Content-Type"]
    assert rest.count(b"\r\nContent-Type: application/gzip\r\n") == 1
    assert b'filename="mx.receiver.example!example.com!1728000000!1728086399.xml.gz"' in rest
    assert b"for 2024-10-04 (UTC)" in rest.replace(b"=\r\n", b"")  # soft line breaks


def test_what_is_stored_is_one_line_of_ascii() -> None:
    published = Published("example.com", "none", None, None, "r", "r", "0", "n", (), ("na\u00efve \u2028",))
    assert published.to_json().isascii()
    assert Published.from_json(published.to_json()) == published
    row = Row("192.0.2.1", "none", "pass", "fail", "example.com", "\u00e4.example", (("other", "\u2028"),))
    assert row.to_json().isascii()
    assert Row.from_json(row.to_json()) == row


def test_what_is_published_is_what_the_record_says() -> None:
    text = "v=DMARC1; p=quarantine; sp=none; np=reject; t=y; adkim=s; fo=d:s; "
    text += "rua=mailto:a@example.org; ruf=mailto:b@example.org"
    published = published_of(evaluate(zone({"example.org": text}), "example.org"))
    assert published == Published(
        "example.org", "quarantine", "none", "reject", "s", "r", "d:s", "y", ("mailto:a@example.org",)
    )
    by_hand = DmarcResult(Reason.NOT_ALIGNED, "", "example.org", record=DmarcRecord.parse(text))
    assert published_of(by_hand) is None  # no policy domain


def test_comments_are_bounded_and_a_selector_always_stands_there() -> None:
    """RFC 9990 appendix A: a signature has a selector."""
    signed = Identifier("dkim", "example.com", None, "pass", True, "relaxed", None, "")
    override = Override(OverrideType.OTHER, "x" * 300)
    result = DmarcResult(Reason.ALIGNED, "", "example.com", identifiers=(signed,), overrides=(override,))
    row = row_of(result, parse_ip("192.0.2.1"))
    assert row.reasons == (("other", "x" * 200),)
    assert row.dkim_results == (("example.com", "unknown", "pass"),)


def test_problems_name_their_tag() -> None:
    record = DmarcRecord.parse(f"v=DMARC1; p=none; {'x' * 30}=1; rua=mailto:a@example.org!10m; pct=5")
    assert [(each.code, each.tag) for each in record.problems] == [
        ("unknown-tag", "x" * 20), ("removed-tag", "pct"), ("obsolete-size", "rua"),
    ]  # fmt: skip


@pytest.mark.parametrize("blank", ["\x0b", "\x0c", "\x1c", "\x85", "\xa0"])
def test_4_8_only_space_and_tab_are_blanks(blank: str) -> None:
    assert DmarcRecord.parse(f"v=DMARC1; p={blank}none; rua=mailto:a@example.org").problems[0].code == "bad-value"
    assert DmarcRecord.parse("v=DMARC1; p \t=\t reject ").p is Policy.REJECT


def test_sp_that_nobody_inherits_is_said_only_where_it_stands() -> None:
    above = "v=DMARC1; p=reject; rua=mailto:a@example.org"
    for own, said in ((above, False), (above + "; sp=reject", True), (above + "; np=reject", True)):
        report = run(lint("a.example.org"), zone({"example.org": above, "a.example.org": own}))
        assert any(each.code == "not-inherited" for each in report.findings) is said


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("v=DMARC1; p=bad; rua=mailto:a@example.org", "p=bad is not one of none, quarantine, reject"),
        ("v=DMARC1; rua=mailto:a@example.org", "p= is missing"),
        ("v=DMARC1; p=none; rua=mailto:a@example.org,b", "rua= has 'b', which is no reporting URI"),
        ("v=DMARC1; p=none; rua=mailto:a@example.org; x", "'x' is no tag"),
        ("v=DMARC1; p=none; rua=mailto:a@example.org; x=1; pct=1", None),
    ],
)
def test_3_1_5_which_faults_a_report_tells(record: str, words: str | None) -> None:
    published = published_of(evaluate(zone({"example.org": record}), "example.org"))
    assert published is not None
    assert published.errors == (() if words is None else (words,))


def test_what_is_shown_of_a_report_is_without_the_mail() -> None:
    report = make_report(REPORTER, 20_000, PUBLISHED, [(ROW, 1)], recipients=["agg@example.com"])
    assert report.message
    assert "message=" not in repr(report)
