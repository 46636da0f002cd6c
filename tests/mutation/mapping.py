"""Which tests run which lines of the protocols, and how long each test takes: measured in one run of the tests.

Used as a plugin of pytest: `-p tests.mutation.mapping --mutation-map FILE`. The same rules hold when mutants are run
(`prepare`): property tests take few examples, always the same ones, and nothing that was cached by an earlier test
hides what a mutant does.
"""

from __future__ import annotations

import gc
import json
import re
import sys
import time
from collections.abc import Callable, Generator, Iterable
from functools import _lru_cache_wrapper
from pathlib import Path
from typing import Any

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, Phase, settings

SOURCE = Path(__file__).parents[2] / "src" / "mailauth"
EXAMPLES = 15


def prepare(items: Iterable[pytest.Item]) -> None:
    """Property tests of `items` take few examples, always the same."""
    for item in items:
        test = getattr(item, "obj", None)
        test = getattr(test, "__func__", test)
        if getattr(test, "is_hypothesis_test", False) and hasattr(test, "_hypothesis_internal_use_settings"):
            test._hypothesis_internal_use_settings = few(test._hypothesis_internal_use_settings)
        case = getattr(item, "cls", None)
        if isinstance(getattr(case, "settings", None), settings):
            case.settings = few(case.settings)


def few(usual: settings) -> settings:
    return settings(
        usual,
        max_examples=min(usual.max_examples, EXAMPLES),
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )


def caches() -> list[Callable[[], object]]:
    """What empties the caches of the package: those of functions, and dicts of modules that are named so."""
    found = (thing for thing in gc.get_objects() if isinstance(thing, _lru_cache_wrapper))
    emptiers = [one.cache_clear for one in found if str(getattr(one, "__module__", "")).startswith("mailauth.")]
    for name, module in list(sys.modules.items()):
        if name.startswith("mailauth."):
            values = vars(module).items()
            emptiers += [value.clear for key, value in values if key.startswith("_known") and isinstance(value, dict)]
    return emptiers


class Mapping:
    def __init__(self, target: Path) -> None:
        self._target = target
        self._coverage = Coverage(
            data_file=None, config_file=False, include=[f"{SOURCE}/*"], omit=[f"{SOURCE}/testing/*", f"{SOURCE}/cli/*"]
        )
        self._seconds: dict[str, float] = {}
        self._failed: set[str] = set()
        self._caches: list[Callable[[], object]] = []
        self._coverage.start()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        prepare(items)
        self._caches = caches()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        for empty in self._caches:
            empty()
        self._coverage.switch_context(item.nodeid)
        # What it computes, not what it waits for: a busy machine makes no test a slow one.
        began = time.process_time()
        try:
            return (yield)
        finally:
            self._seconds[item.nodeid] = time.process_time() - began
            self._coverage.switch_context("between")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self._coverage.stop()
        data = self._coverage.get_data()
        # A test that does not pass by itself says nothing about a mutant.
        tests = [name for name in self._seconds if name not in self._failed]
        numbers = {name: number for number, name in enumerate(tests)}
        lines = {}
        for path in data.measured_files():
            lines[str(Path(path).relative_to(SOURCE))] = {
                line: sorted(numbers[name] for name in contexts if name in numbers) + [-1] * ("" in contexts)
                for line, contexts in data.contexts_by_lineno(path).items()
            }
        self._target.parent.mkdir(parents=True, exist_ok=True)
        found = {"tests": tests, "seconds": [self._seconds[name] for name in tests], "lines": lines}
        self._target.write_text(json.dumps(found), "utf-8")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mutation-map", type=Path, help="write which tests run which lines to this file")


def pytest_configure(config: pytest.Config) -> None:
    target = config.getoption("--mutation-map")
    if target is not None:
        config.pluginmanager.register(Mapping(target), "mutation-mapping")


def merge(old: dict[str, Any], new: dict[str, Any], files: set[str]) -> dict[str, Any]:
    """Two maps as one; the tests of `files` are those of the new one."""
    stay = [number for number, name in enumerate(old["tests"]) if name.partition("::")[0] not in files]
    place = {number: at for at, number in enumerate(stay)} | {-1: -1}
    shift = len(stay)
    lines: dict[str, dict[str, list[int]]] = {}
    for path in {**old["lines"], **new["lines"]}:
        merged = lines[path] = {}
        before, more = old["lines"].get(path, {}), new["lines"].get(path, {})
        for line in {**before, **more}:
            kept = {place[test] for test in before.get(line, ()) if test in place}
            merged[line] = sorted(kept | {test + shift if test >= 0 else test for test in more.get(line, ())})
    return {
        "tests": [old["tests"][number] for number in stay] + new["tests"],
        "seconds": [old["seconds"][number] for number in stay] + new["seconds"],
        "lines": lines,
    }


class Map:
    """What `Mapping` found."""

    def __init__(self, path: Path) -> None:
        found = json.loads(path.read_text("utf-8"))
        self.tests: list[str] = found["tests"]
        self.seconds: list[float] = found["seconds"]
        self._lines: dict[str, dict[str, list[int]]] = found["lines"]
        self._texts: dict[Path, str] = {}

    def at_import(self, path: str, first: int, last: int) -> bool:
        """Whether one of the lines runs before the first test."""
        lines = self._lines.get(path, {})
        return any(-1 in lines.get(str(line), ()) for line in range(first, last))

    def of_lines(self, path: str, numbers: Iterable[int]) -> set[int]:
        lines = self._lines.get(path, {})
        return {test for line in numbers for test in lines.get(str(line), ())} - {-1}

    def of_file(self, path: str) -> set[int]:
        return self.of_lines(path, map(int, self._lines.get(path, {})))

    def of_names(self, path: str, names: Iterable[str]) -> set[int]:
        """The tests that run a line with one of these words on it, in the package of the file."""
        package, words = path.split("/")[0], set(names)
        tests = self._of_files_with(words)
        for other in self._lines:
            if other.startswith(package + "/"):
                lines = self._text(SOURCE / other).splitlines()
                numbers = [number for number, line in enumerate(lines, 1) if any(word in line for word in words)]
                tests |= self.of_lines(other, numbers)
        return tests

    def _of_files_with(self, words: set[str]) -> set[int]:
        """The tests of files that speak of one of these words."""
        patterns = [re.compile(rf"\b{re.escape(word)}\b") for word in words if len(word) > 3]
        files = {name.partition("::")[0] for name in self.tests}
        chosen = {
            file for file in files if (text := self._text(Path(file))) and any(one.search(text) for one in patterns)
        }
        return {number for number, name in enumerate(self.tests) if name.partition("::")[0] in chosen}

    def _text(self, path: Path) -> str:
        if path not in self._texts:
            self._texts[path] = path.read_text("utf-8") if path.exists() else ""
        return self._texts[path]

    def quickest(self, tests: Iterable[int], package: str, seconds: float) -> list[int]:
        """Tests of the package first, each group by its time, as many as fit into `seconds`."""
        chosen, left = [], seconds
        own = f"tests/{package}/"
        for test in sorted(tests, key=lambda test: self.seconds[test] * (1 if self.tests[test].startswith(own) else 3)):
            left -= self.seconds[test]
            if left < 0:
                break
            chosen.append(test)
        return chosen
