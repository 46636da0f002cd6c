"""A slow, obvious sealer that writes whatever a test wants, right or wrong; it shares no code with the verifier."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from mailauth.arc import ArcResult, verify
from mailauth.dkim import DkimPolicy
from mailauth.plan import run
from mailauth.resolvers import ZoneResolver
from tests.dkim.makers import (
    MESSAGE,
    NOW,
    b64,
    canonical_body,
    canonical_field,
    fields_of,
    rsa_key,
    rsa_record,
    selected,
)

AAR = "mx.{domain}; dmarc=pass header.from=example.org"


def _sign(key: Any, data: bytes) -> str:
    if isinstance(key, rsa.RSAPrivateKey):
        return b64(key.sign(data, padding.PKCS1v15(), hashes.SHA256()))
    return b64(key.sign(hashlib.sha256(data).digest()))


def _list(tags: dict[str, str | None]) -> str:
    return "; ".join(f"{name}={value}" for name, value in tags.items() if value is not None)


def sets_of(message: bytes) -> dict[int, list[bytes]]:
    """The ARC fields by instance, in the order in which they are hashed."""
    order = (b"arc-authentication-results", b"arc-message-signature", b"arc-seal")
    found: dict[int, list[bytes]] = {}
    for field in fields_of(message.partition(b"\r\n\r\n")[0] + b"\r\n"):
        name = field.partition(b":")[0].lower()
        if name in order:
            number = int(re.search(rb"i=\s*(\d+)", field)[1])  # type: ignore[index]
            found.setdefault(number, []).append(field)
    for fields in found.values():
        fields.sort(key=lambda field: order.index(field.partition(b":")[0].lower()))
    return dict(sorted(found.items()))


def sealed(
    message: bytes = MESSAGE,
    domain: str = "one.example",
    *,
    results: str = AAR,
    signature: dict[str, str | None] | None = None,
    seal: dict[str, str | None] | None = None,
    key: Any = None,
    alone: bool = False,
) -> bytes:
    """The message with a new set on top. `signature` and `seal` change tags or (None) leave them out.

    `alone`: the seal covers its own set only, as RFC 8617 section 5.1.2 has it for cv=fail.
    """
    key = key or rsa_key()
    before = sets_of(message)
    instance = max(before, default=0) + 1
    algorithm = "rsa-sha256" if isinstance(key, rsa.RSAPrivateKey) else "ed25519-sha256"
    common: dict[str, str | None] = {"i": str(instance), "a": algorithm, "d": domain, "s": "arc"}
    header, _, body = message.partition(b"\r\n\r\n")
    aar = f"ARC-Authentication-Results: i={instance}; {results.format(domain=domain)}\r\n".encode()

    tags = {**common, "c": "relaxed/relaxed", "h": "from:to:subject:date", **(signature or {})}
    header_how, _, body_how = (tags["c"] or "simple/simple").partition("/")
    canonical = canonical_body(body, body_how or "simple")
    length = tags.get("l")
    hashed = canonical if length is None else canonical[: int(length)]
    tags.setdefault("bh", b64(hashlib.sha256(hashed).digest()))
    ams = f"ARC-Message-Signature: {_list(tags)}; b=".encode()
    fields = selected((tags["h"] or "").split(":"), fields_of(header + b"\r\n"))
    data = b"".join(canonical_field(field, header_how) for field in fields)
    data += canonical_field(ams + b"\r\n", header_how)[:-2]
    ams += _sign(key, data).encode() + b"\r\n"

    tags = {**common, "t": str(NOW), "cv": "none" if instance == 1 else "pass", **(seal or {})}
    own = f"ARC-Seal: {_list(tags)}; b=".encode()
    chain = [] if alone else [field for number in before for field in before[number]]
    data = b"".join(canonical_field(field, "relaxed") for field in [*chain, aar, ams])
    data += canonical_field(own + b"\r\n", "relaxed")[:-2]
    own += _sign(key, data).encode() + b"\r\n"
    return own + ams + aar + message


def zone(*domains: str, record: str | None = None, failures: Any = None) -> ZoneResolver:
    """The keys of the sealers."""
    names = domains or ("one.example", "two.example", "three.example")
    data: dict[Any, Any] = {(f"arc._domainkey.{name}", "TXT"): [record or rsa_record()] for name in names}
    return ZoneResolver(data, failures=failures or {})


def check(message: bytes, dns: Any = None, *, policy: DkimPolicy | None = None, now: float = NOW) -> ArcResult:
    """The result for a message."""
    return run(verify(message, now=now, policy=policy or DkimPolicy()), dns or zone())


def chain_of(*domains: str, message: bytes = MESSAGE) -> bytes:
    """The message, sealed by these one after the other."""
    for domain in domains:
        message = sealed(message, domain)
    return message
