"""The log of a service: one line a record, whatever a peer put into it."""

from __future__ import annotations

import fcntl
import io
import json
import logging
import os
import select
import threading
from collections.abc import Iterator
from datetime import datetime

import pytest

from mailauth.service.logs import log_to


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("mailauth")
    before = root.handlers[:], root.level, own.level, logging.raiseExceptions
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    own.setLevel(before[2])
    logging.raiseExceptions = before[3]


def logged(
    kind: str, text: str, *, failing: bool = False, journal: bool = False, error: str = "broken", **extra: object
) -> str:
    stream = io.StringIO()
    log_to(stream, kind, environment={"JOURNAL_STREAM": "8:1"} if journal else {})  # type: ignore[arg-type]
    try:
        if failing:
            raise RuntimeError(error)
    except RuntimeError:
        logging.getLogger("mailauth.test").exception("%s", text, extra=extra)
    else:
        logging.getLogger("mailauth.test").warning("%s", text, extra=extra)
    return stream.getvalue()


def test_plain_lines_have_time_and_level() -> None:
    time, level, text = logged("plain", "hello there").rstrip("\n").split(" ", 2)
    assert datetime.fromisoformat(time).tzinfo is not None
    assert (level, text) == ("warning", "hello there")


@pytest.mark.parametrize("text", ["two\nlines", "\x1b[31mred", "a\u2028b", "\r", "\x85"])
def test_a_record_is_one_line(text: str) -> None:
    assert len(logged("plain", text).splitlines()) == 1
    assert "\x1b" not in logged("plain", text)
    (line,) = logged("json", text).splitlines()
    assert json.loads(line)["message"] == text
    assert line.isascii()


def test_the_journal_gets_priorities() -> None:
    assert logged("plain", "hello", journal=True) == "<4>hello\n"
    assert all(line.startswith("<3>") for line in logged("plain", "x", failing=True, journal=True).splitlines())


def test_json_has_the_fields_of_a_decision() -> None:
    line = json.loads(logged("json", "reject", client="192.0.2.1", sender="a@b.example", reason="spf-fail"))
    assert (line["client"], line["sender"], line["reason"]) == ("192.0.2.1", "a@b.example", "spf-fail")
    assert (line["level"], line["logger"]) == ("warning", "mailauth.test")
    assert set(line) == {"time", "level", "logger", "message", "client", "sender", "reason"}


def test_a_traceback_is_kept() -> None:
    assert "RuntimeError: broken" in logged("plain", "x", failing=True)
    (line,) = logged("json", "x", failing=True).splitlines()
    assert "RuntimeError: broken" in json.loads(line)["traceback"]


def test_what_an_exception_quotes_is_no_line_of_its_own() -> None:
    forged = "x\n2026-11-29T10:00:00.000+00:00 info accept\r\x1b[2J"
    first, *others = logged("plain", "failed", failing=True, error=forged).rstrip("\n").split("\n")
    assert first.endswith(" error failed")
    assert all(line.startswith("  ") and line.isprintable() for line in others)
    assert all(
        line.startswith("<3>") for line in logged("plain", "x", failing=True, journal=True, error=forged).splitlines()
    )


def test_mail_does_not_wait_for_a_reader_that_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are lost while nobody reads; afterwards it is told how many."""
    monkeypatch.setattr("mailauth.service.logs.PATIENCE_SECONDS", 0.05)
    incoming, outgoing = os.pipe()
    with os.fdopen(incoming, "rb", buffering=0) as reader, os.fdopen(outgoing, "w", buffering=1) as stream:
        log_to(stream, "plain", environment={})
        log = logging.getLogger("mailauth.test")
        for number in range(2000):
            log.info("%d %s", number, 200 * "x")
        os.set_blocking(incoming, False)
        kept = b""
        while octets := reader.read(65536):
            kept += octets
        log.info("afterwards")
        *_, lost, last = (kept + (reader.read(65536) or b"")).decode().splitlines()
        assert last.endswith(" info afterwards")
        assert lost.endswith(f" warning lines of the log that were lost, or are late: {2000 - kept.count(b'x' * 200)}")
        assert 200 < kept.count(b"\n") < 2000


def test_a_long_traceback_does_not_wait_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipe has room for some of it: a write of all would wait, and with it the event loop. What is cut off ends
    its line."""
    monkeypatch.setattr("mailauth.service.logs.PATIENCE_SECONDS", 0.05)
    incoming, outgoing = os.pipe()
    with open(outgoing, "w") as stream, open(incoming, "rb", buffering=0) as reader:
        log_to(stream, "plain")
        log = logging.getLogger("mailauth.test")
        room = fcntl.fcntl(outgoing, fcntl.F_GETPIPE_SZ)
        os.write(outgoing, b"x" * (room - select.PIPE_BUF))
        thread = threading.Thread(target=log.warning, args=("y" * 10_000,), daemon=True)
        thread.start()
        thread.join(10)
        stuck = thread.is_alive()
        reader.read(room)
        assert not stuck
        log.warning("and now")
        _, *lines = reader.read(room).decode().splitlines()
        assert [line.split(" ", 2)[2] for line in lines] == [
            "lines of the log that were lost, or are late: 1",
            "and now",
        ]


def test_a_disk_that_is_full_for_a_while() -> None:
    class Disk(io.StringIO):
        full = False

        def write(self, text: str) -> int:
            if self.full:
                raise OSError(28, "No space left on device")
            return super().write(text)

    disk = Disk()
    log_to(disk, "plain", environment={})
    log = logging.getLogger("mailauth.test")
    log.info("before")
    disk.full = True
    for _ in range(3):
        log.info("lost")
    disk.full = False
    log.info("after")
    before, lost, after = disk.getvalue().splitlines()
    assert before.endswith("before")
    assert lost.endswith("lines of the log that were lost, or are late: 3")
    assert after.endswith("after")


def test_libraries_are_heard_from_warning_on() -> None:
    stream = io.StringIO()
    log_to(stream, "plain", environment={})
    logging.getLogger("asyncio").info("chatter")
    logging.getLogger("mailauth.x").debug("chatter")
    logging.getLogger("mailauth.x").info("a decision")
    assert stream.getvalue().count("\n") == 1
