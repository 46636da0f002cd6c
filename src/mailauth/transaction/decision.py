"""`Decision`: permit, reject, defer, or nothing to say; with the SMTP reply that says it.

What a restriction, a phase or a whole message comes to. Values only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mailauth.mail.reply import Reply


class Action(StrEnum):
    """What is to be done. NONE: nothing to say, the next restriction is asked."""

    NONE = "none"  # of all lists together: nothing speaks against the mail
    PERMIT = "permit"  # the rest of this list is skipped; the other lists are asked all the same
    REJECT = "reject"  # refused for good: the reply is 5xx
    DEFER = "defer"  # refused for now, the client may try again: the reply is 4xx


_REPLY_CLASSES = {Action.REJECT: 5, Action.DEFER: 4}


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, and how it came about.

    `reply` is set for reject (5xx) and defer (4xx), and for nothing else. `restriction` names who decided, `reason` is
    a stable code, `detail` says it in words. `if_permit` marks a deferral that acts only where nothing later rejects
    (a DNS error: Postfix's DEFER_IF_PERMIT). `warnings` holds the refusals that `warn_if_reject` turned into words.

    Raises `ValueError` for a reply that does not belong to the action.
    """

    action: Action
    reply: Reply | None = None
    restriction: str = ""  # such as "check_dmarc"; "" where nothing was decided
    reason: str = ""  # such as "dmarc-fail"
    detail: str = ""  # of a refusal that has no words of its own, the text of the reply
    if_permit: bool = False
    warnings: tuple[Decision, ...] = ()

    def __post_init__(self) -> None:
        expected = _REPLY_CLASSES.get(self.action)
        given = None if self.reply is None else self.reply.code // 100
        if given != expected:
            wanted = "no reply" if expected is None else f"a reply of class {expected}xx"
            raise ValueError(f"a decision to {self.action} has {wanted}, not {self.reply}")

    @property
    def refused(self) -> bool:
        """Whether it rejects or defers: `reply` is then what the server says."""
        return self.reply is not None

    @property
    def final(self) -> bool:
        """Whether it refuses, whatever the restrictions behind it say."""
        return self.reply is not None and not self.if_permit

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "action": str(self.action),
            "reply": str(self.reply) if self.reply is not None else None,
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
    """A decision to reject (5xx) or to defer (4xx), as the reply's code says. Raises `ValueError` for other codes."""
    action = Action.DEFER if reply.code < 500 else Action.REJECT
    return Decision(action, reply, restriction, reason, detail or reply.text, if_permit)
