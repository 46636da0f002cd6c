"""Why a DKIM signature fails, on the page: which half was altered, how, the difference, and what would make it pass."""

from __future__ import annotations

from mailauth.dkim import Explanation, HalfState, KeyState
from mailauth.dkim.explanation.result import Alteration, Half, Key
from mailauth.page.html import Child, Html, element, join
from mailauth.page.parts import MAX_ITEMS, Tone, code, fold, mark, paragraph, sentence

_HALVES: dict[HalfState, tuple[str, Tone]] = {
    HalfState.INTACT: ("as it was signed", "good"),
    HalfState.EXPLAINED: ("altered, and it is known how", "doubt"),
    HalfState.ALTERED: ("altered", "bad"),
    HalfState.UNKNOWN: ("not known", "none"),
}
_KEYS: dict[KeyState, tuple[str, Tone]] = {
    KeyState.FITS: ("the signer's", "good"),
    KeyState.OTHER: ("another key, or b= is damaged", "bad"),
    KeyState.UNPROVED: ("not proved", "none"),
    KeyState.UNUSABLE: ("unusable", "bad"),
    KeyState.UNAVAILABLE: ("not answered", "doubt"),
    KeyState.NOT_ASKED: ("not asked", "none"),
}


def explanation(found: Explanation) -> Html | None:
    """What is known beyond the result; nothing for a signature that passes."""
    if found.passes:
        return None
    advice = [element("li", sentence(each)) for each in found.advice[:MAX_ITEMS]]
    return element(
        "div",
        element("h4", "Why, and what would make it pass"),
        paragraph(f"{sentence(found.summary)}."),
        _half("Header", found.header),
        _half("Body", found.body),
        _key(found.key, found.advice),
        join(element("h4", "What to do"), element("ul", *advice)) if advice else None,
        class_="why",
    )


def _half(name: str, half: Half) -> Html:
    words, tone = _HALVES.get(half.state, (half.state.value, "none"))
    tried = [element("li", each) for each in half.tried[:MAX_ITEMS]]
    ended = "; the bounds ended the search" if half.exhausted else ""
    return join(
        paragraph(element("strong", name), " ", mark(words, tone), " ", half.detail),
        element("ul", *map(_alteration, half.alterations[:MAX_ITEMS])) if half.alterations else None,
        _difference(half.diff) if half.diff else None,
        fold(f"Undone without success{ended}", element("ul", *tried)) if tried else None,
    )


def _alteration(found: Alteration) -> Html:
    places: list[Child] = []
    if found.field and found.field.lower() not in found.detail.lower():
        places.append(code(found.field))
    if found.part and found.part not in found.detail:
        places.append(f"part {found.part}")
    if found.line is not None:
        places.append(f"line {found.line}")
    if found.count > 1:
        places.append(f"{found.count} places")
    where = join(*[join(", " if index else " (", each) for index, each in enumerate(places)], ")") if places else None
    return element("li", sentence(found.detail), where, " ", element("small", code(found.code)))


def _difference(lines: tuple[str, ...]) -> Html:
    """Lines as they were signed and as they came; a reader of screens hears which is which."""
    names = {"-": "del", "+": "ins"}
    shown = [
        element(names.get(line[:1], "span"), line[1:] or " ", class_="gap" if line[:1] == "@" else "line")
        for line in lines[:MAX_ITEMS]
    ]
    return element("div", paragraph("− as it was signed, + as it came", class_="dim"), *shown, class_="diff")


def _key(found: Key, advice: tuple[str, ...]) -> Html:
    words, tone = _KEYS.get(found.state, (found.state.value, "none"))
    repairs = [element("li", sentence(each)) for each in found.repairs[:MAX_ITEMS] if each not in advice]
    repaired = None
    if found.repaired:
        proof = "; the signature fits its key" if found.proved else ""
        repaired = join(paragraph(f"The record as it should be{proof}:"), paragraph(code(found.repaired)))
    return join(
        paragraph(
            element("strong", "Key"), " ", mark(words, tone), " ", found.detail if words not in found.detail else ""
        ),
        element("ul", *repairs) if repairs else None,
        repaired,
    )
