"""The log of a service: lines for people, for the journal, or JSON."""

# SECURITY: each record is one line, whatever a peer put into it: JSON escapes line ends, and plain text shows them as
# "?". A traceback keeps its lines, but an exception may quote a peer: they are indented, and can be taken for no other.

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import select
import stat
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

from mailauth.config.schema import LogFormat
from mailauth.mail.text import printable

SYSLOG = "/dev/log"
PATIENCE_SECONDS = 1.0
"""How long a reader of the log may read nothing before lines are lost: mail waits meanwhile."""
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# sd-daemon(3): what the journal takes as a line's priority.
_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class PlainFormatter(logging.Formatter):
    """Time, level and text; for the journal, which knows the time, the priority and the text."""

    def __init__(self, *, journal: bool = False) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, and a traceback below it."""
        text = printable(record.getMessage())
        if record.exc_info:
            lines = self.formatException(record.exc_info).splitlines()
            text = "\n".join([text, *(f"  {printable(line)}" for line in lines)])
        if self._journal:
            mark = f"<{_PRIORITY.get(record.levelno, 6)}>"
            return "\n".join(mark + line for line in text.splitlines() or [""])
        time = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        return f"{time} {record.levelname.lower()} {text}"


class _SyslogFormatter(logging.Formatter):
    """The text alone: syslog knows time and priority."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(record.getMessage()) + (": " + repr(record.exc_info[1]) if record.exc_info else "")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time``, ``level``, ``logger``, ``message``, and the record's own fields.

    Those of a decision are ``transaction_id`` (the queue id), ``client``, ``helo``, ``sender``, ``recipient``,
    ``action``, ``restriction`` and ``reason``.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        line.update((name, value) for name, value in vars(record).items() if name not in _STANDARD)
        return json.dumps(line, default=str)


class _LossyHandler(logging.StreamHandler[TextIO]):
    """Writes to a stream, and goes on where that takes no more: mail does not wait for its log.

    A reader that is slow has PATIENCE_SECONDS, once, until it reads again. What was lost is counted, and the log
    says how much.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lost = 0
        self._stuck = False
        self._begin = b""
        try:
            mode = os.fstat(stream.fileno()).st_mode
        except (OSError, ValueError):  # no file of the system
            mode = 0
        self._has_reader = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, or count it as lost."""
        if not self._has_room():
            self._lost += 1
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            words = "lines of the log that were lost, or are late: %d"
            self._write(logging.LogRecord("mailauth.service", logging.WARNING, "", 0, words, (lost,), None))
            self._lost = lost if self._lost else 0  # nor could this one
        self._write(record)

    def _has_room(self) -> bool:
        """Whether the reader takes so much as select.PIPE_BUF without a wait (pipe(7))."""
        if self._has_reader:
            wait = 0 if self._stuck else PATIENCE_SECONDS
            self._stuck = not select.select((), (self.stream,), (), wait)[1]
        return not self._stuck

    def _write(self, record: logging.LogRecord) -> None:
        if not self._has_reader:
            super().emit(record)
            return
        try:
            octets = self._begin + (self.format(record) + "\n").encode(self.stream.encoding, "backslashreplace")
            # A traceback is longer than what there is room for: a write of all of it could wait for ever.
            for start in range(0, len(octets), select.PIPE_BUF):
                if not self._has_room():
                    self._lost += 1
                    return
                os.write(self.stream.fileno(), octets[start : start + select.PIPE_BUF])
                self._begin = b"\n"  # what comes next is no part of what is cut off here
            self._begin = b""
        except Exception:  # noqa: BLE001 - as the handlers of the standard library do
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk, or a reader that has gone."""
        self._lost += 1


def log_to(
    stream: TextIO, kind: LogFormat, level: int = logging.INFO, environment: Mapping[str, str] = os.environ
) -> None:
    """Send the log of the process to `stream`: ours from `level` on, that of libraries from WARNING on."""
    handler = _LossyHandler(stream)
    journal = bool(environment.get("JOURNAL_STREAM"))
    handler.setFormatter(JsonFormatter() if kind == "json" else PlainFormatter(journal=journal))
    _use(handler, level)


def log_beside_a_connection() -> None:
    """Log where standard input is a connection: to standard error, unless that is the connection, too.

    spawn(8) of Postfix makes it all three, and a log line there would be taken for a reply. Then the log goes to
    syslog, as that of Postfix does, and standard error nowhere.
    """
    if not stat.S_ISSOCK(os.fstat(0).st_mode) or os.fstat(0).st_ino != os.fstat(2).st_ino:
        log_to(sys.stderr, "plain")
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    handler: logging.Handler
    try:
        handler = logging.handlers.SysLogHandler(SYSLOG, facility=logging.handlers.SysLogHandler.LOG_MAIL)
    except OSError:
        handler = logging.NullHandler()  # this machine has no syslog
    else:
        handler.ident = f"mailauth/policyd[{os.getpid()}]: "
    handler.setFormatter(_SyslogFormatter())
    _use(handler)


def _use(handler: logging.Handler, level: int = logging.INFO) -> None:
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("mailauth").setLevel(level)
    logging.raiseExceptions = sys.stderr.isatty()  # syslog that is away is no reason for a traceback a line
