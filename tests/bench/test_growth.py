"""How the cost grows is read from the results, fitted and rendered; the page in docs/ is that of the results."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import RESULTS, SCALING, growth, report
from benchmarks.growth import exponent, series_of, size_of
from benchmarks.measure import FULL, Case, Contender, calls, measure
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")


def rows(sizes: tuple[int, ...] = (1, 10, 100)) -> list[report.Row]:
    """Ours grows in step with a fixed cost, the peer's by the square and not to the end; ten calls for each."""
    found: list[report.Row] = []
    for size in sizes:
        contenders = [Contender("mailauth", lambda loops, n=size: loops * (0.001 + 0.002 * n))]
        if size < 100:
            contenders.append(Contender("peer", lambda loops, n=size: loops * 0.001 * n**2))
        found += report.rows_of(measure(Case(f"Work (of a kind): {size}", contenders, rounds=2), FULL))
        counted = Contender("mailauth", lambda _, n=size: 10.0 * n)
        case = Case(f"calls, Work (of a kind): {size}", [counted], unit="integer", rounds=1, loops=1)
        found += report.rows_of(measure(case, FULL))
    return found


def test_the_rows_of_one_kind_of_work_are_one_series() -> None:
    (series,) = series_of(rows())
    assert (series.title, series.unit) == ("Work", "of a kind")
    assert series.own == [(1, 0.003), (10, 0.021), (100, 0.201)]
    assert series.times["peer"] == [(1, 0.001), (10, 0.1)]
    assert series.calls == [(1, 10.0), (10, 100.0), (100, 1000.0)]


@given(st.floats(-1, 3), st.floats(1e-6, 1e3), st.lists(st.integers(1, 10**6), min_size=2, max_size=8, unique=True))
def test_the_power_that_a_cost_follows_is_found(power: float, factor: float, sizes: list[int]) -> None:
    """Of costs that follow a power of the size exactly, just that power is found, whatever the factor and the sizes."""
    assert exponent([(n, factor * n**power) for n in sorted(sizes)]) == pytest.approx(power, abs=1e-6)


def test_a_fixed_cost_counts_for_little_at_the_largest_sizes() -> None:
    assert 0.99 < exponent([(n, 5 + 2 * n) for n in (1, 10, 100, 1000, 10_000)]) <= 1


def test_the_table_says_how_each_grows() -> None:
    assert growth.table(series_of(rows())).splitlines()[2] == (
        "| Work: of a kind | 1 | 100 | 3.00 ms | 201 ms | n^0.91 | 10 | 1,000 | n^1.00 | peer n^2.00 |"
    )


@pytest.mark.parametrize(
    ("number", "text"), [(1, "1"), (2048, "2,048"), (32_768, "32.8 k"), (2_097_152, "2.1 M"), (10**6, "1 M")]
)
def test_sizes_are_short(number: int, text: str) -> None:
    assert size_of(number) == text


def test_calls_of_python_and_of_c_are_counted_the_same_each_time() -> None:
    def inner() -> int:
        return len("x")

    def work() -> None:
        for _ in range(10):
            inner()

    assert calls(work) == calls(work) == 1 + 10 + 10


def test_the_page_is_rendered_from_the_results() -> None:
    assert growth.page(RESULTS) == PAGE, "docs/scaling.md is out of date: make bench-report"


def test_every_series_is_drawn_and_has_its_line() -> None:
    found, _ = report.load(RESULTS, SCALING)
    picture = (ROOT / "docs" / "img" / f"bench-{SCALING}.svg").read_text(encoding="utf-8")
    every = series_of(found)
    assert len(every) >= 9
    for series in every:
        assert series.title in picture
        assert f"| {series.title}: {series.unit} |" in PAGE
        assert series.own == sorted(series.own)
        assert len(series.own) >= 4
    assert "currentColor" in picture


def test_no_work_grows_faster_than_its_size() -> None:
    """By what was counted when the results were made: exact, whatever the machine did meanwhile."""
    counted = [series for series in series_of(report.load(RESULTS, SCALING)[0]) if series.calls]
    assert len(counted) >= 7
    assert {series.title: exponent(series.calls) for series in counted if exponent(series.calls) > 1.01} == {}
