"""Plans, the DNS vocabulary that they speak, and the drivers that run them.

The public names of the plan layer.
"""

from __future__ import annotations

from mailauth.plan.dns import (
    MAX_CHAIN,
    MAX_LABEL_OCTETS,
    MAX_NAME_OCTETS,
    MAX_RECORDS,
    TIMED_OUT,
    Answer,
    Exchange,
    IPAddress,
    Outcome,
    Question,
    RecordType,
    not_asked,
    unaskable,
)
from mailauth.plan.drivers import (
    DEFAULT_TIME_LIMIT,
    AsyncResolver,
    ConcurrentResolver,
    InstantResolver,
    Resolver,
    run,
    run_async,
)
from mailauth.plan.execution import (
    Call,
    Execution,
    Gather,
    Plan,
    PlanError,
    Request,
    ask,
    ask_all,
    run_all,
    side_by_side,
)

__all__ = [
    "DEFAULT_TIME_LIMIT",
    "MAX_CHAIN",
    "MAX_LABEL_OCTETS",
    "MAX_NAME_OCTETS",
    "MAX_RECORDS",
    "TIMED_OUT",
    "Answer",
    "AsyncResolver",
    "Call",
    "ConcurrentResolver",
    "Exchange",
    "Execution",
    "Gather",
    "IPAddress",
    "InstantResolver",
    "Outcome",
    "Plan",
    "PlanError",
    "Question",
    "RecordType",
    "Request",
    "Resolver",
    "ask",
    "ask_all",
    "not_asked",
    "run",
    "run_all",
    "run_async",
    "side_by_side",
    "unaskable",
]
