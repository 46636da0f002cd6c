"""`MilterSettings`: what an administrator decides about the milter. What it does is filter.py's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Mode: TypeAlias = Literal["both", "verify", "sign"]
"""What a listener does: verify mail from outside, sign mail of our own clients, or both."""
OnFailure: TypeAlias = Literal["accept", "tempfail"]
MilterField: TypeAlias = Literal["authentication-results", "received-spf"]


@dataclass(frozen=True, slots=True)
class MilterSettings:
    """How the milter verifies and signs. Raises `ValueError` for words that make no sense."""

    on_failure: OnFailure = "tempfail"
    """The answer where something of ours fails, as Postfix's milter_default_action."""
    fields: tuple[MilterField, ...] = ("authentication-results",)
    """What is put on top of mail from outside."""
    reject_no_aligned_dkim: bool = False
    """Refuse mail from outside without a DKIM pass whose domain is aligned with From (550 5.7.22; 451 where a key could
    not be looked up). It refuses mail of lists and of every domain that does not sign."""
    quarantine: bool = False
    """Mail that DMARC asks to quarantine, and mail that would be refused for good by its content, goes to the hold
    queue instead."""
    remove_forged: bool = True
    """Remove Authentication-Results fields that claim to be ours."""

    def __post_init__(self) -> None:
        if self.on_failure not in get_args(OnFailure):
            raise ValueError(f"on_failure is one of {', '.join(get_args(OnFailure))}, not {self.on_failure!r}")
        if not set(self.fields) <= set(get_args(MilterField)):
            raise ValueError(f"fields are of {', '.join(get_args(MilterField))}")
