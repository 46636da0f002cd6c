"""`python -m tests.soak [--seconds N] [FOLDER ...]`: every property test, with other input each time, until time is up.

Each pass runs all of them (the hypothesis profile "soak") from another seed. The first failure ends it: the seed, and
hypothesis' own line to repeat it, are printed, and the input stays in .hypothesis for ordinary runs.
"""

from __future__ import annotations

import argparse
import secrets
import subprocess
import sys
import time


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="run the property tests for long")
    parser.add_argument("folders", nargs="*", default=["tests"], help="tests to run (default: all)")
    parser.add_argument("--seconds", type=float, default=3600, help="how long (default: 3600)")
    given = parser.parse_args()
    end, number = time.monotonic() + given.seconds, 0
    while (left := end - time.monotonic()) > 0:
        number, seed = number + 1, secrets.randbelow(2**32)
        command = [
            sys.executable, "-m", "pytest", "-q", "-x", "-m", "hypothesis", "-n", "auto", "--maxprocesses", "4",
            "--hypothesis-profile=soak", f"--hypothesis-seed={seed}", "--timeout=0", *given.folders,
        ]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=left)
        except subprocess.TimeoutExpired:
            print(f"pass {number} (seed {seed}): the time is up, nothing failed so far")
            return 0
        words = (done.stdout.strip().splitlines() or [""])[-1]
        print(f"pass {number} (seed {seed}): {words}", flush=True)
        if done.returncode:
            print(done.stdout[-20_000:], done.stderr[-5_000:])
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
