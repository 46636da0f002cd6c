# What belongs here: the front door: a file or a text in, a checked `Config` out, and the builders' names. The
# file is the site's own, so each mistake in it is a `ConfigError`; nothing in it comes from a peer.
"""The one configuration file of the example server, the commands and the services.

::

    config = load("mailauth.toml")              # ConfigError: every mistake with its line, OSError: cannot be read
    auth = authenticator(config)                # or async_authenticator(config)

docs/configuration.md describes every key; ``mailauth config check FILE`` checks a file.
"""

from __future__ import annotations

import pathlib
import re
import tomllib
from os import PathLike
from typing import Any

from mailauth.config.building import async_authenticator, async_resolver, authenticator, signing_table, sync_resolver
from mailauth.config.checks import findings
from mailauth.config.errors import ConfigError, Mistake
from mailauth.config.lines import key_lines
from mailauth.config.lists import lists_of
from mailauth.config.reader import Reader
from mailauth.config.schema import (
    Config,
    Deadlines,
    GreylistConfig,
    ListenConfig,
    RblConfig,
    ResolverConfig,
    RestrictionConfig,
    SigningConfig,
)
from mailauth.config.values import DeliveryUrl, parse_delivery_url

__all__ = [
    "Config",
    "ConfigError",
    "Deadlines",
    "DeliveryUrl",
    "GreylistConfig",
    "ListenConfig",
    "Mistake",
    "RblConfig",
    "ResolverConfig",
    "RestrictionConfig",
    "SigningConfig",
    "async_authenticator",
    "async_resolver",
    "authenticator",
    "lists_of",
    "load",
    "parse",
    "parse_delivery_url",
    "signing_table",
    "sync_resolver",
]

MAX_FILE_OCTETS = 16 * 1024 * 1024
"""More than this is no configuration file but a mistake."""


def load(path: str | PathLike[str]) -> Config:
    """Read and check a configuration file, and the files that it names; relative paths start at its own folder.

    Raises `ConfigError`, which has every mistake that was found, or `OSError` where the file cannot be read.
    """
    file = pathlib.Path(path)
    with file.open("rb") as stream:
        octets = stream.read(MAX_FILE_OCTETS + 1)
    if len(octets) > MAX_FILE_OCTETS:
        raise ConfigError([Mistake(str(path), 1, "", f"larger than {MAX_FILE_OCTETS} octets")])
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise ConfigError([Mistake(str(path), line, "", f"not UTF-8: {error.reason}")]) from None
    return parse(text, str(path), folder=file.parent)


def parse(text: str, filename: str = "<config>", *, folder: str | PathLike[str] = ".") -> Config:
    """Read and check a configuration from text; relative paths start at `folder`. Raises `ConfigError`."""
    document = _document(text, filename)
    reader = Reader(filename, pathlib.Path(folder), key_lines(text))
    config = reader.table(Config, document)
    # What is wrong elsewhere shall be told although the table as a whole cannot be made.
    probe = config or Reader(filename, pathlib.Path(folder), {}).table(Config, {**document, "hostname": "mx.example"})
    if probe is not None:
        for path, problem, depends_on in findings(probe):
            if not depends_on or not reader.wrong_at(depends_on):
                reader.mistake(path, problem)
    if reader.mistakes or config is None:
        raise ConfigError(reader.mistakes)
    return config


def _document(text: str, filename: str) -> dict[str, Any]:
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
    except RecursionError:
        raise ConfigError([Mistake(filename, 1, "", "not TOML that anybody would write: nested too deeply")]) from None
