"""What the subjects of DKIM share: messages of any size, keys, and the floor."""

from __future__ import annotations

import hashlib
from base64 import b64encode, encodebytes
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from random import Random

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from benchmarks.measure import FLOOR, Contender, call, missing, software
from benchmarks.opendkim import OpenDkim
from mailauth.resolvers import ZoneResolver

NOW = 2_000_000_000.0
DOMAIN, SELECTOR = "example.org", "sel"
HEADER = (
    b"Received: from mx1.example.net (mx1.example.net [192.0.2.1])\r\n"
    b"\tby mx2.example.com with ESMTPS id 1234567890\r\n"
    b"\tfor <bob@example.com>; Mon, 2 Nov 2026 10:00:02 +0000 (UTC)\r\n"
    b"Received: from client.example.org (client.example.org [192.0.2.2])\r\n"
    b"\tby mx1.example.net with ESMTPSA id 0987654321\r\n"
    b"\tfor <bob@example.com>; Mon, 2 Nov 2026 10:00:01 +0000 (UTC)\r\n"
    b"From: Ann Example <ann@example.org>\r\n"
    b"To: Bob <bob@example.com>\r\n"
    b"Subject: The figures of the third quarter\r\n"
    b"Date: Mon, 2 Nov 2026 10:00:00 +0000\r\n"
    b"Message-ID: <20261102100000.1234@example.org>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n"
    b"\r\n"
)
WORDS = b"the of and to in is that it was for on are with as his they be at one have this from or had by".split()


@dataclass(frozen=True)
class Key:
    """A private key in the forms that the contenders take, and its record."""

    name: str
    algorithm: str
    private: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
    record: str

    @property
    def pem(self) -> bytes:
        """As `openssl` writes it: RSA in its own form, Ed25519 as PKCS#8."""
        rsa_form = serialization.PrivateFormat.TraditionalOpenSSL
        form = rsa_form if self.name == "RSA" else serialization.PrivateFormat.PKCS8
        return self.private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())

    @property
    def zone(self) -> ZoneResolver:
        return ZoneResolver({(f"{SELECTOR}._domainkey.{DOMAIN}", "TXT"): [self.record]})


def _rsa() -> Key:
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Key("RSA", "rsa-sha256", key, f"v=DKIM1; k=rsa; p={b64encode(public).decode()}")


def _ed25519() -> Key:
    key = ed25519.Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    return Key("Ed25519", "ed25519-sha256", key, f"v=DKIM1; k=ed25519; p={b64encode(public).decode()}")


RSA, ED25519 = _rsa(), _ed25519()
CACHES = ("mailauth.dkim", "mailauth.mail")
"""Where mailauth keeps what it has met: keys, records, names."""
FEW_OCTETS = 50_000
"""In a message of fewer, the time of a key that is parsed anew counts."""
UNABLE = {"RSA": {}, "Ed25519": {"Mail::DKIM": "no Ed25519"}}
"""Peers that do not know a kind of key."""


def prose(octets: int) -> bytes:
    """Lines of words; now and then a sentence ends, sometimes with two blanks, or a paragraph, with an empty line."""
    choose = Random(1)
    lines, size = [], 0
    while size < octets:
        words = choose.choices(WORDS, k=choose.randrange(12, 18))
        words[5] += choose.choice([b"", b"", b".", b". "])
        line = b" ".join(words) + choose.choice([b"", b"", b"", b".\r\n"]) + b"\r\n"
        lines.append(line)
        size += len(line)
    return b"".join(lines)


def base64_body(octets: int) -> bytes:
    """An attachment, as MIME writes it."""
    return encodebytes(Random(1).randbytes(octets * 3 // 4)).replace(b"\n", b"\r\n")


@dataclass(frozen=True)
class Work:
    """One message to sign or verify."""

    name: str
    message: bytes
    body: bytes
    canonicalization: str
    key: Key


SIZES = {"2 KB": 2_000, "20 KB": 20_000, "200 KB": 200_000, "5 MB": 5_000_000}


QUICK_SIZES = {"2 KB": 2_000, "200 KB": 200_000}


def works(sizes: Mapping[str, int] = SIZES) -> Iterator[Work]:
    """RSA in every combination; then Ed25519, which differs by the one operation, for prose."""
    bodies = (("prose", prose), ("base64", base64_body))
    for (size, octets), (kind, maker), how in product(sizes.items(), bodies, ("relaxed", "simple")):
        body = maker(octets)
        yield Work(f"{size} {kind}, {how}, RSA", HEADER + body, body, how, RSA)
    for size, octets in sizes.items():
        body = prose(octets)
        yield Work(f"{size} prose, relaxed, Ed25519", HEADER + body, body, "relaxed", ED25519)


def floor(work: Work, *, signing: bool) -> Contender:
    """SHA-256 over the body and one operation of the key, without which no implementation can do."""
    data, private = b"x" * 600, work.key.private
    operation: Callable[[], object]
    if isinstance(private, rsa.RSAPrivateKey):
        scheme = padding.PKCS1v15(), hashes.SHA256()
        signature = private.sign(data, *scheme)
        verify = partial(private.public_key().verify, signature, data, *scheme)
        operation = partial(private.sign, data, *scheme) if signing else verify
    else:
        digest = hashlib.sha256(data).digest()
        verify = partial(private.public_key().verify, private.sign(digest), digest)
        operation = partial(private.sign, digest) if signing else verify

    def both() -> None:
        hashlib.sha256(work.body).digest()
        operation()

    return call(FLOOR, both, software("cryptography"))


@cache
def opendkim(key: Key) -> OpenDkim | Contender:
    """libopendkim with that key, or the row that says that it is not installed."""
    try:
        return OpenDkim(key.record)
    except OSError:
        return missing("libopendkim")
