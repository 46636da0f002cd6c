"""``python -m tests.conformance.make``: write the files of cases that are made (DKIM, ARC)."""

from __future__ import annotations

from pathlib import Path

import mailauth.testing
from tests.conformance import arc_cases, dkim_cases
from tests.conformance.made import document

CASES = Path(mailauth.testing.__file__).parent / "cases"


def documents() -> dict[Path, str]:
    """Each file with what belongs into it."""
    made = {"dkim": dkim_cases.made(), "arc": arc_cases.made()}
    return {CASES / f"{protocol}.json": document(cases) for protocol, cases in made.items()}


if __name__ == "__main__":
    for path, text in documents().items():
        path.write_text(text)
        print(f"{path}: {len(text)} octets")
