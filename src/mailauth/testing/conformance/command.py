"""The command: which cases are run, and what is said of them.

Exit status: 0 if every case that was not declined passed, 1 if one failed, 2 for a mistake of the caller or an adapter
that gave no usable reply.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch

from mailauth.testing.conformance.adapter import Adapter
from mailauth.testing.conformance.cases import PROTOCOLS, Case, cases
from mailauth.testing.conformance.outcome import Outcome, Status


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    chosen = [
        case
        for protocol in options.protocol or PROTOCOLS
        for case in cases(protocol)
        if not options.case or any(fnmatch(case.id, pattern) for pattern in options.case)
    ]
    if not chosen:
        parser.error("no case is chosen; --list shows all")
    if options.list:
        _print_list(chosen, as_json=options.json)
        return 0
    try:
        command = shlex.split(options.adapter or "")
    except ValueError as error:
        parser.error(f"--adapter: {error}")
    if not command:
        parser.error("--adapter CMD: the program to run the cases through (or --list)")
    if shutil.which(command[0]) is None:
        parser.error(f"--adapter: there is no program {command[0]!r}")
    with Adapter(command, time_limit=options.time_limit) as adapter:
        outcomes = [adapter.run(case) for case in chosen]
    _print_outcomes(outcomes, as_json=options.json)
    found = {outcome.status for outcome in outcomes}
    return 2 if Status.ERROR in found else 1 if Status.FAIL in found else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mailauth.testing.conformance",
        description="Run another implementation against the numbered cases of this library, by a small adapter.",
    )
    parser.add_argument("--adapter", metavar="CMD", help="a command that reads requests and prints replies")
    parser.add_argument("--protocol", choices=PROTOCOLS, action="append", help="this protocol only (may be repeated)")
    parser.add_argument("--case", metavar="ID", action="append", help="these cases only; * and ? are wildcards")
    parser.add_argument("--time-limit", metavar="SECONDS", type=_seconds, default=10.0, help="for one case (10)")
    parser.add_argument("--list", action="store_true", help="show the cases instead of running them")
    parser.add_argument("--json", action="store_true", help="print JSON; with --list the whole cases")
    return parser


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"not a number of seconds, more than 0 and at most 3600: {text!r}")
    return seconds


def _print_list(chosen: Iterable[Case], *, as_json: bool) -> None:
    for case in chosen:
        if as_json:
            fields = ("id", "protocol", "section", "about", "choice", "request", "expect")
            print(json.dumps({name: getattr(case, name) for name in fields}))
        else:
            print(f"{case.id:<40} {case.section:<26} {case.about}")


def _print_outcomes(outcomes: Sequence[Outcome], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"summary": _summary(outcomes), "cases": [each.to_dict() for each in outcomes]}, indent=1))
        return
    for outcome in outcomes:
        if outcome.status in (Status.FAIL, Status.ERROR):
            case = outcome.case
            choice = f"\n      {case.choice}" if case.choice else ""
            print(f"{outcome.status:<6}{case.id}  {case.section}: {case.about}\n      {outcome.detail}{choice}")
    sys.stdout.flush()
    for protocol, counts in _summary(outcomes).items():
        words = ", ".join(f"{counts[status]} {name}" for status, name in _WORDS.items() if counts.get(status))
        print(f"{protocol:<10}{words}")


_WORDS = {"pass": "passed", "fail": "failed", "unsupported": "declined", "error": "without a reply"}


def _summary(outcomes: Iterable[Outcome]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        counts.setdefault(outcome.case.protocol, Counter())[str(outcome.status)] += 1
    return {protocol: dict(counter) for protocol, counter in counts.items()}
