"""docs/scale.md has the numbers of its tool, and the tool's arithmetic agrees with its simulations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from docs.tools import scale

from mailauth.sync import Greylist


def test_the_page_has_the_numbers_of_the_tool() -> None:
    page = scale.PAGE.read_text()
    assert scale.render(page) == page, "python -m docs.tools.scale writes them anew"


@pytest.mark.parametrize(("name", "entry"), json.loads(scale.COSTS.read_text()).items())
def test_the_costs_are_of_the_order_that_the_benchmarks_measured(name: str, entry: dict[str, Any]) -> None:
    """Machines differ, and are noisy; another order of magnitude would make the page wrong."""
    found = scale.measured(entry)
    if found is not None:
        assert found / 6 < scale.costs()[name] < found * 6, "python -m docs.tools.scale --measured"


@pytest.mark.parametrize(("load", "found"), [(0.5, 0.002), (12.3, None)])
def test_a_busy_machine_measures_others(tmp_path: Path, load: float, found: float | None) -> None:
    run = {"metadata": {"case": "a", "contender": "mailauth"}, "runs": [{"metadata": {}}, {"values": [1, 2, 9]}]}
    suite = {"metadata": {"load_avg_1min": load, "cpu_count": 2}, "benchmarks": [run]}
    (tmp_path / "subject.json").write_text(json.dumps(suite))
    assert scale.measured({"measured": ["subject", "a", 1000]}, tmp_path) == found
    assert scale.measured({"measured": ["subject", "b", 1]}, tmp_path) is None
    assert scale.measured({"measured": ["other", "a", 1]}, tmp_path) is None


@pytest.mark.parametrize("rate", [1 / 86.4, 1.0, 100.0])
def test_the_hit_rate_of_a_cache(rate: float) -> None:
    """By arithmetic and by simulation; a bounded cache finds no more than an unbounded one."""
    found = scale.simulated_hit_rate(rate, arrivals=100_000)
    if rate <= 1:  # the first half of the arrivals covers several TTLs
        assert found == pytest.approx(scale.hit_rate(rate), abs=0.02)
    assert scale.simulated_hit_rate(rate, kept=100, arrivals=100_000) <= found


@pytest.mark.parametrize("load", [0.3, 0.5, 0.8])
def test_waiting_for_one_process(load: float) -> None:
    """M/D/1: the mean wait is load * time / (2 * (1 - load)), by Pollaczek and Khinchine."""
    cpu, dns = 0.01, 3 * 0.0003
    found = scale.queue(load / cpu, cpu, 1, 1.0, slow=0.0, messages=100_000)
    assert found.utilization == pytest.approx(load, rel=0.03)
    assert found.mean == pytest.approx(dns + cpu + load * cpu / (2 * (1 - load)), rel=0.05)


def test_messages_under_way() -> None:
    """Silent name servers alone, with processes enough: the rate, times their share, times the deadline."""
    found = scale.queue(50, 0.001, 10, 1.0, slow=0.05, messages=100_000)
    assert found.in_flight == pytest.approx(50 * 0.05 * scale.DEADLINE, rel=0.1)


def test_the_records_of_a_greylist() -> None:
    """The real state machine, fed with 45 days of mail, holds what the formula says."""
    assert scale.simulated_records() == pytest.approx(scale.records(200, correspondents=100), rel=0.03)


def test_the_size_of_a_record_in_sqlite(tmp_path: Path) -> None:
    greylist = Greylist(f"sqlite:{tmp_path}/greylist.db")
    for number in range(3_000):
        client = f"10.{number >> 8}.{number & 255}.1"
        greylist.check(
            client, f"ann{number}@s{number % 97}.example", f"user{number % 40}@example.net", now=1_795_000_000
        )
    greylist.close()
    octets = sum(file.stat().st_size for file in tmp_path.iterdir()) / 3_000
    assert octets == pytest.approx(scale.SQLITE_OCTETS, rel=0.3)
