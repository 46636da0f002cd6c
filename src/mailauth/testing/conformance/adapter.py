"""`Adapter`: another implementation, as a process that reads requests and prints replies, a JSON object a line.

It is started when the first case is run, and again when it died or had to be stopped; a case has `time_limit` seconds.
It has a session of its own, so that whatever it started, such as the programs of a pipe, ends with it.
"""

# SECURITY: the adapter is the caller's own program. It may hang, die or print anything; what it prints is bounded.

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any, Self

from mailauth.plan import Answer, Question
from mailauth.resolvers import ZoneResolver
from mailauth.testing.conformance.cases import Case
from mailauth.testing.conformance.outcome import Outcome, Status, judged
from mailauth.testing.dnsserver import ZoneServer

MAX_REPLY = 4 << 20
"""Octets of a line that an adapter may print."""
MAX_STARTS = 25
"""An adapter that died so many times is not started any more."""
_LAST_WORDS = 400


class _Served:
    """The zone of the case that is run just now."""

    resolver = ZoneResolver()

    def lookup(self, question: Question, time_limit: float | None = None) -> Answer:
        return self.resolver.lookup(question, time_limit)


def resolver_of(request: Mapping[str, Any]) -> ZoneResolver:
    """The DNS of a request: ``zone`` and ``failures``, as a resolver of this library."""
    records: dict[tuple[str, str], list[Any]] = {}
    for each in request.get("zone", ()):
        data = each["data"]
        value = tuple(text.encode("latin-1") for text in data) if isinstance(data, list) else data
        records.setdefault((each["name"], each["type"]), []).append(value)
    failures = {(each["name"], each["type"]): each["how"] for each in request.get("failures", ())}
    return ZoneResolver(records, failures=failures)


class Adapter:
    """Runs cases through a command; to be used in ``with``. A DNS server on loopback serves each case's zone."""

    def __init__(self, command: Sequence[str], *, time_limit: float = 10.0) -> None:
        self._command = list(command)
        self._time_limit = time_limit
        self._zone = _Served()
        self._server = ZoneServer(self._zone)
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""
        self._open = contextlib.ExitStack()
        self.starts = 0
        """How often it was started; after 25 times (`MAX_STARTS`), what is left is not asked."""

    def __enter__(self) -> Self:
        self._open.enter_context(self._server)
        # What it writes to standard error; a file, since a pipe that nobody reads would stop it.
        self._words: IO[bytes] = self._open.enter_context(tempfile.TemporaryFile())
        self._open.callback(self._stop)
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def run(self, case: Case) -> Outcome:
        """Ask the adapter, and judge its reply."""
        self._zone.resolver = resolver_of(case.request)
        served = {"address": self._server.address, "port": self._server.port}
        request = {"id": case.id, "protocol": case.protocol, "dns": served, **case.request}
        try:
            reply = self._ask(json.dumps(request).encode() + b"\n")
        except _NoReply as error:
            self._stop()
            return Outcome(case, Status.ERROR, f"{error}{self._last_words()}")
        return judged(case, reply)

    def _ask(self, line: bytes) -> dict[str, Any]:
        octets = self._exchanged(self._started(), line)
        try:
            reply = json.loads(octets)
        except (ValueError, RecursionError):
            raise _NoReply(f"the adapter printed no JSON: {octets[:120]!r}") from None
        if not isinstance(reply, dict):
            raise _NoReply(f"the adapter printed no JSON object: {octets[:120]!r}")
        return reply

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            if self.starts == MAX_STARTS:
                raise _NoReply(f"not asked: the adapter failed {MAX_STARTS} times")
            self.starts += 1
            self._words.seek(0)
            self._words.truncate()
            try:
                self._process = subprocess.Popen(
                    self._command,
                    bufsize=0,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._words,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:  # ValueError: NUL in the command
                raise _NoReply(f"the adapter cannot be started: {error}") from None
            assert self._process.stdin is not None
            # A pipe takes only so much: an adapter that does not read must not hold us up.
            os.set_blocking(self._process.stdin.fileno(), False)
        return self._process

    def _exchanged(self, process: subprocess.Popen[bytes], line: bytes) -> bytes:
        """Write the request and read the next line that it prints, both within the one time limit.

        It may print before it has read all, as it pleases.
        """
        assert process.stdin is not None
        assert process.stdout is not None
        unsent = memoryview(line)
        end = time.monotonic() + self._time_limit
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdin, selectors.EVENT_WRITE)
            selector.register(process.stdout, selectors.EVENT_READ)
            while unsent or b"\n" not in self._pending:
                ready = selector.select(max(0.0, end - time.monotonic()))
                if not ready:
                    doing = "read the request" if unsent else "reply"
                    raise _NoReply(f"the adapter did not {doing} within {self._time_limit:g} s")
                for key, _ in ready:
                    if key.fileobj is process.stdout:
                        self._read(process)
                        continue
                    unsent = unsent[self._written(process, unsent) :]
                    if not unsent:
                        selector.unregister(process.stdin)
        reply, _, self._pending = self._pending.partition(b"\n")
        if self._pending:
            raise _NoReply(f"the adapter printed more than one line: {self._pending[:120]!r}")
        return reply

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        octets = os.read(process.stdout.fileno(), 65536)
        if not octets:
            raise _NoReply(self._ended(process))
        self._pending += octets
        if len(self._pending) > MAX_REPLY:
            raise _NoReply(f"the adapter printed more than {MAX_REPLY} octets without a line end")

    def _written(self, process: subprocess.Popen[bytes], octets: memoryview) -> int:
        """How much of it the pipe took."""
        assert process.stdin is not None
        try:
            return os.write(process.stdin.fileno(), octets[: 1 << 16])
        except BlockingIOError:
            return 0
        except OSError:
            raise _NoReply(self._ended(process)) from None

    def _ended(self, process: subprocess.Popen[bytes]) -> str:
        """Its output has ended; it may live on without."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return f"the adapter ended with status {process.wait(1)}"
        return "the adapter closed its output"

    def _last_words(self) -> str:
        size = self._words.seek(0, os.SEEK_END)
        self._words.seek(max(0, size - 4 * _LAST_WORDS))
        text = self._words.read(4 * _LAST_WORDS).decode("utf-8", "replace").strip()
        return f"; it wrote: {text[-_LAST_WORDS:]}" if text else ""

    def _stop(self) -> None:
        process, self._process, self._pending = self._process, None, b""
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)  # at the end of its input it ends by itself
        # What it started may live on without it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class _NoReply(Exception):
    """Why there is no reply, in words."""
