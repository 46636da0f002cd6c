"""`PolicySettings`: what an administrator decides about the policy service."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar, get_args

from mailauth.greylist import ClientWhitelist, RecipientWhitelist, Whitelists

_log = logging.getLogger("mailauth.policyd")

PolicyField: TypeAlias = Literal["received-spf", "x-greylist", "authentication-results"]
"""A field that the service can have put on top of a message, one with each of its replies."""

OnError: TypeAlias = Literal["dunno", "defer", "disconnect"]
"""What is answered where our own part fails."""


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """What the policy service answers. Raises `ValueError` for words and numbers that make no sense.

    `fields` are put on top of messages, one with each request of a message that is not refused (Postfix takes one for
    each reply), in this order. `on_error`: "dunno" lets the mail go on to Postfix's next restriction, "defer" defers it
    unless something rejects it, "disconnect" leaves it to Postfix (which tries again, then defers with 451 4.3.5).
    `time_limit` (seconds) is the longest that a request may take, well below Postfix's own 100 s. `ok`: say OK, which
    skips all later restrictions, where ours permit; without it DUNNO is said. `max_mails` bounds the mails that are
    known at a time. `whitelist_clients` and `whitelist_recipients` are files of postgrey, such as
    /etc/postgrey/whitelist_clients: mail of these clients, and for these recipients, is not greylisted; all other
    checks are made. As in postgrey, a file whose name ends in ``.local`` need not exist.
    """

    fields: tuple[PolicyField, ...] = ("received-spf",)
    on_error: OnError = "dunno"
    time_limit: float = 60.0
    ok: bool = False
    max_mails: int = 10_000
    whitelist_clients: tuple[Path, ...] = ()
    whitelist_recipients: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if not set(self.fields) <= set(get_args(PolicyField)):
            raise ValueError(f"fields are of {', '.join(get_args(PolicyField))}")
        if self.on_error not in get_args(OnError):
            raise ValueError(f"on_error is one of {', '.join(get_args(OnError))}, not {self.on_error!r}")
        if not 0 < self.time_limit <= 90:
            raise ValueError("time_limit is in seconds, more than 0 and at most 90: Postfix waits 100")
        if self.max_mails < 1:
            raise ValueError("max_mails is at least 1")


def read_whitelists(settings: PolicySettings) -> Whitelists:
    """The white lists in the files that the settings name. Raises `OSError`; lines that are none are logged."""
    return Whitelists(
        tuple(_logged(ClientWhitelist.parse(text, name)) for name, text in _texts(settings.whitelist_clients)),
        tuple(_logged(RecipientWhitelist.parse(text, name)) for name, text in _texts(settings.whitelist_recipients)),
    )


WhitelistT = TypeVar("WhitelistT", ClientWhitelist, RecipientWhitelist)


def _logged(whitelist: WhitelistT) -> WhitelistT:
    for line in whitelist.refused:
        _log.warning("white list: %s", line)
    return whitelist


def _texts(files: Iterable[Path]) -> Iterator[tuple[str, str]]:
    for file in map(Path, files):
        if file.suffix == ".local" and not file.exists():
            continue
        # Requests are read in the same way: octets that are no UTF-8 are the same on both sides.
        yield str(file), file.read_text("utf-8", "surrogateescape")
