"""DKIM: verify and sign, by size and kind of body.

DKIM side by side with its peers and with the floor: SHA-256 over the body plus one RSA operation, without which no
DKIM implementation can do. Keys are known: no DNS is asked.
"""

from __future__ import annotations

import hashlib
import resource
from base64 import b64encode, encodebytes
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

import dkim as dkimpy
from benchmarks.common import package, seconds_per_call, table
from benchmarks.opendkim import OpenDkim
from mailauth import dkim
from mailauth.plan import run
from mailauth.resolvers import ZoneResolver

NOW = 2_000_000_000.0
BLOCK = 64 * 1024
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
KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
)
SPKI = KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
RECORD = f"v=DKIM1; k=rsa; p={b64encode(SPKI).decode()}"
ZONE = ZoneResolver({("sel._domainkey.example.org", "TXT"): [RECORD]})


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


def opendkim() -> OpenDkim | None:
    """libopendkim, if it is installed."""
    try:
        return OpenDkim(RECORD)
    except OSError:
        return None


def floor_of(body: bytes, operation: Callable[[], object]) -> Callable[[], object]:
    """What every implementation must do at least."""

    def floor() -> None:
        hashlib.sha256(body).digest()
        operation()

    return floor


def in_pieces(message: bytes) -> list[dkim.Signature]:
    """The same, pushed as a server receives it."""
    verifier = dkim.Verifier(now=NOW)
    for start in range(0, len(message), BLOCK):
        verifier.feed(message[start : start + BLOCK])
    return run(verifier.finish(), ZONE)


def verifiers(body: bytes, how: str) -> dict[str, Callable[[], object]]:
    """The contenders for one message."""
    message = HEADER + body
    message = dkim.sign(message, KEY, domain="example.org", selector="sel", header=how, body=how) + message
    signature = KEY.sign(b"x" * 600, padding.PKCS1v15(), hashes.SHA256())
    public = KEY.public_key()
    operation = partial(public.verify, signature, b"x" * 600, padding.PKCS1v15(), hashes.SHA256())
    contenders: dict[str, Callable[[], Any]] = {
        "floor": floor_of(body, operation),
        "mailauth": lambda: run(dkim.verify(message, now=NOW), ZONE),
        "in pieces": lambda: in_pieces(message),
        "dkimpy": lambda: dkimpy.verify(message, dnsfunc=lambda *_, **__: RECORD.encode()),
    }
    library = opendkim()
    if library is not None:
        contenders["libopendkim"] = lambda: library.verify(message)
        assert library.verify(message) == 0
    assert contenders["mailauth"]()[0].result == contenders["in pieces"]()[0].result == "pass"
    assert contenders["dkimpy"]()
    return contenders


def signers(body: bytes, how: str) -> dict[str, Callable[[], object]]:
    """The contenders for signing one message. dkimpy takes its key as PEM only."""
    message = HEADER + body
    operation = partial(KEY.sign, b"x" * 600, padding.PKCS1v15(), hashes.SHA256())
    canonicalize = (how.encode(), how.encode())
    contenders: dict[str, Callable[[], object]] = {
        "floor": floor_of(body, operation),
        "mailauth": lambda: dkim.sign(message, PEM, domain="example.org", selector="sel", header=how, body=how),
        "dkimpy": lambda: dkimpy.sign(message, b"sel", b"example.org", PEM, canonicalize=canonicalize),
    }
    library = opendkim()
    if library is not None:
        contenders["libopendkim"] = lambda: library.sign(message, PEM, how, how)
    return contenders


MESSAGES: list[tuple[str, Callable[[int], bytes], int, str, float | None]] = [
    ("2 KB prose, relaxed", prose, 2_000, "relaxed", 3.5),
    ("20 KB prose, relaxed", prose, 20_000, "relaxed", 4),
    ("5 MB base64, relaxed", base64_body, 5_000_000, "relaxed", 1.3),
    ("5 MB prose, relaxed", prose, 5_000_000, "relaxed", 7),
    ("2 KB prose, simple", prose, 2_000, "simple", None),
    ("200 KB prose, simple", prose, 200_000, "simple", 1.3),
    ("5 MB prose, simple", prose, 5_000_000, "simple", 1.3),
]
TO_SIGN: list[tuple[str, Callable[[int], bytes], int, str, float | None]] = [
    ("2 KB prose, relaxed", prose, 2_000, "relaxed", 1.3),
    ("20 KB prose, relaxed", prose, 20_000, "relaxed", 1.3),
    ("5 MB base64, relaxed", base64_body, 5_000_000, "relaxed", None),
]


def measure(
    title: str, messages: list[tuple[str, Callable[[int], bytes], int, str, float | None]],
    contenders_of: Callable[[bytes, str], dict[str, Callable[[], object]]],
) -> None:  # fmt: skip
    """One table: times of the floor, and everybody as multiples of it."""
    rows: list[list[object]] = []
    names: list[str] = []
    for words, body_of, octets, how, aim in messages:
        times = seconds_per_call(contenders_of(body_of(octets), how))
        names = [name for name in times if name != "floor"]
        ratios = [f"{times[name] / times['floor']:.2f}" for name in names]
        rows.append([words, f"{times['floor'] * 1e6:.0f}", *ratios, "" if aim is None else f"{aim:g}"])
    table(title, ["message", "floor, us", *names, "aim"], rows)


def memory() -> None:
    """How much the process grows over 100 MB."""

    def verify(blocks: int) -> None:
        verifier = dkim.Verifier(now=NOW)
        verifier.feed(dkim.sign(HEADER, KEY, domain="example.org", selector="sel") + HEADER)
        for _ in range(blocks):
            verifier.feed(block)
        assert run(verifier.finish(), ZONE)[0].reason == "body-hash-differs"

    block = prose(BLOCK)
    verify(10)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    verify(100_000_000 // len(block))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    table("Memory", ["", "KB", "aim"], [["growth while 100 MB are verified", grown, 2048]])


def main() -> None:
    """Print the tables."""
    print(f"\nDKIM: mailauth, {package('dkimpy')}, libopendkim (C, through ctypes), {package('cryptography')}")
    print("Times as multiples of the floor: hashlib.sha256 over the body plus one RSA-2048 operation of cryptography.")
    measure("Verify (RSA-2048, key known)", MESSAGES, verifiers)
    measure("Sign (RSA-2048)", TO_SIGN, signers)
    memory()
