# What belongs here: watching the settings file. The only module of this package that touches the file system.
"""`SettingsFile`: settings from a TOML file that is read again when it changes."""

from __future__ import annotations

import logging
import os

from mailauth.greylist.policy import GreylistPolicy
from mailauth.greylist.settings import Settings, SettingsError

_log = logging.getLogger("mailauth.greylist")

MAX_FILE_OCTETS = 16 * 1024 * 1024
"""More than this is no settings file but a mistake."""


class SettingsFile:
    """Settings from a file, looked at before each check and read anew when it has changed.

    The first reading raises `OSError` or `SettingsError`. Later on, a file that is gone or cannot be understood
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
            self._read_again()
        return self._settings

    def _signature(self) -> tuple[object, ...]:
        status = os.stat(self.path)
        return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev

    def _read(self) -> Settings:
        with open(self.path, "rb") as file:
            octets = file.read(MAX_FILE_OCTETS + 1)
        if len(octets) > MAX_FILE_OCTETS:
            raise SettingsError(f"{self.path}: larger than {MAX_FILE_OCTETS} octets")
        try:
            return Settings.from_toml(octets.decode("utf-8"), self._policy)
        except UnicodeDecodeError as error:
            raise SettingsError(f"{self.path}: not UTF-8: {error.reason} at octet {error.start}") from None
        except SettingsError as error:
            raise SettingsError(f"{self.path}: {error}") from None

    def _read_again(self) -> None:
        try:
            self._settings = self._read()
        except (OSError, ValueError) as error:  # a SettingsError is a ValueError
            _log.error("greylist settings unchanged: %s", error)
        else:
            _log.info("greylist settings read again from %s", self.path)
