"""Store URLs, and how to show one without its password.

Reading a store's URL. Nothing is opened here, and no driver imported.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode

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
        raise ValueError(f"{_unknown(url)} names no store; there are {', '.join(f'{name}:' for name in _KINDS)}")
    if kind in ("redis", "postgresql"):
        require_readable(url)
    bare, own = _take_options(url, (*_OPTIONS[kind], "time_limit"), keep_others=kind in ("redis", "postgresql"))
    limit = time_limit if time_limit is not None else _seconds(own.pop("time_limit", None))
    if not (math.isfinite(limit) and limit > 0):
        raise ValueError(f"time_limit is in seconds, more than 0: {limit!r}")
    if own.get("durability", "normal") not in DURABILITIES:
        raise ValueError(f"durability is one of {', '.join(DURABILITIES)}, not {own['durability']!r}")
    return StoreUrl(kind, _rest(kind, scheme, bare), own, limit)


def _unknown(url: str) -> str:
    """A text that is not the URL of a store, for people: in full, since it is most often a path."""
    return repr(url if _SCHEME_LESS.fullmatch(url) else redact(url))


_SCHEME_LESS = re.compile(r"[\w./~ -]{0,100}")


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
            shown = host if "@" not in host else "..."
            raise ValueError(f"sqlite://{shown} names a host; write sqlite:///path, or sqlite:{shown} for a file here")
    path = unquote(path)
    if not path.strip("/") or "\0" in path:
        raise ValueError("a sqlite URL names a file, as in sqlite:///var/lib/mailauth/greylist.db")
    return path


def _seconds(text: str | None) -> float:
    try:
        return DEFAULT_TIME_LIMIT if text is None else float(text)
    except ValueError:
        raise ValueError(f"time_limit is a number of seconds, not {text!r}") from None


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_HOST = re.compile(r"(?:[A-Za-z0-9._~%,-]|:[0-9]|\[[0-9A-Za-z:.%]+\])*")
_UNREADABLE = (
    "this URL makes no sense: a port is a number, and in a name or a password all signs but letters, digits and -._~ "
    "are written as %XX"
)


def _parts(url: str) -> tuple[str, str, str, str, str]:
    """Scheme, slashes, user information, host and path."""
    scheme, _, rest = url.partition(":")
    slashes = "//" if rest.startswith("//") else ""
    rest = rest.removeprefix("//")
    place = re.split(r"[/?#]", rest, maxsplit=1)[0]
    userinfo, _, host = place.rpartition("@")
    return scheme, slashes, userinfo, host, re.split(r"[?#]", rest[len(place) :], maxsplit=1)[0]


def redact(url: str) -> str:
    """The URL for people: without password and options, and without the rest where either may hide in it."""
    scheme, slashes, userinfo, host, path = _parts(url)
    if ":" not in url or _SCHEME.fullmatch(scheme) is None:
        return "..."
    if _KINDS.get(scheme.lower()) == "sqlite":
        return url.partition("?")[0]
    # A password with "/", "?" or "#" in it, not written as %XX, ends what looks like the host.
    if _HOST.fullmatch(host) is None or (not userinfo and "@" in url):
        return f"{scheme}:{slashes}..."
    user = userinfo.partition(":")[0]
    return f"{scheme}:{slashes}{user}{'@' if user else ''}{host}{path}"


def require_readable(url: str) -> None:
    """`ValueError` for the URL of a server in which a password has ended the host too early.

    The drivers would take the rest of the password for a port, a database or an option, and quote it in their errors.
    """
    scheme, _, userinfo, host, path = _parts(url)
    if _HOST.fullmatch(host) is None or ("@" in path and not userinfo and scheme.lower() != "unix"):
        raise ValueError(f"{redact(url)}: {_UNREADABLE}")


def why(url: str, error: Exception) -> str:
    """What a driver says of a URL that it cannot read; it quotes parts of it, so nothing where there is a secret."""
    if "@" in url or "password" in url.lower():
        return _UNREADABLE
    return " ".join(str(error).split())
