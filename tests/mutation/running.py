"""Runs the tests that reach a mutant in a child process, up to the first that fails.

In place: the tests are collected once; the child exchanges the code of the mutant's function and runs its tests.
Fresh: what runs at import cannot be exchanged afterwards; the child imports the package with the mutant in it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import os
import resource
import shutil
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NoReturn

import pytest

from tests.mutation.mapping import SOURCE, Map, caches, prepare
from tests.mutation.mutants import Mutant

PROTOCOLS = {"spf", "dkim", "dmarc", "greylist"}
KILLED, TIMED_OUT, SURVIVED, UNREACHED = "killed", "timed out", "survived", "unreached"
_DETECTED, _NOTICED_NOTHING, _NO_TESTS, _NOT_FOUND = 1, 0, 5, 77

# The tests of one mutant together, as measured without it. What is slower is not run for the many mutants of a line
# that everything passes; a mutant that only such a test would notice counts as a survivor.
MAX_SECONDS = 8.0
# A test that takes this much longer than it did runs in a circle.
_FACTOR, _GRACE = 10, 3.0
_MAX_MORE_MEMORY = 2 << 30

_FILES = Path(f"build/mutation/files-{os.getpid()}")
_OPTIONS = [
    "-q", "-n0", "--timeout=0", "--capture=no", "-p", "no:cacheprovider", "-m", "not server",
    f"--basetemp={_FILES}", "--assert=plain",
]  # fmt: skip

Done = Callable[[Mutant, str, str, float], None]
"""What is printed about each mutant: the outcome, the test that failed if that is known, and the seconds."""


def tests_of(mutant: Mutant, known: Map) -> list[int]:
    first, last = mutant.first + 1, max(mutant.last, mutant.first + 1) + 1
    package = mutant.path.split("/")[0]
    if mutant.function is not None:
        tests = known.of_lines(mutant.path, range(first, last))
        if tests or not known.at_import(mutant.path, first, last):
            return known.quickest(tests, package, MAX_SECONDS)
    # It runs at import alone: the tests that run, or speak of, what it defines.
    names = {*mutant.names, *mutant.scope.split(".")[-1:]} - {""}
    by_name = known.quickest(known.of_names(mutant.path, names), package, MAX_SECONDS * 0.7)
    others = known.quickest(known.of_file(mutant.path), package, MAX_SECONDS / 3)
    return list(dict.fromkeys([*by_name, *others]))


def is_fresh(mutant: Mutant, known: Map) -> bool:
    return mutant.function is None or known.at_import(mutant.path, mutant.first + 1, mutant.last + 1)


# --- the child processes -----------------------------------------------------------------------------------


def in_child(work: Callable[[], int], seconds: float) -> int | None:
    """The exit code of `work` in a forked process; None if it takes longer than `seconds`, or an alarm ended it."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = _DETECTED
        try:
            os.setpgid(0, 0)
            nowhere = os.open(os.devnull, os.O_RDWR)
            for descriptor in range(3):
                os.dup2(nowhere, descriptor)
            with open("/proc/self/statm") as statm:
                size = int(statm.read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + _MAX_MORE_MEMORY, resource.RLIM_INFINITY))
            code = work()
        finally:
            os._exit(code)
    with contextlib.suppress(OSError):
        os.setpgid(child, child)
    end, nap = time.monotonic() + seconds, 0.002
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(nap)
        nap = min(nap * 1.3, 0.05)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF:
        return None
    return os.waitstatus_to_exitcode(status)


