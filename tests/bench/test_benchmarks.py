"""The benchmarks measure in turns, render what they measured, and the page in docs/ is that of the results.

The subjects themselves are run by `make bench-quick`, which CI does.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks import RESULTS, SCALING, SUBJECTS, measure, report
from benchmarks.__main__ import run_all
from benchmarks.dnswork import complete
from benchmarks.measure import FULL, QUICK, Case, Contender
from benchmarks.worker import Worker

from mailauth.dmarc.record import parse_record

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def steady(log: list[str], name: str, seconds: float) -> Contender:
    """A contender whose every loop takes the same time, by its own word; it logs its turns."""

    def time(loops: int) -> float:
        log.append(name)
        return loops * seconds

    return Contender(name, time, "1.0")


def measured(*contenders: Contender, **options: object) -> report.Row:
    case = Case("a case", contenders, **options)  # type: ignore[arg-type]
    (row,) = report.rows_of(measure.measure(case, FULL))
    return row


# --- measuring --------------------------------------------------------------------------------------------------------


def test_contenders_take_turns_there_and_back() -> None:
    log: list[str] = []
    measured(steady(log, "mailauth", 0.1), steady(log, "peer", 0.2), rounds=3)
    assert log[-6:] == ["peer", "mailauth", "mailauth", "peer", "peer", "mailauth"]


def test_a_value_is_the_time_of_one_loop_whatever_the_loops() -> None:
    row = measured(steady([], "mailauth", 3e-6), steady([], "peer", 0.5), rounds=4)
    assert row.contenders["mailauth"].values == (3e-6,) * 4
    assert row.contenders["peer"].values == (0.5,) * 4


def test_bytes_are_not_divided_by_the_loops() -> None:
    contender = Contender("mailauth", lambda loops: 4096.0)
    assert measured(contender, unit="byte", loops=7, rounds=2).own.values == (4096.0,) * 2


@pytest.mark.parametrize("disturbed", [0, 1, 2, 3, 4, 5])
def test_one_disturbed_trial_does_not_make_the_values_short(disturbed: int) -> None:
    trials = itertools.count()

    def time(loops: int) -> float:
        return loops * 10e-6 + 0.1 * (next(trials) == disturbed)

    (benchmark,) = measure.measure(Case("a case", [Contender("mailauth", time)], rounds=1), FULL)
    assert benchmark.get_metadata()["loops"] == pytest.approx(FULL.seconds / 10e-6)


def test_cold_is_with_nothing_kept_from_the_call_before() -> None:
    record = b"v=DMARC1; p=reject; rua=mailto:nobody@example.org"
    cold = measure.forgetful(lambda: parse_record(record), "mailauth.dmarc")
    assert cold() is not cold()
    assert parse_record(record) is parse_record(record)
    with pytest.raises(AssertionError, match="no_such"):
        measure.forgetful(lambda: None, "mailauth.no_such")


def test_a_quick_run_is_short() -> None:
    log: list[str] = []
    list(measure.measure(Case("a case", [steady(log, "mailauth", 1.0)]), QUICK))
    assert len(log) <= QUICK.rounds + 2


def test_who_is_not_installed_is_a_row_but_in_ci_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    row = measured(steady([], "mailauth", 1.0), measure.missing("peer"), rounds=1)
    assert row.contenders["peer"].why == "not installed"
    assert "| not installed |" in report.table([row])
    monkeypatch.setenv("CI", "true")
    with pytest.raises(RuntimeError, match="peer is not installed"):
        measure.missing("peer")


def test_a_subject_that_fails_does_not_keep_the_others_from_being_measured(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_all(["no-such-subject", "authres"], quick=True) == 1
    said = capfd.readouterr()
    assert "no-such-subject: FAILED" in said.out
    assert "authres: done" in said.out
    assert "1 of 2 subjects" in said.out
    assert "failed: no-such-subject" in said.err


def test_a_value_that_lacks_answers_is_measured_again_and_is_an_error_in_the_end() -> None:
    lossy = iter([(1.0, [10, 9]), (2.0, [10, 10]), *[(3.0, [10, 9])] * 3])
    contender = complete("peer", lambda loops: next(lossy), 10, "1.0")
    assert contender.time is not None
    assert contender.time(2) == 2.0
    with pytest.raises(RuntimeError, match=r"peer: \[10, 9\] answers in place of 10 each, 3 times"):
        contender.time(2)


# --- workers ----------------------------------------------------------------------------------------------------------

WORKER = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    if "prepare" in request:
        answer = {"result": request["number"] * 2} if request["number"] else {"error": "no number"}
    else:
        answer = {"seconds": request["loops"] / 4}
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker("peer", "1.0", [sys.executable, "-c", WORKER]) as worker:
        yield worker


def test_a_worker_does_the_work_and_its_result_is_checked(worker: Worker) -> None:
    contender = worker.contender("double", lambda result: bool(result == 6), number=3)
    assert contender.time is not None
    assert contender.time(100) == 25.0
    with pytest.raises(RuntimeError, match="peer: double gave 8"):
        worker.contender("double", lambda result: bool(result == 6), number=4)


def test_what_goes_wrong_in_a_worker_is_said(worker: Worker) -> None:
    with pytest.raises(RuntimeError, match="peer: no number"):
        worker.ask(prepare="double", number=0)
    with pytest.raises(RuntimeError, match="peer: its process has ended with status 1"):
        worker.ask(prepare="double")


# --- the report -------------------------------------------------------------------------------------------------------


def one(*values: float) -> report.Measured:
    return report.Measured(values)


def test_a_ratio_is_the_median_of_the_rounds_and_its_spread_their_quartiles() -> None:
    # Twice as fast in all rounds but one, while the machine gets slower: the medians say five times as slow.
    ratio = report.Ratio.of(one(1.0, 1.0, 10.0, 10.0, 10.0), one(2.0, 2.0, 2.0, 20.0, 20.0))
    assert (ratio.value, ratio.low, ratio.high) == (0.5, 0.5, 0.5)
    ratio = report.Ratio.of(one(2.0, 4.0, 8.0), one(1.0, 2.0, 4.0))
    assert (ratio.value, ratio.low, ratio.high, ratio.spread) == (2.0, 2.0, 2.0, 0.0)
    ratio = report.Ratio.of(one(1.0, 2.0, 3.0, 4.0, 5.0), one(1.0, 1.0, 1.0, 1.0, 1.0))
    assert (ratio.value, ratio.low, ratio.high, ratio.spread) == (3.0, 2.0, 4.0, 1 / 3)


@pytest.mark.parametrize(
    ("name", "values", "bold"),
    [
        ("peer", (0.8, 0.9), True),
        ("peer", (0.8, 1.2), False),
        ("peer", (2.0, 2.0), False),
        ("floor", (0.5, 0.5), False),
    ],
)
def test_who_beat_us_is_bold_but_no_floor_is(name: str, values: tuple[float, ...], bold: bool) -> None:
    assert report.cell(one(*values), one(1.0, 1.0), name).startswith("**") == bold


def test_the_page_lists_who_beat_us_and_how_often() -> None:
    own, variant = one(1.0, 1.0), report.Measured((0.5, 0.5), own=True)
    cannot = report.Measured((), why="not installed")
    rows = [
        report.Row(
            "a", "second", {"mailauth": own, "floor": one(0.1, 0.1), "cat": one(0.5, 0.5), "dog": one(2.0, 2.0)}
        ),
        report.Row("b", "second", {"mailauth": own, "new": variant, "cat": one(3.0, 3.0), "dog": cannot}),
    ]
    assert report.winners({"spf": (rows, {})}).splitlines()[2:] == ["| cat | SPF, 1 of 2 |"]
    assert report.winners({"spf": (rows[1:], {})}) == ""


def test_peers_that_never_meet_share_a_column_of_the_table() -> None:
    rows = [
        report.Row("a", "second", {"mailauth": one(1.0), "floor": one(0.5), "cat": one(2.0), "dog": one(3.0)}),
        report.Row("b", "second", {"mailauth": one(1.0), "owl": one(4.0)}),
    ]
    head, _, first, second = report.table(rows).replace("\N{NO-BREAK SPACE}±0%", "").splitlines()
    assert head == "|  | mailauth | floor | peer | dog |"
    assert first == "| a | 1.00 s | 0.50 | cat 2.00 | 3.00 |"
    assert second == "| b | 1.00 s |  | owl 4.00 |  |"


def test_another_way_of_our_own_is_not_bold() -> None:
    assert report.cell(report.Measured((0.5, 0.5), own=True), one(1.0, 1.0), "in pieces") == "0.50\N{NO-BREAK SPACE}±0%"
    row = measured(steady([], "mailauth", 1.0), measure.variant("in pieces", lambda: None), rounds=1, loops=1)
    assert row.contenders["in pieces"].own
    assert not row.own.own


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.5, "second", "1.50 s"),
        (0.0421, "second", "42.1 ms"),
        (123e-6, "second", "123 us"),
        (5e-9, "second", "5.00 ns"),
        (2_500_000.0, "byte", "2.50 MB"),
        (12_345.0, "byte", "12.3 KB"),
    ],
)
def test_amounts_have_three_digits_and_a_unit(value: float, unit: str, text: str) -> None:
    assert report.amount(value, unit) == text


def test_the_page_is_rendered_from_the_results() -> None:
    assert report.page(RESULTS) == PAGE, "docs/benchmarks.md is out of date: make bench-report"


def test_every_module_of_a_subject_is_listed() -> None:
    modules = {path.stem.removeprefix("bench_") for path in (ROOT / "benchmarks").glob("bench_*.py")}
    assert modules == {*SUBJECTS, SCALING}
    assert {path.stem for path in RESULTS.glob("*.json")} >= set(SUBJECTS)


@pytest.mark.parametrize("name", SUBJECTS)
def test_each_subject_has_its_words_a_plot_and_a_table(name: str) -> None:
    title, text = report.words_of(name)
    chapter = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows, _ = report.load(RESULTS, name)
    assert text.split("\n")[0] in chapter
    assert re.search(rf"!\[[^]]+\]\(img/bench-{name}\.svg\)", chapter)
    assert chapter.count("\n| ") == len(rows) + 2
    picture = (ROOT / "docs" / "img" / f"bench-{name}.svg").read_text(encoding="utf-8")
    assert "currentColor" in picture
    assert all(row.name.replace(">", "&gt;") in picture for row in rows)
