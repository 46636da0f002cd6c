"""SPF, RFC 7208: evaluate, explain, check and write records.

`check_host` (MAIL FROM) and `check_helo` return plans; `mailauth.plan.run` and `run_async` run them.

To read it: the terms of a record (terms, macros), how they are parsed (parse, record) and compiled (compile), their
evaluation (evaluate) and its result. For authors: what is said of a text (advice, slips), the tree of
a domain as a value (tree) and how it is made by the evaluation (survey), what is said of it (linter), records written
(build) and flattened (flattening). What an evaluation does not need is imported when it is first named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mailauth.spf.check import check_helo, check_host
from mailauth.spf.policy import SpfPolicy
from mailauth.spf.problem import Problem, RecordError
from mailauth.spf.record import Record
from mailauth.spf.result import Discarded, Identity, Reason, SpfResult
from mailauth.spf.terms import Qualifier, Result

if TYPE_CHECKING:
    from mailauth.spf.advice import Finding, Severity, lint_text
    from mailauth.spf.build import build_record, zone_line
    from mailauth.spf.flattening import Flattened, flatten
    from mailauth.spf.header import ReceivedSpf, parse_received_spf, received_spf
    from mailauth.spf.linter import LintReport, lint
    from mailauth.spf.survey import whole_tree
    from mailauth.spf.trace import TraceQuestion, TraceRecord, TraceTerm
    from mailauth.spf.tree import TreeRecord, TreeTerm

__all__ = [
    "Discarded",
    "Finding",
    "Flattened",
    "Identity",
    "LintReport",
    "Problem",
    "Qualifier",
    "Reason",
    "ReceivedSpf",
    "Record",
    "RecordError",
    "Result",
    "Severity",
    "SpfPolicy",
    "SpfResult",
    "TraceQuestion",
    "TraceRecord",
    "TraceTerm",
    "TreeRecord",
    "TreeTerm",
    "build_record",
    "check_helo",
    "check_host",
    "flatten",
    "lint",
    "lint_text",
    "parse_received_spf",
    "received_spf",
    "whole_tree",
    "zone_line",
]

_HOME = {
    "Finding": "advice",
    "Flattened": "flattening",
    "LintReport": "linter",
    "ReceivedSpf": "header",
    "Severity": "advice",
    "TraceQuestion": "trace",
    "TraceRecord": "trace",
    "TraceTerm": "trace",
    "TreeRecord": "tree",
    "TreeTerm": "tree",
    "build_record": "build",
    "flatten": "flattening",
    "lint": "linter",
    "lint_text": "advice",
    "parse_received_spf": "header",
    "received_spf": "header",
    "whole_tree": "survey",
    "zone_line": "build",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
