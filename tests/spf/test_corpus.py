"""The corpus: what is wrong is found, what is right is left alone, and check says what lint says."""

from __future__ import annotations

import pytest

from mailauth.plan import run
from mailauth.spf import check_host, lint, lint_text
from mailauth.spf.advice import is_valid
from tests.spf.corpus import CASES, DOMAIN, Case, written

STRANGERS = ("203.0.113.250", "2001:db8:ffff::1")
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def test_the_corpus_is_whole() -> None:
    assert [case.number for case in CASES] == list(range(1, len(CASES) + 1))
    assert len(CASES) >= 240
    assert sum(not case.findings for case in CASES) >= 30
    assert all(case.verdict for case in CASES)


@each_case
def test_findings(case: Case) -> None:
    """Exactly those that the file says, in the order of the record: none is missing, and there is no false alarm."""
    report = run(lint(DOMAIN), case.zone)
    assert [written(finding) for finding in report.findings] == case.findings
    assert report.verdict == case.verdict


@each_case
def test_a_finding_says_where_it_is(case: Case) -> None:
    """The record, its text, the term in it, and who includes it."""
    report = run(lint(DOMAIN), case.zone)
    records = {record.domain: record for record in report.tree.records()}
    for finding in report.findings:
        assert finding.words.isprintable()
        assert finding.words
        if finding.length:
            record = records[finding.domain]
            assert finding.record == record.text
            assert finding.term in finding.record
            marked = finding.record[finding.start : finding.start + finding.length]
            assert marked in finding.term
            assert finding.path == record.path
        for domain, term in finding.path:
            assert term in (records[domain].text or "")


@each_case
def test_check_says_what_the_verdict_says(case: Case) -> None:
    """Clients whom nothing matches get the error that the last line speaks of, and no error where it speaks of none."""
    report = run(lint(DOMAIN), case.zone)
    results = [run(check_host(ip, mail_from="ann@example.org"), case.zone).result for ip in STRANGERS]
    expected = report.verdict.partition("receivers give ")[2].partition(" ")[0]
    if expected:
        assert expected in results
    elif any(finding.code == "too-many-void-lookups" for finding in report.findings):
        assert "permerror" not in results[:1]  # the note is about IPv6
    elif report.complete:
        assert not {"none", "temperror", "permerror"}.intersection(results)


@each_case
def test_a_proposal_mends(case: Case) -> None:
    """With the proposal in place of the term, the finding is gone; a whole record that is proposed is valid."""
    for finding in run(lint(DOMAIN), case.zone).findings:
        if not finding.proposal:
            continue
        if not finding.term:
            assert is_valid(finding.proposal)
            continue
        start = finding.record.index(finding.term)
        repaired = finding.record[:start] + finding.proposal + finding.record[start + len(finding.term) :]
        left = {(each.code, each.term) for each in lint_text(repaired, finding.domain)}
        assert (finding.code, finding.term) not in left
        assert is_valid(repaired) or any(each.severity == "error" for each in lint_text(repaired))
