"""`ZoneResolver`: a whole DNS in memory, from a master file or a dict, with failures as entries.

DNS answered from memory, the way an authoritative server of the same data answers. dnspython is imported only to
parse a master file; a dict needs no DNS library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, TypeAlias

from mailauth.plan.dns import MAX_CHAIN, Answer, Exchange, Outcome, Question, not_asked, unaskable
from mailauth.resolvers.errors import DEFAULT_TTL, ZoneError
from mailauth.resolvers.replay import Failure, failures_in

if TYPE_CHECKING:
    from os import PathLike

_FAILURES = {
    "timeout": Answer(Outcome.TIMED_OUT, detail="the zone says: timeout"),
    "servfail": Answer(Outcome.SERVER_FAILURE, detail="the zone says: SERVFAIL"),
    "refused": Answer(Outcome.REFUSED, detail="the zone says: REFUSED"),
}
_ASKED_TYPES = frozenset({"A", "AAAA", "CNAME", "MX", "PTR", "TXT", "SPF"})


class ZoneResolver:
    """Answers from memory, for sync and async callers alike. Immutable, so it may be shared between threads.

    `records` maps ``(name, type)`` to the data as a master file writes it, one string a record; text of TXT
    records is given bare, without quotes, as `str` (UTF-8) or `bytes`, or as a tuple of the strings of one record.
    Types: A, AAAA, MX, PTR, TXT, SPF and CNAME.
    `failures` maps ``(name, type)`` to ``"timeout"``, ``"servfail"`` or ``"refused"``; the type ``"*"`` stands for
    every type, and a first label ``*`` for every name below. Names may end in a dot and be of any case; among
    the records, a first label ``*`` is a wildcard (RFC 4592). NS and DNAME records are read, but not acted upon.

    Every name that no record proves to exist is `Outcome.NO_SUCH_NAME`; names between an existing name and the
    root exist without data (RFC 8020, empty non-terminals). Raises `ZoneError` for what cannot be understood.
    """

    def __init__(
        self,
        records: Mapping[tuple[str, str], Iterable[str | bytes | tuple[str | bytes, ...]]] | None = None,
        *,
        failures: Mapping[tuple[str, str], Failure] | None = None,
        ttl: int = DEFAULT_TTL,
    ) -> None:
        zone = _Zone()
        for key, data in (records or {}).items():
            name, rtype = _split_key(key)
            if isinstance(data, str | bytes) or not isinstance(data, Iterable):
                raise ZoneError(f"{name} {rtype}: expected a list of records, not {data!r}")
            for item in data:
                zone.add(_canonical(name), rtype, _parse_record(name, rtype, item), ttl)
        self._set_up(zone, failures)

    def _set_up(self, zone: _Zone, failures: Mapping[tuple[str, str], Failure] | None) -> None:
        self._zone = zone
        self._failures = _failure_table(failures or {})
        # Answers never change; the dict is bounded, since a peer may choose the names that are asked.
        self._answers: dict[Question, Answer] = {}

    @classmethod
    def from_text(
        cls, text: str, *, failures: Mapping[tuple[str, str], Failure] | None = None, origin: str = "."
    ) -> ZoneResolver:
        """From an RFC 1035 master file, parsed by dnspython. Several zones may stand in one file.

        A comment such as ``;!timeout example.org TXT`` (or servfail, refused; ``*`` for every type) is a failure.
        Raises `ZoneError`, with the line, for a file that cannot be parsed.
        """
        return cls._from_master_file(text, "<text>", failures, origin)

    @classmethod
    def from_file(
        cls,
        path: str | PathLike[str],
        *,
        failures: Mapping[tuple[str, str], Failure] | None = None,
        origin: str = ".",
    ) -> ZoneResolver:
        """From an RFC 1035 master file on disk. Raises `ZoneError`, with the line, or `OSError`."""
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return cls._from_master_file(file.read(), str(path), failures, origin)

    @classmethod
    def _from_master_file(
        cls, text: str, filename: str, failures: Mapping[tuple[str, str], Failure] | None, origin: str
    ) -> ZoneResolver:
        from mailauth.resolvers.masterfile import read_master_file

        zone = _Zone()
        read_master_file(text, filename, origin, zone.add)
        resolver = cls.__new__(cls)
        resolver._set_up(zone, {**failures_in(text), **(failures or {})})
        return resolver

    def lookup_now(self, question: Question) -> Answer:
        """The answer; it never waits. A "timeout" entry is answered at once, too."""
        answer = self._answers.get(question)
        if answer is None:
            answer = self._find(question)
            if len(self._answers) >= _MAX_CACHED:
                self._answers.clear()
            self._answers[question] = answer
        return answer

    def lookup(self, question: Question, time_limit: float | None = None) -> Answer:
        """The same, as a synchronous driver asks."""
        return self.lookup_now(question)

    async def lookup_async(self, question: Question) -> Answer:
        """The same, as an asynchronous driver asks."""
        return self.lookup_now(question)

    def _find(self, question: Question) -> Answer:
        unasked = not_asked(question)
        if unasked is not None:
            return unasked
        name, chain_ttl = question.name.lower(), None
        for _ in range(MAX_CHAIN + 1):
            failure = self._failures.find(name, question.type) if self._failures else None
            if failure is not None:
                return failure
            node = self._zone.find(name)
            if node is None or question.type in node or "CNAME" not in node:
                return self._zone.answer(name, node, question.type, chain_ttl)
            (target,), ttl = node["CNAME"]
            chain_ttl = ttl if chain_ttl is None else min(ttl, chain_ttl)
            name = target
        return Answer(Outcome.SERVER_FAILURE, detail=f"CNAME chain over {MAX_CHAIN} or a loop")


_MAX_CACHED = 10_000

_Node: TypeAlias = dict[str, tuple[tuple[Any, ...], int]]


class _Zone:
    """Names with their records; an empty node is a name that exists only because something is below it."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {"": {}}

    def add(self, name: str, rtype: str, data: Any, ttl: int) -> None:
        node = self._nodes.setdefault(name, {})
        records, old_ttl = node.get(rtype, ((), ttl))
        others = node.keys() - {"CNAME"} if rtype == "CNAME" else node.keys() & {"CNAME"}
        if others or (rtype == "CNAME" and records not in ((), (data,))):
            raise ZoneError(f"{name} {rtype}: a CNAME stands alone (RFC 1034 section 3.6.2)")
        if data not in records:
            node[rtype] = ((*records, data), min(ttl, old_ttl))
        while "." in name:
            name = name.split(".", 1)[1]
            self._nodes.setdefault(name, {})

    def find(self, name: str) -> _Node | None:
        """The node of `name`, or the wildcard that covers it (RFC 4592 section 3.3.1); None if no such name."""
        node = self._nodes.get(name)
        if node is not None:
            return node
        encloser = name
        while encloser not in self._nodes:
            encloser = encloser.partition(".")[2]
        return self._nodes.get(f"*.{encloser}" if encloser else "*")

    def answer(self, name: str, node: _Node | None, rtype: str, chain_ttl: int | None) -> Answer:
        if node is not None and rtype in node:
            records, ttl = node[rtype]
            return Answer(Outcome.FOUND, records, ttl if chain_ttl is None else min(ttl, chain_ttl))
        outcome, ttl = Outcome.NO_SUCH_NAME if node is None else Outcome.NO_DATA, self._negative_ttl(name)
        # The zone knows its names; an alias exists, whatever becomes of its target (RFC 6604 section 3).
        exists = node is not None or chain_ttl is not None
        if chain_ttl is None:
            return Answer(outcome, ttl=ttl, exists=exists)
        return Answer(outcome, ttl=min(ttl, chain_ttl), detail=f"the CNAME leads to {name}", exists=exists)

    def _negative_ttl(self, name: str) -> int:
        """RFC 2308 section 5: the lesser of the SOA's own TTL and its MINIMUM field."""
        while True:
            node = self._nodes.get(name)
            if node is not None and "SOA" in node:
                (minimum, *_), ttl = node["SOA"]
                return min(int(minimum), ttl)
            if not name:
                return 0
            name = name.partition(".")[2]


