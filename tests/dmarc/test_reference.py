"""The evaluation against a slow, obvious one, on random trees of records with errors among them."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mailauth.dmarc import parse_record, walk_names
from mailauth.resolvers import RecordingResolver, ZoneResolver
from tests.dmarc.world import Dkim, Spf, asked, evaluate, zone

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
        "v=DMARC1; p=quarantine; aspf=s; t=y",
        "v=DMARC1; p=reject; sp=quarantine; np=reject; t=y",
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


def applied(author: str, published: dict[str, str], failed: set[str]) -> tuple[str, str]:
    """Section 4.10.1: the record that holds for the author, and its domain; nothing where there is none."""
    if author not in failed and published.get(author, "").startswith("v=DMARC1"):
        return published[author], author
    top = organizational(author, published, failed)
    if top != author and published.get(top, "").startswith("v=DMARC1"):
        return published[top], top
    for name in walk_names(author)[1:]:
        text = published.get(name, "")
        if "psd=" in text:
            return (text, name) if "psd=y" in text else ("", "")
    return "", ""


def aligned(author: str, domain: str, strict: bool, published: dict[str, str], failed: set[str]) -> bool:
    """Section 4.4: the same domain, or, unless it has to be the same, the same organizational domain."""
    if domain == author or strict:
        return domain == author
    ours = organizational(author, published, failed)
    # What is not below our organizational domain has another one: itself, or one above it.
    return (domain == ours or domain.endswith("." + ours)) and organizational(domain, published, failed) == ours


def reference(author: str, spf: str | None, dkim: list[str], published: dict[str, str], failed: set[str]) -> str:
    """Section 5.3: the result for a domain that passed SPF and those that passed DKIM."""
    try:
        text, _ = applied(author, published, failed)
    except Unknown:
        return "temperror"
    if not text or "p=bad" in text:
        return "none"
    unknown = False
    for domain, strict in [(domain, "adkim=s" in text) for domain in dkim] + [(spf or "", "aspf=s" in text)]:
        try:
            if domain and aligned(author, domain, strict, published, failed):
                return "pass"
        except Unknown:
            unknown = True
    return "temperror" if unknown else "fail"


def reference_policy(author: str, published: dict[str, str]) -> tuple[str, str, str]:
    """Sections 4.7 and 4.10.1, for a failure: what is asked for, what is left of it, and whose record says so."""
    text, domain = applied(author, published, set())
    tags = dict(tag.split("=") for tag in text.split("; "))
    policy = tags["p"]
    if domain != author:
        policy = tags.get("sp", policy)
        if not any(name == author or name.endswith("." + author) for name in published):  # section 3.2.13
            policy = tags.get("np", policy)
    weaker = {"reject": "quarantine", "quarantine": "none", "none": "none"}
    return policy, weaker[policy] if tags.get("t") == "y" else policy, domain


@settings(max_examples=600)
@given(
    domains,
    st.one_of(st.none(), names),
    st.lists(names, max_size=4),
    st.dictionaries(names, records, max_size=6),
    st.sets(names, max_size=1),
)
def test_it_says_what_the_reference_says(
    author: str, spf: str | None, passed: list[str], published: dict[str, str], failed: set[str]
) -> None:
    """Any tree, with failures, has the result of the reference, in eight questions a walk at most."""
    resolver = RecordingResolver(zone(published, dict.fromkeys(failed, "servfail")))
    dkim = [Dkim(domain) for domain in passed]
    result = evaluate(resolver, author, Spf(spf) if spf else None, dkim)
    assert result.result == reference(author, spf, passed, published, failed), result
    assert len(asked(resolver)) == len(set(asked(resolver))) == result.queries
    walked = [name for name in asked(resolver) if name.startswith("_dmarc.")]
    assert len(walked) <= 8 * (1 + len(passed) + bool(spf))
    if result.result == "fail" and not failed:
        found = (result.policy, result.disposition, result.policy_domain)
        assert found == reference_policy(author, published), result


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
    resolver = RecordingResolver(zone(published))
    whole = evaluate(resolver, author, dkim=dkim)
    silent = data.draw(st.sets(st.sampled_from(asked(resolver)), max_size=3))
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
