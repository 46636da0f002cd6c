"""``python -m docs.tools.start FOLDER``: the pictures of docs/index.md, taken in Chromium.

Light and dark, of the parts that the text shows. The command that writes the page, and its files, stand in the text; a
test runs them.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
import tempfile
from pathlib import Path

from tests.browser import chromium

from mailauth.cli import main as mailauth

ROOT = Path(__file__).parent.parent.parent
TEXT = ROOT / "docs" / "index.md"
WIDTH = 900


def page_of(text: str, folder: Path) -> str:
    """The page that the command of the text writes, which runs beside the files that the text makes."""
    for name, content in re.findall(r"^cat > (\S+) <<'EOF'\n(.*?)^EOF$", text, re.MULTILINE | re.DOTALL):
        (folder / name).write_text(content, encoding="utf-8")
    [command] = re.findall(r"^\$ mailauth ((?:.*\\\n)*.*)", text, re.MULTILINE)
    with contextlib.chdir(folder), open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        mailauth(shlex.split(command.replace("\\\n", " ")))
    return (folder / "page.html").read_text(encoding="utf-8")


def pictures(text: str) -> list[tuple[str, str, bool]]:
    """The pictures that the text shows: the name of the file, the part of the page, whether in the dark."""
    found = re.findall(r"\]\(img/(start-([a-z]+)(-dark)?\.png)#only-", text)
    return [(name, "header.verdict" if part == "verdict" else f"#{part}", bool(dark)) for name, part, dark in found]


def main() -> None:
    """Take the pictures."""
    text, folder = TEXT.read_text(encoding="utf-8"), Path(sys.argv[1]).absolute()
    with chromium() as browser, tempfile.TemporaryDirectory() as place:
        page = page_of(text, Path(place))
        for name, selector, dark in pictures(text):
            browser.open(page, width=WIDTH, dark=dark)
            browser.picture(selector, folder / name)


if __name__ == "__main__":
    main()
