"""SPF on the page: the evaluation as a tree that folds, with the lookups that each term used."""

from __future__ import annotations

from mailauth.page.html import Child, Html, element, join
from mailauth.page.parts import MAX_ITEMS, Tone, code, count, facts, fold, left_out, mark, paragraph, section, tone_of
from mailauth.spf import Reason, SpfResult
from mailauth.spf.policy import MAX_LOOKUPS, MAX_VOID_LOOKUPS
from mailauth.spf.terms import All, Asking, Ip4, Ip6
from mailauth.spf.trace import MATCH, NO_MATCH, USED, TraceQuestion, TraceRecord, TraceTerm
from mailauth.spf.tree import FAILURE_WORDS, TreeRecord, TreeTerm, amount

_MAX_RECORDS_SHOWN = 20


def spf_section(id: str, title: str, found: SpfResult) -> Html:
    """One identity: its result and why, the lookups, and the tree where the evaluation was traced."""
    identity = "MAIL FROM" if found.identity == "mailfrom" else "HELO"
    rows: list[tuple[str, Child]] = [
        ("Checked", join(code(found.sender), f" ({identity}) from ", code(found.ip))),
        (
            "Decided by",
            join(code(found.mechanism), " in the record of ", code(found.record_domain)) if found.mechanism else "",
        ),
        ("Reason", code(found.reason)),
        ("The domain explains", found.explanation),
    ]
    tree = None
    if found.trace is not None:
        tree = element("div", element("h3", "Step by step"), _Tree().record(found.trace, open_=True), class_="tree")
    lead = paragraph(found.detail, class_="lead")
    return section(id, title, mark(found.result.value), lead, facts(rows), _used(found), tree)


def _used(found: SpfResult) -> Html:
    # An evaluation stops at the lookup that would be the eleventh, and counts ten.
    beyond = found.reason is Reason.TOO_MANY_LOOKUPS
    return budget(found.lookups + beyond, found.void_lookups)


def budget(lookups: int, void: int | None = None) -> Html:
    """The lookups of ten as a row of boxes (RFC 7208 section 4.6.4), with the same in words."""
    words = f"{lookups} of {MAX_LOOKUPS} lookups"
    if void is not None:
        words += f", {void} of {MAX_VOID_LOOKUPS} void ones"
    boxes = []
    for index in range(MAX_LOOKUPS):
        state = "over" if lookups > MAX_LOOKUPS else "used" if index < lookups else "free"
        boxes.append(element("rect", x=index * 14 + 1, y=1, width=11, height=11, rx=2, class_=f"box {state}"))
    picture = element("svg", *boxes, viewBox="0 0 141 13", class_="budget", aria_hidden="true")
    return paragraph(picture, " ", words, class_="budget-line")


class _Tree:
    """Draws the records of one evaluation; `used` counts the lookups on the way."""

    def __init__(self) -> None:
        self.used = 0

    def record(self, found: TraceRecord, *, open_: bool) -> Html:
        """A domain, its record, its terms."""
        head = join(element("strong", found.domain or "(no domain)"), " ", mark(found.result.value))
        terms = [self.term(term) for term in found.terms[:MAX_ITEMS]]
        record = None if found.record is None else element("p", code(found.record), class_="record")
        explanation = None
        if found.explanation:
            explanation = fold("Asked for the explanation", element("ul", *map(_question, found.explanation)))
        # The answer that holds the record stands above already.
        asked = [each for each in found.questions if found.record is None or not each.answer.found]
        questions = element("ul", *map(_question, asked), class_="questions") if asked else None
        return fold(head, record, questions, element("ol", *terms) if terms else None, explanation, open_=open_)

    def term(self, found: TraceTerm) -> Html:
        """A term, what it asked, and the record that it led to."""
        cost = None
        if isinstance(found.term, Asking):
            self.used += 1
            cost = element(
                "small",
                f"lookup {self.used} of {MAX_LOOKUPS}",
                class_="cost over" if self.used > MAX_LOOKUPS else "cost",
            )
        head = join(code(found.term), " ", mark(found.outcome, _tone(found)), " ", cost)
        record_shown = found.record is not None and found.record.record is not None
        questions = [
            _question(each)
            for each in found.questions[:MAX_ITEMS]
            if not (record_shown and each.question.type == "TXT" and each.answer.found)
        ]
        inner = join(
            element("ul", *questions, class_="questions") if questions else None,
            None if found.record is None else self.record(found.record, open_=found.outcome != NO_MATCH),
        )
        if not inner:
            return element("li", element("p", head))
        # A record below folds by itself; questions alone fold with their term.
        if found.record is not None:
            return element("li", element("p", head), inner)
        return element("li", fold(head, inner, open_=found.outcome != NO_MATCH))


