"""Small RSA keys, made by hand.

RSA keys that no library makes any more, since verifiers must refuse them.
"""

from __future__ import annotations

import random
from functools import cache

from cryptography.hazmat.primitives.asymmetric import rsa

from tests.dkim.makers import rsa_key


@cache
def small_key(bits: int) -> rsa.RSAPrivateKey:
    """A key of exactly so many bits; not secret, the numbers are the same in each run."""
    if bits > 1024:
        return rsa_key(bits)
    numbers = random.Random(bits)
    while True:
        p, q = (_prime(size, numbers) for size in ((bits + 1) // 2, bits // 2))
        if p != q and (p * q).bit_length() == bits and (p - 1) % 65537 and (q - 1) % 65537:
            break
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    return rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public).private_key()


def _prime(bits: int, numbers: random.Random) -> int:
    while True:
        candidate = numbers.getrandbits(bits) | (3 << (bits - 2)) | 1
        if all(pow(base, candidate - 1, candidate) == 1 for base in (2, 3, 5, 7, 11)):
            return candidate
