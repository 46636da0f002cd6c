"""Sets of client addresses: as sorted bounds, in which the networks of a record can be added, cut and subtracted.

What a term does to the clients that come to it, all of them at once. Numbers only; nothing here knows of terms.
"""

# SECURITY: the networks come from records. The survey of a tree bounds how many there are. An operation looks at the
# bounds of its smaller operand one by one, and copies those of the larger: the terms of a tree, each with few networks,
# are added to a set of tens of thousands.

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, summarize_address_range
from itertools import pairwise
from typing import TypeAlias

from mailauth.spf.compile import IP6_OFFSET, merged
from mailauth.spf.terms import IP6_BITS

Ranges: TypeAlias = tuple[int, ...]
"""Where ranges begin and end, in turns and rising order: IPv4 addresses as numbers, IPv6 ones behind them."""

Network: TypeAlias = IPv4Network | IPv6Network

NOBODY: Ranges = ()
IP4: Ranges = (0, IP6_OFFSET)
IP6: Ranges = (IP6_OFFSET, IP6_OFFSET + (1 << IP6_BITS))
EVERYBODY: Ranges = (0, IP6_OFFSET + (1 << IP6_BITS))
FAMILIES: dict[int, Ranges] = {4: IP4, 6: IP6}
"""All clients of a family."""
MAX_DIGITS = 1 << 40
"""From here on a number is shown as a power of two."""


def union(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """All that lies in one of the ranges (first, behind the last)."""
    found = list(ranges)
    return tuple(merged(found)) if found else NOBODY


def both(one: Ranges, other: Ranges) -> Ranges:
    """What lies in both: each range of the smaller set is cut out of the larger one."""
    few, many = (one, other) if len(one) <= len(other) else (other, one)
    bounds: list[int] = []
    for first, behind in pairs(few):
        begin, end = bisect_right(many, first), bisect_left(many, behind)
        if begin & 1:
            bounds.append(first)
        bounds += many[begin:end]
        if end & 1:
            bounds.append(behind)
    return tuple(bounds)


def either(one: Ranges, other: Ranges) -> Ranges:
    """What lies in one of them, or in both."""
    if not one or not other:
        return one or other
    return _others(both(_others(one), _others(other)))


def without(one: Ranges, other: Ranges) -> Ranges:
    """What lies in the first only."""
    return both(one, _others(other))


def _others(ranges: Ranges) -> Ranges:
    """All clients but these."""
    first, behind = EVERYBODY
    bounds = (first, *ranges, behind)
    # Between two bounds that are the same nobody lies.
    return bounds[2 * (bounds[1] == first) : len(bounds) - 2 * (bounds[-2] == behind)]


def first_matches(ranges: list[tuple[int, int]], wanted: list[bool]) -> Ranges:
    """What lies in a range that is `wanted`, and in none before it in the list: the first match decides."""
    starts = sorted(range(len(ranges)), key=lambda index: ranges[index][0])
    edges = sorted({bound for each in ranges for bound in each})
    decided: list[tuple[int, int]] = []
    open_ones: list[int] = []
    begun = 0
    for first, behind in pairwise(edges):
        while begun < len(starts) and ranges[starts[begun]][0] <= first:
            heappush(open_ones, starts[begun])
            begun += 1
        while open_ones and ranges[open_ones[0]][1] <= first:
            heappop(open_ones)
        if open_ones and wanted[open_ones[0]]:
            decided.append((first, behind))
    return union(decided)


def pairs(ranges: Ranges) -> Iterator[tuple[int, int]]:
    """The ranges one by one: first, and behind the last."""
    return zip(ranges[::2], ranges[1::2], strict=True)


def size(ranges: Ranges, family: int) -> int:
    """How many addresses of a family lie in them."""
    return sum(behind - first for first, behind in pairs(both(ranges, FAMILIES[family])))


def counted(number: int) -> str:
    """A number for people; where its digits say nothing any more, as a power of two."""
    if number < MAX_DIGITS:
        return f"{number:,}"
    power = number.bit_length() - 1
    return f"2^{power}" if number == 1 << power else f"over 2^{power}"


def networks(ranges: Ranges, at_most: int | None = None) -> list[Network]:
    """The ranges as the fewest networks, those of IPv4 first; no more than `at_most`."""
    found: list[Network] = []
    for family in FAMILIES:
        for first, behind in pairs(both(ranges, FAMILIES[family])):
            low, high = (bound - (IP6_OFFSET if family == 6 else 0) for bound in (first, behind - 1))
            make: type[IPv4Address] | type[IPv6Address] = IPv4Address if family == 4 else IPv6Address
            for network in summarize_address_range(make(low), make(high)):
                if at_most is not None and len(found) >= at_most:
                    return found
                found.append(network)
    return found
