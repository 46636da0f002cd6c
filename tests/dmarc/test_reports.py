"""Aggregate reports (RFC 9990): rows, stores, the XML against the RFC's schema, the mail, and where it may go."""

from __future__ import annotations

import email
import email.policy
import gzip
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import xmlschema
from hypothesis import given
from hypothesis import strategies as st

from mailauth import MailAuthError
from mailauth.cli import main
from mailauth.dmarc import DmarcPolicy, Policy
from mailauth.dmarc.reports import (
    DAY,
    MAX_ROWS,
    Published,
    Reporter,
    ReportStore,
    Row,
    make_report,
    published_of,
    recipients_of,
    row_of,
)
from mailauth.greylist import Record, State
from mailauth.plan import run
from mailauth.resolvers import ZoneResolver
from mailauth.restrictions import Restrictions, check_dmarc
from mailauth.stores import open_report_store, open_store
from mailauth.stores import reports as store_reports
from tests.dbservers import Server
from tests.dmarc.world import Dkim, Spf, evaluate, zone
from tests.facade.world import BOB, FACADES, NOW, PLAIN, STRANGER, Facade, records, signed

RUA = "v=DMARC1; p=reject; sp=quarantine; rua=mailto:agg@example.com"
CLIENT = IPv4Address("192.0.2.1")
TODAY = int(NOW // DAY)
REPORTER = Reporter("mail.receiver.example", "Receiver", "postmaster@receiver.example")
SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("rfc9990.xsd"))
NS = "{urn:ietf:params:xml:ns:dmarc-2.0}"


def published(**changes: Any) -> Published:
    values = {"domain": "example.com", "p": "reject", "sp": None, "np": None, "adkim": "r", "aspf": "r", "fo": "0",
              "testing": "n", "rua": ("mailto:agg@example.com",)}  # fmt: skip
    return Published(**{**values, **changes})


# --- rows -------------------------------------------------------------------------------------------------


def test_a_pass_and_a_fail() -> None:
    resolver = zone({"example.com": RUA})
    passed = evaluate(resolver, "example.com", Spf("bounce.example.com"), [Dkim("example.com"), Dkim("x.test", "fail")])
    assert row_of(passed, CLIENT) == Row(
        source_ip="192.0.2.1", disposition="pass", dkim="pass", spf="pass", header_from="example.com",
        envelope_from="bounce.example.com",
        dkim_results=(("example.com", "sel", "pass"), ("x.test", "sel", "fail")),
        spf_result=("bounce.example.com", "pass"),
    )  # fmt: skip
    failed = evaluate(resolver, "a.example.com", Spf("x.test", "softfail"))
    row = row_of(failed, CLIENT)
    assert (row.disposition, row.dkim, row.spf, row.reasons) == ("quarantine", "fail", "fail", ())
    row = row_of(failed, CLIENT, applied=Policy.NONE)
    assert (row.disposition, row.reasons) == ("none", (("local_policy", ""),))


def test_a_pass_under_p_none_is_no_action() -> None:
    """Appendix A: "pass" is for a pass whose policy asks for more than none."""
    resolver = zone({"example.com": "v=DMARC1; p=none; sp=reject; rua=mailto:agg@example.com"})
    passed = [row_of(evaluate(resolver, name, dkim=[Dkim(name)]), CLIENT) for name in ("example.com", "a.example.com")]
    assert [(row.disposition, row.dkim) for row in passed] == [("none", "pass"), ("pass", "pass")]


def test_overrides_are_reasons() -> None:
    resolver = zone({"example.com": RUA + "; t=y"})
    policy = DmarcPolicy(mailing_lists=("lists.example",))
    row = row_of(evaluate(resolver, "example.com", dkim=[Dkim("lists.example")], policy=policy), CLIENT)
    assert row.disposition == "none"
    assert row.reasons == (("policy_test_mode", "t=y"), ("mailing_list", "lists.example"))


