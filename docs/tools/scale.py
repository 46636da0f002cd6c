"""``python -m docs.tools.scale [--measured]``: writes the numbers of docs/scale.md.

The page's tables are computed from `scale.json` (what one operation costs) and from the assumptions below, and checked
by small simulations with a fixed seed. With ``--measured`` the costs are first taken from benchmarks/results, as far as
those are there.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import json
import math
import random
import re
import statistics
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mailauth.greylist import GreylistPolicy
from mailauth.stores import open_store
from mailauth.sync import Greylist

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/scale.md"
COSTS = Path(__file__).with_suffix(".json")
RESULTS = ROOT / "benchmarks/results"
SEED = 20261129
DAY = 86_400

# --- the assumptions, which the page names -------------------------------------------------------------------------
SITES = {"a thousand": 1_000, "a million": 1_000_000, "a billion": 1_000_000_000}
PEAK = 5  # the busiest second over the mean of the day
LOAD = 0.5  # of a core, at the peak: the rest is for bursts, other programs, and a host that is down
CORES = 8  # of one host
QUESTIONS = 11  # of one message: see the page
DOMAINS = 1_000_000  # senders, by Zipf's law with exponent 1
TTL = 3_600
KEPT = 10_000  # answers in a process: resolver.cache
NEW_SPAM, NEW_GOOD = 0.24, 0.16  # of all messages: triplets that never come back, and that do
REDIS_OCTETS = 383  # of one record, measured with 20,000: Redis 7.0, PostgreSQL 15, SQLite
POSTGRES_OCTETS, SQLITE_OCTETS = 310, 197
SLOW = 0.01  # of all messages: from domains whose name servers are silent
DEADLINE = 20.0  # seconds: `deadlines.evaluation`


def costs() -> dict[str, float]:
    """What one operation costs, in seconds."""
    return {name: float(entry["seconds"]) for name, entry in json.loads(COSTS.read_text()).items()}


def own_cost() -> float:
    """What one message costs without its questions: the policy service's request, the milter, and the check."""
    cost = costs()
    return cost["request"] + cost["milter"] + cost["check"]


def measured(entry: dict[str, Any], results: Path = RESULTS) -> float | None:
    """The seconds that a benchmark found for an entry: the median, shared by as many operations as one time did.

    None where it was not measured yet, or while the machine had more to do than it has cores: the wall clock then says
    how long others took.
    """
    if not entry["measured"] or not (file := results / f"{entry['measured'][0]}.json").exists():
        return None
    suite = json.loads(file.read_text())
    if suite["metadata"]["load_avg_1min"] > suite["metadata"]["cpu_count"]:
        return None
    _, case, operations = entry["measured"]
    for each in suite["benchmarks"]:
        if (each["metadata"]["case"], each["metadata"]["contender"]) == (case, "mailauth"):
            values = [value for run in each["runs"] for value in run.get("values", ())]
            return statistics.median(values) / operations if values else None
    return None


# --- how often an answer is there already ---------------------------------------------------------------------------


@cache
def popularity(domains: int = DOMAINS) -> Sequence[float]:
    """The cumulative share of the most frequent senders."""
    total = list(itertools.accumulate(1 / rank for rank in range(1, domains + 1)))
    return [each / total[-1] for each in total]


def hit_rate(rate: float, ttl: float = TTL) -> float:
    """Of an unbounded cache, by arithmetic: a sender asked for `x` times in a TTL is there x/(1+x) of the time."""
    shares, before, found = popularity(), 0.0, 0.0
    for upto in shares:
        expected = (upto - before) * rate * ttl
        found += (upto - before) * expected / (1 + expected)
        before = upto
    return found


def simulated_hit_rate(rate: float, *, kept: int | None = None, arrivals: int = 60_000) -> float:
    """The same by simulation, with room for `kept` senders: what was used longest ago goes."""
    rng, shares, now = random.Random(SEED), popularity(), 0.0
    until: OrderedDict[int, float] = OrderedDict()
    hits = counted = 0
    for number in range(arrivals):
        now += rng.expovariate(rate)
        sender = bisect.bisect(shares, rng.random())
        hit = until.get(sender, 0.0) > now
        if not hit:
            until[sender] = now + TTL
        until.move_to_end(sender)
        if kept is not None and len(until) > kept:
            until.popitem(last=False)
        if number >= arrivals / 2:
            hits, counted = hits + hit, counted + 1
    return hits / counted


# --- how long it takes, and how many are under way -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Queue:
    """What a simulation of a peak found. Seconds."""

    in_flight: float
    median: float
    p99: float
    utilization: float
    mean: float


