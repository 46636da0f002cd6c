"""`python -m tests.fuzz [NAME ...] [--runs N] [--keep FOLDER]`: atheris over the targets, one after the other.

Bounded by the number of executions, shared out by weight. A finding ends its target: the octets that made it stay in
the folder, and the exit status is 1. Needs the extra `fuzz`.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

MAX_INPUT_OCTETS = 1024


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="fuzz the entry points of mailauth")
    parser.add_argument("names", nargs="*", help="targets; all of them where none is named")
    parser.add_argument("--runs", type=int, default=1_000_000, help="executions in all (default: 1,000,000)")
    parser.add_argument("--keep", type=Path, help="a folder for the corpora and findings, to go on from another time")
    parser.add_argument("--seconds", type=int, default=3600, help="at most for each target (default: 3600)")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        return _fuzz(given.names[0], given.runs, given.seconds, given.keep)
    from tests.fuzz.targets import TARGETS

    unknown = set(given.names) - set(TARGETS)
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    names = given.names or list(TARGETS)
    weights = sum(TARGETS[name].weight for name in names)
    with TemporaryDirectory(prefix="mailauth-fuzz-") as place:
        folder = given.keep or Path(place)
        failed = [
            name
            for name in names
            if not _run(name, given.runs * TARGETS[name].weight // weights, given.seconds, folder)
        ]
        for name in failed:
            for path in sorted((folder / name).glob("crash-*")) + sorted((folder / name).glob("timeout-*")):
                print(f"{name}: {path.read_bytes()!r}")
    return 1 if failed else 0


def _run(name: str, runs: int, seconds: int, folder: Path) -> bool:
    """One target in a process of its own, since libFuzzer ends the process."""
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", name, "--one", "--runs", str(runs), "--seconds", str(seconds),
         "--keep", str(folder)], capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    lines = done.stderr.splitlines()
    counted = [int(found[1]) for line in lines if (found := re.match(r"(?:Done |#)(\d+)", line))]
    coverage = [found[1] for line in lines if (found := re.search(r" cov: (\d+)", line))]
    took = time.monotonic() - start
    what = "ok" if done.returncode == 0 else "FOUND SOMETHING"
    edges = coverage[-1] if coverage else "?"
    print(f"{name:18} {max(counted, default=0):>9} executions {took:6.0f} s {edges:>6} edges  {what}", flush=True)
    if done.returncode:
        print("\n".join(line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("#"))[-4000:])
    return done.returncode == 0


def _fuzz(name: str, runs: int, seconds: int, folder: Path) -> int:
    import atheris

    with atheris.instrument_imports(include=["mailauth"]):
        from tests.fuzz.targets import TARGETS

        target = TARGETS[name]
        # What is imported when first used is instrumented as well.
        for seed in target.seeds:
            target.run(seed)
    corpus = folder / name / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = {word for seed in target.seeds for word in re.findall(rb"[\w./%{}:-]{1,24}[=:;]?", seed)}
    words |= {b"\r\n", b"\r\n ", b"\\", b'"', b"(", b"\0", b"\xff", b"=?utf-8?q?", b";", b"xn--"}
    dictionary = folder / name / "dictionary"
    dictionary.write_text("".join(f'"{_escaped(word)}"\n' for word in sorted(words)[:200]))
    options = [f"-runs={runs}", f"-max_total_time={seconds}", f"-max_len={MAX_INPUT_OCTETS}", f"-dict={dictionary}"]
    options += [f"-artifact_prefix={folder / name}/", "-timeout=30", "-rss_limit_mb=2048", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], target.run)
    atheris.Fuzz()
    return 0


def _escaped(octets: bytes) -> str:
    return "".join(f"\\x{octet:02x}" for octet in octets)


if __name__ == "__main__":
    sys.exit(main())
