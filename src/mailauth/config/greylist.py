"""The settings file of greylisting: exemptions (RFC 6647 sections 2.7 and 5) and settings per recipient.

docs/greylist.md shows every key.
"""

from __future__ import annotations

import logging
import os
import pathlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any

from mailauth.config.errors import ConfigError
from mailauth.config.lines import key_lines
from mailauth.config.reader import Reader
from mailauth.config.source import read_document, read_text
from mailauth.config.values import Checked
from mailauth.greylist import GreylistPolicy, Mode, Patterns, Settings
from mailauth.greylist.settings import ALWAYS_REACHABLE, address_patterns, normal_recipient_pattern

_log = logging.getLogger("mailauth.greylist")

PatternText = Annotated[str, Checked(lambda text: Patterns.of([text]), "network, domain or address")]


@dataclass(frozen=True, slots=True)
class _Exempt:
    clients: tuple[PatternText, ...] = ()
    senders: tuple[PatternText, ...] = ()
    recipients: tuple[PatternText, ...] = ()
    postmaster_and_abuse: bool = True


@dataclass(frozen=True, slots=True)
class _Recipient:
    delay: float | None = None
    retry_window: float | None = None
    lifetime: float | None = None
    mode: Mode | None = None


@dataclass(frozen=True, slots=True)
class _File:
    exempt: _Exempt = field(default_factory=_Exempt)
    policy: GreylistPolicy = field(default_factory=GreylistPolicy)


def read_greylist_settings(
    text: str, policy: GreylistPolicy | None = None, filename: str = "<greylist settings>"
) -> Settings:
    """Read settings; what they do not name is as in `policy`. Raises `ConfigError` with every mistake and its line."""
    document = read_document(text, filename)
    reader = Reader(filename, pathlib.Path(), key_lines(text))
    recipients = document.pop("recipient", {})
    defaults = {**asdict(policy or GreylistPolicy())}
    defaults["mode"] = str(defaults["mode"])
    file = reader.table(_File, {**defaults, **document})
    policies: dict[str, GreylistPolicy] = {}
    if not isinstance(recipients, dict):
        reader.mistake(("recipient",), "expected a table: [recipient]")
    elif file is not None:
        policies = _policies(reader, recipients, file.policy)
    if reader.mistakes or file is None:
        raise ConfigError(reader.mistakes)
    exempt = file.exempt
    reachable = ALWAYS_REACHABLE if exempt.postmaster_and_abuse else ()
    return Settings(
        policy=file.policy,
        clients=Patterns.of(exempt.clients),
        senders=Patterns.of(exempt.senders),
        recipients=Patterns.of([*reachable, *exempt.recipients]),
        policies=policies,
    )


def _policies(reader: Reader, table: Mapping[str, Any], policy: GreylistPolicy) -> dict[str, GreylistPolicy]:
    """Each recipient's own keys on top of those of its domain, so that an address need not repeat them."""
    policies: dict[str, GreylistPolicy] = {}
    # Domains first, the shortest first: what holds for ".example" is the ground for "example.org".
    for pattern in sorted(table, key=lambda pattern: ("@" in pattern, pattern.count("."), not pattern.startswith("."))):
        path = ("recipient", pattern)
        try:
            normal = normal_recipient_pattern(pattern)
        except ValueError as error:
            reader.mistake(path, str(error))
            continue
        if not isinstance(table[pattern], dict):
            reader.mistake(path, "expected a table")
            continue
        own = reader.table(_Recipient, table[pattern], path)
        if own is None:
            continue
        address = normal if "@" in normal else f"x@{normal.removeprefix('.')}"
        base = next((policies[each] for each in address_patterns(address) if each in policies), policy)
        try:
            policies[normal] = replace(base, **{key: value for key, value in asdict(own).items() if value is not None})
        except ValueError as error:
            reader.mistake(path, str(error))
    return policies


class SettingsFile:
    """Settings from a file, looked at before each check and read anew when it has changed.

    The first reading raises `OSError` or `ConfigError`. Later on, a file that is gone or cannot be understood
    leaves the last good settings in force and is logged once for each change. Safe to use from several threads.
    """

    def __init__(self, path: str | os.PathLike[str], policy: GreylistPolicy | None = None) -> None:
        self.path = os.fspath(path)
        self._policy = policy
        self._seen = self._signature()
        self._settings = self._read()

    def current(self) -> Settings:
        """The settings as the file says now."""
        try:
            seen = self._signature()
        except OSError as error:
            seen = (str(error.strerror),)
        if seen != self._seen:
            self._seen = seen
            try:
                self._settings = self._read()
            except (OSError, ConfigError) as error:
                _log.error("greylist settings unchanged: %s", error)
            else:
                _log.info("greylist settings read again from %s", self.path)
        return self._settings

    def _signature(self) -> tuple[object, ...]:
        status = os.stat(self.path)
        return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev

    def _read(self) -> Settings:
        return read_greylist_settings(read_text(self.path), self._policy, self.path)
