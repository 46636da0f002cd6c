"""Pictures of DMARC: the walk up the tree of names, and which identifiers belong to the author. Inline SVG.

A picture is 360 units wide and as high as it needs to be, so that its letters can be read on a telephone. Everything in
it stands in words beside it, too: whoever cannot see it misses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailauth.page.html import Html, element
from mailauth.page.parts import SIGNS, Tone

WIDTH = 360
_TEXT_COLUMNS = 41
"""Characters of 7 units that fit into a box."""

_LINE, _GAP = 18, 22
_TOP = 17
"""Room for the tag of the first box."""


def middle_cut(text: str, columns: int = _TEXT_COLUMNS) -> str:
    """The text with its middle left out where it is too long: both ends of a domain name say something."""
    if len(text) <= columns:
        return text
    head = (columns - 1) // 2
    return f"{text[:head]}…{text[len(text) - (columns - 1 - head) :]}"


@dataclass(frozen=True, slots=True)
class Box:
    """A box with a name and a line of words under it. `tag` is a word in its corner."""

    name: str
    words: str = ""
    tone: Tone = "none"
    tag: str = ""
    strong: bool = False

    @property
    def height(self) -> int:
        return 14 + _LINE * (2 if self.words else 1)

    def at(self, x: int, y: int) -> Html:
        """The box with its upper left corner there; it reaches to the right edge."""
        parts = [
            element("rect", x=x, y=y, width=WIDTH - x - 1, height=self.height, rx=6, class_=self._class()),
            element("text", middle_cut(self.name, self._columns(x)), x=x + 10, y=y + 20, class_="name"),
        ]
        if self.words:
            parts.append(element("text", middle_cut(self.words, self._columns(x)), x=x + 10, y=y + 37, class_="words"))
        if self.tag:
            parts.append(element("text", self.tag, x=WIDTH - 8, y=y - 5, class_="tag", text_anchor="end"))
        return element("g", element("title", f"{self.name}: {self.words}" if self.words else self.name), *parts)

    def _class(self) -> str:
        return f"node {self.tone}{' strong' if self.strong else ''}"

    def _columns(self, x: int) -> int:
        return (WIDTH - x - 20) // 8


def ladder(title: str, boxes: list[Box]) -> Html:
    """Boxes one under another, an arrow from each to the next: a walk."""
    parts: list[Html] = []
    y = _TOP
    for index, box in enumerate(boxes):
        parts.append(box.at(1, y))
        bottom = y + box.height
        if index + 1 < len(boxes):
            arrow = f"M24 {bottom} V{bottom + _GAP - 2} m-4 -6 l4 6 l4 -6"
            parts.append(element("path", d=arrow, class_="wire"))
        y = bottom + _GAP
    return _picture(title, "; ".join(f"{box.name}: {box.words}" for box in boxes), y - _GAP + 2, parts)


def branches(title: str, root: Box, boxes: list[Box], none: str) -> Html:
    """A box from which lines lead to others, each with a sign for how it stands to the root."""
    parts = [root.at(1, _TOP)]
    bottom = _TOP + root.height
    y, last = bottom + _GAP, bottom
    for box in boxes:
        middle = y + box.height // 2
        parts.append(element("path", d=f"M24 {last} V{middle} H48", class_=f"wire {box.tone}"))
        parts.append(box.at(48, y))
        parts.append(element("circle", cx=24, cy=middle, r=10, class_=f"knot {box.tone}"))
        sign = element("text", SIGNS[box.tone], x=24, y=middle + 5, class_=f"sign {box.tone}", text_anchor="middle")
        parts.append(sign)
        last, y = middle + 10, y + box.height + _GAP
    if not boxes:
        parts.append(element("text", none, x=24, y=y + 6, class_="words"))
        y += 24
    words = "; ".join(f"{box.tag} {box.name}: {box.words}" for box in boxes) or none
    return _picture(title, f"{root.name}. {words}", y - _GAP + 2, parts)


def _picture(title: str, words: str, height: int, parts: list[Html]) -> Html:
    # The words come first, for whoever hears the page.
    return element(
        "svg",
        element("title", title),
        element("desc", words),
        *parts,
        viewBox=f"0 0 {WIDTH} {height}",
        class_="picture",
        role="img",
        aria_label=f"{title}: {words}",
    )
