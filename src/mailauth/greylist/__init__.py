"""Greylisting (RFC 6647): one state machine over any store.

`Greylist` and `AsyncGreylist` check attempts; `mailauth.stores` opens the stores; docs/greylist.md has the table, the
diagram, and every setting.

The public names of greylisting. Nothing in this package imports a store's driver, and only service.py (an injected
clock) and settingsfile.py (one file) touch the world.
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

__all__ = [
    "CLIENT",
    "HEADER_NAME",
    "TRIPLET",
    "Action",
    "AsyncGreylist",
    "AsyncStore",
    "Attempt",
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
    "Record",
    "Settings",
    "SettingsError",
    "SettingsSource",
    "State",
    "Store",
    "StoreError",
    "StoreErrorReason",
    "Transition",
    "admit",
    "check_attempt",
    "credit",
    "decide",
    "expire_some",
    "keys_of",
    "normal_recipient",
    "normal_sender",
]
