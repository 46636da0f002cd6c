"""docs/conformance: each statement has code and a test that cite it, or a reason; none of an RFC's is left out."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs.tools import conformance
from docs.tools.conformance import Document, Statement, cited
from docs.tools.count_statements import KEYWORD, keywords_of

ROOT = Path(__file__).parents[2]
DOCUMENTS = conformance.documents()
each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=[f"rfc{each.rfc}" for each in DOCUMENTS])


def statements() -> Iterator[tuple[Document, Statement]]:
    """All of them."""
    return ((document, statement) for document in DOCUMENTS for statement in document.statements)


each_statement = pytest.mark.parametrize(
    ("document", "statement"),
    list(statements()),
    ids=[f"rfc{document.rfc}-{statement.id}" for document, statement in statements()],
)


def test_there_are_statements() -> None:
    assert len(list(statements())) > 10


@each_document
def test_every_keyword_of_the_rfc_is_accounted_for(document: Document) -> None:
    covered = +document.covered
    assert {
        section: (document.keywords.get(section, 0), covered[section])
        for section in document.keywords.keys() | covered.keys()
        if document.keywords.get(section, 0) != covered[section]
    } == {}, "sections with (keywords in the RFC, keywords in the entries)"


@each_document
def test_every_statement_has_a_number_of_its_own(document: Document) -> None:
    ids = [statement.id for statement in document.statements]
    assert sorted(ids) == sorted(set(ids))
    assert all(re.fullmatch(r"[0-9A-Z]+(\.[0-9]+)*-[0-9]+", each) for each in ids)


@each_statement
def test_it_has_code_and_test_or_a_reason(document: Document, statement: Statement) -> None:
    assert bool(statement.by) == bool(statement.shown), "code and test go together"
    assert statement.by or statement.reason
    assert statement.says
    assert KEYWORD.fullmatch(statement.level) or (statement.level == "states" and statement.keywords == 0)


@each_statement
def test_what_it_names_is_there_and_cites_it(document: Document, statement: Statement) -> None:
    places = {
        **{dotted: conformance.code(dotted) for dotted in statement.by},
        **{name: conformance.shown(name) for name in statement.shown},
    }
    assert [name for name, place in places.items() if place is None] == []
    if places:
        assert any(place.cites(document.rfc, statement.section) for place in places.values() if place is not None), (
            f"none of {', '.join(places)} names RFC {document.rfc} section {statement.section}"
        )


def test_the_parameters_that_are_named_exist() -> None:
    named = sorted({node for _, statement in statements() for node in statement.shown if "[" in node})
    files = sorted({node.partition("::")[0] for node in named})
    if not files:
        return
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n0", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    collected = set(done.stdout.splitlines())
    assert [node for node in named if node not in collected] == []


@pytest.mark.parametrize("path", conformance.pages(), ids=lambda path: path.name)
def test_the_pages_are_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == conformance.pages()[path], "write it anew: make conformance"


@each_document
def test_the_page_is_on_the_site(document: Document) -> None:
    assert f"conformance/rfc{document.rfc}.md" in (ROOT / "mkdocs.yml").read_text()
    # Five columns of code are unreadable on a phone without a style of their own.
    assert 'class="statements"' in conformance.page(document)
    assert ".statements td" in (ROOT / "docs/css/site.css").read_text()


class TestCitations:
    @pytest.mark.parametrize(
        ("text", "section"),
        [
            ("# RFC 7208 section 4.6.4; erratum 5227", "4.6.4"),
            ("# RFC 7208, 4.6.4", "4.6.4"),
            ("RFC 7208 sections 5.5 and 7.3", "7.3"),
            ("RFC 7208 sections 5.5, 6 and 7.3", "6"),
            ("Sections 2 to 4 of RFC 7208.", "3"),
            ("RFC 7208 sections 4.1 to 4.3", "4.2"),
            ("# RFC 7208\n    # section 4.6.4", "4.6.4"),
            ("RFC 7208. Words. RFC 5321 section 2. Section 8.2: neutral", "8.2"),
            ("RFC 7208 appendix A", "A"),
            ("RFC 7208.\nclass T:\n    def test_4_6_4_ten_lookups(self) -> None: ...", "4.6.4"),
        ],
    )
    def test_forms(self, text: str, section: str) -> None:
        assert (7208, section) in cited(text)

    @pytest.mark.parametrize("text", ["RFC 5321 section 4.6.4", "4.6.4", "section 4.6.4", "RFC 7208", ""])
    def test_no_citation(self, text: str) -> None:
        assert (7208, "4.6.4") not in cited(text)


class TestPlaces:
    @pytest.mark.parametrize(
        "dotted",
        [
            "mailauth.spf.check.check_host",
            "mailauth.spf.policy.SpfPolicy",
            "mailauth.spf.policy.SpfPolicy.max_lookups",
            "mailauth.spf.policy",
            "mailauth.spf",
        ],
    )
    def test_found(self, dotted: str) -> None:
        assert conformance.code(dotted) is not None

    @pytest.mark.parametrize("dotted", ["mailauth.spf.check.checks_host", "mailauth.spf.cheque.check_host", "os.path"])
    def test_not_found(self, dotted: str) -> None:
        assert conformance.code(dotted) is None

    def test_tests(self) -> None:
        here = "tests/docs/test_conformance.py"
        assert conformance.test(f"{here}::TestPlaces::test_tests") is not None
        assert conformance.test(f"{here}::TestPlaces::test_testes") is None
        assert conformance.test(f"{here}::TestCitations::test_forms[x]") is not None
        assert conformance.test(here) is None

    def test_cases(self) -> None:
        one, group = conformance.shown("spf/6.2-whose/02"), conformance.shown("spf/6.2-whose")
        assert one is not None
        assert one.cites(7208, "6.2")
        assert group is not None
        assert conformance.shown("spf/6.2-whose/99") is None
        assert conformance.shown("spf/6.2-who") is None


class TestCounting:
    def test_an_rfc(self) -> None:
        text = (
            "RFC 9999        Title        May 2026\n\n\nTable of Contents\n\n   1. Introduction ....1\n\n"
            '1.  Introduction\n\n   The key words "MUST", "MUST NOT" and "MAY" are to be\n   interpreted.\n\n'
            "2.1.  First\n\n   A MUST\n   NOT happen.  It may.  B SHOULD, and\n\n\n\n"
            "Author                  Standards Track                    [Page 1]\n\f\n"
            "RFC 9999                     MUST                        May 2026\n\n\n   C MAY.\n\n"
            "Appendix A.  More\n\nA.1.  Still More\n\n   It is NOT RECOMMENDED.\n"
        )
        assert [(each.section, each.word) for each in keywords_of(text)] == [
            ("2.1", "MUST NOT"),
            ("2.1", "SHOULD"),
            ("2.1", "MAY"),
            ("A.1", "NOT RECOMMENDED"),
        ]
