"""Adding a message's DMARC result up for aggregate reports (RFC 9990), where a store is named for it."""

from __future__ import annotations

from mailauth.dmarc import Policy
from mailauth.dmarc.reports import DAY, published_of, row_of
from mailauth.plan import Call, Plan
from mailauth.transaction.checks import Transaction
from mailauth.transaction.decision import Action, Decision


def add_to_reports(tx: Transaction, decision: Decision) -> Plan[None]:
    """Count the message, unless it is to come again. What the store raises is the caller's function's affair.

    What a client that authenticated hands in is not received from anybody: no other domain's owner learns its address.
    """
    result, add = tx.dmarc, tx.policy.dmarc_reports
    if result is None or add is None or decision.action is Action.DEFER or tx.authenticated is not None:
        return
    published = published_of(result)
    if published is None:
        return
    applied = Policy.NONE
    if decision.action is Action.REJECT and decision.restriction == "check_dmarc":
        applied = Policy.REJECT
    elif tx.policy.dmarc_policy.quarantine and result.disposition is not Policy.NONE:
        applied = Policy.QUARANTINE
    yield Call(add, int(tx.now // DAY), published, row_of(result, tx.ip, applied=applied))
