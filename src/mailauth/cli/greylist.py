"""``mailauth greylist show|allow|forget|expire|stats``.

Look into a greylist store and change it by hand. Every change is a compare-and-set, so all of it may be done while mail
flows.
"""

# SECURITY: addresses in the store were sent by peers; they are printed with everything unprintable replaced.

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any, NamedTuple

from mailauth import MailAuthError
from mailauth.cli.common import EXIT_OK, Paint, UsageError, add_json_option, moment, number, one_line, print_json
from mailauth.greylist import (
    Entry,
    Greylist,
    GreylistPolicy,
    Record,
    State,
    Store,
    StoreError,
    normal_recipient,
    normal_sender,
)
from mailauth.greylist.keys import TALLY_PREFIX, parse_client, readable
from mailauth.greylist.service import MAX_TIME
from mailauth.mail.names import parse_ip
from mailauth.stores import open_store
from mailauth.stores.urls import parse_url, redact

EXIT_NOTHING = 1
DEFAULT_LIMIT = 100
STEP = 1000
_STATES = ("waiting", "known", "counting", "allowed")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, function, summary in (
        ("show", show, "list records"),
        ("allow", allow, "let a client, or what waits from a sender, through"),
        ("forget", forget, "remove records, so that their mail is greylisted anew"),
        ("expire", expire, "remove what has run out; checks do this by themselves in small steps"),
        ("stats", stats, "how much was deferred, came back, or never did"),
    ):
        action = actions.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        action.set_defaults(run=_guarded(function))
        _add_options(action, name)


