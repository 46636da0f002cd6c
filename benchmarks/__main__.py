"""Runs the subjects one after another, each in a process of its own, or renders the page of their results.

    python -m benchmarks [--quick] [NAME ...]    measure; results go to benchmarks/results (quick: build/bench)
    python -m benchmarks --report                render docs/benchmarks.md, docs/scaling.md and their plots

A subject that fails leaves its former result; the others go on, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

from benchmarks import RESULTS, SCALING, SUBJECTS

ROOT = Path(__file__).parent.parent
NAMES = (*SUBJECTS, SCALING)
QUICK_RESULTS = ROOT / "build" / "bench"
TIME_LIMIT = 600.0
"""Seconds for one subject: what hangs is ended."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="each contender a few times, to see that all work")
    parser.add_argument("--report", action="store_true", help="measure nothing, render the page")
    parser.add_argument("--here", action="store_true", help="in this process (for a debugger or a profiler)")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no such subject: {', '.join(sorted(unknown))}")
    if options.report:
        from benchmarks.report import write

        write(RESULTS, ROOT / "docs")
        return 0
    names = options.names or NAMES
    if options.here:
        # What `end` sends: leave by the way that stops the servers.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        for name in names:
            run(name, quick=options.quick)
        return 0
    return run_all(names, quick=options.quick)


def run_all(names: list[str] | tuple[str, ...], *, quick: bool) -> int:
    """Each in a process of its own: none leaves memory, patched modules or threads to the next."""
    failed, begun = [], time.monotonic()
    for name in names:
        command = [sys.executable, "-m", "benchmarks", "--here", name, *(["--quick"] if quick else [])]
        start = time.monotonic()
        # A session of its own, so that what it started ends with it.
        with subprocess.Popen(command, cwd=ROOT, start_new_session=True, env=_environment()) as process:
            try:
                status = process.wait(TIME_LIMIT)
            except subprocess.TimeoutExpired:
                print(f"{name}: not done after {TIME_LIMIT:.0f} s", file=sys.stderr)
                status = 1
            finally:
                end(process)
        if status:
            failed.append(name)
        print(f"{name}: {'FAILED' if status else 'done'} in {time.monotonic() - start:.0f} s\n", flush=True)
    print(f"{len(names) - len(failed)} of {len(names)} subjects in {time.monotonic() - begun:.0f} s")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


def _environment() -> dict[str, str]:
    """Where Python may keep what it compiled: else our modules, which are not installed, are compiled at each start."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def end(process: subprocess.Popen[bytes]) -> None:
    """End a subject that did not end by itself, in good order if it can: it stops its servers."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)


def run(name: str, *, quick: bool) -> None:
    """Measure one subject and write its file."""
    import pyperf

    from benchmarks.measure import FULL, QUICK, machine, measure
    from benchmarks.report import line

    module = import_module(f"benchmarks.bench_{name}")
    print(f"{module.TITLE}", flush=True)
    about = machine() | {"subject": name}
    benchmarks: list[pyperf.Benchmark] = []
    cases = getattr(module, "quick_cases", module.cases) if quick else module.cases
    for case in cases():
        measured = list(measure(case, QUICK if quick else FULL))
        print("  " + line(measured), flush=True)
        benchmarks += measured
    for benchmark in benchmarks:
        benchmark.update_metadata(about)
    folder = QUICK_RESULTS if quick else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    pyperf.BenchmarkSuite(benchmarks).dump(str(folder / f"{name}.json"), compact=True, replace=True)


if __name__ == "__main__":
    sys.exit(main())
