"""One message signed through `mailauth.sync.sign_dkim`, with the key given as PEM each time.

mailauth keeps the key that it has read from the PEM before; "new key" is with that forgotten before each message,
measured up to 20 KB. dkimpy, libopendkim (C, through ctypes) and npm's mailauth (JavaScript) read the key each time,
and Mail::DKIM (Perl) has it loaded before. dkimpy takes an Ed25519 key as its 32 octets in base64. The floor is SHA-256
over the body and one operation of the key, loaded before, by the cryptography package. What each has signed is verified
first. Most of what a new RSA key costs is the check of its numbers, which the cryptography package makes.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from functools import partial

from cryptography.hazmat.primitives.asymmetric import ed25519

import dkim as dkimpy
from benchmarks.dkimwork import (
    CACHES,
    DOMAIN,
    FEW_OCTETS,
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
from benchmarks.opendkim import ED25519_SHA256, RSA_SHA256
from benchmarks.peers import Peers
from mailauth import sync

TITLE = "DKIM: signing"


def cases(sizes: Mapping[str, int] = SIZES) -> Iterator[Case]:
    with Peers() as peers:
        for work in works(sizes):
            contenders = [*with_mailauth(work), with_dkimpy(work), with_libopendkim(work), *others(work, peers)]
            yield Case(work.name, [floor(work, signing=True), *contenders])


quick_cases = partial(cases, QUICK_SIZES)


def others(work: Work, peers: Peers) -> list[Contender]:
    """Those in processes of their own."""

    def check(field: str) -> bool:
        verify(work, field.encode())
        return True

    return peers.contenders(
        "dkim-sign",
        check,
        unable=UNABLE[work.key.name],
        message=peers.file(work.message),
        pem=peers.file(work.key.pem),
        domain=DOMAIN,
        selector=SELECTOR,
        algorithm=work.key.algorithm,
        canonicalization=f"{work.canonicalization}/{work.canonicalization}",
    )


def verify(work: Work, field: bytes) -> None:
    """Fail unless that signature of the message is good."""
    (signature,) = sync.verify_dkim(field + work.message, resolver=work.key.zone)
    assert signature.result == "pass", signature


def with_mailauth(work: Work) -> list[Contender]:
    """As a server signs, with one key again and again, and with a key that it has never met."""
    how, pem = work.canonicalization, work.key.pem

    def sign() -> bytes:
        return sync.sign_dkim(work.message, pem, domain=DOMAIN, selector=SELECTOR, header=how, body=how)

    verify(work, sign())
    new_key = [variant("new key", forgetful(sign, *CACHES))] if len(work.message) < FEW_OCTETS else []
    return [ours(sign), *new_key]


def with_dkimpy(work: Work) -> Contender:
    private, how = work.key.private, work.canonicalization.encode()
    key = b64encode(private.private_bytes_raw()) if isinstance(private, ed25519.Ed25519PrivateKey) else work.key.pem
    algorithm = work.key.algorithm.encode()

    def sign() -> bytes:
        field = dkimpy.sign(
            work.message,
            SELECTOR.encode(),
            DOMAIN.encode(),
            key,
            canonicalize=(how, how),
            signature_algorithm=algorithm,
        )
        return bytes(field)

    verify(work, sign())
    return call("dkimpy", sign, package("dkimpy"))


def with_libopendkim(work: Work) -> Contender:
    """The C library, through ctypes."""
    library, how, pem = opendkim(work.key), work.canonicalization, work.key.pem
    if isinstance(library, Contender):
        return library
    algorithm = RSA_SHA256 if work.key.name == "RSA" else ED25519_SHA256
    sign = partial(library.sign, work.message, pem, how, how, algorithm)
    verify(work, sign())
    return call("libopendkim", sign, library.version)