def alarm_after(seconds: float) -> None:
    """End this process when it has computed for so long; what it waits for does not count, others may be at work."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


class _Watch:
    """Ends the process at the first failure, and by an alarm when a test takes much longer than it should."""

    def __init__(self, known: Map, progress: int = -1) -> None:
        self._seconds = dict(zip(known.tests, known.seconds, strict=True))
        self._progress = progress

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        if self._progress >= 0:
            with contextlib.suppress(BlockingIOError):
                os.write(self._progress, nodeid.encode() + b"\n")
        alarm_after(_GRACE + _FACTOR * self._seconds.get(nodeid, 1.0))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            os._exit(_DETECTED)


# --- in place ----------------------------------------------------------------------------------------------


class InPlace:
    """A plugin of pytest: instead of the tests, it runs the mutants."""

    def __init__(self, mutants: Iterable[Mutant], known: Map, done: Done) -> None:
        self._mutants, self._known, self._done = mutants, known, done
        self._recent: dict[str, list[int]] = {}
        self._sound: set[int] = set()  # tests that pass without a mutant

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        prepare(items)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        for path in SOURCE.rglob("*.py"):
            # Some load when they are first needed; what is not loaded cannot be exchanged.
            name = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
            if name.partition(".")[0] in PROTOCOLS:
                importlib.import_module(f"mailauth.{name}")
        items = {item.nodeid: item for item in session.items}
        kept, functions = caches(), functions_by_file()
        session.config.pluginmanager.register(_Watch(self._known))
        gc.collect()
        gc.freeze()
        for mutant in self._mutants:
            began = time.monotonic()
            outcome, killer = self._run(mutant, items, kept, functions.get(mutant.path, []))
            self._done(mutant, outcome, killer, time.monotonic() - began)
            shutil.rmtree(_FILES, ignore_errors=True)
            _FILES.mkdir(parents=True)
        return True

    def _run(
        self,
        mutant: Mutant,
        items: dict[str, pytest.Item],
        kept: list[Callable[[], object]],
        functions: list[FunctionType],
    ) -> tuple[str, str]:
        chosen = [test for test in tests_of(mutant, self._known) if self._known.tests[test] in items]
        # What noticed the neighbours is likely to notice this one.
        recent = [test for test in self._recent.get(mutant.path, ()) if test in set(chosen)]
        chosen = list(dict.fromkeys([*recent, *chosen]))
        while chosen:
            code, last = self._in_child(chosen, items, kept, lambda: exchange(mutant, functions))
            if code == _NOTICED_NOTHING:
                return SURVIVED, ""
            if code == _NOT_FOUND:
                raise RuntimeError(f"{mutant}: its function was not found")
            if last not in self._sound:
                # A test that fails in a child without any mutant, too, has noticed nothing.
                if self._in_child([last], items, kept, lambda: True)[0] != _NOTICED_NOTHING:
                    chosen.remove(last)
                    continue
                self._sound.add(last)
            self._recent[mutant.path] = list(dict.fromkeys([last, *self._recent.get(mutant.path, ())]))[:8]
            return (TIMED_OUT if code is None else KILLED), self._known.tests[last]
        return UNREACHED, ""

    def _in_child(
        self,
        chosen: list[int],
        items: dict[str, pytest.Item],
        kept: list[Callable[[], object]],
        begin: Callable[[], bool],
    ) -> tuple[int | None, int]:
        """The exit code, and the test that ran last."""
        progress_in, progress_out = os.pipe()

        def work() -> int:
            if not begin():
                return _NOT_FOUND
            for number, test in enumerate(chosen):
                os.write(progress_out, b"%d\n" % test)
                for empty in kept:
                    empty()
                item = items[self._known.tests[test]]
                following = items[self._known.tests[chosen[number + 1]]] if number + 1 < len(chosen) else None
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            return _NOTICED_NOTHING

        # A pipe holds some ten thousand lines of progress.
        code = in_child(work, 60.0 + 20 * sum(self._known.seconds[test] for test in chosen))
        os.close(progress_out)
        with open(progress_in, "rb") as progress:
            last = progress.read().split()[-1:]
        return code, int(last[0]) if last else chosen[0]


def functions_by_file() -> dict[str, list[FunctionType]]:
    """All functions of the package; to be asked before `gc.freeze`, which hides them."""
    found: dict[str, list[FunctionType]] = {}
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType) and thing.__code__.co_filename.startswith(f"{SOURCE}/"):
            found.setdefault(str(Path(thing.__code__.co_filename).relative_to(SOURCE)), []).append(thing)
    return found


def exchange(mutant: Mutant, functions: Iterable[FunctionType]) -> bool:
    """Give the functions that were made from the mutant's source its code instead."""
    path = SOURCE / mutant.path
    code = compile(mutant.source(path.read_text("utf-8")), str(path), "exec", dont_inherit=True)
    codes = [part for part in _codes(code) if _is(part, mutant)]
    made = [function for function in functions if _is(function.__code__, mutant)]
    if len(codes) != 1 or any(function.__code__.co_freevars != codes[0].co_freevars for function in made):
        return False
    for function in made:
        function.__code__ = codes[0]
    return bool(made)


def _is(code: CodeType, mutant: Mutant) -> bool:
    function = mutant.function
    assert function is not None
    return code.co_qualname == function.name and code.co_firstlineno in function.first_lines


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def run_in_place(mutants: Iterable[Mutant], known: Map, done: Done) -> None:
    files = sorted({name.partition("::")[0] for name in known.tests})
    pytest.main([*_OPTIONS, *files], plugins=[InPlace(mutants, known, done)])