def test_signatures_stand_in_the_order_of_their_weight() -> None:
    """RFC 9990 sections 3.1.1.11 and 3.1.3: all of them, and no more than a hundred."""
    dkim = [Dkim("x.test", "fail"), Dkim("other.test"), Dkim("a.example.com"), Dkim("example.com")]
    row = row_of(
        evaluate(zone({"example.com": RUA}), "example.com", dkim=dkim + [Dkim("y.test", "fail")] * 200), CLIENT
    )
    assert [domain for domain, _, _ in row.dkim_results[:5]] == [
        "example.com", "a.example.com", "other.test", "x.test", "y.test",
    ]  # fmt: skip
    assert len(row.dkim_results) == 100


@pytest.mark.parametrize(
    ("record", "author"),
    [("v=DMARC1; p=none", "example.com"), (RUA, "other.test"), ("v=DMARC1; p=none; rua=nobody", "example.com")],
)
def test_no_report_that_nobody_asked_for(record: str, author: str) -> None:
    assert published_of(evaluate(zone({"example.com": record}), author)) is None


def test_3_1_5_the_owner_is_told_what_is_wrong_with_the_record(store: ReportStore) -> None:
    record = "v=DMARC1; p=bad; adkim=x; pct=50; unknown=1; rua=mailto:agg@example.com, nobody"
    found = published_of(evaluate(zone({"example.com": record}), "example.com"))
    assert found is not None
    assert (found.p, len(found.errors)) == ("none", 3)
    assert Published.from_json(found.to_json()) == found
    store.add(5, found, row())
    assert store.domains(5) == [found]
    root = SCHEMA.to_dict(make_report(REPORTER, 5, found, ROWS).xml.decode())
    assert root["report_metadata"]["error"]["$"] == (
        "p=bad is not one of none, quarantine, reject; rua= has 'nobody', which is no reporting URI; "
        "adkim=x is not one of r, s"
    )
    many = published_of(evaluate(zone({"example.com": f"{record}{'; x' * 100}"}), "example.com"))
    assert many is not None
    assert len(many.errors) == 5


def test_an_error_is_no_result_to_report() -> None:
    resolver = zone({"example.com": RUA}, {"a.example.com": "servfail"})
    assert published_of(evaluate(resolver, "example.com", Spf("a.example.com"))) is None


# --- stores -----------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ReportStore]:
    if request.param == "sqlite":
        url = f"sqlite:{tmp_path}/results.db"
    else:
        server: Server = request.getfixturevalue("postgres_server")
        url = server.url
    opened = open_report_store(url)
    opened.forget(1 << 30)
    yield opened
    opened.close()


def row(**changes: Any) -> Row:
    values = {
        "source_ip": "192.0.2.1",
        "disposition": "none",
        "dkim": "pass",
        "spf": "fail",
        "header_from": "example.com",
    }
    return Row(**{**values, **changes})


def test_equal_rows_are_counted(store: ReportStore) -> None:
    for _ in range(3):
        store.add(5, published(), row())
    store.add(5, published(p="none"), row(spf="pass", spf_result=("x.test", "pass")))
    store.add(6, published(), row())
    store.add(5, published(domain="example.net"), row())
    assert [each.domain for each in store.domains(5)] == ["example.com", "example.net"]
    assert store.domains(5)[0].p == "none"  # what was published last
    assert store.rows(5, "example.com") == [(row(), 3), (row(spf="pass", spf_result=("x.test", "pass")), 1)]
    store.forget(6)
    assert (store.domains(5), store.rows(5, "example.com")) == ([], [])
    assert store.rows(6, "example.com") == [(row(), 1)]
    store.close()
    assert store.rows(6, "example.com") == [(row(), 1)]  # opened anew
    store.forget(7)


def test_the_rows_of_a_domain_are_bounded(store: ReportStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_ROWS >= 1000
    monkeypatch.setattr(store_reports, "MAX_ROWS", 10)
    for number in range(30):
        store.add(5, published(), row(source_ip=f"192.0.2.{number}"))
    store.add(5, published(), row(source_ip="192.0.2.3"))
    assert len(store.rows(5, "example.com")) == 10
    assert store.rows(5, "example.com")[0] == (row(source_ip="192.0.2.3"), 2)


def test_threads_lose_nothing(store: ReportStore) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.add(5, published(), row(source_ip=f"192.0.2.{number % 4}")), range(200)))
    assert sum(count for _, count in store.rows(5, "example.com")) == 200


