"""Resolvers: from memory, through dnspython or c-ares, a cache over any of them, and one that notes what was asked.

The public names of the resolvers. Each is imported when it is first named, since dnspython costs about 70 ms to
import and most callers need one resolver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mailauth.resolvers.cache import Cache, CachingResolver
    from mailauth.resolvers.cares import CaresResolver
    from mailauth.resolvers.errors import ZoneError
    from mailauth.resolvers.recording import Asked, RecordingResolver
    from mailauth.resolvers.replay import zone_text
    from mailauth.resolvers.system import AsyncDnspythonResolver, DnspythonResolver
    from mailauth.resolvers.zone import ZoneResolver

__all__ = [
    "Asked",
    "AsyncDnspythonResolver",
    "Cache",
    "CachingResolver",
    "CaresResolver",
    "DnspythonResolver",
    "RecordingResolver",
    "ZoneError",
    "ZoneResolver",
    "zone_text",
]

_HOME = {
    "Asked": "recording",
    "RecordingResolver": "recording",
    "CaresResolver": "cares",
    "AsyncDnspythonResolver": "system",
    "Cache": "cache",
    "CachingResolver": "cache",
    "DnspythonResolver": "system",
    "ZoneError": "errors",
    "ZoneResolver": "zone",
    "zone_text": "replay",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
