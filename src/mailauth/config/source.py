"""From a file or a text to a TOML document; anything that is not TOML is a `ConfigError` with its line."""

from __future__ import annotations

import re
import tomllib
from os import PathLike
from typing import Any

from mailauth.config.errors import ConfigError, Mistake

MAX_FILE_OCTETS = 16 * 1024 * 1024
"""More than this is no configuration file but a mistake."""


def read_text(path: str | PathLike[str]) -> str:
    """The text of a file. Raises `ConfigError` for what is too long or no UTF-8, `OSError` where it cannot be read."""
    with open(path, "rb") as stream:
        octets = stream.read(MAX_FILE_OCTETS + 1)
    if len(octets) > MAX_FILE_OCTETS:
        raise ConfigError([Mistake(str(path), 1, "", f"larger than {MAX_FILE_OCTETS} octets")])
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise ConfigError([Mistake(str(path), line, "", f"not UTF-8: {error.reason}")]) from None


def read_document(text: str, filename: str) -> dict[str, Any]:
    """The tables of a TOML text. Raises `ConfigError`."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", str(error))
        words = str(error)[: found.start()] if found else str(error)
        line = int(found[1]) if found and found[1] else text.count("\n") + 1
        column = f" at column {found[2]}" if found and found[2] else ""
        # What an administrator of a mail server is used to: hostname = mx.example.net, deadlines without quotes.
        hint = '; text stands in quotes: key = "text"' if words == "Invalid value" else ""
        raise ConfigError([Mistake(filename, line, "", f"not TOML: {words}{column}{hint}")]) from None
    except ValueError as error:  # a number of thousands of digits
        raise ConfigError([Mistake(filename, 1, "", f"not TOML: {error}")]) from None
    except RecursionError:
        raise ConfigError([Mistake(filename, 1, "", "not TOML that anybody would write: nested too deeply")]) from None
