"""Every Python example of docs/testing.md, run: tests as pytest runs them, the rest as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs/testing.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
# The adapters are run by the console examples below them (tests/docs).
EXAMPLES = [block for block in BLOCKS if "sys.stdin" not in block]


def test_the_examples_run(tmp_path: Path) -> None:
    assert len(EXAMPLES) == 5
    for number, example in enumerate(EXAMPLES):
        own = (
            example
            if "def test_" in example
            else "def test_it():\n" + re.sub("^(?=.)", "    ", example, flags=re.MULTILINE)
        )
        (tmp_path / f"test_{number}.py").write_text(own)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "mailauth.testing.plugin",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout
    assert "5 passed" in done.stdout


def test_the_failure_is_printed_as_the_page_says() -> None:
    from mailauth.testing import Zone, make_message

    zone = Zone().domain("example.org", spf="v=spf1 ip4:192.0.2.1 -all", dmarc="v=DMARC1; p=reject")
    try:
        zone.assert_authenticated(make_message(), ip="198.51.100.7", spf="pass", dkim="pass", dmarc="pass")
    except AssertionError as error:
        assert f"```text\n{error}\n```" in PAGE  # noqa: PT017
    else:
        raise AssertionError("it should not have passed")


def test_every_strategy_is_on_the_page() -> None:
    from mailauth.testing import strategies

    public = {
        name
        for name, value in vars(strategies).items()
        if name.islower() and getattr(value, "__module__", "") == strategies.__name__ and not name.startswith("_")
    }
    assert public
    assert all(f"`{name}`" in PAGE for name in public)
