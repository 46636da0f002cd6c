"""An extension of griffe for the reference: the comment behind a member of a class is its description.

A member of an enumeration or a field of a dataclass with a few words behind it has them there for who reads the code;
who reads the reference wants them, too. A docstring goes first.
"""

from __future__ import annotations

import io
import re
import tokenize
from typing import Any

import griffe

_OF_TOOLS = re.compile(r"noqa\b|type: ?ignore|pragma:")
_WORD = re.compile(r"[a-z]+(?=[ ,.:;]|$)")


class Comments(griffe.Extension):
    """Gives members of classes that have no docstring the words of their comments."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Called by griffe for each attribute that it has read."""
        if attr.docstring is not None or attr.parent is None or not attr.parent.is_class:
            return
        text = comment("\n".join(attr.lines))
        if text:
            attr.docstring = griffe.Docstring(text, lineno=attr.lineno, parent=attr)


def comment(source: str) -> str:
    """The comment behind a statement, as a sentence; "" if there is none, or it is for a tool."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source.strip()).readline))
    except (tokenize.TokenError, SyntaxError):
        return ""
    words = [each.string.lstrip("# ") for each in tokens if each.type == tokenize.COMMENT]
    if not words or _OF_TOOLS.match(words[-1]):
        return ""
    text = words[-1]
    if first := _WORD.match(text):
        text = first[0].capitalize() + text[first.end() :]
    return text if text.endswith((".", "?", "!")) else f"{text}."
