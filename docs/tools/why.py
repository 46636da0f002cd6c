"""``python -m docs.tools.why FOLDER``: the pictures of docs/why.md, taken in Chromium from the pages that it names.

The letters and their DNS are in examples/why. A test runs the same commands and compares what the text says of them.
"""

from __future__ import annotations

import re
import shlex
import sys
import tempfile
from pathlib import Path

from tests.browser import chromium

from mailauth.cli import main as mailauth

ROOT = Path(__file__).parent.parent.parent
TEXT = ROOT / "docs" / "why.md"
WIDTH = 900


def commands() -> list[list[str]]:
    """The words of each command in the text that writes a page, without the program's name."""
    lines = re.findall(r"^\$ (mailauth (?:.*\\\n)*.*)", TEXT.read_text(encoding="utf-8"), re.MULTILINE)
    return [shlex.split(line.replace("\\\n", " "))[1:] for line in lines if "--html" in line]


def pictures() -> list[tuple[str, str]]:
    """The pictures that the text shows, as the name of the file and the part of the page."""
    return re.findall(r"\]\(img/(why-\d-([a-z-]+)\.png)\)", TEXT.read_text(encoding="utf-8"))


def page_of(words: list[str], place: Path) -> str:
    """The page that a command writes."""
    page = place / "page.html"
    given = [str(page) if before == "--html" else word for before, word in zip(["", *words], words, strict=False)]
    mailauth(given)
    return page.read_text(encoding="utf-8")


def main() -> None:
    """Take the pictures."""
    folder = Path(sys.argv[1])
    with chromium() as browser, tempfile.TemporaryDirectory() as place:
        for number, words in enumerate(commands(), start=1):
            browser.open(page_of(words, Path(place)), width=WIDTH)
            for name, part in pictures():
                if name.startswith(f"why-{number}-"):
                    selector = "header.verdict" if part == "verdict" else f"#{part}"
                    browser.picture(selector, folder / name)


if __name__ == "__main__":
    main()
