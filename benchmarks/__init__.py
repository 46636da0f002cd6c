"""Every hot path beside its peers and its floor, in one run: `python -m benchmarks [--quick] [NAME ...]`.

A subject is a module `bench_NAME` with a TITLE, the words of its chapter in its docstring, and `cases()`, which yields
one `Case` after another and checks each contender's result before it is timed; `quick_cases()`, if a quick run is to
have fewer. `measure` times, `report` and `growth` render.
"""

from __future__ import annotations

from pathlib import Path

SUBJECTS = (
    "dkim_verify",
    "dkim_sign",
    "spf",
    "dmarc",
    "message",
    "split",
    "resolvers",
    "rbl",
    "greylist",
    "policyd",
    "milter",
    "authres",
    "import",
    "memory",
)  # fmt: skip
"""In the order of the page."""

SCALING = "scaling"
"""One more subject, with a page of its own."""

RESULTS = Path(__file__).parent / "results"
