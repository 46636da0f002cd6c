"""One log line for a decision, with whom it is about: client, HELO, sender, recipient, and the caller's own id.

The same values are attributes of the log record (`extra`): ``client``, ``helo``, ``sender``, ``recipient``,
``transaction_id``, ``action``, ``restriction``, ``reason``.
"""

# SECURITY: HELO and addresses are the peer's: what cannot be printed is shown as "?", and each value is cut. Never the
# message's content.

from __future__ import annotations

import logging

from mailauth.mail.text import printable
from mailauth.transaction.decision import Decision
from mailauth.transaction.facts import Facts

_log = logging.getLogger("mailauth.transaction")

MAX_SHOWN = 200
"""Characters of one value in a log line."""


def log_decision(facts: Facts, decision: Decision, *, would: bool = False) -> None:
    """Log a decision at the level INFO; `would`: it is only a warning (`warn_if_reject`), at the level WARNING."""
    level = logging.WARNING if would else logging.INFO
    if not _log.isEnabledFor(level):
        return
    extra = {
        "client": str(facts.ip),
        "helo": _shown(facts.helo),
        "sender": _shown(facts.mail_from),
        "recipient": _shown(facts.recipient),
        "transaction_id": _shown(facts.id),
        "action": str(decision.action),
        "restriction": decision.restriction,
        "reason": decision.reason,
    }
    who = f"client={facts.ip} helo={_bracketed(facts.helo)} from={_bracketed(facts.mail_from)}"
    to = f" to={_bracketed(facts.recipient)}" if facts.recipient is not None else ""
    what = f"{'would ' if would else ''}{decision.action}"
    why = f" {decision.restriction} ({decision.reason})" if decision.restriction else ""
    text = f"{_shown(facts.id) + ': ' if facts.id else ''}{what}{why}: {who}{to}"
    _log.log(level, "%s", text, extra=extra)


def _bracketed(value: str | None) -> str:
    return "-" if value is None else f"<{_shown(value)}>"


def _shown(value: str | None) -> str:
    return printable(value or "", MAX_SHOWN)
