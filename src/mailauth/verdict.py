# What belongs here: what a restriction, a phase or a whole message comes to. Values only.
"""`Decision`: permit, reject, defer, or nothing to say; with the SMTP reply that says it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mailauth.smtp import Reply


class Action(StrEnum):
    """What is to be done. NONE: nothing to say, the next restriction is asked."""

    NONE = "none"
    PERMIT = "permit"
    REJECT = "reject"
    DEFER = "defer"


@dataclass(frozen=True, slots=True)
class Decision:
    """One verdict and how it came about.

    `reply` is set for reject and defer. `restriction` names who decided, `reason` is a stable code, `detail` says it
    in words. `if_permit` marks a deferral that acts only where nothing later rejects (trouble in DNS: Postfix's
    DEFER_IF_PERMIT). `warnings` holds the rejections that `warn_if_reject` turned into words.
    """

    action: Action
    reply: Reply | None = None
    restriction: str = ""
    reason: str = ""
    detail: str = ""
    if_permit: bool = False
    warnings: tuple[Decision, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "action": str(self.action),
            "reply": str(self.reply) if self.reply else None,
            "restriction": self.restriction,
            "reason": self.reason,
            "detail": self.detail,
            "warnings": [warning.to_dict() for warning in self.warnings],
        }


NOTHING = Decision(Action.NONE)


def permit(restriction: str, reason: str, detail: str = "") -> Decision:
    """A decision to permit, which ends its list."""
    return Decision(Action.PERMIT, None, restriction, reason, detail)


def refuse(restriction: str, reason: str, reply: Reply, detail: str = "", *, if_permit: bool = False) -> Decision:
    """A decision to reject (5xx) or to defer (4xx), as the reply's code says."""
    action = Action.DEFER if reply.code < 500 else Action.REJECT
    return Decision(action, reply, restriction, reason, detail or reply.text, if_permit)