def _add_options(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument(
        "--store",
        required=True,
        metavar="URL",
        help="sqlite:///var/lib/…, redis://host/0 or postgresql://host/database",
    )
    parser.add_argument("--now", type=_time, metavar="TIME", help="the time to go by, ISO 8601 or seconds since 1970")
    add_json_option(parser)
    if name in ("show", "allow", "forget"):
        _add_filters(parser, name)
    if name == "show":
        parser.add_argument(
            "--limit", type=number, default=DEFAULT_LIMIT, help="show at most so many; 0: all (default: %(default)s)"
        )
    if name == "forget":
        parser.add_argument("--all", action="store_true", help="every record; needed where nothing else is named")
    if name == "allow":
        parser.add_argument("--settings", metavar="FILE", help="the TOML file with network sizes and lifetimes")


def _add_filters(parser: argparse.ArgumentParser, name: str) -> None:
    which = parser.add_argument_group("which records (all that are given must hold)")
    which.add_argument("--client", metavar="CLIENT", help="an address, a network, or a proven domain")
    which.add_argument("--sender", metavar="ADDRESS", help="ann@example.org, @example.org, or <>")
    which.add_argument("--recipient", metavar="ADDRESS", help="bob@example.net or @example.net")
    if name != "allow":
        which.add_argument("--state", choices=_STATES, help="only records in this state")


def _time(text: str) -> float:
    value = moment(text)
    if not abs(value) <= MAX_TIME:
        raise argparse.ArgumentTypeError(f"not a time: {text}")
    return value


def _guarded(function: Callable[[argparse.Namespace, Store, float], int]) -> Callable[[argparse.Namespace], int]:
    """Open the store around an action; what goes wrong with it is one line."""

    def run(options: argparse.Namespace) -> int:
        try:
            store = _open(options)
            try:
                return function(options, store, time.time() if options.now is None else options.now)
            finally:
                store.close()
        except StoreError as error:
            raise UsageError(str(error)) from None

    return run


def _open(options: argparse.Namespace) -> Store:
    try:
        parsed = parse_url(options.store)
        if parsed.kind == "memory":
            raise UsageError("a memory store is seen only by the process that has it")
        if parsed.kind == "sqlite" and options.action != "allow" and not os.path.exists(parsed.rest):
            raise UsageError(f"there is no file {parsed.rest}")
        return open_store(options.store)
    except (ValueError, MailAuthError) as error:
        raise UsageError(str(error)) from None


# --- choosing records ----------------------------------------------------------------------------------------


class Row(NamedTuple):
    """An entry with its key taken apart; a client's own record has neither sender nor recipient."""

    key: str
    record: Record
    client: str
    sender: str
    recipient: str


def _entries(store: Store) -> Iterator[Entry]:
    """Everything that the store has."""
    cursor = ""
    while True:
        page = store.scan(cursor=cursor, limit=STEP)
        yield from page.entries
        cursor = page.cursor
        if not cursor:
            return


def _row(entry: Entry) -> Row:
    parts = entry[0].split(" ")
    return Row(*entry, parts[0], *(parts[1:] if len(parts) == 3 else ("", "")))


def _chosen(store: Store, options: argparse.Namespace) -> Iterator[Row]:
    """The records of triplets and clients that the options name."""
    tests = list(_tests(options))
    rows = (_row(entry) for entry in _entries(store) if not entry[0].startswith(TALLY_PREFIX))
    return (row for row in rows if all(test(row) for test in tests))


def _tests(options: argparse.Namespace) -> Iterator[Callable[[Row], bool]]:
    if options.client is not None:
        holds = _client_test(options.client)
        yield lambda row: holds(row.client)
    if options.sender is not None:
        is_sender = _address_test(options.sender, normal_sender)
        yield lambda row: is_sender(row.sender)
    if options.recipient is not None:
        is_recipient = _address_test(options.recipient, normal_recipient)
        yield lambda row: is_recipient(row.recipient)
    if getattr(options, "state", None) is not None:
        yield lambda row: row.record.state == options.state


def _client_test(text: str) -> Callable[[str], bool]:
    """Whether the client of a record is the one that is meant, holds its address, or is part of its network."""
    try:
        meant = ip_network(text, strict=False) if "/" in text else ip_network(parse_ip(text))
    except ValueError:
        domain = _client_of(text, GreylistPolicy())
        return lambda client: client == domain

    def holds(client: str) -> bool:
        if "/" not in client:
            return False
        network: Any = ip_network(client)
        return bool(network.version == meant.version and (network.subnet_of(meant) or meant.subnet_of(network)))

    return holds


def _address_test(text: str, normal: Callable[[str], str]) -> Callable[[str], bool]:
    if text.startswith("@"):
        domain = normal("x" + text)[1:]
        return lambda address: address.endswith(domain)
    meant = normal(text)
    return lambda address: address == meant


def _client_of(text: str, policy: GreylistPolicy) -> str:
    try:
        return parse_client(text, policy)
    except ValueError:
        raise UsageError(f"neither an address, a network nor a domain: {text}") from None


# --- show ----------------------------------------------------------------------------------------------------


def show(options: argparse.Namespace, store: Store, now: float) -> int:
    """List the chosen records."""
    rows: list[Row] = []
    more = False
    for row in _chosen(store, options):
        if options.limit and len(rows) >= options.limit:
            more = True
            break
        rows.append(row)
    if options.json:
        print_json([_json(row) for row in rows])
    elif rows:
        _print_rows(rows, now)
    if more:
        print(f"(only the first {len(rows)}; --limit 0 shows all)", file=sys.stderr)
    if not rows:
        print("no record matches", file=sys.stderr)
    return EXIT_OK if rows else EXIT_NOTHING


def _json(row: Row) -> dict[str, Any]:
    record = row.record
    parts = readable(row.key)
    return {
        "state": record.state.value,
        "client": parts[0],
        "sender": parts[1] if row.sender else None,
        "recipient": parts[2] if row.sender else None,
        "first_seen": record.first_seen,
        "last_seen": record.last_seen,
        "deferred": record.deferred,
        "passed": record.passed,
        "expires": record.expires,
    }


_STYLES = {"waiting": "doubt", "known": "good", "allowed": "good", "counting": "dim"}


def _print_rows(rows: list[Row], now: float) -> None:
    head = ("STATE", "CLIENT", "SENDER", "RECIPIENT", "FIRST SEEN (UTC)", "LAST SEEN", "DEFERRED", "PASSED")
    table = [_cells(row, now) for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *table, strict=True)]
    paint = Paint()
    print(paint(_line(head, widths), "strong"))
    for cells in table:
        state = paint(cells[0].ljust(widths[0]), _STYLES[cells[0]]) if cells[0] in _STYLES else cells[0]
        print(f"{state}  {_line(cells[1:], widths[1:])}")


