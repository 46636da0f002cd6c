"""The evaluation against a slow, obvious one, on random trees of records with errors among them."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mailauth.dmarc import parse_record, walk_names
from mailauth.resolvers import ZoneResolver
from tests.dmarc.world import Counting, Dkim, Spf, evaluate, zone

LABELS = ["a", "b", "c"]
SUFFIX = "example.com"
domains = st.lists(st.sampled_from(LABELS), max_size=10).map(lambda labels: ".".join([*labels, SUFFIX]))
names = st.one_of(domains, st.sampled_from(["com", SUFFIX, "other.test"]))
records = st.sampled_from(
    [
        "v=DMARC1; p=reject",
        "v=DMARC1; p=none; sp=reject",
        "v=DMARC1; p=reject; psd=n",
        "v=DMARC1; p=quarantine; psd=y; sp=none",
        "v=DMARC1; p=reject; adkim=s",
        "v=DMARC1; p=reject; np=none; sp=quarantine",
        "v=DMARC1; p=bad",
        "v=spf1 -all",
    ]
)


class Unknown(Exception):
    """A DNS error hides it."""


def organizational(domain: str, published: dict[str, str], failed: set[str]) -> str:
    """Sections 4.10 and 4.10.2, one name after the other."""
    labels = domain.split(".")
    rest = labels[1:] if len(labels) < 8 else labels[-7:]
    order = [domain] + [".".join(rest[i:]) for i in range(len(rest))]
    fewest = None
    for name in order:
        if name in failed:
            raise Unknown
        text = published.get(name, "")
        if not text.startswith("v=DMARC1"):
            continue
        if "psd=n" in text:
            return name
        if "psd=y" in text and name != domain:
            below = len(name.split(".")) + 1
            return ".".join(labels[-below:])
        fewest = name
        if "psd=y" in text:
            break
    return fewest or domain


def reference(author: str, passed: list[str], published: dict[str, str], failed: set[str]) -> str:
    if author not in failed and published.get(author, "").startswith("v=DMARC1"):
        text = published[author]
    else:
        try:
            top = organizational(author, published, failed)
        except Unknown:
            return "temperror"
        text = published.get(top, "") if top != author else ""
        if not text.startswith("v=DMARC1"):
            walked = [name for name in walk_names(author)[1:] if "psd=" in published.get(name, "")]
            text = published[walked[0]] if walked and "psd=y" in published[walked[0]] else ""
    if not text:
        return "none"
    if "p=bad" in text:
        return "none"
    unknown = False
    for domain in passed:
        if domain == author:
            return "pass"
    for domain in passed:
        if "adkim=s" in text:
            continue
        try:
            ours = organizational(author, published, failed)
        except Unknown:
            unknown = True
            continue
        if not (domain == ours or domain.endswith("." + ours)):
            continue  # its organizational domain is itself or above it
        try:
            if organizational(domain, published, failed) == ours:
                return "pass"
        except Unknown:
            unknown = True
    return "temperror" if unknown else "fail"


@settings(max_examples=600)
@given(
    domains,
    st.lists(names, max_size=4),
    st.dictionaries(names, records, max_size=6),
    st.sets(names, max_size=1),
)
def test_it_says_what_the_reference_says(
    author: str, passed: list[str], published: dict[str, str], failed: set[str]
) -> None:
    """Any tree, with failures, has the result of the reference, in eight questions a walk at most."""
    resolver = Counting(zone(published, dict.fromkeys(failed, "servfail")))
    result = evaluate(resolver, author, dkim=[Dkim(domain) for domain in passed])
    assert result.result == reference(author, passed, published, failed), result
    assert len(resolver.asked) == len(set(resolver.asked)) == result.queries
    assert len([name for name in resolver.asked if name.startswith("_dmarc.")]) <= 8 * (1 + len(passed))


@settings(max_examples=300)
@given(
    domains,
    st.lists(st.tuples(names, st.sampled_from(["pass", "pass", "fail", "temperror"])), max_size=3),
    st.dictionaries(names, records, max_size=6),
    st.data(),
)
def test_what_the_dns_does_not_say_changes_no_result_but_to_temperror(
    author: str, signed: list[tuple[str, str]], published: dict[str, str], data: st.DataObject
) -> None:
    """Section 5.3.6, for each set of questions that go unanswered; and a fail keeps its policy."""
    dkim = [Dkim(domain, outcome) for domain, outcome in signed]
    resolver = Counting(zone(published))
    whole = evaluate(resolver, author, dkim=dkim)
    silent = data.draw(st.sets(st.sampled_from(resolver.asked), max_size=3))
    failures: Any = {tuple(question.rsplit(" ", 1)): "timeout" for question in silent}
    known: Any = {(f"_dmarc.{domain}", "TXT"): [text] for domain, text in published.items()}
    found = evaluate(ZoneResolver(known, failures=failures), author, dkim=dkim)
    assert found.result in (whole.result, "temperror")
    if found.result == "fail":
        assert (found.policy, found.disposition, found.policy_domain) == (
            whole.policy, whole.disposition, whole.policy_domain,
        )  # fmt: skip


texts = st.one_of(st.text(max_size=40), names)


@given(texts, texts, texts, st.sampled_from(["pass", "fail", "temperror", "", "x"]), st.binary(max_size=60))
def test_anything_has_a_result(author: str, spf: str, dkim: str, outcome: str, record: bytes) -> None:
    """Any texts as author, identifiers and record have a result with printable words."""
    resolver = zone({SUFFIX: b"v=DMARC1;" + record} if record else {})  # type: ignore[dict-item]
    found = evaluate(resolver, author, Spf(spf, outcome), [Dkim(dkim, outcome)] * 3)
    assert found.detail.isprintable()
    str(found.to_dict())
    parse_record(record)
