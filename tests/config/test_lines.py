"""Where keys stand in a TOML text.

Every key and every item of a list is found on the line on which it was written, however the text is laid out.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from mailauth.config.lines import Path, key_lines

KEYS = ["a", "b-c", "D_9", "0", "-", "a b", "a.b", "#", "[x]", "=", 'quo"te', "ü", ""]
FILLERS = ["", "\n", "  ", "\t", "# [no.table]\n", '# key = "x"\n', "\n\n"]
BLANKS = ["", " ", "\t", "  "]
SCALARS = [
        "1", "-2.5", "true", "inf", "1979-05-27", "1979-05-27 07:32:00", "1979-05-27T07:32:00Z", "0xff", '"x"', "'x'",
        '"a # b [c] = d"', "'a # b ] } ,'", r'"\"]"', r'"\\"', '""', "''", '"""one"""', '"""\ntwo = 2\n[three]\n"""',
        "'''\n# [four]\nfive = 5\n'''", '"""a "" b"""""', "''''six'''''", r'"""\"" ]"""', '"""seven\\\n   eight"""',
]  # fmt: skip


class Writer:
    """Writes TOML in a layout that a seed chooses, and notes the line of everything."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.text = ""
        self.lines: dict[Path, int] = {}

    def choose(self, choices: Sequence[str]) -> str:
        return self.random.choice(choices)

    def maybe(self) -> bool:
        return self.random.random() < 0.5

    def keys(self, most: int) -> list[str]:
        return self.random.sample(KEYS, self.random.randint(0, most))

    def note(self, path: Path) -> None:
        line = self.text.count("\n") + 1
        for end in range(1, len(path) + 1):
            self.lines.setdefault(path[:end], line)

    def key(self, name: str) -> str:
        plain = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
        if plain and self.maybe():
            return name
        literal = "'" not in name and '"' not in name and self.maybe()
        return f"'{name}'" if literal else json.dumps(name)

    def blank(self) -> None:
        self.text += self.choose(BLANKS)

    def gap(self) -> None:
        """Between the items of a list anything may stand."""
        self.text += self.choose(FILLERS)

    def value(self, path: Path, depth: int = 0) -> None:
        kind = self.choose(["scalar", "scalar", "array", "table"]) if depth < 3 else "scalar"
        if kind == "scalar":
            self.text += self.choose(SCALARS)
        elif kind == "array":
            self.array(path, depth)
        else:
            self.inline_table(path, depth)

    def array(self, path: Path, depth: int) -> None:
        self.text += "["
        for index in range(self.random.randint(0, 3)):
            self.gap()
            self.note((*path, index))
            self.value((*path, index), depth + 1)
            self.gap()
            self.text += ","
        self.gap()
        self.text += "]"

    def inline_table(self, path: Path, depth: int) -> None:
        self.text += "{"
        names = self.keys(2)
        for index, name in enumerate(names):
            self.text += ", " if index else " "
            self.note((*path, name))
            self.text += f"{self.key(name)} = "
            self.value((*path, name), depth + 1)
        self.text += " }"

    def pairs(self, table: Path) -> None:
        for name in self.keys(3):
            self.gap()
            self.end_line()
            self.blank()
            names = (name, "sub") if self.maybe() else (name,)
            self.note((*table, *names))
            self.text += self.choose([".", " . "]).join(map(self.key, names))
            self.text += self.choose(BLANKS) + "=" + self.choose(BLANKS)
            self.value((*table, *names))
            self.text += self.choose(["\n", " # ] comment\n"])

    def end_line(self) -> None:
        if self.text and not self.text.endswith("\n"):
            self.text += "\n"

    def document(self) -> None:
        self.pairs(())
        for number in range(self.random.randint(0, 3)):
            self.gap()
            self.end_line()
            name = f"table{number}"
            if self.maybe():
                self.note((name,))
                self.text += f"[{name}]\n"
                self.pairs((name,))
                continue
            for index in range(self.random.randint(1, 2)):
                self.gap()
                self.end_line()
                self.note((name, index))
                self.text += f"[[ {name} ]]\n"
                self.pairs((name, index))
                self.gap()
                self.end_line()
                self.note((name, index, "below"))
                self.text += f"[{name}.below] # x\n"
                self.pairs((name, index, "below"))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_every_key_is_found_where_it_was_written(seed: int) -> None:
    """Each key of any table stands in the line where it was written."""
    writer = Writer(seed)
    writer.document()
    tomllib.loads(writer.text)  # the writer writes TOML
    assert key_lines(writer.text) == writer.lines


def test_windows_line_ends() -> None:
    assert key_lines('a = 1\r\n# x\r\n[t]\r\nb = [\r\n 1,\r\n 2]\r\n') == {
        ("a",): 1, ("t",): 3, ("t", "b"): 4, ("t", "b", 0): 5, ("t", "b", 1): 6,
    }  # fmt: skip
