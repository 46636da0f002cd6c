"""Markup: the only place where text becomes HTML.

`element` makes an element of children; whatever is no `Html` among them is text, and is escaped. There is no way to
put markup in as text: `Html` is made here alone.
"""

# SECURITY: nearly all that a page shows was written by peers: header fields, DNS records, list texts, names. Each text
# passes through `text`, which escapes it (`html.escape` of the standard library), shows what cannot be printed as an
# escape (control characters, those that turn the direction of writing, blanks that are letters, marks piled upon a
# letter, which would be drawn over what stands around it), and cuts what is too long. Elements and
# attributes are those that a page of words and pictures needs: nothing here can run, load or send anything.

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterable, Iterator
from typing import TypeAlias

MAX_TEXT_CHARACTERS = 2000
"""Of one text; a header field or a TXT record may have 64 KiB and more."""

MAX_MARKS = 4
"""Combining marks upon one letter; no script needs more."""

_BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters by their category that show nothing: fillers of Hangul, and the empty cell of Braille."""

ELEMENTS = frozenset(
    {
        *("title", "body", "header", "main", "nav", "section", "footer", "div"),
        *("h1", "h2", "h3", "h4", "p", "ul", "ol", "li", "dl", "dt", "dd", "pre", "details", "summary"),
        *("table", "caption", "thead", "tbody", "tr", "th", "td"),
        *("span", "strong", "small", "code", "a", "ins", "del"),
        *("svg", "g", "rect", "path", "circle", "text", "desc"),
    }
)


class Html(str):
    """Markup that is whole: every text in it was escaped. Joined with a text it becomes a text again."""

    __slots__ = ()


Child: TypeAlias = "str | int | Html | Iterable[Child] | None"


def text(value: object, limit: int = MAX_TEXT_CHARACTERS) -> Html:
    """The text as HTML: escaped, everything that cannot be printed shown as an escape, cut to `limit` characters."""
    whole = str(value)
    shown = whole[:limit]
    if not (shown.isascii() and shown.isprintable()):
        shown = "".join(_visible(shown))
    more = f"… ({len(whole) - limit} more characters)" if len(whole) > limit else ""
    return Html(html.escape(shown, quote=True) + more)


def lines(value: str) -> Html:
    """A text of several lines for a ``pre``: the line ends stay, everything else is as in `text`."""
    return Html("\n".join(text(line.replace("\t", "    ")) for line in value.replace("\r\n", "\n").split("\n")))


def _visible(value: str) -> Iterator[str]:
    """Its characters; those that show nothing, or too much, as escapes."""
    marks = 0
    for char in value:
        marks = marks + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        shown = char.isprintable() and char not in _BLANK_LETTERS and marks <= MAX_MARKS
        yield char if shown else _escape(char)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def element(name: str, *children: Child, **attributes: str | int | bool | None) -> Html:
    """An element. Raises `ValueError` for an element or an attribute that pages do not have.

    Of an attribute's name a final ``_`` is dropped and every other becomes ``-``; True is an attribute without a
    value, False and None are none.
    """
    if name not in ELEMENTS:
        raise ValueError(f"pages have no element {name!r}")
    start = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    return Html(f"{start}{join(*children)}</{name}>")


def join(*children: Child) -> Html:
    """The children one after another."""
    return Html("".join(map(_markup, children)))


def _markup(child: Child) -> str:
    if isinstance(child, Html):
        return child
    if child is None:
        return ""
    if isinstance(child, str | int):
        return text(child)
    return "".join(map(_markup, child))


def _attribute(key: str, value: str | int | bool | None) -> str:
    name = key.removesuffix("_").replace("_", "-")
    if name.startswith("on") or name in ("style", "src", "srcset", "action", "formaction", "data"):
        raise ValueError(f"pages have no attribute {name!r}")
    if name == "href" and not str(value).startswith(("#", "https://")):
        raise ValueError(f"not a link that pages have: {str(value)[:60]!r}")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{text(value)}"'
