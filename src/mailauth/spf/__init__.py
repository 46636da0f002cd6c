# What belongs here: the public names of the SPF module. What an evaluation does not need (lint, build, the
# Received-SPF field) is imported when it is first named.
"""SPF, RFC 7208: evaluate, explain, check and write records.

`check_host` (MAIL FROM) and `check_helo` return plans; `mailauth.plan.run` and `run_async` run them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mailauth.spf.evaluation import check_helo, check_host
from mailauth.spf.policy import SpfPolicy
from mailauth.spf.problem import Problem, RecordError
from mailauth.spf.record import Record
from mailauth.spf.reply import SmtpReply, reply
from mailauth.spf.result import Reason, SpfResult
from mailauth.spf.terms import Qualifier, Result

if TYPE_CHECKING:
    from mailauth.spf.trace import TraceQuestion, TraceRecord, TraceTerm

__all__ = [
    "Problem",
    "Qualifier",
    "Reason",
    "Record",
    "RecordError",
    "Result",
    "SmtpReply",
    "SpfPolicy",
    "SpfResult",
    "TraceQuestion",
    "TraceRecord",
    "TraceTerm",
    "check_helo",
    "check_host",
    "reply",
]

_HOME = {
    "TraceQuestion": "trace",
    "TraceRecord": "trace",
    "TraceTerm": "trace",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
