"""Statements of RFC 9989 that stand beside the evaluation: each test is named by its section (docs/conformance.md)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.dmarc import DmarcRecord, build_record, lint
from mailauth.dmarc.reports import make_report, published_of
from mailauth.plan import run
from mailauth.resolvers import ZoneResolver
from tests.dmarc.test_reports import REPORTER, ROWS
from tests.dmarc.world import Dkim, Spf, evaluate, zone

FULL = "p=reject; sp=quarantine; np=none; adkim=s; aspf=s; psd=n; t=y; rua=mailto:a@example.org"


@pytest.mark.parametrize(
    "unknown", ["x=1", "pct=0", "rf=afrf; ri=1", "policy=none", "zz=v=DMARC1", "pp=none; ps=none", "pp=none; pp=none"]
)
def test_4_7_unknown_tags_change_nothing(unknown: str) -> None:
    """RFC 9989 sections 4.7 and 4.8, wherever the tag stands."""
    known = DmarcRecord.parse(f"v=DMARC1; {FULL}")
    for text in (f"{unknown}; {FULL}", f"{FULL}; {unknown}", FULL.replace("; adkim", f"; {unknown}; adkim")):
        assert DmarcRecord.parse(f"v=DMARC1; {text}") == known


@pytest.mark.parametrize(
    ("policies", "exists", "missing"),
    [
        ("p=reject", "reject", "reject"),
        ("p=reject; sp=none", "none", "none"),
        ("p=reject; np=none", "reject", "none"),
        ("p=reject; sp=quarantine; np=none", "quarantine", "none"),
    ],
)
def test_4_7_what_applies_to_subdomains(policies: str, exists: str, missing: str) -> None:
    """RFC 9989 section 4.7, np= and sp=."""
    resolver = zone({"example.com": f"v=DMARC1; {policies}", "x.here.example.com": "something else"})
    assert evaluate(resolver, "here.example.com").policy == exists
    assert evaluate(resolver, "gone.example.com").policy == missing
    assert evaluate(resolver, "example.com").policy == "reject"


def test_4_7_reports_are_made_in_test_mode() -> None:
    """RFC 9989 section 4.7, t=: it does not affect reports, which tell of it."""
    for t in ("n", "y"):
        resolver = zone({"example.com": f"v=DMARC1; p=reject; rua=mailto:a@example.com; t={t}"})
        published = published_of(evaluate(resolver, "example.com", Spf("other.example")))
        assert published is not None
        assert (published.p, published.testing, published.rua) == ("reject", t, ("mailto:a@example.com",))
        assert f"<testing>{t}</testing>".encode() in make_report(REPORTER, 1, published, ROWS).xml


# RFC 9989 section 4.8, word for word; URIs as far as mailto goes.
WSP = r"[ \t]*"
TAG = rf"[A-Za-z]+{WSP}={WSP}[\x20-\x3a\x3c-\x7e]+"
GRAMMAR = re.compile(rf"[vV]{WSP}={WSP}DMARC1(?:{WSP};{WSP}{TAG})*(?:{WSP};{WSP})?\Z")


@given(
    st.sampled_from(["none", "quarantine", "reject"]),
    st.none() | st.sampled_from(["none", "reject"]),
    st.booleans(),
    st.lists(st.from_regex(r"[a-z!%=/+]{1,10}@[a-z]{1,8}\.example", fullmatch=True), max_size=3),
    st.sampled_from(["0", "1:d:s", "d"]),
)
def test_4_8_what_is_written_has_the_form_of_the_grammar(
    p: str, sp: str | None, t: bool, rua: list[str], fo: str
) -> None:
    """Any parts: a record of the grammar, whose URIs hold neither comma nor exclamation mark."""
    record = build_record(p=p, sp=sp, t=t, rua=rua, ruf=rua, fo=fo if rua else "0")
    assert GRAMMAR.match(str(record))
    assert not re.search("[,!]", "".join(record.rua))
    assert DmarcRecord.parse(str(record)) == record


def test_b_2_3_a_third_party_must_agree_to_failure_reports() -> None:
    """RFC 9989 appendix B.2.3: the name that a receiver asks, and the record that agrees."""
    records = {
        ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=none; rua=mailto:f@example.com; ruf=mailto:a@third.example.net"],
        ("_dmarc.example.net", "TXT"): ["v=DMARC1; p=none"],
    }
    permit = ("example.com._report._dmarc.third.example.net", "TXT")
    assert [each.code for each in run(lint("example.com"), ZoneResolver(records)).findings] == ["not-authorised"]
    agreed = ZoneResolver({**records, permit: ["v=DMARC1"]})
    assert run(lint("example.com"), agreed).findings == ()
    assert evaluate(agreed, "example.com", dkim=[Dkim("example.com")]).result == "pass"