# --- fresh -------------------------------------------------------------------------------------------------


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports one module from a mutant's source."""

    def __init__(self, mutant: Mutant) -> None:
        self._path = SOURCE / mutant.path
        self._source = mutant.source(self._path.read_text("utf-8"))
        parts = ("mailauth", *Path(mutant.path).with_suffix("").parts)
        self._is_package = parts[-1] == "__init__"
        self._name = ".".join(parts[:-1] if self._is_package else parts)

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> Any:
        if name != self._name:
            return None
        places = [str(self._path.parent)] if self._is_package else None
        return importlib.util.spec_from_file_location(name, self._path, loader=self, submodule_search_locations=places)

    def is_package(self, fullname: str) -> bool:
        return self._is_package

    def get_source(self, fullname: str) -> str:
        return self._source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, str(self._path), "exec", dont_inherit=True)

    def get_filename(self, fullname: str) -> str:
        return str(self._path)


class _Chosen:
    def __init__(self, names: list[str]) -> None:
        self._places = {name: number for number, name in enumerate(names)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid in self._places]
        items.sort(key=lambda item: self._places[item.nodeid])
        prepare(items)


# What stands below the protocols is imported once for all children, and so is what is not ours.
_BELOW = ("mailauth.mail", "mailauth.plan", "mailauth.resolvers", "mailauth.authres")


def run_fresh(mutants: Iterable[Mutant], known: Map, done: Done) -> None:
    _import_what_stands_below(known)
    gc.collect()
    gc.freeze()
    recent: dict[str, list[str]] = {}
    for mutant in mutants:
        began = time.monotonic()
        names = [known.tests[test] for test in tests_of(mutant, known)]
        before = [name for name in recent.get(mutant.path, ()) if name in set(names)]
        code, last = _fresh(mutant, list(dict.fromkeys([*before, *names])), known) if names else (_NO_TESTS, "")
        if code in (_NOTICED_NOTHING, _NO_TESTS):
            outcome, last = (SURVIVED if code == _NOTICED_NOTHING else UNREACHED), ""
        else:
            outcome = TIMED_OUT if code is None else KILLED
            recent[mutant.path] = list(dict.fromkeys([last, *recent.get(mutant.path, ())]))[:8]
        done(mutant, outcome, last, time.monotonic() - began)


def _import_what_stands_below(known: Map) -> None:
    """All modules that the tests import, but for those that hold, or stand on, what is changed."""
    progress_in, progress_out = os.pipe()

    def work() -> int:
        files = dict.fromkeys(name.partition("::")[0] for name in known.tests)
        pytest.main([*_OPTIONS, "--collect-only", *files])
        for name, module in list(sys.modules.items()):
            path = str(getattr(module, "__file__", None) or "")
            ours = path.startswith(f"{SOURCE.parents[1]}/") and "site-packages" not in path
            if name.startswith(_BELOW) or not (ours or name.startswith(("mailauth", "tests", "_"))):
                os.write(progress_out, name.encode() + b"\n")
        return _NOTICED_NOTHING

    # A pipe holds 64 KiB; it is read while the child writes.
    reader = threading.Thread(target=lambda: found.extend(open(progress_in).read().split()))  # noqa: SIM115
    found: list[str] = []
    reader.start()
    in_child(work, 600.0)
    os.close(progress_out)
    reader.join()
    for name in found:
        # A module that cannot be imported by itself is imported by whoever needs it.
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(name)
    ours = {name.split(".")[1] for name in sys.modules if name.startswith("mailauth.")}
    if ours & PROTOCOLS:
        raise RuntimeError(f"imported too early: {ours}")


def _fresh(mutant: Mutant, names: list[str], known: Map) -> tuple[int | None, str]:
    """The exit code, and the test that ran last."""
    progress_in, progress_out = os.pipe()

    def work() -> NoReturn:
        sys.meta_path.insert(0, _Mutated(mutant))
        alarm_after(60.0)
        files = list(dict.fromkeys(name.partition("::")[0] for name in names))
        os._exit(pytest.main([*_OPTIONS, "-x", *files], plugins=[_Chosen(names), _Watch(known, progress_out)]))

    os.set_blocking(progress_out, False)
    code = in_child(work, 300.0)
    os.close(progress_out)
    with open(progress_in, encoding="utf-8") as progress:
        return code, (progress.read().splitlines() or [""])[-1]


def check_the_runner(known: Map) -> None:
    """A source that is as it was survives, and one that cannot be imported does not."""
    for after, expected in (("", _NOTICED_NOTHING), ("raise RuntimeError\n", None)):
        mutant = Mutant("spf/terms.py", 1, "", None, (), "", 0, 0, "", after)
        names = [known.tests[test] for test in known.quickest(known.of_file(mutant.path), "spf", 1.0)][:3]
        code, _ = _fresh(mutant, names, known)
        if (code == _NOTICED_NOTHING) is not (expected == _NOTICED_NOTHING):
            raise RuntimeError(f"the runner is broken: {after!r} gave {code}")
