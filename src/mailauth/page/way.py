"""The way of the message on the page: the Received fields as a line of time, oldest first."""

from __future__ import annotations

from mailauth.mail.received import MAX_HOPS, Hop
from mailauth.page.html import Child, Html, element, join, lines
from mailauth.page.parts import code, fold, left_out, mark, moment, paragraph, section, span

LONG = 300.0
"""Seconds between two hops that are worth a look."""

CLOCKS = 60.0
"""Seconds by which two clocks may differ without a remark."""


def way_section(hops: tuple[Hop, ...], fields: int) -> Html:
    """The hops in the order of time, with their delays; `fields` is how many Received fields there are."""
    if not hops:
        words = "The message has no Received field: it came straight from the client, or its way was taken out."
        return section("way", "The way of the message", None, paragraph(words))
    dated = [hop.date for hop in hops if hop.date is not None]
    total = f"{span(dated[-1] - dated[0])} from the first to the last" if len(dated) > 1 else ""
    note = "Only what your own servers wrote is evidence: everything below their fields may be invented by the sender."
    return section(
        "way",
        "The way of the message",
        element("small", total, class_="dim") if total else None,
        element("ol", *map(_hop, hops), class_="way"),
        left_out(fields, MAX_HOPS),
        paragraph(note, class_="dim"),
    )


def _hop(hop: Hop) -> Html:
    who = join(code(hop.from_name) if hop.from_name else element("span", "unknown client", class_="dim"), *_noted(hop))
    details: list[Child] = []
    if hop.protocol:
        details.append(join("with ", code(hop.protocol), " (TLS)" if hop.encrypted else ""))
    if hop.recipient:
        details.append(join("for ", code(hop.recipient)))
    if hop.id:
        details.append(join("id ", code(hop.id)))
    return element(
        "li",
        _delay(hop),
        element("p", who, " → ", code(hop.by) if hop.by else element("span", "unknown server", class_="dim")),
        element(
            "p", moment(hop.date) or "no readable date", *[join(" · ", detail) for detail in details], class_="dim"
        ),
        fold("The field", element("pre", lines(hop.raw.decode("utf-8", "surrogateescape").rstrip())), class_="raw"),
    )


def _noted(hop: Hop) -> list[Child]:
    """What the server noted of the client beside the name that it gave."""
    noted: list[Child] = []
    if hop.from_host and hop.from_host.lower() != hop.from_name.lower():
        noted.append(code(hop.from_host))
    if hop.from_ip is not None and str(hop.from_ip) not in hop.from_name:
        noted.append(code(hop.from_ip))
    return [" (", *[join(" " if index else "", each) for index, each in enumerate(noted)], ")"] if noted else []


def _delay(hop: Hop) -> Html | None:
    if hop.delay is None:
        return None
    words = f"{span(hop.delay)}: the clocks differ" if hop.delay < 0 else f"+{span(hop.delay)}"
    worth_a_look = not -CLOCKS < hop.delay < LONG
    return element("p", mark(words, "doubt") if worth_a_look else words, class_="delay")
