"""What all sections are made of: marks for results, lists of facts, tables, folds, and words for times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from mailauth.page.html import Child, Html, element, join

MAX_ITEMS = 200
"""Rows of one table or list; what is left out is counted."""

Tone: TypeAlias = Literal["good", "bad", "doubt", "none"]
"""How a result is marked: by a sign, a word and a colour, never by the colour alone."""

SIGNS: dict[Tone, str] = {"good": "✓", "bad": "✗", "doubt": "!", "none": "–"}

_TONES: dict[str, Tone] = {
    **dict.fromkeys(("pass", "accept", "permit", "not-listed", "good", "ok", "aligned"), "good"),
    **dict.fromkeys(("fail", "permerror", "reject", "listed", "bad", "error"), "bad"),
    **dict.fromkeys(("softfail", "temperror", "policy", "defer", "refused", "doubtful", "warning"), "doubt"),
}


def tone_of(result: str) -> Tone:
    """The tone of a result's word; unknown words have none."""
    return _TONES.get(str(result), "none")


def mark(words: str, tone: Tone | None = None) -> Html:
    """A result as a mark."""
    tone = tone or tone_of(words)
    return element(
        "span", element("span", SIGNS[tone], class_="sign", aria_hidden="true"), words, class_=f"mark {tone}"
    )


def section(id: str, title: str, badge: Html | None, *children: Child) -> Html:
    """A section with its heading."""
    head = element("h2", title, " " if badge else None, badge, id=f"{id}-title")
    return element("section", head, *children, id=id, aria_labelledby=f"{id}-title")


def facts(rows: Iterable[tuple[str, Child]]) -> Html:
    """Names and values; rows without a value are left out."""
    items = [
        element("div", element("dt", name), element("dd", value)) for name, value in rows if value not in ("", None)
    ]
    return element("dl", *items, class_="facts") if items else Html()


def code(value: object) -> Html:
    """What stands so in a record, a header or a protocol."""
    return element("code", str(value))


def paragraph(*children: Child, class_: str | None = None) -> Html:
    """A paragraph."""
    return element("p", *children, class_=class_)


def fold(summary: Child, *children: Child, open_: bool = False, class_: str | None = None) -> Html:
    """Something that opens and closes, with the keyboard as well; without scripts."""
    return element("details", element("summary", summary), *children, open=open_, class_=class_)


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[Child]], class_: str = "") -> Html:
    """A table whose cells carry their column's name, since on a narrow screen each row becomes a card."""
    body = [
        element("tr", *[element("td", cell, data_label=head) for head, cell in zip(heads, row, strict=True)])
        for row in rows[:MAX_ITEMS]
    ]
    return join(
        element(
            "table",
            element("caption", caption, class_="hidden"),
            element("thead", element("tr", *[element("th", head, scope="col") for head in heads])),
            element("tbody", *body),
            class_=f"cards {class_}".strip(),
        ),
        left_out(len(rows)),
    )


def left_out(count: int, limit: int = MAX_ITEMS) -> Html | None:
    """How many are not shown."""
    return paragraph(f"{count - limit} more are not shown.", class_="dim") if count > limit else None


def sentence(words: str) -> str:
    """Words as a sentence, with a capital where they begin with a word, and not with a name or a tag."""
    first = words.partition(" ")[0]
    return f"{words[0].upper()}{words[1:]}" if len(first) > 1 and first.isalpha() and first.islower() else words


def count(number: int, noun: str, plural: str = "s") -> str:
    """A number and its noun: "1 list", "2 lists"; `plural` is what makes it several."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}{plural}"


def moment(seconds: float | None) -> str:
    """Seconds since the epoch as date and time in UTC; empty where there is none that a calendar has."""
    if seconds is None:
        return ""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f} s after 1970"


_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def span(seconds: float) -> str:
    """A duration: "3 s", "2 min 5 s", "4 d 1 h"."""
    left = round(abs(seconds))
    words = []
    for size, unit in _UNITS:
        number, left = divmod(left, size)
        if number:
            words.append(f"{number:,} {unit}")
    if left or not words:
        words.append(f"{left} s")
    return ("−" if seconds <= -0.5 else "") + " ".join(words[:2])


def milliseconds(seconds: float) -> str:
    """A short duration: "0.4 ms", "12 ms", "1,204 ms"."""
    value = seconds * 1000
    return f"{value:.1f} ms" if value < 10 else f"{value:,.0f} ms"
