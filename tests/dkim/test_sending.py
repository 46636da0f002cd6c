"""The pages' examples of smtplib and aiosmtplib: the octets that are signed are those that arrive, and they verify."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from mailauth.dkim import record_text
from mailauth.resolvers import ZoneResolver
from mailauth.sync import verify_dkim
from tests.dkim.makers import rsa_key
from tests.servers import free_port

PAGE = (Path(__file__).parents[2] / "docs" / "dkim.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.partition("### Sign and send")[2], re.MULTILINE | re.DOTALL)[:2]


class Inbox:
    def __init__(self) -> None:
        self.messages: list[bytes] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.messages.append(envelope.original_content)
        return "250 Ok"


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, int]]:
    handler = Inbox()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield handler, controller.port
    controller.stop()


def run_example(source: str, names: dict[str, Any]) -> None:
    outcome = eval(compile(source, "dkim.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)

    async def awaited() -> None:
        await outcome

    if inspect.iscoroutine(outcome):
        asyncio.run(awaited())


def test_what_is_signed_is_what_arrives(inbox: tuple[Inbox, int]) -> None:
    handler, port = inbox
    names: dict[str, Any] = {"key": rsa_key(), "host": "127.0.0.1", "port": port}
    from mailauth.dkim import load_key

    record = record_text(load_key(rsa_key()))  # type: ignore[arg-type]
    zone = ZoneResolver({("2026a._domainkey.example.org", "TXT"): [record]})
    assert len(EXAMPLES) == 2
    for source in EXAMPLES:
        run_example(source, names)
    assert len(handler.messages) == 2
    for message in handler.messages:
        assert message == names["signed"]
        assert [signature.result for signature in verify_dkim(message, resolver=zone)] == ["pass"]
