# What belongs here: everything that needs the `cryptography` package, and nothing else: keys in, verdicts and
# signatures out. Imported only when a signature is really checked or made.
#
# SECURITY: public keys and signatures come from the peer. Sizes are checked by the caller (`PublicKey.bits`) before
# `verify` does any arithmetic; exponents are bounded here, since a large one costs as much as a large modulus.
"""Keys: RSA and Ed25519, through the `cryptography` package."""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

MAX_EXPONENT_BITS = 64
"""OpenSSL's bound for large moduli (OPENSSL_RSA_MAX_PUBEXP_BITS), here for all; RFC 6376 section 3.3 says 65537."""

ED25519_OCTETS = 32
_MAX_REMEMBERED_KEYS = 256

# RFC 6376 section 3.3.2: RSASSA-PKCS1-v1_5 over SHA-256. The objects are immutable; making them anew costs time.
_PKCS1 = padding.PKCS1v15()
_SHA256 = Prehashed(hashes.SHA256())


class BadKey(Exception):
    """The octets are no key of that type; the text says why. Never leaves the package."""


class PublicKey:
    """A public key that can be asked about a signature."""

    __slots__ = ("_key", "bits")

    def __init__(self, key: RSAPublicKey | Ed25519PublicKey) -> None:
        self._key = key
        self.bits = key.key_size if isinstance(key, RSAPublicKey) else ED25519_OCTETS * 8

    def verify(self, signature: bytes, digest: bytes) -> bool:
        """Whether `signature` was made over that SHA-256 digest with the private key to this one."""
        try:
            if isinstance(self._key, RSAPublicKey):
                self._key.verify(signature, digest, _PKCS1, _SHA256)
            else:
                # RFC 8463 section 3: PureEdDSA over the digest.
                self._key.verify(signature, digest)
        except InvalidSignature:
            return False
        return True

    def octets(self) -> bytes:
        """What p= of the key record holds, before base64: SubjectPublicKeyInfo for RSA, 32 octets for Ed25519."""
        if isinstance(self._key, RSAPublicKey):
            return self._key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return self._key.public_bytes_raw()


@lru_cache(maxsize=_MAX_REMEMBERED_KEYS)
def public_key(key_type: str, octets: bytes) -> PublicKey:
    """The key in p= of a record. Raises `BadKey`."""
    if key_type == "ed25519":
        return _ed25519(octets)
    # RFC 6376 section 3.6.1 says RSAPublicKey, its appendix C shows SubjectPublicKeyInfo: both are taken.
    try:
        key = serialization.load_der_public_key(octets)
    except (ValueError, UnsupportedAlgorithm):
        raise BadKey("p= is no RSA public key") from None
    if not isinstance(key, RSAPublicKey):
        raise BadKey("p= is a key of another type than RSA")
    if key.public_numbers().e.bit_length() > MAX_EXPONENT_BITS:
        raise BadKey(f"the RSA exponent has more than {MAX_EXPONENT_BITS} bits")
    return PublicKey(key)


def _ed25519(octets: bytes) -> PublicKey:
    # RFC 8463 section 4.2: the 32 octets themselves, not a SubjectPublicKeyInfo around them.
    if len(octets) != ED25519_OCTETS:
        raise BadKey(f"p= has {len(octets)} octets; an Ed25519 key has {ED25519_OCTETS}")
    try:
        return PublicKey(Ed25519PublicKey.from_public_bytes(octets))
    except ValueError:
        raise BadKey("p= is no Ed25519 public key") from None