def queue(
    rate: float, cpu: float, processes: int, cached: float, *, slow: float = SLOW, messages: int = 30_000
) -> Queue:
    """Messages come at random; each waits for three rounds of DNS, then for its time on one of the processes."""
    rng, now, ready = random.Random(SEED), 0.0, []
    for _ in range(messages):
        now += rng.expovariate(rate)
        ready.append((now + _dns_wait(rng, cached, slow), now))
    free = [0.0] * processes
    taken, busy, end = [], 0.0, 0.0
    for wanted, came in sorted(ready):
        start = max(wanted, heapq.heappop(free))
        end = start + cpu
        heapq.heappush(free, end)
        busy += cpu
        taken.append(end - came)
    # Little's law: so many are under way in the mean as come in the time that one takes.
    mean = statistics.fmean(taken)
    cuts = statistics.quantiles(taken, n=100)
    return Queue(mean * messages / now, cuts[49], cuts[98], busy / (processes * now), mean)


def _dns_wait(rng: random.Random, cached: float, slow: float) -> float:
    if rng.random() < slow:
        return DEADLINE
    rounds = (0.0003 if rng.random() < cached else rng.lognormvariate(math.log(0.040), 1.2) for _ in range(3))
    return min(DEADLINE, sum(rounds))


# --- the greylist ----------------------------------------------------------------------------------------------------


def records(per_day: float, correspondents: float = 0, lifetime: float = GreylistPolicy().lifetime) -> float:
    """How many records a store holds in the long run: waiting ones, and two for each triplet that came back."""
    waiting = per_day * NEW_SPAM * GreylistPolicy().retry_window / DAY
    return waiting + 2 * (per_day * NEW_GOOD * lifetime / DAY + correspondents)


def simulated_records(per_day: int = 200, days: int = 45, correspondents: int = 100) -> int:
    """The same by the real state machine, over the days: what is in the store at the end."""
    rng, numbers = random.Random(SEED), itertools.count()
    store = open_store("memory:")
    greylist = Greylist(store)

    def mail(sender: int, now: float) -> None:
        client = f"{1 + (sender >> 16 & 127)}.{sender >> 8 & 255}.{sender & 255}.1"
        greylist.check(client, f"ann@s{_letters(sender)}.example", "bob@example.net", now=now)

    start = 1_795_000_000
    for number in range(per_day * days):
        now = start + number * DAY / per_day
        kind = rng.random()
        if kind < NEW_SPAM:
            mail(1_000 + next(numbers), now)
        elif kind < NEW_SPAM + NEW_GOOD:
            stranger = 1_000 + next(numbers)
            mail(stranger, now)
            mail(stranger, now + 600)
        else:
            mail(rng.randrange(correspondents), now)
    greylist.expire(now=now)
    return len(store.scan(limit=1_000_000).entries)


