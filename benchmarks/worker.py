"""Contenders that live in a process of their own: another language, or packages that cannot be installed beside ours.

The process reads one JSON object a line and answers each with one line:

    {"prepare": KEY, ...}             -> {"result": ...}      do it once and keep it under the key
    {"time": KEY, "loops": 100}       -> {"seconds": 0.0123}  do it so many times, timed by the process itself
    (what goes wrong)                 -> {"error": "words"}

It ends when its input does.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from benchmarks.measure import Contender


class Worker(AbstractContextManager["Worker"]):
    """The process, until the block ends.

    `name` and `version` are those of the peer. Raises `RuntimeError` with the process's words where it fails.
    """

    def __init__(self, name: str, version: str, command: Sequence[str | Path], **options: Any) -> None:
        self.name, self.version = name, version
        self._process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
        )

    def __exit__(self, *_: object) -> None:
        # Leaves by `Popen.__exit__`, which closes the pipes; the process ends with its input.
        with self._process:
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send one request; its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended; its output says so
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name}: its process has ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{self.name}: {answer['error']}")
        return answer

    def contender(self, key: str, check: Callable[[Any], bool], name: str = "", **work: Any) -> Contender:
        """Prepare the work under the key, check the result of doing it once, and time it from now on."""
        result = self.ask(prepare=key, **work)["result"]
        if not check(result):
            raise RuntimeError(f"{self.name}: {key} gave {str(result)[:200]}")

        def timed(loops: int) -> float:
            return float(self.ask(time=key, loops=loops)["seconds"])

        return Contender(name or self.name, timed, self.version)
