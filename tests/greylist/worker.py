"""``python -m tests.greylist.worker race|endless URL ...``: a JSON line for each acknowledged decision.

A process of its own that decides, for the tests of races and of sudden death.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from mailauth.greylist import Greylist, GreylistPolicy
from mailauth.stores import open_store

T = 1_800_000_000.0
RACE_POLICY = GreylistPolicy(auto_allow=1_000_000, auto_allow_interval=0)
TRIPLETS = 8
ROUNDS = ((0.0, 4), (299.0, 4), (300.0, 3), (4000.0, 3))
"""Seconds after T, and how often each triplet is tried then."""


def race(url: str) -> None:
    """The same triplets as the other processes, in the same rounds; a line from the parent starts each."""
    greylist = Greylist(open_store(url, time_limit=30), policy=RACE_POLICY)
    for at, times in ROUNDS:
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(times):
            for i in range(TRIPLETS):
                decision = greylist.check("192.0.2.1", f"x{chr(97 + i)}@example.org", "bob@example.net", now=T + at)
                say(at=at, triplet=i, action=decision.action, reason=decision.reason, note=decision.note)
    greylist.close()


def endless(url: str, name: str) -> None:
    """New triplets without end, each brought through; whatever is decided is said at once."""
    greylist = Greylist(open_store(url, time_limit=30), policy=RACE_POLICY)
    i = 0
    while True:
        sender = f"{name}x{i}x@example.org"
        for at in (0.0, 300.0):
            decision = greylist.check("192.0.2.1", sender, "bob@example.net", now=T + at)
            say(sender=sender, at=at, reason=decision.reason, note=decision.note)
        i += 1


def say(**values: Any) -> None:
    # One write, so that a line is there as a whole or not at all.
    os.write(1, (json.dumps(values) + "\n").encode())


if __name__ == "__main__":
    {"race": race, "endless": endless}[sys.argv[1]](*sys.argv[2:])
