"""A 100 MB message in a process of its own, since memory is a process's.

Memory does not grow with the message, neither to verify nor to sign.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from mailauth.dkim import MessageSigner, Verifier
from mailauth.plan import run
from mailauth.resolvers import ZoneResolver
from tests.dkim.makers import rsa_key, rsa_record, NOW

LINE = b"The quick brown fox  jumps over the lazy dog. \\t \\r\\n"
BLOCK = LINE * 1300
HEAD = b"From: a@example.org\\r\\nSubject: x\\r\\n\\r\\n"

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def sign(blocks, canonicalization):
    signer = MessageSigner(rsa_key(), domain="example.org", selector="sel", body=canonicalization)
    signer.feed(HEAD)
    for _ in range(blocks):
        signer.feed(BLOCK)
    return signer.finish()

def verify(field, blocks):
    verifier = Verifier(now=NOW)
    verifier.feed(field + HEAD)
    for _ in range(blocks):
        verifier.feed(BLOCK)
    (signature,) = run(verifier.finish(), ZoneResolver({("sel._domainkey.example.org", "TXT"): [rsa_record()]}))
    assert signature.result == "pass", signature

for canonicalization in ("simple", "relaxed"):
    verify(sign(20, canonicalization), 20)
before = peak()
blocks = 100_000_000 // len(BLOCK)
verify(sign(blocks, sys.argv[1]), blocks)
print(peak() - before)
"""


@pytest.mark.parametrize("canonicalization", ["simple", "relaxed"])
def test_a_hundred_megabytes_grow_the_process_by_less_than_two(canonicalization: str) -> None:
    import os

    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    output = subprocess.run(
        [sys.executable, "-c", PROGRAM, canonicalization], check=True, capture_output=True, text=True, env=environment
    ).stdout
    assert int(output) <= 2048, "kilobytes"
