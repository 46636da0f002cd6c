"""The corpora of the fuzzer, without the fuzzer: each seed, and what small changes make of it, keeps the invariant."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_their_neighbours(name: str) -> None:
    target, choose = TARGETS[name], random.Random(name)
    target.run(b"")
    for seed in target.seeds:
        target.run(seed)
        for _ in range(20):
            target.run(_changed(seed, choose))


def _changed(seed: bytes, choose: random.Random) -> bytes:
    octets = bytearray(seed)
    for _ in range(choose.randrange(1, 4)):
        start = choose.randrange(len(octets) + 1)
        end = min(len(octets), start + choose.choice([0, 0, 1, 1, 8]))
        octets[start:end] = choose.choice(
            [b"", b"", bytes([choose.randrange(256)]), b"\r\n", b"\0", b"\xff\xfe", bytes(octets[end : end + 20]), b'"']
        )
    return bytes(octets)
