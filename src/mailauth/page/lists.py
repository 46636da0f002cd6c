"""Block lists on the page: each with its codes and reasons, and where to ask for removal."""

from __future__ import annotations

from collections.abc import Iterable

from mailauth.page.html import Child, Html, element, join
from mailauth.page.parts import Tone, code, mark, paragraph, section, table
from mailauth.rbl import Listing, Reason
from mailauth.rbl.rule import Action


def lists_section(listings: Iterable[Listing], not_made: str = "", instead: Html | None = None) -> Html:
    """What every list said, those that list the subject first. `instead` stands there if none was asked."""
    found = sorted(listings, key=lambda listing: not listing.listed)
    if not found:
        words = paragraph(f"No list was asked: {not_made or 'none is named'}.")
        return section("lists", "Block lists", None, words, instead)
    bad = sum(_tone(listing) == "bad" for listing in found)
    rows: list[list[Child]] = [[_name(each), code(each.subject), _result(each), _why(each)] for each in found]
    badge = mark(
        f"listed by {bad} of {len(found)}" if bad else f"not listed by any of {len(found)}", "bad" if bad else "good"
    )
    return section(
        "lists", "Block lists", badge, table("Block lists", ("List", "About", "Result", "Why"), rows, "lists-table")
    )


def _tone(listing: Listing) -> Tone:
    if listing.listed:
        return "good" if listing.weight < 0 or listing.rule.action is Action.ALLOW else "bad"
    if listing.reason in (Reason.NO_ENTRY, Reason.OTHER_CODE):
        return "good"
    return "none" if listing.reason is Reason.NOT_ASKED else "doubt"


def _result(listing: Listing) -> Html:
    words = "not asked" if listing.reason is Reason.NOT_ASKED else listing.result.value.replace("-", " ")
    return mark(words, _tone(listing))


def _name(listing: Listing) -> Html:
    name = element("span", listing.known.name, class_="dim") if listing.known is not None else None
    return join(code(listing.zone), " ", name)


def _why(listing: Listing) -> Html:
    parts: list[Child] = []
    if listing.codes:
        parts.append(
            element("p", *[join(" " if index else "", code(each)) for index, each in enumerate(listing.codes)])
        )
    # Of a list whose codes nobody explains, `detail` repeats the codes.
    words = "; ".join(listing.meanings) or ("" if listing.listed else listing.detail)
    if words:
        parts.append(element("p", words))
    if listing.text:
        parts.append(element("p", "The list says: ", element("span", listing.text, class_="said")))
    # The pages stand in the catalogue of this package; nothing that a peer sent becomes a link.
    if listing.listed and listing.removal_page.startswith("https://") and _tone(listing) == "bad":
        link = element("a", listing.removal_page, href=listing.removal_page, rel="noopener noreferrer")
        parts.append(element("p", "Removal: ", link))
    return join(*parts)
