"""The line of every key of a TOML text.

Where each key and each item of a list stands in a TOML text. tomllib reads the values but does not tell their lines.
The text was accepted by tomllib before: nothing is checked here, only found.
"""

#   toml       = [ expression ] *( newline [ expression ] )       (TOML 1.0.0)
#   expression = key "=" value / "[" key "]" / "[[" key "]]" / comment
#   key        = simple-key *( ws "." ws simple-key )
#   value      = string / array / inline-table / scalar

from __future__ import annotations

import re
import tomllib
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Keys from the outside in; the items of a list, and the tables of an array of tables, count from 0."""

_BLANK = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_SEPARATOR = re.compile(r"(?:[ \t\r\n,]++|#[^\n]*+)*+")
_KEY_PART = re.compile(r"""[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+'""")
_DOT = re.compile(r"[ \t]*+\.[ \t]*+")
_EQUALS = re.compile(r"[ \t]*+=[ \t]*+")
# A string in three quotes may end in five: the first two of them belong to it.
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*+"{3,5}'
    r"|'''(?:[^']|'{1,2}(?!'))*+'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*+"'
    r"|'[^'\n]*+'",
    re.DOTALL,
)
# A date and a time may have a blank between them.
_SCALAR = re.compile(r"\d{4}-\d\d-\d\d \d\d:[^\s,\]}#]++|[^\s,\]}#]++")


def key_lines(text: str) -> dict[Path, int]:
    """The line (from 1) on which each table, each key and each item of a list begins."""
    return _Finder(text).find()


class _Finder:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._counted_to = 0
        self._line = 1
        self._lines: dict[Path, int] = {}
        self._arrays: dict[Path, int] = {}
        """The index of the last table of each array of tables."""

    def find(self) -> dict[Path, int]:
        table: Path = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self._lines

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        if match:
            self._at = match.end()

    def _note(self, path: Path) -> None:
        """Keep the line of what begins here; the first mention counts."""
        self._line += self._text.count("\n", self._counted_to, self._at)
        self._counted_to = self._at
        for end in range(1, len(path) + 1):
            self._lines.setdefault(path[:end], self._line)

    def _header(self) -> Path:
        brackets = 2 if self._text.startswith("[[", self._at) else 1
        start = self._at
        self._at += brackets
        self._skip(_BLANK)
        names = self._key()
        after = self._at
        self._at = start
        path = self._within_arrays(names[:-1])
        if brackets == 2:
            array = (*path, names[-1])
            self._arrays[array] = self._arrays.get(array, -1) + 1
            path = (*array, self._arrays[array])
        else:
            path = self._within_arrays(names)
        self._note(path)
        self._at = self._text.index("]", after) + brackets
        return path

    def _within_arrays(self, names: Path) -> Path:
        """The path of a header: where an array of tables is on the way, its last table is meant."""
        path: Path = ()
        for name in names:
            path = (*path, name)
            if path in self._arrays:
                path = (*path, self._arrays[path])
        return path

    def _key(self) -> Path:
        names = [self._key_part()]
        while match := _DOT.match(self._text, self._at):
            self._at = match.end()
            names.append(self._key_part())
        return tuple(names)

    def _key_part(self) -> str:
        match = _KEY_PART.match(self._text, self._at)
        assert match is not None, "tomllib accepted the text"
        self._at = match.end()
        word = match[0]
        return str(tomllib.loads(f"key = {word}")["key"]) if word[0] in "\"'" else word

    def _pair(self, table: Path) -> None:
        start = self._at
        names = self._key()
        after, self._at = self._at, start
        path = (*table, *names)
        self._note(path)
        self._at = after
        self._skip(_EQUALS)
        self._value(path)

    def _value(self, path: Path) -> None:
        here = self._text[self._at]
        if here == "[":
            self._array(path)
        elif here == "{":
            self._inline_table(path)
        else:
            self._skip(_STRING if here in "\"'" else _SCALAR)

    def _array(self, path: Path) -> None:
        self._at += 1
        self._skip(_BLANK)
        index = 0
        while self._text[self._at] != "]":
            item = (*path, index)
            self._note(item)
            self._value(item)
            self._skip(_SEPARATOR)
            index += 1
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        self._skip(_BLANK)
        while self._text[self._at] != "}":
            self._pair(path)
            self._skip(_SEPARATOR)
        self._at += 1