def _canonical(name: str) -> str:
    canonical = name.lower().removesuffix(".")
    if canonical and (reason := unaskable(canonical)):
        raise ZoneError(f"{name!r}: {reason}")
    return canonical


def _split_key(key: object) -> tuple[str, str]:
    match key:
        case (str(name), str(rtype)):
            return name, rtype.upper()
    raise ZoneError(f"{key!r}: expected a pair of name and type")


class _Failures(dict[tuple[str, str], Answer]):
    """Failing names; a first label ``*`` stands for every name below, whether it exists or not."""

    def find(self, name: str, rtype: str) -> Answer | None:
        failure = self.get((name, rtype)) or self.get((name, "*"))
        while failure is None and name:
            name = name.partition(".")[2]
            wildcard = f"*.{name}" if name else "*"
            failure = self.get((wildcard, rtype)) or self.get((wildcard, "*"))
        return failure


def _failure_table(failures: Mapping[tuple[str, str], Failure]) -> _Failures:
    table = _Failures()
    for key, failure in failures.items():
        name, rtype = _split_key(key)
        if failure not in _FAILURES:
            raise ZoneError(f"{name} {rtype}: a failure is one of {', '.join(_FAILURES)}, not {failure!r}")
        if rtype != "*" and rtype not in _ASKED_TYPES:
            raise ZoneError(f"{name} {rtype}: no plan asks for this type")
        table[_canonical(name), rtype] = _FAILURES[failure]
    return table


def _parse_record(name: str, rtype: str, item: str | bytes | tuple[str | bytes, ...]) -> Any:
    """One record of a dict, in the words of a master file."""
    if rtype in ("TXT", "SPF") and isinstance(item, tuple) and item:
        # RFC 1035 section 3.3.14: one or more strings, which are put together without anything between them.
        return b"".join(_parse_record(name, rtype, each) for each in item)
    if not isinstance(item, str | bytes):
        raise ZoneError(f"{name} {rtype}: a record is a string, not {item!r}")
    if rtype in ("TXT", "SPF"):
        return item if isinstance(item, bytes) else item.encode("utf-8", "surrogateescape")
    if isinstance(item, bytes):
        raise ZoneError(f"{name} {rtype}: only TXT records may be bytes")
    try:
        match rtype:
            case "A":
                return IPv4Address(item)
            case "AAAA":
                return IPv6Address(item)
            case "MX":
                return _parse_exchange(item)
            case "PTR" | "CNAME":
                return _canonical(item)
    except ValueError as error:
        raise ZoneError(f"{name} {rtype} {item!r}: {error}") from None
    raise ZoneError(f"{name} {rtype}: records are A, AAAA, MX, PTR, TXT, SPF or CNAME")


def _parse_exchange(item: str) -> Exchange:
    preference, _, host = item.strip().partition(" ")
    if not (preference.isascii() and preference.isdigit() and int(preference) < 65536 and host.strip()):
        raise ValueError("expected a preference up to 65535 and a host")
    return Exchange(int(preference), _canonical(host.strip()))
