"""The other implementations as the other side: dkimpy, OpenDKIM and Mail::DKIM.

What we sign, others verify; what others sign, we verify; and a changed message fails on both sides.
"""

from __future__ import annotations

import random
import subprocess
from itertools import product
from pathlib import Path

import pytest
from benchmarks.opendkim import OpenDkim
from cryptography.hazmat.primitives import serialization

import dkim
from mailauth.dkim import SigningKey, sign
from tests.dkim.makers import b64, check, ed_key, ed_record, only, rsa_key, rsa_record
from tests.servers import missing, need

CANONICALIZATIONS = list(product(("simple", "relaxed"), repeat=2))
PEM = rsa_key().private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
)
WORDS = [
    b"word", b"two words", b"  ", b" ", b"\t", b" \t ", b"\xc3\xa4\xff", b"=20", b"a  b", b"x" * 300, b".", b"..",
    b"From ", b"",
]  # fmt: skip
NAMES = [b"Subject", b"X-A", b"x-a", b"Received", b"List-Id", b"MIME-Version", b"Content-Type", b"Message-ID", b"Cc"]


def random_message(seed: int) -> bytes:
    """A message with CRLF line ends, odd blanks, folds, repeated fields and all kinds of ends."""
    choose = random.Random(seed)

    def text(parts: int) -> bytes:
        return b"".join(choose.choice(WORDS) for _ in range(choose.randrange(parts)))

    fields = [b"From: Ann <ann@example.org>", b"To: bob@example.net", b"Date: Mon, 2 Nov 2026 10:00:00 +0000"]
    for _ in range(choose.randrange(8)):
        folds = b"".join(
            b"\r\n" + choose.choice([b" ", b"\t ", b"  "]) + b"f" + text(3) for _ in range(choose.randrange(3))
        )
        fields.append(choose.choice(NAMES) + b":" + choose.choice([b" ", b"", b"  "]) + b"v" + text(4) + folds)
    choose.shuffle(fields)
    lines = [text(6) for _ in range(choose.randrange(12))]
    # SMTP delivers whole lines; about a last line without CRLF the implementations disagree (docs/conformance.md).
    end = choose.choice([b"\r\n", b"\r\n\r\n\r\n", b" \r\n", b"\r\n \r\n\t\r\n"])
    return b"\r\n".join(fields) + b"\r\n\r\n" + b"\r\n".join(lines) + (end if lines else b"")


MESSAGES = [random_message(seed) for seed in range(40)]


def broken(message: bytes) -> bytes:
    """The same message with one octet added where both canonicalisations see it."""
    return message.replace(b"Ann <", b"Anna <", 1)


def dkimpy_verifies(message: bytes, record: str) -> bool:
    return bool(dkim.verify(message, dnsfunc=lambda *_, **__: record.encode()))


@pytest.mark.parametrize(("header", "body"), CANONICALIZATIONS)
def test_dkimpy_verifies_ours(header: str, body: str) -> None:
    for message in MESSAGES:
        for key, record in ((rsa_key(), rsa_record()), (ed_key(), ed_record())):
            field = sign(message, key, domain="example.org", selector="sel", header=header, body=body)
            assert dkimpy_verifies(field + message, record), message
            assert not dkimpy_verifies(field + broken(message), record)


@pytest.mark.parametrize(("header", "body"), CANONICALIZATIONS)
def test_we_verify_dkimpys(header: str, body: str) -> None:
    how = (header.encode(), body.encode())
    seed = b64(ed_key().private_bytes_raw()).encode()
    for message in MESSAGES:
        for key, kind, record in ((PEM, b"rsa-sha256", rsa_record()), (seed, b"ed25519-sha256", ed_record())):
            field = dkim.sign(message, b"sel", b"example.org", key, canonicalize=how, signature_algorithm=kind)
            assert only(field + message, record, now=2e9).reason == "verified", message
            assert only(field + broken(message), record, now=2e9).reason == "signature-differs"


def test_dkimpy_verifies_each_of_two() -> None:
    message = MESSAGES[0]
    keys = [SigningKey("example.org", "rsa", rsa_key()), SigningKey("example.org", "ed", ed_key())]
    signed = sign(message, keys) + message
    records = {b"rsa": rsa_record().encode(), b"ed": ed_record().encode()}
    for index in range(2):
        verifier = dkim.DKIM(signed)
        assert verifier.verify(idx=index, dnsfunc=lambda name, **_: records[name.split(b".")[0]])


@pytest.mark.server
@pytest.mark.parametrize(("header", "body"), CANONICALIZATIONS)
def test_opendkim(header: str, body: str) -> None:
    try:
        other = OpenDkim(rsa_record())
    except OSError:
        missing("libopendkim is not installed (Debian: apt-get install libopendkim11)")
    for message in MESSAGES:
        field = sign(message, rsa_key(), domain="example.org", selector="sel", header=header, body=body)
        assert other.verify(field + message) == 0, message
        assert other.verify(field + broken(message)) != 0
        theirs = other.sign(message, PEM, header, body)
        assert only(theirs + message, now=2e9).reason == "verified", theirs + message
        assert only(theirs + broken(message), now=2e9).reason == "signature-differs"


def _mail_dkim(action: str, messages: dict[str, bytes], key: bytes, directory: Path) -> str:
    perl = need("perl", "perl")
    if subprocess.run([perl, "-MMail::DKIM", "-e", "1"], capture_output=True).returncode:
        missing("Mail::DKIM is not installed (Debian: apt-get install libmail-dkim-perl)")
    for name, octets in messages.items():
        (directory / name).write_bytes(octets)
    (directory / "key").write_bytes(key)
    program = Path(__file__).with_name("maildkim.pl")
    return subprocess.run(
        [perl, program, action, directory, directory / "key"], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.server
def test_mail_dkim_verifies_ours(tmp_path: Path) -> None:
    messages = {}
    for number, message in enumerate(MESSAGES):
        for header, body in CANONICALIZATIONS:
            field = sign(message, rsa_key(), domain="example.org", selector="sel", header=header, body=body)
            messages[f"{number}.{header}.{body}.good.eml"] = field + message
            messages[f"{number}.{header}.{body}.broken.eml"] = field + broken(message)
    lines = _mail_dkim("verify", messages, rsa_record().encode(), tmp_path).splitlines()
    assert len(lines) == len(messages)
    for line in lines:
        name, result = line.split()
        assert result == ("pass" if ".good." in name else "fail"), (line, messages[name])


@pytest.mark.server
def test_we_verify_mail_dkims(tmp_path: Path) -> None:
    messages = {
        f"{number}.{header}.{body}.eml": message
        for number, message in enumerate(MESSAGES)
        for header, body in CANONICALIZATIONS
    }
    output = _mail_dkim("sign", messages, PEM, tmp_path)
    entries = output.split("\n.\n")[:-1]
    assert len(entries) == len(messages)
    for entry in entries:
        name, _, field = entry.partition("\n")
        raw = field.replace("\r", "").replace("\n", "\r\n").encode() + b"\r\n"
        assert only(raw + messages[name], now=2e9).reason == "verified", (name, raw + messages[name])
        assert only(raw + broken(messages[name]), now=2e9).reason == "signature-differs"


def test_random_messages_are_not_all_alike() -> None:
    assert len(set(MESSAGES)) == len(MESSAGES)
    assert check(MESSAGES[0]) == []