# --- the tree of a domain, for every client ---------------------------------------------------------------------------


def domain_tree(tree: TreeRecord) -> Html:
    """The include tree of a domain: each record, what each term costs, and how many may send by it."""
    return element("div", element("h3", "The tree"), _tree_record(tree, MAX_RECORDS), class_="tree")


MAX_RECORDS = 40
"""Records of one tree that are drawn, one inside the other; RFC 7208 section 4.6.4 ends at ten lookups."""


def _tree_record(found: TreeRecord, depth: int) -> Html:
    words = mark(FAILURE_WORDS.get(found.failure, found.failure), "bad") if found.failure else None
    size = element("small", f"{count(found.lookups, 'lookup')}; {amount(found.passes, few=1)} may send")
    head = join(element("strong", found.domain or "(no domain)"), " ", words or size)
    text = None if found.text is None else element("p", code(found.text), class_="record")
    terms = [_tree_term(term, depth) for term in found.terms[:MAX_ITEMS]]
    more = left_out(len(found.terms))
    return fold(head, text, element("ol", *terms) if terms else None, more, open_=depth > MAX_RECORDS - 2)


def _tree_term(term: TreeTerm, depth: int) -> Html:
    cost = None
    if term.number:
        over = " over" if term.number > MAX_LOOKUPS else ""
        cost = element("small", f"lookup {term.number} of {MAX_LOOKUPS}", class_=f"cost{over}")
    marks: list[Child] = []
    if term.problem is not None:
        marks.append(mark(term.problem.words, "bad"))
    if term.failure:
        marks.append(mark(FAILURE_WORDS.get(term.failure, term.failure), "bad"))
    if term.void and not term.failure:
        # Of a mechanism with several hosts one may have no address of a family, while another has.
        nothing = "a void lookup for " if term.matches and not isinstance(term.term, All) else "nothing for "
        marks.append(mark(nothing + " and ".join(f"IPv{family}" for family in term.void), "doubt"))
    words = element("small", term.hidden) if term.hidden else None
    if not words and term.matches and not isinstance(term.term, All):
        whom = amount(term.matches, few=0 if isinstance(term.term, Ip4 | Ip6) else 2)
        words = element("small", f"{whom} {'may send' if term.passes else 'match'}")
    if isinstance(term.term, All):
        words = element("small", f"everybody else: {term.term.qualifier.result}")
    dot = element("small", " ·") if cost and words else None
    parts = [join(" ", part) for part in (*marks, join(cost, dot) if cost else None, words) if part]
    below = None
    if term.record is not None and not term.record.failure and depth > 0:
        below = _tree_record(term.record, depth - 1)
    return element("li", element("p", code(term.text), *parts), below)


def _tone(found: TraceTerm) -> Tone:
    if found.outcome == MATCH:
        qualifier = getattr(found.term, "qualifier", None)
        # An include that matches leaves the result to its own qualifier.
        result = "pass" if qualifier is None else qualifier.result.value
        return "doubt" if result == "neutral" else tone_of(result)
    if found.outcome == USED:
        return "none"
    return "none" if found.outcome == NO_MATCH else "bad"


def _question(found: TraceQuestion) -> Html:
    answer = found.answer
    records = [_record(record) for record in answer.records[:_MAX_RECORDS_SHOWN]]
    more = len(answer.records) - _MAX_RECORDS_SHOWN
    shown = ", ".join(records) + (f" and {more} more" if more > 0 else "")
    tone: Tone = "bad" if answer.failed else "none"
    return element("li", code(found.question), " ", shown or mark(str(answer.outcome).replace("-", " "), tone))


def _record(record: object) -> str:
    match record:
        case bytes():
            return f'"{record.decode("utf-8", "surrogateescape")}"'
        case (preference, host):
            return f"{preference} {host or '.'}"
    return str(record)