PROGRAM = """
import os, sys
from mailauth.dmarc.reports import Published, Row
from mailauth.stores import open_report_store
store = open_report_store(sys.argv[1])
def add(number):
    domain = f"d{number % 2}.example"
    published = Published(domain, "none", None, None, "r", "r", "0", "n", ("mailto:agg@example.com",))
    store.add(7, published, Row(f"192.0.2.{number % 4}", "none", "pass", "fail", domain))
"""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store whose tables are not there yet."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path}/results.db"
    import psycopg

    server: Server = request.getfixturevalue("postgres_server")
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS dmarc_rows, dmarc_domains")
    return server.url


def test_processes_that_begin_at_once_lose_nothing(new_url: str) -> None:
    """Each finds no tables, and one of them makes these."""
    program = PROGRAM + "sys.stdin.readline()\nfor number in range(20): add(number)"
    words = [sys.executable, "-c", program, new_url]
    started = [subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
    for process in started:
        assert (process.communicate()[1], process.returncode) == ("", 0)
    store = open_report_store(new_url)
    assert sum(count for each in store.domains(7) for _, count in store.rows(7, each.domain)) == 6 * 20
    store.close()


def test_a_forked_child_gets_a_connection_of_its_own(new_url: str) -> None:
    program = (
        PROGRAM
        + """
add(0)
child = os.fork()
for _ in range(20):
    add(0)
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert [count for _, count in store.rows(7, "d0.example")] == [41]
store.close()
"""
    )
    words = [sys.executable, "-W", "error", "-c", program, new_url]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.server
def test_a_database_that_does_not_answer_holds_nobody_for_ever(postgres_server: Server) -> None:
    store = open_report_store(f"{postgres_server.url}?time_limit=0.3")
    store.forget(1 << 30)
    store.add(7, published(), row())
    postgres_server.freeze()
    try:
        with pytest.raises(TimeoutError):
            store.add(7, published(), row())
    finally:
        postgres_server.thaw()
    store.add(7, published(), row())
    postgres_server.stop(signal.SIGKILL)
    postgres_server.start()
    store.add(7, published(), row())
    assert sum(count for _, count in store.rows(7, "example.com")) >= 3
    store.close()


def test_a_file_that_was_removed_is_made_anew(tmp_path: Path) -> None:
    store = open_report_store(f"sqlite:{tmp_path}/results.db")
    store.add(7, published(), row())
    for path in tmp_path.iterdir():
        path.unlink()
    store.add(7, published(), row())
    assert store.rows(7, "example.com") == [(row(), 1)]
    other = open_report_store(f"sqlite:{tmp_path}/results.db")
    assert other.rows(7, "example.com") == [(row(), 1)]
    store.close()
    other.close()


def test_a_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/greylist.db"
    greylist = open_store(url)
    assert greylist.compare_and_set("key", None, Record(State.WAITING, 1.0, 2.0, 1, 0, 5000))
    with pytest.raises(MailAuthError, match="another program"):
        open_report_store(url).add(7, published(), row())
    greylist.close()


def test_other_kinds_of_stores_are_refused() -> None:
    for url in ("memory:", "redis://localhost/0"):
        with pytest.raises(ValueError, match="sqlite: or postgresql:"):
            open_report_store(url)


# --- the report -------------------------------------------------------------------------------------------

ROWS = [
    (row(reasons=(("local_policy", ""), ("other", "why <&> not"))), 3),
    (row(disposition="pass", source_ip="2001:db8::1", spf_result=("example.com", "pass"), envelope_from="example.com",
         dkim_results=(("example.com", "s1", "pass"), ("x.test", "s2", "permerror"))), 1),
]  # fmt: skip


def test_the_xml_is_what_the_schema_demands() -> None:
    report = make_report(REPORTER, 19_000, published(sp="none", np="reject", fo="1:d", testing="y"), ROWS, errors=["x"])
    SCHEMA.validate(report.xml.decode())
    root = SCHEMA.to_dict(report.xml.decode())
    assert root["policy_published"] == {
        "domain": "example.com", "discovery_method": "treewalk", "p": "reject", "sp": "none", "np": "reject",
        "adkim": "r", "aspf": "r", "fo": "1:d", "testing": "y",
    }  # fmt: skip
    assert [record["row"]["count"] for record in root["record"]] == [3, 1]
    assert root["report_metadata"]["date_range"] == {"begin": 19_000 * DAY, "end": 19_001 * DAY - 1}
    assert gzip.decompress(report.compressed) == report.xml
    again = make_report(REPORTER, 19_000, published(sp="none", np="reject", fo="1:d", testing="y"), ROWS, errors=["x"])
    assert again == report


def test_the_mail() -> None:
    """RFC 9990 section 3.5.2: subject, file name and media type by its ABNF."""
    report = make_report(REPORTER, 19_000, published(), ROWS, recipients=["agg@example.com", "b@example.com"])
    mail = email.message_from_bytes(report.message, policy=email.policy.SMTP)
    assert re.fullmatch(
        r"Report\s+Domain:\s+example\.com\s+Submitter:\s+mail\.receiver\.example\s+Report-ID:\s+<(\S+)>",
        mail["Subject"],
    )
    assert mail["To"] == "agg@example.com, b@example.com"
    assert mail["From"] == REPORTER.email
    (attachment,) = mail.iter_attachments()
    assert attachment.get_content_type() == "application/gzip"
    begin, end = 19_000 * DAY, 19_001 * DAY - 1
    assert attachment.get_filename() == report.filename == f"mail.receiver.example!example.com!{begin}!{end}.xml.gz"
    assert gzip.decompress(attachment.get_content()) == report.xml
    assert report.message.count(b"\n") == report.message.count(b"\r\n")
    assert max(map(len, report.message.split(b"\r\n"))) < 998
    assert make_report(REPORTER, 19_000, published(), ROWS).message == b""


@pytest.mark.parametrize("domain", ["a.example", "x." * 120 + "example.com", ".".join(["y" * 60] * 4)])
def test_the_subject_is_never_encoded(domain: str) -> None:
    """The ABNF of section 3.5.2 has no encoded words, however long the names are."""
    reporter = Reporter("r" * 60 + ".example", "Répört & <Co>", "postmaster@receiver.example")
    report = make_report(
        reporter, 19_000, published(domain=domain), ROWS, recipients=["agg@example.com", "b@a.example"]
    )
    fields = report.message.partition(b"\r\n\r\n")[0].decode("ascii")
    submitter, report_id = f"Submitter: {reporter.domain}", f"Report-ID: <2022-01-08_{domain}@{reporter.domain}>"
    assert f"\r\nSubject: Report Domain: {domain}\r\n {submitter}\r\n {report_id}\r\n" in fields
    assert report.message.isascii()  # a server without 8BITMIME takes it as well (RFC 6152)
    mail = email.message_from_bytes(report.message, policy=email.policy.SMTP)
    assert mail["To"] == "agg@example.com, b@a.example"
    assert "Répört & <Co>" in mail.get_body().get_content()  # type: ignore[union-attr]
    assert next(mail.iter_attachments()).get_filename() == report.filename
    assert report == make_report(reporter, 19_000, published(domain=domain), ROWS, recipients=report.recipients)


def test_a_report_has_a_row() -> None:
    """RFC 9990 section 3.1.1.2: at least one record."""
    with pytest.raises(ValueError, match="one row at least"):
        make_report(REPORTER, 1, published(), [])
    with pytest.raises(ValueError, match="no address"):
        make_report(REPORTER, 1, published(), ROWS, recipients=["a\r\nBcc: b@example.com"])


def test_a_reporter_is_written_in_a_labels() -> None:
    reporter = Reporter("Bücher.example.", "Bücher", "postmaster@bücher.example")
    assert (reporter.domain, reporter.email) == ("xn--bcher-kva.example", "postmaster@xn--bcher-kva.example")


def test_a_row_is_bounded_whatever_was_signed() -> None:
    dkim = [Dkim("example.com", "pass", "s"), *[Dkim("x" * 60 + ".test", "permerror", "s" * 10_000)] * 100]
    row = row_of(evaluate(zone({"example.com": RUA}), "example.com", dkim=dkim), CLIENT)
    assert row.dkim_results[0] == ("example.com", "s", "pass")
    assert len(row.to_json()) < 8000


@given(st.text(max_size=30), st.text(max_size=30))
def test_nothing_from_a_peer_breaks_the_xml(one: str, other: str) -> None:
    """Whatever a peer put into a row, the XML of the report is well-formed and has that row."""
    hostile = row(header_from=one, envelope_from=other, dkim_results=((one, other, "fail"),), reasons=(("other", one),))
    assert Row.from_json(hostile.to_json()) == hostile
    report = make_report(REPORTER, 1, published(), [(hostile, 1)])
    SCHEMA.validate(report.xml.decode())


@pytest.mark.parametrize("wrong", [("no host", "x", "a@b.example"), ("a.example", "", "a@b.example"),
                                   ("a.example", "x", "nobody"), ("a.example", "x\n", "a@b.example"),
                                   ("a.example", "x", "a b@c.example"), ("a.example", "x", "(@c.example")])  # fmt: skip
def test_a_reporter_that_cannot_be_one(wrong: tuple[str, str, str]) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        Reporter(*wrong)


# --- where it goes ----------------------------------------------------------------------------------------


def destinations(
    rua: tuple[str, ...], more: dict[tuple[str, str], list[str]], failures: Any = None
) -> tuple[list[str], list[str], list[str]]:
    known = {("_dmarc.example.com", "TXT"): ["v=DMARC1; p=none"], ("_dmarc.example.net", "TXT"): ["v=DMARC1; p=none"]}
    found = run(recipients_of(published(rua=rua)), ZoneResolver({**known, **more}, failures=failures))
    return list(found.addresses), list(found.refused), list(found.unknown)


def goes_to(rua: tuple[str, ...], more: dict[tuple[str, str], list[str]], failures: Any = None) -> list[str]:
    return destinations(rua, more, failures)[0]


PERMIT = ("example.com._report._dmarc.red.example.net", "TXT")
RED = ("mailto:agg@red.example.net",)


def test_destinations_are_verified() -> None:
    """RFC 9990 section 4, step by step."""
    assert goes_to(("mailto:agg@mail.example.com?subject=x", "https://example.com/r"), {}) == ["agg@mail.example.com"]
    assert goes_to(RED, {}) == []
    assert goes_to(RED, {PERMIT: ["v=DMARC1"]}) == ["agg@red.example.net"]
    assert goes_to(RED, {}, {PERMIT: "timeout"}) == []
    assert goes_to(RED, {PERMIT: ["v=DMARC1; rua=mailto:new@red.example.net"]}) == ["new@red.example.net"]
    assert goes_to(RED, {PERMIT: ["v=DMARC1; rua=mailto:x@victim.test"]}) == []
    many = tuple(f"mailto:a{number}@example.com" for number in range(30))
    assert goes_to(many, {}) == [f"a{number}@example.com" for number in range(5)]


def test_step_9_a_host_of_the_same_organization_is_not_asked_for_another_address() -> None:
    """The verification is for hosts of other organizations; what such a record says binds nobody here."""
    permit = {("example.com._report._dmarc.mail.example.com", "TXT"): ["v=DMARC1; rua=mailto:x@victim.test"]}
    assert goes_to(("mailto:agg@mail.example.com",), permit) == ["agg@mail.example.com"]


def test_step_9_another_scheme_is_no_address() -> None:
    assert goes_to(RED, {PERMIT: ["v=DMARC1; rua=https://red.example.net/reports"]}) == []


def test_what_a_dns_error_hides_is_neither_taken_nor_refused() -> None:
    assert destinations(RED, {}) == ([], ["red.example.net"], [])
    assert destinations(RED, {}, {PERMIT: "timeout"}) == ([], [], ["red.example.net"])
    inside, error = ("mailto:agg@mail.example.com",), {("_dmarc.mail.example.com", "TXT"): "servfail"}
    assert destinations(inside, {}, error) == ([], [], ["mail.example.com"])
    # Neither organization is known, which does not make them the same.
    assert destinations(RED, {}, {("_dmarc.com", "TXT"): "servfail", ("_dmarc.net", "TXT"): "servfail"})[2] == [
        "red.example.net"
    ]
    both = (*RED, "mailto:agg@example.com")
    assert destinations(both, {}, {PERMIT: "timeout"}) == (["agg@example.com"], [], ["red.example.net"])


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("mailto:dmarc%21reports@example.com", "dmarc!reports@example.com"),  # RFC 9989 wants "!" and "," encoded
        ("MAILTO:agg+dmarc@EXAMPLE.com?subject=x", "agg+dmarc@example.com"),
        ("mailto:agg%40example.com@example.com", None),
        ("mailto:a%0D%0ABcc:b@example.com", None),
        ("mailto:(a)@example.com", None),
        ("mailto:%22a%20b%22@example.com", None),
        ("mailto:a..b@example.com", None),
        ("mailto:agg@[192.0.2.1]", None),
        (f"mailto:{'a' * 65}@example.com", None),
    ],
)
def test_an_address_is_what_the_uri_stands_for(uri: str, address: str | None) -> None:
    """RFC 6068 section 2; anything but a plain address is malformed here, and ignored (RFC 9990 section 3.5)."""
    assert goes_to((uri,), {}) == ([] if address is None else [address])


