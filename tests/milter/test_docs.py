"""docs/milter.md: its examples run, and it describes every setting."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mailauth.config import MilterConfig
from mailauth.config.reader import slots_of
from mailauth.milter import MilterServer
from tests.milter.peer import connected, in_loop

PAGE = (Path(__file__).parents[2] / "docs" / "milter.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def names_of(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "docs"}
    exec(compile(source, "docs/milter.md", "exec"), names)
    return names


@in_loop
async def test_a_milter_of_ones_own() -> None:
    async with connected(MilterServer(names_of(EXAMPLES[0])["Tag"])) as peer:
        assert await peer.ask(b"E") == [(b"h", b"X-Seen\0 yes\0"), (b"a", b"")]


@in_loop
async def test_one_that_refuses() -> None:
    async with connected(MilterServer(names_of(EXAMPLES[1])["NoSecrets"])) as peer:
        for subject, command in ((b"a Secret", b"y"), (b"nothing", b"c")):
            peer.send(b"L", b"Subject\0 " + subject + b"\0")
            assert (await peer.ask(b"E"))[-1][0] == command


def test_the_codec() -> None:
    assert len(names_of(EXAMPLES[2])["answer"]) == 17


def test_every_setting_is_described() -> None:
    described = re.findall(r"^\| `(\w+)` \| .* \| (?:`(.*?)`) \| ", PAGE, re.MULTILINE)
    assert [name for name, _ in described] == list(slots_of(MilterConfig))
