# What belongs here: the one TOML schema of the example server, the commands and the services: reading it, and telling
# an administrator what is wrong with it, with the line, the key and a proposal. The file is the caller's own, so every
# mistake in it is a ConfigError; nothing in it comes from a peer.
"""The configuration file: TOML in, settings out, errors with line and key."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, get_args, get_origin, get_type_hints

from mailauth import MailAuthError
from mailauth.dkim import DkimPolicy
from mailauth.greylist import GreylistPolicy
from mailauth.plan import DEFAULT_TIME_LIMIT
from mailauth.rbl import RblPolicy
from mailauth.spf import SpfPolicy

if TYPE_CHECKING:
    from os import PathLike

T = TypeVar("T")


class ConfigError(MailAuthError, ValueError):
    """A mistake in the configuration file; the text names file, line and key, and proposes where it can."""


@dataclass(frozen=True, slots=True)
class ResolverConfig:
    """``[resolver]``: where DNS answers come from.

    `zone` is a master file that answers everything; else `nameservers` (addresses) and `port`, or, without them, the
    system's own. `cache` is the number of answers kept in memory, 0 for none.
    """

    zone: str = ""
    nameservers: tuple[str, ...] = ()
    port: int = 53
    cache: int = 10_000


@dataclass(frozen=True, slots=True)
class GreylistConfig:
    """``[greylist]``: `store` is a URL; without one, no greylisting. `settings` is the TOML file of the exemptions."""

    store: str = ""
    settings: str = ""
    on_error: str = "accept"
    policy: GreylistPolicy = field(default_factory=GreylistPolicy)


@dataclass(frozen=True, slots=True)
class RblConfig:
    """``[rbl]``: `lists` in Postfix's notation (``zone=filter*weight``)."""

    lists: tuple[str, ...] = ()
    policy: RblPolicy = field(default_factory=RblPolicy)


@dataclass(frozen=True, slots=True)
class RestrictionConfig:
    """``[restrictions]``: the five lists, each item a restriction's name and its words, as in Postfix."""

    client: tuple[str, ...] = ()
    helo: tuple[str, ...] = ()
    sender: tuple[str, ...] = ()
    recipient: tuple[str, ...] = ()
    data: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ListenConfig:
    """``[listen]``: where a server of ours takes connections, and where it hands messages on."""

    host: str = "127.0.0.1"
    port: int = 8025
    max_size: int = 32 * 1024 * 1024
    deliver_to: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration file. `networks` are our own clients, `domains` those that we receive mail for."""

    hostname: str
    networks: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    time_limit: float = DEFAULT_TIME_LIMIT
    delay_reject: bool = True
    resolver: ResolverConfig = field(default_factory=ResolverConfig)
    rbl: RblConfig = field(default_factory=RblConfig)
    spf: SpfPolicy = field(default_factory=SpfPolicy)
    dkim: DkimPolicy = field(default_factory=DkimPolicy)
    greylist: GreylistConfig = field(default_factory=GreylistConfig)
    restrictions: RestrictionConfig | None = None
    signing: str = ""
    listen: ListenConfig = field(default_factory=ListenConfig)


def load(path: str | PathLike[str]) -> Config:
    """Read a configuration file. Raises `ConfigError`, or `OSError` where the file cannot be read."""
    return parse(Path(path).read_text(encoding="utf-8"), str(path))


def parse(text: str, filename: str = "<config>") -> Config:
    """Read a configuration from text. Raises `ConfigError`."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        where = f"{filename}:{line[1]}" if line else filename
        raise ConfigError(f"{where}: not TOML: {error}") from None
    config: Config = _Reader(filename, text).table(Config, document, ())
    return config