def _cells(row: Row, now: float) -> tuple[str, ...]:
    record = row.record
    client, *addresses = map(one_line, readable(row.key))
    sender, recipient = addresses if len(addresses) == 2 else ("-", "-")
    seen = _ago(now - record.last_seen)
    counts = str(record.deferred), str(record.passed)
    return (record.state.value, client, sender, recipient, _date(record.first_seen), seen, *counts)


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _ago(seconds: float) -> str:
    """An age, rounded down: what is said to be two days old is no younger."""
    if seconds < -1:
        return "in the future"
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}s ago"
    return f"{max(0, int(seconds))} s ago"


def _date(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f}"


# --- allow, forget, expire -----------------------------------------------------------------------------------


def allow(options: argparse.Namespace, store: Store, now: float) -> int:
    """Let a client through, or what waits from a sender."""
    policy = _policy(options)
    if not (options.client or options.sender or options.recipient):
        raise UsageError("say what to allow: --client, --sender, --recipient, or several of them")
    if options.client and not (options.sender or options.recipient):
        allowed = [_allow(store, _whole_client(options.client, policy), State.ALLOWED, now, policy)]
    else:
        allowed = [
            key
            for row in _chosen(store, options)
            if row.record.state is State.WAITING and (key := _allow(store, row.key, State.KNOWN, now, policy))
        ]
        if not allowed and options.client and options.sender and options.recipient:
            allowed = [_allow(store, _triplet(options, policy), State.KNOWN, now, policy)]
    return _report("allowed", allowed, options)


def _policy(options: argparse.Namespace) -> GreylistPolicy:
    if options.settings is None:
        return GreylistPolicy()
    from mailauth.config import ConfigError, SettingsFile

    try:
        return SettingsFile(options.settings).current().policy
    except ConfigError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"cannot read {options.settings}: {error.strerror}") from None


def _whole_client(text: str, policy: GreylistPolicy) -> str:
    """The client as checks look it up; a network of any other size would never be found again."""
    client = _client_of(text, policy)
    address, slash, size = client.partition("/")
    own = policy.ipv6_prefix if ":" in address else policy.ipv4_prefix
    if slash and int(size) != own:
        raise UsageError(
            f"{client} is no client: they are networks of /{own} here; name one of its addresses, give --settings if "
            "yours are of another size, or exempt it in the settings"
        )
    return client


def _triplet(options: argparse.Namespace, policy: GreylistPolicy) -> str:
    for text in (options.sender, options.recipient):
        if text.startswith("@"):
            raise UsageError(f"nothing waits that matches; to allow it beforehand name an address, not {text}")
    client = _whole_client(options.client, policy)
    return f"{client} {normal_sender(options.sender)} {normal_recipient(options.recipient)}"


def _allow(store: Store, key: str, state: State, now: float, policy: GreylistPolicy) -> str:
    """Put a record into the state that lets mail through."""
    expires = math.ceil(now + policy.lifetime)

    def allowed(record: Record | None) -> Record:
        record = record or Record(state, now, now, 0, 0, expires)
        return record._replace(state=state, last_seen=now, expires=expires)

    return _change(store, key, allowed)


