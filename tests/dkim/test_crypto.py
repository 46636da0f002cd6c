"""RSA and Ed25519 signatures, right and wrong (RFC 8017 section 8.2.2, RFC 8032).

A public key finds a signature good exactly if the library's own verification does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from hypothesis import given
from hypothesis import strategies as st

from mailauth.dkim.crypto import PrivateKey, PublicKey
from tests.dkim.makers import ed_key, rsa_key

DIGEST = hashlib.sha256(b"header").digest()
# RFC 8017 section 9.2, note 1
SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
SHA1_INFO = bytes.fromhex("3021300906052b0e03021a05000414")
NO_PARAMETERS = bytes.fromhex("302f300b06096086480165030402010420")
SIZE = 256  # octets of the modulus


def signed(encoded: bytes) -> bytes:
    """The RSA operation alone, on any encoded message (RFC 8017 section 5.2.1)."""
    numbers = rsa_key().private_numbers()
    number = pow(int.from_bytes(encoded, "big"), numbers.d, numbers.public_numbers.n)
    return number.to_bytes(SIZE, "big")


def encoded(info: bytes, *, head: bytes = b"\0\1", filler: bytes = b"\xff", zero: bytes = b"\0") -> bytes:
    """EMSA-PKCS1-v1_5 (RFC 8017 section 9.2), with whatever is wrong in it."""
    return head + filler * (SIZE - len(head) - len(zero) - len(info)) + zero + info


def library_says(signature: bytes, digest: bytes = DIGEST) -> bool:
    try:
        rsa_key().public_key().verify(signature, digest, padding.PKCS1v15(), Prehashed(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def ours(signature: bytes, digest: bytes = DIGEST) -> bool:
    return PublicKey(rsa_key().public_key()).verify(signature, digest)


GOOD = encoded(SHA256_INFO + DIGEST)
WRONG = {
    "another digest": encoded(SHA256_INFO + hashlib.sha256(b"another").digest()),
    "the digest alone": encoded(DIGEST),
    "the name of another hash": encoded(SHA1_INFO + DIGEST[:20]),
    "no NULL in the DER": encoded(NO_PARAMETERS + DIGEST),
    "octets behind the digest": encoded(SHA256_INFO + DIGEST + b"\0"),
    "padding cut short, octets behind": b"\0\1" + b"\xff" * 8 + b"\0" + SHA256_INFO + DIGEST + b"x" * 194,
    "padding of block type 2": encoded(SHA256_INFO + DIGEST, head=b"\0\2"),
    "padding of block type 0": encoded(SHA256_INFO + DIGEST, head=b"\0\0", filler=b"\0"),
    "padding of other octets": encoded(SHA256_INFO + DIGEST, filler=b"\xfe"),
    "one octet of padding wrong": GOOD[:100] + b"\xfe" + GOOD[101:],
    "no zero behind the padding": encoded(SHA256_INFO + DIGEST, zero=b""),
    "nothing but padding": encoded(b""),
}


def test_a_signature_that_is_right() -> None:
    assert ours(signed(GOOD))
    assert library_says(signed(GOOD))


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_encodings_that_are_wrong(wrong: bytes) -> None:
    assert not ours(signed(wrong))
    assert not library_says(signed(wrong))


def with_leading_zero() -> Iterator[tuple[bytes, bytes]]:
    for number in range(10_000):
        digest = hashlib.sha256(b"%d" % number).digest()
        signature = signed(encoded(SHA256_INFO + digest))
        if signature.startswith(b"\0"):
            yield signature, digest


def test_a_signature_is_as_long_as_the_modulus() -> None:
    """RFC 8017 section 8.2.2, step 1: the same number in fewer or more octets is no signature."""
    signature, digest = next(with_leading_zero())
    assert ours(signature, digest)
    for other in (signature[1:], b"\0" + signature, signature[:-1], signature + b"\0", b""):
        assert not ours(other, digest)
        assert not library_says(other, digest)


def test_a_number_over_the_modulus_is_no_signature() -> None:
    """RFC 8017 section 5.2.2: the same signature again, plus the modulus."""
    modulus = rsa_key().public_key().public_numbers().n
    for number in range(10_000):
        digest = hashlib.sha256(b"%d" % number).digest()
        more = int.from_bytes(signed(encoded(SHA256_INFO + digest)), "big") + modulus
        if more.bit_length() <= SIZE * 8:
            assert not ours(more.to_bytes(SIZE, "big"), digest)
            return
    pytest.fail("no such signature found")


@given(
    st.one_of(
        st.binary(max_size=300),
        st.binary(min_size=SIZE, max_size=SIZE),
        st.tuples(st.integers(0, SIZE - 1), st.integers(0, 255)).map(
            lambda at: GOOD[: at[0]] + bytes([at[1]]) + GOOD[at[0] + 1 :]
        ),
    )
)
def test_any_octets_as_the_library_says(octets: bytes) -> None:
    """Any octets as a signature, and any encoded message with one octet changed, signed."""
    assert ours(octets) == library_says(octets)
    if len(octets) == SIZE and octets.startswith(b"\0"):
        assert ours(signed(octets)) == library_says(signed(octets))


def test_ed25519() -> None:
    key = PublicKey(ed_key().public_key())
    signature = ed_key().sign(DIGEST)
    assert key.verify(signature, DIGEST)
    for wrong in (signature[:-1], signature + b"\0", b"", bytes(64), signature[::-1]):
        assert not key.verify(wrong, DIGEST)
    assert not key.verify(signature, DIGEST[::-1])


@pytest.mark.parametrize("older", [False, True])
def test_a_signature_is_the_one_of_the_rfc(older: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """RSASSA-PKCS1-v1_5 has no random in it (RFC 8017 section 8.2.1): there is one right signature."""
    if older:
        monkeypatch.delattr(utils, "NoDigestInfo", raising=False)
    assert PrivateKey(rsa_key()).sign(DIGEST) == signed(GOOD)


@pytest.mark.parametrize("key", [rsa_key(), ed_key()], ids=["rsa", "ed25519"])
@pytest.mark.parametrize("octets", [0, 31, 33, 51])
def test_only_a_digest_is_signed(key: RSAPrivateKey | Ed25519PrivateKey, octets: int) -> None:
    with pytest.raises(ValueError, match="32 octets"):
        PrivateKey(key).sign(b"x" * octets)


def test_a_token_behind_the_library_s_interface_is_given_a_digest() -> None:
    """Others' implementations of `RSAPrivateKey` may know `Prehashed` alone, which has been there for longer."""

    class Token(RSAPrivateKey):
        key_size = 2048

        def sign(self, data: bytes, padding: Any, algorithm: Any) -> bytes:
            assert isinstance(algorithm, Prehashed)
            return rsa_key().sign(data, padding, algorithm)

        def public_key(self) -> Any:
            return rsa_key().public_key()

        def __copy__(self) -> Any:
            raise NotImplementedError

        __deepcopy__ = decrypt = private_numbers = private_bytes = __copy__

    assert PrivateKey(Token()).sign(DIGEST) == signed(GOOD)
