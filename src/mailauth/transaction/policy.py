# What belongs here: what an Authenticator is told once and then only reads, so that threads may share it.
"""`Settings` of an authenticator."""

from __future__ import annotations

from dataclasses import dataclass, field

from mailauth.dkim import DkimPolicy
from mailauth.mail import names
from mailauth.rbl import RblPolicy, Rule
from mailauth.restrictions.base import PHASES, Phase
from mailauth.restrictions.phases import Restrictions
from mailauth.spf import SpfPolicy

__all__ = ["PHASES", "Phase", "Restrictions", "Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What one `Authenticator` goes by. Raises `ValueError` for a `hostname` that is none."""

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
        name = names.to_ascii(self.hostname)
        if name is None or not names.is_hostname(name):
            raise ValueError(f"hostname is the name of this server, used as authserv-id: {self.hostname!r}")
