# What belongs here: how the facade's logic is written once for sync and async callers. It is a generator that yields
# effects; mailauth.sync and mailauth.aio each perform them in a few lines. Nothing here performs anything.
"""Steps: facade logic that yields what is to be done and is sent what came of it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeAlias, TypeVar

from mailauth.plan import IPAddress, Plan

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Run a plan against the authenticator's resolver, in what is left of its time."""

    plan: Plan[Any]


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """Read the message to its end and feed it, piece by piece; in aio without blocking the event loop."""

    message: bytes | BinaryIO
    feed: Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class AskGreylist:
    """Ask the authenticator's greylist about one delivery attempt to one recipient; None where it has none."""

    ip: IPAddress
    sender: str
    recipient: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """Call a function of the caller's own; in aio its result is awaited if it can be."""

    function: Callable[..., Any]
    argument: Any


Effect: TypeAlias = RunPlan | ReadMessage | AskGreylist | Call
Steps: TypeAlias = Generator[Effect, Any, T]
