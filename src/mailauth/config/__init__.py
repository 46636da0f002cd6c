"""The one configuration file of the example server, the commands and the services.

::

    config = load("mailauth.toml")              # ConfigError: every mistake with its line, OSError: cannot be read
    auth = authenticator(config)                # or async_authenticator(config)

docs/configuration.md describes every key; ``mailauth config check FILE`` checks a file.

A file or a text in, a checked `Config` out, and the builders' names. The file is the site's own, so
each mistake in it is a `ConfigError`; nothing in it comes from a peer.
"""

from __future__ import annotations

import pathlib
from os import PathLike

from mailauth.config.building import (
    async_authenticator,
    async_resolver,
    authenticator,
    signing_table,
    srs_rewriter,
    sync_resolver,
)
from mailauth.config.checks import findings, list_findings
from mailauth.config.errors import ConfigError, Mistake
from mailauth.config.greylist import SettingsFile, read_greylist_settings
from mailauth.config.lines import key_lines
from mailauth.config.lists import lists_of
from mailauth.config.opendkim import Imported, import_opendkim
from mailauth.config.reader import Reader
from mailauth.config.schema import (
    Config,
    Deadlines,
    GreylistConfig,
    ListenConfig,
    MilterConfig,
    PolicydConfig,
    RblConfig,
    ResolverConfig,
    RestrictionConfig,
    ServiceConfig,
    SigningConfig,
    SrsConfig,
)
from mailauth.config.signing import load_signing_table
from mailauth.config.source import read_document, read_text
from mailauth.config.values import DeliveryUrl, ListenAddress, parse_delivery_url, parse_listen

__all__ = [
    "Config",
    "ConfigError",
    "Deadlines",
    "DeliveryUrl",
    "GreylistConfig",
    "Imported",
    "ListenAddress",
    "ListenConfig",
    "MilterConfig",
    "Mistake",
    "PolicydConfig",
    "RblConfig",
    "ResolverConfig",
    "RestrictionConfig",
    "ServiceConfig",
    "SettingsFile",
    "SigningConfig",
    "SrsConfig",
    "async_authenticator",
    "async_resolver",
    "authenticator",
    "import_opendkim",
    "lists_of",
    "load",
    "load_signing_table",
    "parse",
    "parse_delivery_url",
    "parse_listen",
    "read_greylist_settings",
    "signing_table",
    "srs_rewriter",
    "sync_resolver",
]


def load(path: str | PathLike[str], *, lint: bool = False) -> Config:
    """Read and check a configuration file, and the files that it names; relative paths start at its own folder.

    With `lint`, block lists are mistakes, too, that do nothing (dead, of the wrong kind, without their key) or too much
    (may only score, and reject). Raises `ConfigError`, which has every mistake that was found, or `OSError` where the
    file cannot be read.
    """
    return parse(read_text(path), str(path), folder=pathlib.Path(path).parent, lint=lint)


def parse(text: str, filename: str = "<config>", *, folder: str | PathLike[str] = ".", lint: bool = False) -> Config:
    """Read and check a configuration from text; relative paths start at `folder`. Raises `ConfigError`."""
    document = read_document(text, filename)
    reader = Reader(filename, pathlib.Path(folder), key_lines(text))
    config = reader.table(Config, document)
    # What is wrong elsewhere is reported although the table as a whole cannot be made.
    probe = config or Reader(filename, pathlib.Path(folder), {}).table(Config, {**document, "hostname": "mx.example"})
    if probe is not None:
        for path, problem, depends_on in (*findings(probe), *(list_findings(probe) if lint else ())):
            if not depends_on or not reader.wrong_at(depends_on):
                reader.mistake(path, problem)
    if reader.mistakes or config is None:
        raise ConfigError(reader.mistakes)
    return config
