"""DMARC on the page: the walk to the policy, and what is aligned with the author, as pictures and in words."""

from __future__ import annotations

from mailauth.dmarc import DmarcResult, Identifier, Visit
from mailauth.mail.names import is_within
from mailauth.page.html import Child, Html, element, join
from mailauth.page.parts import Tone, code, facts, fold, mark, paragraph, section, sentence, table
from mailauth.page.picture import Box, branches, ladder

_MAX_BOXES = 24


def dmarc_section(found: DmarcResult | None, not_made: str = "") -> Html:
    """The evaluation: result, policy, both pictures, and the same as a table."""
    if found is None:
        return section("dmarc", "DMARC", mark("not checked", "none"), paragraph(not_made))
    walk = [visit for visit in found.trace if found.author_domain and is_within(found.author_domain, visit.name)]
    pictures = []
    if walk:
        pictures.append(element("div", element("h3", "Where the policy was found"), walk_picture(walk, found)))
    if found.author_domain:
        pictures.append(element("div", element("h3", "What is aligned with the author"), _alignment(found)))
    return section(
        "dmarc",
        "DMARC",
        mark(found.result.value),
        paragraph(f"{sentence(found.detail)}.", class_="lead"),
        facts(_rows(found)),
        element("div", *pictures, class_="pictures") if pictures else None,
        _identifiers(found.identifiers),
        _others([visit for visit in found.trace if visit not in walk]),
    )


def _rows(found: DmarcResult) -> list[tuple[str, Child]]:
    policy: Child = ""
    if found.policy is not None:
        policy = join(code(f"{found.policy_tag}={found.policy}"), " of ", code(f"_dmarc.{found.policy_domain}"))
    overrides = ", ".join(f"{each.type.replace('_', ' ')} {each.comment}".strip() for each in found.overrides)
    disposition = found.disposition.value if found.policy is not None else ""
    return [
        ("Author", code(found.author_domain) if found.author_domain else ""),
        ("Organizational domain", code(found.organizational_domain) if found.organizational_domain else ""),
        ("Policy", policy),
        ("Asked of the receiver", f"{disposition}{f' ({overrides})' if overrides else ''}"),
        ("Reason", code(found.reason)),
        ("Record", code(found.record) if found.record is not None else ""),
    ]


_WHY = {
    "no-record": "no record",
    "several-records": "several records: all are ignored",
    "dns-error": "the DNS did not answer",
    "duplicate-tag": "invalid: a tag stands twice",
    "too-long": "invalid: too long",
}


def visit_words(visit: Visit) -> str:
    """What was found at a name."""
    if visit.record is None:
        return _WHY.get(visit.why, visit.why.replace("-", " "))
    policies = [f"{tag}={getattr(visit.record, tag)}" for tag in ("p", "sp", "np") if getattr(visit.record, tag)]
    return " ".join([*policies, *([f"psd={visit.record.psd}"] if visit.stops else [])]) or "a record without a policy"


def walk_picture(walk: list[Visit], found: DmarcResult | None = None) -> Html:
    """The names of a walk, the policy that applies marked."""
    boxes = []
    for visit in walk[:_MAX_BOXES]:
        tag = []
        applies = found is not None and visit.name == found.policy_domain
        if applies:
            tag.append("this policy applies")
        if found is not None and visit.name == found.organizational_domain:
            tag.append("organizational domain")
        tone: Tone = "good" if visit.record is not None else "none" if visit.why == "no-record" else "bad"
        boxes.append(Box(f"_dmarc.{visit.name}", visit_words(visit), tone, ", ".join(tag), applies))
    return ladder("The walk up the tree of names", boxes)


def _alignment(found: DmarcResult) -> Html:
    root = Box(found.author_domain or "", "the author's domain in From", "none", "", True)
    boxes = [_identifier_box(each) for each in found.identifiers[:_MAX_BOXES]]
    return branches("Identifiers and the author", root, boxes, "Neither SPF nor DKIM has a domain to compare.")


def _tone(each: Identifier) -> Tone:
    if each.aligned:
        return "good"
    return (
        "bad" if each.result == "pass" and each.aligned is False else "doubt" if each.result == "temperror" else "none"
    )


def _words(each: Identifier) -> str:
    if each.aligned:
        return f"{each.result}, aligned ({each.mode})"
    if each.aligned is None:
        return f"{each.result}: does not count" if each.result != "pass" else "pass; alignment not known"
    return f"{each.result}, not aligned ({each.mode})"


def _identifier_box(each: Identifier) -> Box:
    tag = "SPF, MAIL FROM" if each.method == "spf" else f"DKIM, d= (s={each.selector or '?'})"
    return Box(each.domain, _words(each), _tone(each), tag[:40])


def _identifiers(identifiers: tuple[Identifier, ...]) -> Html | None:
    if not identifiers:
        return None
    rows: list[list[Child]] = [
        [
            each.method.upper() + (f" {each.selector}" if each.selector else ""),
            code(each.domain),
            mark(each.result),
            "–" if each.aligned is None else mark("aligned" if each.aligned else "not aligned", _tone(each)),
            each.detail,
        ]
        for each in identifiers
    ]
    return table("Identifiers", ("Method", "Domain", "Result", "Alignment", "Why"), rows, "identifiers-table")


def _others(visits: list[Visit]) -> Html | None:
    """What was asked beside the author's own walk: names of the identifiers' walks."""
    if not visits:
        return None
    items = [
        element("li", code(f"_dmarc.{visit.name}"), ": ", visit_words(visit)) for visit in visits[: _MAX_BOXES * 4]
    ]
    return fold("Names that were asked for the identifiers", element("ul", *items))
