"""The README's Python examples, run as they stand, with DNS from a zone in memory.

Whoever pastes an example of the README gets what it says.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import mailauth.aio
import mailauth.sync
from mailauth.resolvers import ZoneResolver

ROOT = Path(__file__).parent.parent
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
ZONE = ZoneResolver(
    {
        ("example.org", "TXT"): ["v=spf1 ip4:192.0.2.0/28 -all"],
        ("mx.example.org", "A"): ["192.0.2.1"],
        ("1.2.0.192.in-addr.arpa", "PTR"): ["mx.example.org"],
    }
)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mailauth.sync, "default_resolver", lambda: ZONE)
    monkeypatch.setattr(mailauth.aio, "default_resolver", lambda: ZONE)
    monkeypatch.chdir(tmp_path)


def run_example(source: str, names: dict[str, Any]) -> None:
    code = compile(source, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    outcome = eval(code, names)  # top-level await makes a coroutine of it

    async def awaited() -> None:
        await outcome

    if inspect.iscoroutine(outcome):
        asyncio.run(awaited())


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize("source", EXAMPLES, ids=lambda source: source.splitlines()[0])
def test_an_example_runs_as_it_stands(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    message = b"From: Ann <ann@example.org>\r\nSubject: hello\r\n\r\nHello.\r\n"
    names: dict[str, Any] = {"message": message}
    run_example(source, names)
    if "spf" in names:
        assert names["spf"].result == "pass"
    if "report" in names:
        assert names["report"].authentication_results.startswith(b"Authentication-Results: mx.example.net;")


def test_the_first_example_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    run_example(EXAMPLES[0], {})
    assert capsys.readouterr().out.startswith("pass matched ip4:192.0.2.0/28")


def test_the_resolver_of_ones_own_in_the_docs() -> None:
    """One method each for synchronous and asynchronous callers is all that a resolver needs (docs/resolvers.md)."""
    page = (ROOT / "docs" / "resolvers.md").read_text()
    (source,) = re.findall(r"^## Your own\n+```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    run_example(source, names)
    mine = names["Mine"]()
    question = {"helo": "mx.example.org", "mail_from": "ann@example.org", "resolver": mine}
    assert mailauth.sync.check_spf("192.0.2.1", **question).result == "fail"
    assert asyncio.run(mailauth.aio.check_spf("192.0.2.1", **question)).result == "fail"


def test_the_examples_of_the_page_about_dmarc() -> None:
    page = (ROOT / "docs" / "dmarc.md").read_text()
    first, *others = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    run_example(first, names)
    found = names["found"]
    assert (found.result, found.policy, found.policy_tag, found.disposition) == ("pass", "quarantine", "sp", "none")
    assert (found.policy_domain, found.organizational_domain) == ("example.org", "example.org")
    assert (found.spf_aligned, found.dkim_aligned) == (True, False)
    for source in others:
        run_example(source, {})
