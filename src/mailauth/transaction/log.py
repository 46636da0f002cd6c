"""One log line for a decision, with whom it is about: client, HELO, sender, recipient, and the caller's own id.

The same values are attributes of the log record (`extra`): ``client``, ``helo``, ``sender``, ``recipient``,
``transaction_id``, ``action``, ``restriction``, ``reason``.
"""

# SECURITY: HELO and addresses are the peer's: what cannot be printed is shown as "?", and each value is cut. Never the
# message's content.

from __future__ import annotations

import logging

from mailauth.mail.text import printable
from mailauth.transaction.decision import Action, Decision
from mailauth.transaction.facts import Facts

_log = logging.getLogger("mailauth.transaction")

MAX_SHOWN = 200
"""Characters of one value in a log line."""


def log_decision(facts: Facts, decision: Decision, *, would: bool = False) -> None:
    """Log a decision at the level INFO; `would`: it is only a warning (`warn_if_reject`), at the level WARNING."""
    level = logging.WARNING if would else logging.INFO
    if not _log.isEnabledFor(level):
        return
    client, number = str(facts.ip), _shown(facts.id)
    helo, sender, recipient = _shown(facts.helo), _shown(facts.mail_from), _shown(facts.recipient)
    extra = {
        "client": client,
        "helo": helo,
        "sender": sender,
        "recipient": recipient,
        "transaction_id": number,
        "action": decision.action.value,
        "restriction": decision.restriction,
        "reason": decision.reason,
    }
    said = "-" if facts.helo is None else f"<{helo}>"
    who = f"client={client} helo={said} from={'-' if facts.mail_from is None else f'<{sender}>'}"
    to = f" to=<{recipient}>" if facts.recipient is not None else ""
    action = "no objection" if decision.action is Action.NONE else decision.action.value
    what = f"{'would ' if would else ''}{action}"
    why = f" {decision.restriction} ({decision.reason})" if decision.restriction else ""
    _log.log(level, "%s", f"{number + ': ' if number else ''}{what}{why}: {who}{to}", extra=extra)


def _shown(value: str | None) -> str:
    return printable(value, MAX_SHOWN) if value else ""