def _change(store: Store, key: str, change: Callable[[Record | None], Record | None]) -> str:
    """Change a record, again if mail changed it meanwhile."""
    while True:
        (record,) = store.get((key,))
        if store.compare_and_set(key, record, change(record)):
            return key


def forget(options: argparse.Namespace, store: Store, now: float) -> int:
    """Remove the chosen records."""
    if not (options.client or options.sender or options.recipient or options.state or options.all):
        raise UsageError("say what to forget: --client, --sender, --recipient, --state, or --all")
    forgotten = [_change(store, row.key, lambda record: None) for row in _chosen(store, options)]
    return _report("forgotten", forgotten, options)


def _report(word: str, keys: list[str], options: argparse.Namespace) -> int:
    if options.json:
        print_json({word: [list(readable(key)) for key in keys]})
    else:
        for key in keys:
            client, *addresses = map(one_line, readable(key))
            print(f"{word}: {client}" + (f", {addresses[0]} to {addresses[1]}" if addresses else ""))
    if not keys:
        print("no record matches", file=sys.stderr)
    return EXIT_OK if keys else EXIT_NOTHING


def expire(options: argparse.Namespace, store: Store, now: float) -> int:
    """Remove all that has run out, in small steps."""
    greylist = Greylist(store, expire_every=None)
    removed = 0
    while step := greylist.expire(now=now):
        removed += step
    if options.json:
        print_json({"removed": removed})
    else:
        print(f"removed {removed:,} record{'' if removed == 1 else 's'}")
    return EXIT_OK


# --- stats ---------------------------------------------------------------------------------------------------


def stats(options: argparse.Namespace, store: Store, now: float) -> int:
    """Count what is there and what was."""
    counts = _count(store, now)
    over = counts["came_back"] + counts["never_retried"]
    share = counts["came_back"] / over if over else None
    if options.json:
        print_json({**counts, "share_that_came_back": share})
    else:
        _print_stats(redact(options.store), counts, share)
    return EXIT_OK


_COUNTS = (
    "waiting",
    "known",
    "clients_counting",
    "clients_allowed",
    "deferred",
    "came_back",
    "never_retried",
    "still_waiting",
)


def _count(store: Store, now: float) -> dict[str, int]:
    counts: Counter[str] = Counter(dict.fromkeys(_COUNTS, 0))
    for key, record in _entries(store):
        counts["deferred"] += record.deferred
        match record.state:
            case State.WAITING:
                counts["waiting"] += 1
                counts["never_retried" if record.expires < now else "still_waiting"] += 1
            case State.KNOWN:
                counts["known"] += 1
                # One that was allowed by hand was never deferred, or has not come back yet.
                counts["came_back"] += bool(record.deferred and record.passed)
            case State.COUNTING:
                counts["clients_counting"] += 1
            case State.ALLOWED:
                counts["clients_allowed"] += 1
            case State.TALLY if key == TALLY_PREFIX + State.WAITING:
                counts["never_retried"] += record.removed
            case State.TALLY if key == TALLY_PREFIX + State.KNOWN:
                counts["came_back"] += record.removed
    return dict(counts)


def _print_stats(place: str, counts: dict[str, int], share: float | None) -> None:
    paint = Paint()
    print(paint(place, "strong"))
    for name, words in (
        ("waiting", "triplets waiting"),
        ("known", "triplets known"),
        ("clients_counting", "clients on their way to be allowed"),
        ("clients_allowed", "clients allowed"),
    ):
        print(f"  {counts[name]:>12,}  {words}")
    print(paint("since the store was made", "strong"))
    for name, words in (
        ("deferred", "attempts deferred"),
        ("came_back", "triplets came back in time"),
        ("never_retried", "triplets never came back in time"),
        ("still_waiting", "triplets still can"),
    ):
        print(f"  {counts[name]:>12,}  {words}")
    if share is not None:
        print(f"  {share:>12.1%}  of those whose time is over came back")