class _Reader:
    """Turns tables into dataclasses by their annotations, and knows the line of every key."""

    def __init__(self, filename: str, text: str) -> None:
        self._filename = filename
        self._lines = _key_lines(text)

    def table(self, cls: type[T], table: Mapping[str, Any], path: tuple[str, ...]) -> T:
        """One table as an instance of `cls`; a field called ``policy`` takes its keys from the same table."""
        slots = _slots(cls)
        for key in table:
            if key not in slots:
                self._fail((*path, key), f"unknown key{_propose(key, slots)}")
        values = {key: self._value(slots[key][1], value, (*path, key)) for key, value in table.items()}
        try:
            return _assemble(cls, values)
        except (ValueError, TypeError) as error:
            self._fail(path, str(error))

    def _value(self, kind: Any, value: Any, path: tuple[str, ...]) -> Any:
        kind = _without_none(kind)
        if isinstance(kind, type) and hasattr(kind, "__dataclass_fields__"):
            if not isinstance(value, dict):
                self._fail(path, f"a table is expected: [{'.'.join(path)}]")
            return self.table(kind, value, path)
        if get_origin(kind) in (tuple, frozenset, list):
            return self._sequence(kind, value, path)
        converted = _scalar(kind, value)
        if converted is _WRONG:
            self._fail(path, f"expected {_words(kind)}, not {value!r}")
        return converted

    def _sequence(self, kind: Any, value: Any, path: tuple[str, ...]) -> Any:
        if not isinstance(value, list):
            hint = f'; write ["{value}"]' if isinstance(value, str) else ""
            self._fail(path, f"a list is expected, not {value!r}{hint}")
        item_kind = get_args(kind)[0]
        items = [self._value(item_kind, item, path) for item in value]
        return get_origin(kind)(items)

    def _fail(self, path: tuple[str, ...], words: str) -> NoReturn:
        line = self._lines.get(path) or self._lines.get(path[:-1]) or 1
        raise ConfigError(f"{self._filename}:{line}: {'.'.join(path) or 'file'}: {words}")


def _slots(cls: type[Any]) -> dict[str, tuple[type[Any], Any]]:
    """Key -> (the dataclass it belongs to, its type); the keys of a field called ``policy`` belong to this table."""
    hints = get_type_hints(cls)
    slots: dict[str, tuple[type[Any], Any]] = {}
    for item in fields(cls):
        if item.name == "policy":
            slots.update(_slots(hints["policy"]))
        else:
            slots[item.name] = (cls, hints[item.name])
    return slots


def _assemble(cls: type[T], values: Mapping[str, Any]) -> T:
    arguments: dict[str, Any] = {}
    for item in fields(cls):  # type: ignore[arg-type]
        if item.name == "policy":
            arguments["policy"] = _assemble(get_type_hints(cls)["policy"], values)
        elif item.name in values:
            arguments[item.name] = values[item.name]
        elif item.default is MISSING and item.default_factory is MISSING:
            raise ValueError(f"the key {item.name!r} is missing")
    return cls(**arguments)


_WRONG = object()


def _scalar(kind: Any, value: Any) -> Any:
    """`value` as `kind`, or `_WRONG`."""
    if get_origin(kind) is not None:  # Literal[...]
        return value if value in get_args(kind) else _WRONG
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, type) and isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    if isinstance(kind, type) and issubclass(kind, str) and isinstance(value, str):  # a StrEnum
        try:
            return kind(value)
        except ValueError:
            return _WRONG
    return _WRONG


def _without_none(kind: Any) -> Any:
    members = [member for member in get_args(kind) if member is not type(None)]
    return members[0] if type(None) in get_args(kind) and len(members) == 1 else kind


def _words(kind: Any) -> str:
    if get_origin(kind) is not None:
        return " or ".join(map(repr, get_args(kind)))
    if isinstance(kind, type) and hasattr(kind, "__members__"):
        return " or ".join(repr(str(member.value)) for member in kind.__members__.values())
    return {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}.get(kind, str(kind))


def _propose(key: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are: {', '.join(sorted(known))}"


_HEADER = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\"'-]+(?:\s*\.\s*[A-Za-z0-9_\"'-]+)*)\s*=")


def _key_lines(text: str) -> dict[tuple[str, ...], int]:
    """The line of each table and key. The text is known to be TOML; tomllib does not tell where things stand."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    inside = ""
    for number, line in enumerate(text.splitlines(), 1):
        if inside:
            if inside in line:
                inside = ""
            continue
        if header := _HEADER.match(line):
            table = _split_key(header[1])
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, *_split_key(key[1])), number)
            rest = line[key.end() :]
            inside = next((quote for quote in ('"""', "'''") if rest.count(quote) == 1), "")
    return lines


def _split_key(text: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in text.split("."))
