# What belongs here: what an Authenticator is told once and then only reads, so that threads may share it.
"""`Settings` of an authenticator, and the five lists of restrictions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from mailauth import domain
from mailauth.dkim import DkimPolicy
from mailauth.rbl import RblPolicy, Rule
from mailauth.restrictions.base import Caller, Restriction, as_restriction
from mailauth.spf import SpfPolicy

Phase: TypeAlias = Literal["client", "helo", "sender", "recipient", "data"]
PHASES: tuple[Phase, ...] = ("client", "helo", "sender", "recipient", "data")


@dataclass(frozen=True, slots=True, init=False)
class Restrictions:
    """The five lists of Postfix (smtpd_client_restrictions and so on), each evaluated in order.

    Items are values of `mailauth.restrictions`, or callables of the caller's own. Raises `TypeError` for others.
    """

    client: tuple[Restriction, ...]
    helo: tuple[Restriction, ...]
    sender: tuple[Restriction, ...]
    recipient: tuple[Restriction, ...]
    data: tuple[Restriction, ...]

    def __init__(
        self,
        *,
        client: Iterable[Restriction | Caller] = (),
        helo: Iterable[Restriction | Caller] = (),
        sender: Iterable[Restriction | Caller] = (),
        recipient: Iterable[Restriction | Caller] = (),
        data: Iterable[Restriction | Caller] = (),
    ) -> None:
        for phase, items in zip(PHASES, (client, helo, sender, recipient, data), strict=True):
            object.__setattr__(self, phase, tuple(as_restriction(item) for item in items))

    def of(self, phase: Phase) -> tuple[Restriction, ...]:
        """The list of one phase."""
        restrictions: tuple[Restriction, ...] = getattr(self, phase)
        return restrictions


@dataclass(frozen=True, slots=True)
class Settings:
    """What one `Authenticator` goes by."""

    hostname: str
    restrictions: Restrictions
    rbl: tuple[Rule, ...] = ()
    greylisting: bool = False
    delay_reject: bool = True
    trace: bool = False
    spf_policy: SpfPolicy = field(default_factory=SpfPolicy)
    dkim_policy: DkimPolicy = field(default_factory=DkimPolicy)
    rbl_policy: RblPolicy = field(default_factory=RblPolicy)

    def __post_init__(self) -> None:
        name = domain.to_ascii(self.hostname)
        if name is None or not domain.is_hostname(name):
            raise ValueError(f"hostname is the name of this server, used as authserv-id: {self.hostname!r}")
