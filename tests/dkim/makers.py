"""Signatures made by hand, for tests.

A slow, obvious DKIM signer that writes whatever a test wants, right or wrong, so that the verifier is tested against
something that shares no code with it.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from mailauth.dkim import DkimPolicy, Signature, verify
from mailauth.plan import run
from mailauth.resolvers import ZoneResolver

NOW = 1_700_000_000

MESSAGE = (
    b"Received: from a.example by b.example; Mon, 2 Nov 2026 10:00:00 +0000\r\n"
    b"From: Ann <ann@example.org>\r\n"
    b"To: Bob <bob@example.net>\r\n"
    b"Subject: two\r\n\t lines  of it \r\n"
    b"Date: Mon, 2 Nov 2026 10:00:00 +0000\r\n"
    b"\r\n"
    b"Hello  Bob, \r\n\r\nbye\r\n\r\n\r\n"
)


@cache
def rsa_key(bits: int = 2048, exponent: int = 65537) -> rsa.RSAPrivateKey:
    """A key of that size; the usual one is always the same, so that what it signs is, too."""
    if (bits, exponent) == (2048, 65537):
        key = serialization.load_pem_private_key(Path(__file__).with_name("rsa2048.pem").read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        return key
    return rsa.generate_private_key(exponent, bits)


@cache
def ed_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def spki(key: Any) -> bytes:
    der: bytes = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return der


def b64(octets: bytes) -> str:
    return b64encode(octets).decode("ascii")


def rsa_record(key: Any = None, extra: str = "") -> str:
    return f"v=DKIM1; {extra}p={b64(spki(key or rsa_key()))}"


def ed_record(extra: str = "") -> str:
    return f"v=DKIM1; k=ed25519; {extra}p={b64(ed_key().public_key().public_bytes_raw())}"


def canonical_body(body: bytes, how: str) -> bytes:
    lines = body.split(b"\r\n")
    if how == "relaxed":
        lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        return b"" if how == "relaxed" else b"\r\n"
    return b"\r\n".join(lines) + b"\r\n"


def canonical_field(raw: bytes, how: str) -> bytes:
    if how == "simple":
        return raw
    name, _, value = raw.partition(b":")
    value = re.sub(rb"[ \t]+", b" ", value.replace(b"\r\n", b"")).strip(b" ")
    return name.lower().rstrip(b" \t") + b":" + value + b"\r\n"


def fields_of(header: bytes) -> list[bytes]:
    return re.findall(rb"[^ \t\r\n][^\r]*(?:\r\n[ \t][^\r]*)*\r\n", header)


def selected(names: list[str], fields: list[bytes]) -> list[bytes]:
    """RFC 6376 section 5.4.2, from the bottom."""
    left = fields[::-1]
    chosen = []
    for name in names:
        for field in left:
            if field.partition(b":")[0].strip().lower().decode() == name.strip().lower():
                chosen.append(field)
                left.remove(field)
                break
    return chosen


def signed(
    message: bytes = MESSAGE,
    tags: dict[str, str | None] | None = None,
    *,
    key: Any = None,
    order: str = "v a c d s h bh b",
    template: bytes | None = None,
) -> bytes:
    """The message with a signature on top. `tags` changes tags or (None) leaves them out; more of them may be given.

    `template` is a whole field with %(bh)s and %(b)s, for oddly written ones; what stands for b= is emptied with all
    that surrounds it up to the next semicolon.
    """
    key = rsa_key() if key is None else key
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    values: dict[str, str | None] = {
        "v": "1", "a": "rsa-sha256" if is_rsa else "ed25519-sha256", "c": "relaxed/relaxed", "d": "example.org",
        "s": "sel", "h": "from:to:subject:date", "bh": None, "b": "",
    }  # fmt: skip
    values |= tags or {}
    header_how, _, body_how = (values["c"] or "simple/simple").partition("/")
    header, _, body = message.partition(b"\r\n\r\n")
    canonical = canonical_body(body, body_how or "simple")
    length = values.get("l")
    hashed = canonical if length is None or not length.isdigit() else canonical[: int(length)]
    bh = b64(hashlib.sha256(hashed).digest())
    if values["bh"] is None and "bh" not in (tags or {}):
        values["bh"] = bh
    if template is None:
        names = order.split() + [name for name in values if name not in order.split()]
        template = b"DKIM-Signature: " + b"; ".join(
            f"{name}={'%(b)s' if name == 'b' else values[name]}".encode() for name in names if values[name] is not None
        )
    unsigned = template.replace(b"%(bh)s", bh.encode())
    emptied = re.sub(rb"(;[ \t\r\n]*b[ \t\r\n]*=)[^;]*%\(b\)s[^;]*", rb"\1", unsigned)
    names = re.split(r"\s*:\s*", (values["h"] or "").strip())
    data = b"".join(canonical_field(f, header_how) for f in selected(names, fields_of(header + b"\r\n")))
    data += canonical_field(emptied + b"\r\n", header_how)[:-2]
    if is_rsa:
        signature = key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    else:
        signature = key.sign(hashlib.sha256(data).digest())
    return unsigned.replace(b"%(b)s", b64(signature).encode()) + b"\r\n" + message


def zone(
    record: str | bytes | list[str | bytes] | None = None, name: str = "sel._domainkey.example.org"
) -> ZoneResolver:
    record = rsa_record() if record is None else record
    return ZoneResolver({(name, "TXT"): record if isinstance(record, list) else [record]})


def check(
    message: bytes, record: Any = None, *, policy: DkimPolicy | None = None, now: float = NOW, dns: Any = None
) -> list[Signature]:
    return run(verify(message, now=now, policy=policy or DkimPolicy()), dns or zone(record))


def only(message: bytes, record: Any = None, **settings: Any) -> Signature:
    (signature,) = check(message, record, **settings)
    return signature
