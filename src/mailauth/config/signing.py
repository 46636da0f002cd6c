"""Signing tables in TOML: ``[[sign]]`` tables, each with the keys of ``[[signing]]`` in the configuration file."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from os import PathLike

from mailauth.config.errors import ConfigError
from mailauth.config.lines import key_lines
from mailauth.config.reader import Reader
from mailauth.config.schema import SigningConfig
from mailauth.config.source import read_document, read_text
from mailauth.dkim import SigningRule, SigningTable, load_key


@dataclass(frozen=True, slots=True)
class _Table:
    sign: tuple[SigningConfig, ...]


def load_signing_table(path: str | PathLike[str]) -> SigningTable:
    """Which keys sign for which sender: TOML if the file's name ends in ``.toml``, else a classic key list.

    Keys are files beside it, unless their paths are absolute. Raises `ConfigError` with every mistake and its line,
    `mailauth.dkim.TableError` for a key list, and `OSError` where the file cannot be read.
    """
    file = pathlib.Path(path)
    if file.suffix != ".toml":
        return SigningTable.from_file(file)
    text = read_text(file)
    reader = Reader(str(path), file.parent, key_lines(text))
    table = reader.table(_Table, read_document(text, str(path)))
    rules = []
    for index, entry in enumerate(table.sign if table is not None else ()):
        try:
            rule = SigningRule(
                entry.senders, entry.selector, load_key(entry.key.read_bytes()), entry.domain, entry.allow
            )
            SigningTable([rule])
            rules.append(rule)
        except OSError as error:
            reader.mistake(("sign", index, "key"), f"cannot read {entry.key}: {error.strerror}")
        except ValueError as error:
            reader.mistake(("sign", index), str(error))
    if reader.mistakes:
        raise ConfigError(reader.mistakes)
    return SigningTable(rules)
