"""Sets of client addresses: as sorted bounds, in which the networks of a record can be added, cut and subtracted.

What a term does to the clients that come to it, all of them at once. Numbers only; nothing here knows of terms.
"""

# SECURITY: the networks come from records. Every operation is linear in the bounds of its operands, and the survey of a
# tree bounds how many there are.

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, summarize_address_range
from itertools import pairwise
from typing import TypeAlias

from mailauth.spf.compile import IP6_OFFSET, merged
from mailauth.spf.terms import IP4_BITS, IP6_BITS

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
BITS = {4: IP4_BITS, 6: IP6_BITS}


def union(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """All that lies in one of the ranges (first, behind the last)."""
    found = list(ranges)
    return tuple(merged(found)) if found else NOBODY


def either(one: Ranges, other: Ranges) -> Ranges:
    """What lies in one of them, or in both."""
    if not one or not other:
        return one or other
    return _combined(one, other, lambda in_one, in_other: in_one or in_other)


def both(one: Ranges, other: Ranges) -> Ranges:
    """What lies in both."""
    if not one or not other or one[-1] <= other[0] or other[-1] <= one[0]:
        return NOBODY
    if len(one) == 2 or len(other) == 2:
        (first, behind), many = (one, other) if len(one) == 2 else (other, one)
        return _cut(many, first, behind)
    return _combined(one, other, lambda in_one, in_other: in_one and in_other)


def without(one: Ranges, other: Ranges) -> Ranges:
    """What lies in the first only."""
    if not one or not other or one[-1] <= other[0] or other[-1] <= one[0]:
        return one
    return _combined(one, other, lambda in_one, in_other: in_one and not in_other)


def _cut(ranges: Ranges, first: int, behind: int) -> Ranges:
    """What lies in one range."""
    begin, end = bisect_right(ranges, first), bisect_left(ranges, behind)
    inside = ranges[begin:end]
    return ((first,) if begin & 1 else ()) + inside + ((behind,) if end & 1 else ())


def _combined(one: Ranges, other: Ranges, keep: Callable[[bool, bool], bool]) -> Ranges:
    bounds: list[int] = []
    i = j = 0
    inside = False
    while i < len(one) or j < len(other):
        here = min(one[i] if i < len(one) else other[j], other[j] if j < len(other) else one[i])
        i += i < len(one) and one[i] == here
        j += j < len(other) and other[j] == here
        if keep(bool(i & 1), bool(j & 1)) != inside:
            bounds.append(here)
            inside = not inside
    return tuple(bounds)


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
