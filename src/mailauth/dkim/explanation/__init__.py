"""Why a signature fails: which half was altered, how, and what would make it pass.

Reading order: result.py says what an explanation is, explain.py how one is asked for, case.py how it is made; key.py
and repair.py look at the key record, header.py and fields.py at the header, body.py with undo.py, parts.py and mime.py
at the body; bounds.py says how long.
"""

from __future__ import annotations

from mailauth.dkim.explanation.bounds import ExplainLimits
from mailauth.dkim.explanation.canonical import CanonicalForm, canonical_forms
from mailauth.dkim.explanation.explain import Explainer, ExplainPlan, explain
from mailauth.dkim.explanation.result import Alteration, AlterationCode, Explanation, HalfState, KeyState

__all__ = [
    "Alteration",
    "AlterationCode",
    "CanonicalForm",
    "ExplainLimits",
    "ExplainPlan",
    "Explainer",
    "Explanation",
    "HalfState",
    "KeyState",
    "canonical_forms",
    "explain",
]
