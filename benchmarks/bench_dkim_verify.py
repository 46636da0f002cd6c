"""One signature verified through `mailauth.sync.verify_dkim`; the key's record is known, no DNS is asked.

mailauth has seen the signer before, as the servers of a busy site have, and keeps its parsed key; the peers keep none.
"New signer" is mailauth with all that it keeps forgotten before each message; it is measured where a key counts, up to
20 KB. The floor is SHA-256 over the body and one operation of the key, loaded before, by the cryptography package. "In
pieces" is mailauth's `Verifier`, fed 64 KB at a time, as a server receives a message. Mail::DKIM is in Perl, npm's
mailauth in JavaScript, libopendkim in C (through ctypes, some microseconds a message).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import dkim as dkimpy
from benchmarks.dkimwork import (
    CACHES,
    DOMAIN,
    FEW_OCTETS,
    NOW,
    QUICK_SIZES,
    SELECTOR,
    SIZES,
    UNABLE,
    Work,
    floor,
    opendkim,
    works,
)
from benchmarks.measure import Case, Contender, call, forgetful, ours, package, variant
from benchmarks.opendkim import OK
from benchmarks.peers import Peers
from mailauth import sync
from mailauth.dkim import Signature, Verifier
from mailauth.plan import run

TITLE = "DKIM: verifying"

PIECE = 64 * 1024


def cases(sizes: Mapping[str, int] = SIZES) -> Iterator[Case]:
    with Peers() as peers:
        for work in works(sizes):
            yield Case(work.name, contenders(work, peers))


quick_cases = partial(cases, QUICK_SIZES)


def contenders(work: Work, peers: Peers) -> list[Contender]:
    """All of them, for one message that we have signed."""
    how, zone = work.canonicalization, work.key.zone
    field = sync.sign_dkim(work.message, work.key.pem, domain=DOMAIN, selector=SELECTOR, header=how, body=how)
    message = field + work.message

    def check() -> list[Signature]:
        return sync.verify_dkim(message, now=NOW, resolver=zone)

    def in_pieces() -> list[Signature]:
        verifier = Verifier(now=NOW)
        for start in range(0, len(message), PIECE):
            verifier.feed(message[start : start + PIECE])
        return run(verifier.finish(), zone)

    def with_dkimpy() -> bool:
        return bool(dkimpy.verify(message, dnsfunc=lambda *_, **__: work.key.record.encode()))

    assert check()[0].result == in_pieces()[0].result == "pass"
    assert with_dkimpy()
    zone_lines = [f"{SELECTOR}._domainkey.{DOMAIN} TXT {work.key.record}"]
    task = {"message": peers.file(message), "zone": zone_lines, "unable": UNABLE[work.key.name]}
    return [
        floor(work, signing=False),
        ours(check),
        *([variant("new signer", forgetful(check, *CACHES))] if len(message) < FEW_OCTETS else []),
        variant("in pieces", in_pieces),
        call("dkimpy", with_dkimpy, package("dkimpy")),
        with_libopendkim(work, message),
        *peers.contenders("dkim-verify", ["pass"].__eq__, **task),
    ]


def with_libopendkim(work: Work, message: bytes) -> Contender:
    """The C library, through ctypes."""
    library = opendkim(work.key)
    if isinstance(library, Contender):
        return library
    assert library.verify(message) == OK
    return call("libopendkim", lambda: library.verify(message), library.version)
