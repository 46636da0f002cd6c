"""Messages that want to be taken for somebody else's: each stands in attacks/, with what is believed and why."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from mailauth.trust import TrustPolicy, Verdict, believe

DIRECTORY = Path(__file__).parent / "attacks"
CASES: list[dict[str, Any]] = tomllib.loads((DIRECTORY / "cases.toml").read_text(encoding="utf-8"))["case"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["message"].removesuffix(".eml"))
def test_attack(case: dict[str, Any]) -> None:
    message = (DIRECTORY / case["message"]).read_bytes()
    policy = TrustPolicy(**case.get("policy", {}))
    verdict = believe(message, {"mx.example.net"}, policy=policy)
    assert (verdict.verdict, verdict.reason) == (case["verdict"], case["reason"]), f"{case['why']}: {verdict}"
    assert verdict.detail
    assert (verdict.verdict is Verdict.VERIFIED) == (verdict.aligned is not None)


def test_each_message_has_its_case() -> None:
    assert sorted(path.name for path in DIRECTORY.glob("*.eml")) == [case["message"] for case in CASES]
