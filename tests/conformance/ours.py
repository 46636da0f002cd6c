"""The adapter of examples/ as a module: this library, asked without a process between."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "examples/conformance"


def _module() -> ModuleType:
    found = importlib.util.spec_from_file_location("mailauth_adapter", EXAMPLES / "mailauth_adapter.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


_ANSWERS: Mapping[str, Any] = _module().ANSWERS


def reply(protocol: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """What the adapter says, both ways through JSON."""
    found: dict[str, Any] = json.loads(json.dumps(_ANSWERS[protocol](json.loads(json.dumps(request)))))
    return found