@given(st.text("ab.~:/#[]@$&'()*+;=-%0ADd<> \"", max_size=12))
def test_no_record_makes_a_mail_that_cannot_be_written(local_part: str) -> None:
    """Whatever a domain's record says, a mail with the report is one that can be sent, or there is none."""
    addresses = goes_to((f"mailto:{local_part}@example.com",), {})
    report = make_report(REPORTER, 1, published(), ROWS, recipients=addresses)
    if addresses:
        head = email.message_from_bytes(report.message, policy=email.policy.SMTP)
        assert [str(each) for each in head["To"].addresses] == addresses
        assert head["Bcc"] is None


# --- in the whole -----------------------------------------------------------------------------------------


def world(record: str) -> ZoneResolver:
    mine: Any = {**records(), ("_dmarc.example.org", "TXT"): [record]}
    return ZoneResolver(mine)


@pytest.mark.parametrize("facade", FACADES, ids=lambda facade: facade.name)
def test_an_authenticator_adds_up(facade: Facade, tmp_path: Path) -> None:
    store = open_report_store(f"sqlite:{tmp_path}/results.db")
    zone = world("v=DMARC1; p=reject; rua=mailto:a@example.org")
    facts = {"ip": STRANGER, "helo": "mx.example.org", "mail_from": "ann@example.org", "rcpt_to": [BOB], "now": NOW}
    reporting = facade.authenticator(
        resolver=zone, dmarc_reports=store, restrictions=Restrictions(data=[check_dmarc()])
    )
    rejecting = facade.authenticator(
        resolver=zone, dmarc_reports=store, restrictions=Restrictions(data=[check_dmarc(reject=True)])
    )
    facade.run(reporting.check(signed(), **facts))
    facade.run(reporting.check(PLAIN, **facts))
    facade.run(rejecting.check(PLAIN, **facts))
    facade.run(reporting.check(PLAIN, **facts, authenticated="ann"))  # her own mail, from her own address
    session = rejecting.session(STRANGER)
    for step in (session.helo("mx.example.org", now=NOW), session.mail("ann@example.org", now=NOW)):
        facade.run(step) if facade.name != "sync" else None
    facade.run(session.rcpt(BOB, now=NOW))
    facade.run(session.data(PLAIN, now=NOW))
    counted = {(row.disposition, row.dkim, row.reasons): count for row, count in store.rows(TODAY, "example.org")}
    assert counted == {
        ("pass", "pass", ()): 1,
        ("none", "fail", (("local_policy", ""),)): 1,
        ("reject", "fail", ()): 2,
    }
    store.close()


