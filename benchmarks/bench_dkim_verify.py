"""One signature verified through `mailauth.sync.verify_dkim`; the key's record is known, no DNS is asked.

mailauth has seen the signer before, as the servers of a busy site have, and keeps its parsed key; the peers keep none.
The floor is SHA-256 over the body and one operation of the key by the cryptography package. "In pieces" is mailauth's
`Verifier`, fed 64 KB at a time, as a server receives a message.
"""

from __future__ import annotations

from collections.abc import Iterator

import dkim as dkimpy
from benchmarks.dkimwork import DOMAIN, NOW, SELECTOR, Work, floor, opendkim, works
from benchmarks.measure import Case, Contender, call, ours, package, variant
from benchmarks.opendkim import OK
from mailauth import sync
from mailauth.dkim import Signature, Verifier
from mailauth.plan import run

TITLE = "DKIM: verifying"

PIECE = 64 * 1024


def cases() -> Iterator[Case]:
    for work in works():
        yield Case(work.name, contenders(work))


def contenders(work: Work) -> list[Contender]:
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
    return [
        floor(work, signing=False),
        ours(check),
        variant("in pieces", in_pieces),
        call("dkimpy", with_dkimpy, package("dkimpy")),
        with_libopendkim(work, message),
    ]


def with_libopendkim(work: Work, message: bytes) -> Contender:
    """The C library, through ctypes."""
    library = opendkim(work.key)
    if isinstance(library, Contender):
        return library
    assert library.verify(message) == OK
    return call("libopendkim", lambda: library.verify(message), library.version)
