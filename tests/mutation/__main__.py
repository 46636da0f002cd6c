"""`python -m tests.mutation [--sample N] [PACKAGE ...]`: how many small changes to the source the tests notice.

Outcomes are kept in build/mutation/results.jsonl, survivors are printed. The exit code is 1 where fewer than 90 % of
the mutants of a package are killed.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from tests.mutation.mapping import SOURCE, Map, merge
from tests.mutation.mutants import File, Mutant
from tests.mutation.report import Results, explanations, is_explained, noticed, table, tallies
from tests.mutation.running import check_the_runner, is_fresh, run_fresh, run_in_place

PACKAGES = ("spf", "dkim", "dkim.explanation", "dmarc", "greylist")
# The tests of the packages, and those of what stands on them.
TESTS = ("spf", "dkim", "dmarc", "greylist", "robustness", "domain", "arc", "trust", "facade", "mail")
GATE = 0.9


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="mutation testing")
    parser.add_argument("packages", nargs="*", default=PACKAGES, help=f"what to change (default: {' '.join(PACKAGES)})")
    parser.add_argument("--sample", type=int, default=300, help="mutants of each package; 0 for all (default: 300)")
    parser.add_argument("--seed", type=int, default=1, help="of the sample (default: 1)")
    parser.add_argument(
        "--keep-map", action="store_true", help="measure only tests that changed since the last run; the source has not"
    )
    parser.add_argument(
        "--again", choices=("all", "survivors", "missing"), default="all", help="which of the sample to run"
    )
    parser.add_argument("--minutes", type=float, default=0, help="stop after so long; what is done is kept")
    parser.add_argument("--build", type=Path, default=Path("build/mutation"), help="where results are kept")
    given = parser.parse_args()
    given.build.mkdir(parents=True, exist_ok=True)

    kept = given.build / "map.json"
    if not given.keep_map:
        kept.unlink(missing_ok=True)
    make_map(kept)
    known, results = Map(kept), Results(given.build / "results.jsonl")
    totals: dict[str, int] = {}
    mutants: list[Mutant] = []
    for package in given.packages:
        totals[package], found = chosen(package, given.sample, given.seed, given.build)
        mutants += found
    before = {key: found["outcome"] for key, found in results.outcomes.items()}
    match given.again:
        case "survivors":
            explained = explanations()
            waiting = [
                one for one in mutants
                if one.key in before and not noticed(before[one.key]) and not is_explained(one, explained)
            ]  # fmt: skip
        case "missing":
            waiting = [one for one in mutants if one.key not in before]
        case _:
            waiting = mutants
    run(waiting, known, results, given.minutes * 60 or float("inf"))
    return show(mutants, Results(given.build / "results.jsonl"), totals)


def make_map(target: Path) -> None:
    """Measure the files of tests that are not in the map as they are now."""
    measured = json.loads(target.read_text("utf-8")) if target.exists() else {"files": {}}
    files = [path for name in TESTS for path in sorted(Path("tests", name).glob("**/test_*.py"))]
    digests = {str(path): sha256(path.read_bytes()).hexdigest()[:16] for path in files}
    changed = [path for path, digest in digests.items() if measured["files"].get(path) != digest]
    if not changed:
        return
    print(f"which tests run which lines: one run of {len(changed)} files ...", flush=True)
    part = target.with_name("part.json")
    command = [
        sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-m", "not server",
        "-p", "tests.mutation.mapping", "--mutation-map", str(part), *changed,
    ]  # fmt: skip
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    found = json.loads(part.read_text("utf-8"))
    merged = merge(measured, found, set(changed)) if measured["files"] else found
    merged["files"] = digests
    target.write_text(json.dumps(merged), "utf-8")
    part.unlink()


def chosen(package: str, sample: int, seed: int, build: Path) -> tuple[int, list[Mutant]]:
    """How many mutants a package has, and the sample in the order of the source. Kept until the source changes."""
    paths = sorted((SOURCE / package.replace(".", "/")).glob("*.py"))
    rules = Path(__file__).with_name("mutants.py")
    digest = sha256(b"".join(path.read_bytes() for path in (rules, *paths))).hexdigest()[:16]
    kept = build / f"mutants-{package}-{sample}-{seed}-{digest}.pickle"
    if kept.exists():
        total, mutants = pickle.loads(kept.read_bytes())
        return total, mutants
    files = [File(SOURCE, str(path.relative_to(SOURCE))) for path in paths]
    places = [(file, number) for file in files for number in range(len(file))]
    seen: dict[tuple[str, str, str, str], Mutant] = {}
    for file, number in random.Random(seed).sample(places, len(places)):
        mutant = file.mutant(number)
        if mutant is not None:
            seen.setdefault(mutant.key, mutant)
            if len(seen) == sample:
                break
    mutants = sorted(seen.values(), key=lambda one: (one.path, one.line))
    total = sum(file.total for file in files)
    kept.write_bytes(pickle.dumps((total, mutants)))
    return total, mutants


def run(mutants: list[Mutant], known: Map, results: Results, seconds: float) -> None:
    began, counts = time.monotonic(), Counter[str]()

    def done(mutant: Mutant, outcome: str, killer: str, took: float) -> None:
        results.add(mutant, outcome, killer, took)
        counts[outcome] += 1
        if not noticed(outcome):
            print(f"{outcome} ({took:.1f} s) {mutant}", flush=True)

    def in_time(group: list[Mutant]) -> Iterator[Mutant]:
        for mutant in group:
            if time.monotonic() - began > seconds:
                print("the time is up", flush=True)
                return
            yield mutant

    groups: dict[bool, list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        groups[is_fresh(mutant, known)].append(mutant)
    print(f"{len(groups[True])} mutants of what runs at import, {len(groups[False])} in functions", flush=True)
    # Those in functions first, since they are the quicker ones: in a process of its own, which imports the package.
    if groups[False]:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            run_in_place(in_time(groups[False]), known, done)
            print(f"{dict(counts)} in {time.monotonic() - began:.0f} s", flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            raise SystemExit("the tests could not be run")
    if groups[True]:
        check_the_runner(known)
        run_fresh(in_time(groups[True]), known, done)
    print(f"{dict(counts)} in {time.monotonic() - began:.0f} s", flush=True)


def show(mutants: list[Mutant], results: Results, totals: dict[str, int]) -> int:
    explained = explanations()
    for mutant in mutants:
        found = results.outcomes.get(mutant.key)
        if found is not None and not noticed(found["outcome"]) and not is_explained(mutant, explained):
            print(f"{found['outcome']}: {mutant}")
    by_kind = tallies(mutants, results, by_kind=True)
    print("\n" + table(by_kind, {}))
    rows = tallies(mutants, results)
    print("\n" + table(rows, totals))
    return int(any(row.share < GATE for row in rows.values()))


if __name__ == "__main__":
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.exit(main())
