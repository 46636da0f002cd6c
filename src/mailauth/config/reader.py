"""Reading tables into dataclasses.

From a TOML document to the dataclasses of the schema, by their annotations. Every mistake is collected with its line,
so that one look at the report is enough for the whole file. No key is known here by name.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from mailauth.config.errors import Mistake, propose, shown
from mailauth.config.lines import Path
from mailauth.config.values import read_value, type_words
from mailauth.rbl import Rule

T = TypeVar("T")

_WRONG = object()


@dataclass(frozen=True)
class Slot:
    """One key of a table: its type, and the field of the schema that says so."""

    kind: Any
    field: Field[Any]

    @property
    def required(self) -> bool:
        """Whether the key has no default."""
        return self.field.default is MISSING and self.field.default_factory is MISSING


def slots_of(cls: type[Any]) -> dict[str, Slot]:
    """The keys of a table; those of a field called ``policy`` belong to the table itself."""
    hints = get_type_hints(cls, include_extras=True)
    slots: dict[str, Slot] = {}
    for each in fields(cls):
        if each.name == "policy":
            slots.update(slots_of(hints["policy"]))
        else:
            slots[each.name] = Slot(hints[each.name], each)
    return slots


def table_class(kind: Any) -> type[Any] | None:
    """The dataclass that a key's value is read into, if it is a table."""
    if get_origin(kind) in (Union, UnionType):
        found = (table_class(member) for member in get_args(kind))
        return next((cls for cls in found if cls is not None), None)
    return kind if isinstance(kind, type) and is_dataclass(kind) and kind is not Rule else None


class Reader:
    """Reads one document; `mistakes` grows with whatever is wrong."""

    def __init__(self, filename: str, folder: pathlib.Path, lines: Mapping[Path, int]) -> None:
        self.mistakes: list[Mistake] = []
        self._wrong: list[Path] = []
        self._filename = filename
        self._folder = folder
        self._lines = lines

    def mistake(self, path: Path, problem: str) -> None:
        """Something is wrong at `path`, or at what it is in where it is not in the file itself."""
        here = path
        while here and here not in self._lines:
            here = here[:-1]
        self._wrong.append(path)
        self.mistakes.append(Mistake(self._filename, self._lines.get(here, 1), shown(path), problem))

    def wrong_at(self, path: Path) -> bool:
        """Whether something was found wrong with this key, or within it."""
        return any(wrong[: len(path)] == path for wrong in self._wrong)

    def table(self, cls: type[T], table: Mapping[str, Any], path: Path = ()) -> T | None:
        """One table as an instance of `cls`; None if that cannot be made."""
        slots = slots_of(cls)
        values: dict[str, Any] = {}
        for key, value in table.items():
            if key not in slots:
                self.mistake((*path, key), f"unknown key{propose(key, slots)}")
                continue
            read = self._value(slots[key].kind, value, (*path, key))
            if read is not _WRONG:
                values[key] = read
        return self._assemble(cls, values, table, path)

    def _assemble(self, cls: type[T], values: Mapping[str, Any], table: Mapping[str, Any], path: Path) -> T | None:
        arguments = {name: values[name] for name in _own_keys(cls) & values.keys()}
        missing = [name for name in _own_keys(cls) - table.keys() if slots_of(cls)[name].required]
        for name in missing:
            self.mistake(path, f"the key {name!r} is missing")
        if "policy" in _field_names(cls):
            policy = self._assemble(get_type_hints(cls)["policy"], values, table, path)
            if policy is not None:
                arguments["policy"] = policy
        try:
            return None if missing else cls(**arguments)
        except (ValueError, TypeError) as error:
            # A value that is missing because it was wrong has its mistake already.
            if values.keys() >= _own_keys(cls) & table.keys():
                self._say_which(error, table, path)
            return None

    def _say_which(self, error: Exception, table: Mapping[str, Any], path: Path) -> None:
        """A policy that refuses its values names the first of them: point at the line of that key."""
        named = next((word for word in str(error).replace(",", " ").split() if word in table), None)
        self.mistake(path if named is None else (*path, named), str(error))

    def _value(self, kind: Any, value: Any, path: Path) -> Any:
        cls = table_class(kind)
        if cls is not None:
            if isinstance(value, dict):
                read = self.table(cls, value, path)
                return _WRONG if read is None else read
            self.mistake(path, f"expected a table: [{shown(path)}]")
            return _WRONG
        if get_origin(kind) is tuple:
            return self._list(get_args(kind)[0], value, path)
        try:
            return read_value(kind, value, self._folder)
        except ValueError as error:
            self.mistake(path, str(error))
            return _WRONG

    def _list(self, kind: Any, value: Any, path: Path) -> Any:
        if not isinstance(value, list):
            hint = f'; write ["{value}"]' if isinstance(value, str) else ""
            self.mistake(path, f"expected a list of: {type_words(kind)}{hint}")
            return _WRONG
        items = [self._value(kind, item, (*path, index)) for index, item in enumerate(value)]
        return _WRONG if _WRONG in items else tuple(items)


def _field_names(cls: type[Any]) -> frozenset[str]:
    return frozenset(each.name for each in fields(cls))


def _own_keys(cls: type[Any]) -> frozenset[str]:
    return _field_names(cls) - {"policy"}
