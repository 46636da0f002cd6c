"""docs/defaults.md: every default that it names is that of the code, and no default of what it describes is missing."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from enum import Flag
from pathlib import Path
from typing import Any

import pytest

import mailauth

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "defaults.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### `([\w.]+)`\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))
ROW = re.compile(r"^\| `(\w+)` \| `([^`]*)` \|([^|]*)\|([^|]+)\|$", re.MULTILINE)


def named(path: str) -> Any:
    """What stands at a dotted path."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def written(text: str) -> Any:
    """The value that the page writes: a literal, a product of numbers, or the name of a constant."""
    if re.fullmatch(r"[a-z]+(?:\.\w+)+", text):
        return named(text)
    return eval(text, {"__builtins__": {}, "frozenset": frozenset})


def defaults_of(path: str) -> dict[str, Any]:
    """What may be left out, with what it then is."""
    parameters = inspect.signature(named(path)).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not each.empty}


@pytest.mark.parametrize("path", SECTIONS)
def test_the_defaults_are_those_of_the_code(path: str) -> None:
    rows = ROW.findall(SECTIONS[path])
    assert {name: written(text) for name, text, _, _ in rows} == defaults_of(path)
    assert all(len(why.strip()) > 5 for _, _, _, why in rows)


@pytest.mark.parametrize("path", SECTIONS)
def test_numbers_have_units(path: str) -> None:
    for name, text, unit, _ in ROW.findall(SECTIONS[path]):
        value = written(text)
        assert isinstance(value, bool) or not isinstance(value, int | float) or unit.strip(), name


def test_every_public_policy_has_a_section() -> None:
    """Classes that are policies, limits, options or resolvers by their name, and have something to leave out."""
    packages = [each.name for each in pkgutil.iter_modules(mailauth.__path__) if each.name not in ("__main__", "cli")]
    modules = [importlib.import_module(f"mailauth.{name}") for name in packages]
    public = {
        f"{module.__name__}.{name}"
        for module in modules
        for name in getattr(module, "__all__", ())
        if re.search(r"\w(Policy|Limits|Options|Settings|Resolver|Cache)$", name)
    }
    described = {named(path) for path in SECTIONS}
    missing = {path for path in public if named(path) not in described and _has_defaults(named(path))}
    assert missing <= {
        "mailauth.greylist.Settings",  # what a file of settings says, read by `mailauth.config`
        "mailauth.resolvers.CachingResolver",  # a cache, described as `Cache`
        "mailauth.resolvers.RecordingResolver",  # a clock
        "mailauth.resolvers.ZoneResolver",  # no records, no failures
    }


def _has_defaults(value: Any) -> bool:
    if not inspect.isclass(value) or issubclass(value, Flag) or getattr(value, "_is_protocol", False):
        return False
    return any(each.default is not each.empty for each in inspect.signature(value).parameters.values())
