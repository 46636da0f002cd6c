"""The numbered cases of each protocol as data, to run any implementation against: `cases`, `Adapter`, and a command.

``python -m mailauth.testing.conformance --adapter CMD`` runs them through a program in any language, which reads a
request and prints a reply, a JSON object a line; docs/testing.md describes them. Reading order: cases.py (what a case
is), outcome.py (how a reply is judged), adapter.py (the process), command.py.
"""

from __future__ import annotations

from mailauth.testing.conformance.adapter import Adapter, resolver_of
from mailauth.testing.conformance.cases import PROTOCOLS, Case, cases
from mailauth.testing.conformance.outcome import Outcome, Status, field_values, judged

__all__ = ["PROTOCOLS", "Adapter", "Case", "Outcome", "Status", "cases", "field_values", "judged", "resolver_of"]