def _letters(number: int) -> str:
    """A number as letters: digits in senders are counters, which do not distinguish them."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


# --- the page --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Site:
    """How a site is laid out."""

    per_day: int
    peak: float
    processes: int
    in_process: float
    on_host: float
    cpu: float

    @property
    def hosts(self) -> int:
        """With one more, so that one may be down."""
        return 1 if self.per_day < 100_000 else 1 + math.ceil(self.processes / CORES)


@cache
def site(per_day: int) -> Site:
    """By what one message costs, with as many processes as that needs at the peak."""
    cost, peak = costs(), PEAK * per_day / DAY
    processes = 1
    while True:
        # Each process sees its share of the mail, and keeps the answers about so many senders.
        inside = simulated_hit_rate(peak / PEAK / processes, kept=KEPT // QUESTIONS)
        cpu = own_cost() + QUESTIONS * (1 - inside) * cost["cares"]
        needed = max(1, math.ceil(peak * cpu / LOAD))
        if needed <= processes:
            hosts = max(1, math.ceil(processes / CORES))
            return Site(per_day, peak, processes, inside, hit_rate(peak / PEAK / hosts), cpu)
        processes = needed


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float) -> str:
    """Two digits that count, or the whole number below a thousand."""
    if value >= 100:
        digits = max(0, len(str(int(value))) - 2)
        return f"{round(value, -digits):,.0f}"
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{_number(seconds * 1e6)} us" if seconds < 1e-3 else f"{_number(seconds * 1e3)} ms"
    return f"{_number(seconds)} s"


def _octets(octets: float) -> str:
    power = min(4, int(math.log10(octets) // 3))
    return f"{_number(octets / 1000**power)} {('octets', 'KB', 'MB', 'GB', 'TB')[power]}"


def _costs_table() -> str:
    entries = json.loads(COSTS.read_text())
    return _table(["operation", "costs", "one core does, a second"], [
        [entry["what"], _duration(entry["seconds"]), _number(1 / entry["seconds"])] for entry in entries.values()
    ])  # fmt: skip


def _core_table() -> str:
    cost = costs()
    own = own_cost()
    rows = []
    for name in ("cares", "dnspython"):
        for hit in (0.0, 0.5, 0.9):
            dns = QUESTIONS * (1 - hit) * cost[name]
            words = {"cares": "c-ares"}.get(name, name)
            rows.append([
                f"{words}, {hit:.0%} of the answers in the process",
                f"{_duration(own)} + {_duration(dns)}" if dns else _duration(own),
                _number(1 / (own + dns)), f"{_number(DAY * LOAD / PEAK / (own + dns))}",
            ])  # fmt: skip
    return _table(["one message", "CPU: ours + asking", "a core does, a second", "a day, with the peak"], rows)


def _site_table() -> str:
    sites = [site(per_day) for per_day in SITES.values()]
    rows: list[tuple[str, Callable[[Site], str]]] = [
        ("a second, mean", lambda s: _number(s.per_day / DAY)),
        (f"a second, peak ({PEAK} times)", lambda s: _number(s.peak)),
        ("answers found in the process", lambda s: f"{s.in_process:.0%}"),
        ("CPU of one message", lambda s: _duration(s.cpu)),
        (f"processes, each {LOAD:.0%} busy at the peak", lambda s: f"{s.processes:,}"),
        (f"hosts of {CORES} cores; where there are several, one to spare", lambda s: f"{s.hosts:,}"),
        ("questions a second to unbound, all hosts, peak", lambda s: _number(s.peak * QUESTIONS * (1 - s.in_process))),
        ("answers found in the host's unbound", lambda s: f"{s.on_host:.0%}"),
        ("questions a second that leave the site, peak", lambda s: _number(s.peak * QUESTIONS * (1 - s.on_host))),
    ]
    return _table(["messages a day", *SITES], [[name, *[value(each) for each in sites]] for name, value in rows])


def _queue_table() -> str:
    rows = []
    for name, per_day in SITES.items():
        each = site(per_day)
        share = max(1, each.hosts - 1)
        found = queue(each.peak / share, each.cpu, math.ceil(each.processes / share), each.on_host)
        rows.append([
            name, _number(each.peak / share), _duration(found.median), _duration(found.p99),
            f"{found.utilization:.1%}" if found.utilization < 0.1 else f"{found.utilization:.0%}",
            _number(found.in_flight),
        ])  # fmt: skip
    head = ["messages a day", "a second and host", "median", "99 of 100", "processes busy", "messages under way"]
    return _table(head, rows)


def _greylist_table() -> str:
    cell = 10_000_000
    rows = [_greylist_row(name, per_day, records(per_day)) for name, per_day in SITES.items()]
    short = records(cell, lifetime=8 * DAY)
    rows.insert(2, _greylist_row("ten million: a cell, lifetime 8 days", cell, short))
    head = ["messages a day", "records", "SQLite", "Redis (memory)", "PostgreSQL", "new a second, peak", "of one Redis"]
    return _table(head, rows)


def _greylist_row(name: str, per_day: float, held: float) -> list[str]:
    new = PEAK * per_day / DAY * (NEW_SPAM + NEW_GOOD)
    share = new * costs()["redis"]
    sizes = [_octets(held * octets) for octets in (SQLITE_OCTETS, REDIS_OCTETS, POSTGRES_OCTETS)]
    return [name, _number(held), *sizes, _number(new), "less than 0.1%" if share < 0.001 else f"{share:.1%}"]


def _checks_table() -> str:
    rate = 1_000_000 / DAY
    by_hand, found = hit_rate(rate), simulated_hit_rate(rate, arrivals=150_000)
    expected, held = records(200, correspondents=100), simulated_records()
    fast = queue(1_000, 0.001, 2, 1.0)
    return _table(["what", "by arithmetic", "by simulation"], [
        ["hit rate of an unbounded cache, a million a day", f"{by_hand:.1%}", f"{found:.1%}"],
        ["records of the greylist (the real one) after 45 days of 200 messages", f"{expected:.0f}", f"{held}"],
        ["two processes, 1,000 messages a second of 1 ms: busy", "50.0%", f"{fast.utilization:.1%}"],
    ])  # fmt: skip


PARTS: dict[str, Callable[[], str]] = {
    "costs": _costs_table,
    "core": _core_table,
    "sites": _site_table,
    "queue": _queue_table,
    "greylist": _greylist_table,
    "checks": _checks_table,
}


def render(page: str) -> str:
    """The page with its generated parts as they should be."""
    for name, make in PARTS.items():
        begin, end = f"<!-- {name}: generated by python -m docs.tools.scale -->", f"<!-- end of {name} -->"
        old, new = re.escape(begin) + ".*?" + re.escape(end), f"{begin}\n{make()}\n{end}"
        page, count = re.subn(old, new, page, flags=re.DOTALL)
        assert count == 1, name
    return page


def main(arguments: Sequence[str]) -> None:
    if "--measured" in arguments:
        entries = json.loads(COSTS.read_text())
        for entry in entries.values():
            entry["seconds"] = float(f"{measured(entry) or entry['seconds']:.3g}")
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items())
        COSTS.write_text(f"{{\n{lines}\n}}\n")
    PAGE.write_text(render(PAGE.read_text()))


if __name__ == "__main__":
    main(sys.argv[1:])
