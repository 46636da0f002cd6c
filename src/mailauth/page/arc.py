"""ARC on the page: who sealed the message on its way, and what each says that it found."""

from __future__ import annotations

from mailauth.arc import ArcResult, ArcSet
from mailauth.page.html import Child, Html, join
from mailauth.page.parts import code, mark, moment, paragraph, section, table

_MAX_RESULTS = 20


def arc_section(found: ArcResult | None) -> Html | None:
    """The chain, the oldest set first; nothing where nobody sealed the message."""
    if found is None or (not found.sets and found.result == "none"):
        return None
    rows: list[list[Child]] = [
        [each.instance, code(each.sealer or "?"), each.cv or "?", moment(each.sealed_at) or "–", _said(each)]
        for each in found.sets
    ]
    note = "What a sealer says that it found is its word: it counts where you trust the sealer."
    return section(
        "arc",
        "ARC",
        mark(found.result.value),
        paragraph(found.detail or "the chain is whole", class_="lead"),
        table("ARC sets", ("Set", "Sealed by", "Chain before", "When", "It says"), rows),
        paragraph(note, class_="dim"),
    )


def _said(each: ArcSet) -> Child:
    if each.results is None:
        return "nothing that can be read"
    found = each.results.results[:_MAX_RESULTS]
    return join(*[join(code(f"{result.method}={result.result}"), " ") for result in found]) or "nothing"
