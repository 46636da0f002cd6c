"""From the ``[restrictions]`` table, or without one, to `Restrictions`.

The five restriction lists of a configuration as values, and those that hold where it names none.
"""

from __future__ import annotations

from collections.abc import Iterator

from mailauth.config.restrictions import WARN, NotSet, read_restriction
from mailauth.config.schema import Config, RestrictionConfig
from mailauth.restrictions import Restriction
from mailauth.restrictions.base import PHASES, Phase
from mailauth.restrictions.phases import Restrictions
from mailauth.transaction.checks import lists_by_kind

RELAY = "reject_unauth_destination"


def lists_of(config: Config) -> RestrictionConfig:
    """The lists as text: the file's, or those that hold where it has no ``[restrictions]``.

    Our own clients are let through; listed clients are rejected; recipients that are not ours, too; then SPF fail and
    greylisting. DKIM is reported and rejects nothing (RFC 6376 section 6.3).
    """
    if config.restrictions is not None:
        return config.restrictions
    trusted = (*(("permit_mynetworks",) if config.networks else ()), "permit_authenticated")
    lists = lists_by_kind(config.rbl.lists)
    # What a signature says in favour of a client is known with the message; so are all addresses.
    late = (*(("reject_rbl",) if lists.dkim else ()), *(("reject_ebl_sender",) if lists.email else ()))
    return RestrictionConfig(
        client=(*trusted, "reject_rbl") if lists.client and not lists.dkim else (),
        recipient=(
            *trusted,
            *((RELAY,) if config.domains else ()),
            "check_spf",
            *(("greylist",) if config.greylist.store else ()),
        ),
        data=(*trusted, "check_dkim", "check_dmarc", *late),
    )


def items(config: Config) -> Iterator[tuple[Phase, int, str]]:
    """Each item of each list: its phase, its place, its text."""
    lists = lists_of(config)
    for phase in PHASES:
        for index, text in enumerate(getattr(lists, phase)):
            yield phase, index, text


def read_lists(config: Config) -> tuple[Restrictions, list[tuple[Phase, int, ValueError]]]:
    """The restrictions, and what is wrong with those that could not be read."""
    read: dict[Phase, list[Restriction]] = {phase: [] for phase in PHASES}
    wrong: list[tuple[Phase, int, ValueError]] = []
    for phase, index, text in items(config):
        try:
            read[phase].append(_read(text, config))
        except ValueError as error:
            wrong.append((phase, index, error))
    return Restrictions(**read), wrong


def _read(text: str, config: Config) -> Restriction:
    restriction = read_restriction(text, config)
    if restriction.name == "greylist" and config.greylist.store is None:
        raise NotSet("greylist needs a store: set store in [greylist]", ("greylist", "store"))
    return restriction


def refuses_relaying(config: Config) -> bool:
    """Whether some list keeps strangers from sending to the world through us, as Postfix demands of its own lists."""
    return any(text.split()[:1] == [RELAY] for _, _, text in items(config) if not text.startswith(WARN))
