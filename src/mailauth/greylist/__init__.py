"""Greylisting (RFC 6647): defer the first attempt of an unknown client, sender and recipient, and accept the retry.

Mail servers come back after a temporary refusal; most programs that only send spam do not. What was seen is kept in a
store (`mailauth.stores`), which all hosts of a site may share::

    greylist = Greylist(open_store("sqlite:///var/lib/mailauth/greylist.db"))
    decision = greylist.check("192.0.2.1", "ann@example.org", "bob@example.net")
    if decision.deferred: send(decision.reply)

Reading order: policy.py (the delays), records.py (what is kept), machine.py (states and transitions), keys.py (which
attempts are the same), decision.py, check.py (one check as a plan), store.py, settings.py (exemptions), whitelist.py
(postgrey's), service.py.
"""

from __future__ import annotations

from mailauth.greylist.check import Attempt, check_attempt, expire_some
from mailauth.greylist.decision import HEADER_NAME, Action, Decision, Reason
from mailauth.greylist.keys import Keys, keys_of, normal_recipient, normal_sender
from mailauth.greylist.machine import CLIENT, TRIPLET, Event, Transition, admit, credit, decide
from mailauth.greylist.policy import GreylistPolicy, Mode
from mailauth.greylist.records import Record, State
from mailauth.greylist.service import AsyncGreylist, Greylist
from mailauth.greylist.settings import Patterns, Settings, SettingsError, SettingsSource
from mailauth.greylist.store import AsyncStore, Entry, Page, Store, StoreError, StoreErrorReason
from mailauth.greylist.whitelist import ClientWhitelist, RecipientWhitelist, RefusedLine, Whitelists

__all__ = [
    "CLIENT",
    "HEADER_NAME",
    "TRIPLET",
    "Action",
    "AsyncGreylist",
    "AsyncStore",
    "Attempt",
    "ClientWhitelist",
    "Decision",
    "Entry",
    "Event",
    "Greylist",
    "GreylistPolicy",
    "Keys",
    "Mode",
    "Page",
    "Patterns",
    "Reason",
    "RecipientWhitelist",
    "Record",
    "RefusedLine",
    "Settings",
    "SettingsError",
    "SettingsSource",
    "State",
    "Store",
    "StoreError",
    "StoreErrorReason",
    "Transition",
    "Whitelists",
    "admit",
    "check_attempt",
    "credit",
    "decide",
    "expire_some",
    "keys_of",
    "normal_recipient",
    "normal_sender",
]
