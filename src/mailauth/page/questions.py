"""The questions to the DNS on the page: in order, with times, as a table whose bars show what waited for what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from mailauth.page.html import Child, Html, element
from mailauth.page.parts import MAX_ITEMS, code, count, fold, left_out, mark, milliseconds, paragraph, section, table
from mailauth.plan import Answer, Question
from mailauth.rbl import Listing
from mailauth.resolvers.recording import Asked

_MAX_RECORDS = 8
_BAR = 100
_LONG = 160
"""Characters of a record that are shown at once."""


def questions_section(
    asked: Sequence[Asked], hide: Callable[[str], str], aside: Callable[[Asked], bool] = lambda _: False
) -> Html | None:
    """Every question once, at its first time. `hide` masks the keys of lists, which stand in names; what is `aside` is
    named under the table, since it says no more than that nothing was there."""
    if not asked:
        return None
    times: dict[Question, int] = {}
    first: dict[Question, Asked] = {}
    for each in asked:
        times[each.question] = times.get(each.question, 0) + 1
        first.setdefault(each.question, each)
    start = min(each.at for each in first.values())
    end = max(max(each.at + each.took for each in first.values()) - start, 1e-9)
    rows: list[list[Child]] = []
    guesses = [each for each in first.values() if aside(each)]
    shown = [each for each in first.values() if not aside(each)]
    for number, each in enumerate(shown[:MAX_ITEMS], start=1):
        again = f" ×{times[each.question]}" if times[each.question] > 1 else ""
        question = code(hide(str(each.question)))
        when = f"{milliseconds(each.at - start)} + {milliseconds(each.took)}"
        rows.append(
            [
                number,
                element("span", question, again),
                _answer(each.answer, hide),
                element("span", when, _bar(each, start, end)),
            ]
        )
    failed = sum(each.answer.failed for each in first.values())
    badge = (
        mark(f"{failed} without an answer", "doubt")
        if failed
        else element("small", f"{len(first)} asked", class_="dim")
    )
    note = "Time: when it was asked, since the first question, and how long it took. ×2: it was asked twice."
    heads = ("No.", "Question", "Answer", "Time")
    rows_and_notes = (
        table("Questions to the DNS", heads, rows, "questions-table"),
        left_out(len(shown)),
        _aside(guesses, hide),
        paragraph(note, class_="dim"),
    )
    return section("dns", "Questions to the DNS", badge, *rows_and_notes)


def _aside(guesses: Sequence[Asked], hide: Callable[[str], str]) -> Html | None:
    if not guesses:
        return None
    items = [element("li", code(hide(str(each.question)))) for each in guesses[:MAX_ITEMS]]
    return fold(f"{count(len(guesses), 'guess', 'es')} found nothing", element("ul", *items, class_="inline"))


def masking(listings: Iterable[Listing]) -> Callable[[str], str]:
    """What masks the keys of the lists that were asked."""
    rules = {listing.rule for listing in listings}

    def hide(text: str) -> str:
        for rule in rules:
            text = rule.hide(text)
        return text

    return hide


def _answer(answer: Answer, hide: Callable[[str], str]) -> Child:
    if not answer.found:
        return mark(str(answer.outcome).replace("-", " "), "bad" if answer.failed else "none")
    records = [_record(record) for record in answer.records[:_MAX_RECORDS]]
    more = len(answer.records) - _MAX_RECORDS
    items = [element("li", _value(hide(record))) for record in records]
    return element("ul", *items, element("li", f"and {more} more") if more > 0 else None, class_="plain")


def _value(record: str) -> Html:
    """A record; a long one, such as a key, folds."""
    if len(record) <= _LONG:
        return code(record)
    return fold(code(f"{record[: _LONG // 2]}…"), code(record))


def _record(record: object) -> str:
    match record:
        case bytes():
            return record.decode("utf-8", "surrogateescape")
        case (preference, host):
            return f"{preference} {host or '.'}"
    return str(record)


def _bar(each: Asked, start: float, end: float) -> Html:
    x = (each.at - start) / end * _BAR
    width = max(each.took / end * _BAR, 1.0)
    rect = element("rect", x=f"{min(x, _BAR - 1):.2f}", y=0, width=f"{width:.2f}", height=4, class_="bar")
    return element("svg", rect, viewBox=f"0 0 {_BAR} 4", preserveAspectRatio="none", class_="bar", aria_hidden="true")