@pytest.mark.parametrize("facade", FACADES, ids=lambda facade: facade.name)
def test_a_store_that_fails_does_no_harm(facade: Facade, caplog: pytest.LogCaptureFixture) -> None:
    store = open_report_store("sqlite:/nowhere/at/all.db")
    zone = world("v=DMARC1; p=reject; rua=mailto:a@example.org")
    auth = facade.authenticator(resolver=zone, dmarc_reports=store)
    assert facade.run(auth.check(signed(), ip=STRANGER, now=NOW)).dmarc.result == "pass"
    assert "was not kept for reports" in caplog.text


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url, out = f"sqlite:{tmp_path}/results.db", tmp_path / "out"
    store = open_report_store(url)
    day = int(datetime(2026, 11, 26, tzinfo=UTC).timestamp() // DAY)
    store.add(day, published(rua=("mailto:(a@example.com", "mailto:agg@example.com")), row())
    for _ in range(2):
        store.add(day, published(domain="blue.example", rua=("mailto:agg@red.example.net",)), row())
    store.add(day, published(domain="web.example", rua=("https://web.example/",)), row())
    store.close()
    words = ["dmarc", "report", "--store", url, "--day", "2026-11-26", "--output", str(out), "--domain", "mx.example"]
    (tmp_path / "zone").write_text('$TTL 60\n_dmarc.example.com. TXT "v=DMARC1; p=none"\n')
    assert main([*words, "--zone", str(tmp_path / "zone")]) == 0
    lines = [line.partition(".xml.gz: ")[2] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "2 messages, for nobody; not agreed to take it: red.example.net",
        "1 message, for agg@example.com",
        "1 message, for nobody; rua= names no address that mail could go to",
    ]
    files = sorted(path.name for path in out.iterdir())
    assert [name.rsplit(".", 1)[-1] for name in files] == ["gz", "eml", "gz", "gz"]
    SCHEMA.validate(gzip.decompress((out / files[0]).read_bytes()).decode())
    assert main([*words, "--zone", str(tmp_path / "zone"), "--json", "--forget", "0"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["recipients"] for each in found] == [[], ["agg@example.com"], []]
    assert found[1]["mail"] == found[1]["file"].replace(".xml.gz", ".eml")
    for wrong in (["--day", "2026-11-31"], ["--forget", "-1"]):
        with pytest.raises(SystemExit):
            main([*words, *wrong])
    assert main(["dmarc", "report", "--store", "memory:", *words[4:]]) == 2
    assert main([*words[:4], "--day", "2020-01-01", *words[6:]]) == 0
    assert "no results for that day" in capsys.readouterr().out


def test_the_command_says_what_could_not_be_looked_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that DNS hides has not refused: the exit status asks to run it again."""
    url = f"sqlite:{tmp_path}/results.db"
    store = open_report_store(url)
    store.add(5, published(rua=("mailto:agg@example.com", *RED)), row())
    store.close()
    silent = ZoneResolver({("_dmarc.example.com", "TXT"): ["v=DMARC1; p=none"]}, failures={PERMIT: "timeout"})
    monkeypatch.setattr("mailauth.cli.dmarc.resolver_of", lambda options: silent)
    words = [
        "dmarc",
        "report",
        "--store",
        url,
        "--day",
        "1970-01-06",
        "--output",
        f"{tmp_path}/out",
        "--domain",
        "mx.example",
    ]
    assert main(words) == 1
    assert capsys.readouterr().out.endswith(
        "1 message, for agg@example.com; could not be looked up, run this again: red.example.net\n"
    )
    (tmp_path / "results.db").write_bytes(b"no database" * 100)
    assert main(words) == 2
    assert capsys.readouterr().err == "mailauth: the store failed: file is not a database\n"
