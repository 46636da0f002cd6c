# What belongs here: reading a store's URL. Nothing is opened here, and no driver imported.
"""Store URLs, and how to show one without its password."""

from __future__ import annotations

import math
import re
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

DEFAULT_TIME_LIMIT = 5.0
"""Seconds for one operation of a store; an SMTP client waits five minutes for the reply to RCPT (RFC 5321 section
4.5.3.2.3), and a check needs three operations at most."""

_KINDS = {
    "memory": "memory",
    "sqlite": "sqlite",
    "redis": "redis",
    "rediss": "redis",
    "valkey": "redis",
    "valkeys": "redis",
    "unix": "redis",
    "postgresql": "postgresql",
    "postgres": "postgresql",
}
_OPTIONS = {"memory": (), "sqlite": ("durability",), "redis": ("prefix",), "postgresql": ("durability",)}
DURABILITIES = ("normal", "full")


class StoreUrl(NamedTuple):
    """A URL in parts: the kind of store, what its driver gets to see, and our own options."""

    kind: str
    rest: str
    options: dict[str, str]
    time_limit: float

    def option(self, name: str) -> str | None:
        """One of our own options, None if the URL does not have it."""
        return self.options.get(name)


def parse_url(url: str, time_limit: float | None = None) -> StoreUrl:
    """Split a store's URL; `ValueError` for what makes no sense."""
    if not isinstance(url, str):
        raise TypeError(f"a store is named by a URL, not by {type(url).__name__}")
    scheme, colon, _ = url.partition(":")
    kind = _KINDS.get(scheme.lower()) if colon else None
    if kind is None:
        raise ValueError(f"{redact(url)!r} names no store; there are {', '.join(f'{name}:' for name in _KINDS)}")
    bare, own = _take_options(url, (*_OPTIONS[kind], "time_limit"), keep_others=kind in ("redis", "postgresql"))
    limit = time_limit if time_limit is not None else _seconds(own.pop("time_limit", None))
    if not (math.isfinite(limit) and limit > 0):
        raise ValueError(f"time_limit is in seconds, more than 0: {limit!r}")
    if own.get("durability", "normal") not in DURABILITIES:
        raise ValueError(f"durability is one of {', '.join(DURABILITIES)}, not {own['durability']!r}")
    return StoreUrl(kind, _rest(kind, scheme, bare), own, limit)


def _take_options(url: str, names: tuple[str, ...], *, keep_others: bool) -> tuple[str, dict[str, str]]:
    """Our own options, and the URL without them."""
    base, _, query = url.partition("?")
    own: dict[str, str] = {}
    others = []
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in names:
            own[name] = value
        elif keep_others:
            others.append((name, value))
        else:
            raise ValueError(f"{redact(base)} has no option {name!r}; there are {', '.join(names)}")
    return f"{base}?{urlencode(others)}" if others else base, own


def _rest(kind: str, scheme: str, bare: str) -> str:
    if kind == "sqlite":
        return _path(bare)
    if kind == "redis":
        return re.sub(r"\Avalkey", "redis", bare, flags=re.IGNORECASE)
    return bare


def _path(bare: str) -> str:
    """``sqlite:///a/b`` and ``sqlite:/a/b`` are the file /a/b, ``sqlite:a/b`` is relative."""
    path = bare.partition(":")[2]
    if path.startswith("//"):
        host, slash, path = path[2:].partition("/")
        path = slash + path
        if host:
            raise ValueError(f"sqlite://{host} names a host; write sqlite:///path, or sqlite:{host} for a file here")
    path = unquote(path)
    if not path.strip("/") or "\0" in path:
        raise ValueError("a sqlite URL names a file, as in sqlite:///var/lib/mailauth/greylist.db")
    return path


def _seconds(text: str | None) -> float:
    try:
        return DEFAULT_TIME_LIMIT if text is None else float(text)
    except ValueError:
        raise ValueError(f"time_limit is a number of seconds, not {text!r}") from None


def redact(url: str) -> str:
    """The URL for people: without password and options."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition(":")[0] + ":..."
    place = parts.netloc.rpartition("@")
    user = place[0].partition(":")[0]
    netloc = f"{user}@{place[2]}" if user else place[2]
    slashes = "//" if "://" in url else ""
    return f"{parts.scheme}:{slashes}{netloc}{parts.path}" if parts.scheme else url
