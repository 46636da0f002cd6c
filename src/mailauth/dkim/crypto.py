"""Keys: RSA and Ed25519, through the `cryptography` package.

Everything that needs the `cryptography` package, and nothing else: keys in, verdicts and signatures out. Imported
only when a signature is really checked or made.
"""

# SECURITY: public keys and signatures come from the peer. Sizes are checked by the caller (`PublicKey.bits`) before
# `verify` does any arithmetic; exponents are bounded here, since a large one costs as much as a large modulus.

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64
from functools import lru_cache
from typing import Any, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from mailauth.dkim.advice import about_key

MAX_EXPONENT_BITS = 64
"""OpenSSL's bound for large moduli (OPENSSL_RSA_MAX_PUBEXP_BITS), here for all; RFC 6376 section 3.3 says 65537."""

ED25519_OCTETS = 32
SHA256_OCTETS = 32
_MAX_CACHED_KEYS = 256

# RFC 6376 section 3.3.2: RSASSA-PKCS1-v1_5 over SHA-256. The objects are immutable; making them anew costs time.
_PKCS1 = padding.PKCS1v15()
# RFC 8017 section 9.2, note 1: what stands before a SHA-256 digest when it is signed.
_SHA256_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def signed_sha256(signed: bytes) -> bytes | None:
    """The SHA-256 digest in what `PublicKey.recover` returns; None if another hash was signed."""
    digest = signed[len(_SHA256_DIGEST_INFO) :]
    return digest if signed.startswith(_SHA256_DIGEST_INFO) and len(digest) == SHA256_OCTETS else None


# RFC 8017 section 9.2, note 1: what stands before the digest.
_OTHER_DIGEST_INFOS = {
    "MD5": (bytes.fromhex("3020300c06082a864886f70d020505000410"), 16),
    "SHA-1": (bytes.fromhex("3021300906052b0e03021a05000414"), 20),
    "SHA-224": (bytes.fromhex("302d300d06096086480165030402040500041c"), 28),
    "SHA-384": (bytes.fromhex("3041300d060960864801650304020205000430"), 48),
    "SHA-512": (bytes.fromhex("3051300d060960864801650304020305000440"), 64),
}


def other_hash_signed(signed: bytes) -> str | None:
    """The name of the hash in what `PublicKey.recover` returns, if it is another one than SHA-256 and nothing else.

    Under exponent 3 anybody can make what begins with the right padding; not what ends with the digest as well.
    """
    for name, (prefix, octets) in _OTHER_DIGEST_INFOS.items():
        if signed.startswith(prefix) and len(signed) == len(prefix) + octets:
            return name
    return None


def _rsa_signing(key: RSAPrivateKey) -> tuple[bytes, Any]:
    """What to put in front of a SHA-256 digest, and how to have the whole signed."""
    as_it_stands = getattr(utils, "NoDigestInfo", None)
    # An older cryptography has no such thing, and others' keys behind its interface may not know it.
    if as_it_stands is None or not type(key).__module__.startswith("cryptography."):
        return b"", utils.Prehashed(hashes.SHA256())
    # Otherwise SHA-256 is looked up anew each time, though nothing is hashed with it.
    return _SHA256_DIGEST_INFO, as_it_stands()


class BadKey(Exception):
    """The octets are no key of that type; the text says why. Never leaves the package."""


class PublicKey:
    """A public key that can be asked about a signature.

    RSA (rsa-sha256, RFC 8301 section 3.1) or Ed25519 (RFC 8463 section 5).
    """

    __slots__ = ("_key", "_signature_octets", "bits", "key_type")

    def __init__(self, key: RSAPublicKey | Ed25519PublicKey) -> None:
        self._key: Any = key
        if isinstance(key, RSAPublicKey):
            # `key_type` is what k= of the key record says.
            self.key_type, self.bits = "rsa", key.key_size
            self._signature_octets = (key.key_size + 7) // 8
        else:
            self.key_type, self.bits = "ed25519", ED25519_OCTETS * 8
            self._signature_octets = ED25519_OCTETS * 2

    def verify(self, signature: bytes, digest: bytes) -> bool:
        """Whether `signature` was made over that SHA-256 digest with the private key to this one."""
        if len(signature) != self._signature_octets:
            return False
        try:
            if self.key_type == "rsa":
                # RFC 8017 section 8.2.2: what was signed is compared whole, its DER included, and nothing is parsed.
                # The library's own verify() does the same, but looks up SHA-256 anew each time, which costs more.
                signed: bytes = self._key.recover_data_from_signature(signature, _PKCS1, None)
                return signed == _SHA256_DIGEST_INFO + digest
            # RFC 8463 section 3: PureEdDSA over the digest.
            self._key.verify(signature, digest)
        except InvalidSignature:
            return False
        return True

    def recover(self, signature: bytes) -> bytes | None:
        """What was signed, if it was signed with the private key to this one: the DER of a DigestInfo (RFC 8017).

        None if it was another key, or if the signature is damaged; always None for Ed25519, which gives nothing away.
        """
        if self.key_type != "rsa" or len(signature) != self._signature_octets:
            return None
        try:
            signed: bytes = self._key.recover_data_from_signature(signature, _PKCS1, None)
        except InvalidSignature:
            return None
        return signed

    def octets(self) -> bytes:
        """What p= of the key record holds, before base64: SubjectPublicKeyInfo for RSA, 32 octets for Ed25519."""
        if isinstance(self._key, RSAPublicKey):
            return self._key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        octets: bytes = self._key.public_bytes_raw()
        return octets


@lru_cache(maxsize=_MAX_CACHED_KEYS)
def public_key(key_type: str, octets: bytes) -> PublicKey:
    """The key in p= of a record. Raises `BadKey`."""
    if key_type == "ed25519":
        return _ed25519(octets)
    # RFC 6376 section 3.6.1 says RSAPublicKey, its appendix C shows SubjectPublicKeyInfo: both are taken.
    try:
        key = serialization.load_der_public_key(octets)
    except (ValueError, UnsupportedAlgorithm):
        raise _bad("p= is no RSA public key", key_type, octets) from None
    if not isinstance(key, RSAPublicKey):
        raise _bad("p= is a key of another type than RSA", key_type, octets)
    if key.public_numbers().e.bit_length() > MAX_EXPONENT_BITS:
        raise BadKey(f"the RSA exponent has more than {MAX_EXPONENT_BITS} bits")
    return PublicKey(key)


def _bad(words: str, key_type: str, octets: bytes) -> BadKey:
    more = about_key(key_type, octets)
    return BadKey(f"{words}: {more}" if more else words)


def _ed25519(octets: bytes) -> PublicKey:
    # RFC 8463 section 4.2: the 32 octets themselves, not a SubjectPublicKeyInfo around them.
    if len(octets) != ED25519_OCTETS:
        raise _bad(f"p= has {len(octets)} octets; an Ed25519 key has {ED25519_OCTETS}", "ed25519", octets)
    try:
        return PublicKey(Ed25519PublicKey.from_public_bytes(octets))
    except ValueError:
        raise BadKey("p= is no Ed25519 public key") from None


class PrivateKey:
    """A private key in this process; one implementation of the `Signer` interface.

    `algorithm` is "rsa-sha256" (RFC 8301 section 3.1) or "ed25519-sha256" (RFC 8463 section 5); `bits` is the size of
    an RSA modulus, 256 for Ed25519. RSA keys under 1024 bits are refused (RFC 6376 section 3.3.3, RFC 8301 section
    3.2).
    """

    __slots__ = ("_before", "_key", "_parameters", "algorithm", "bits")

    def __init__(self, key: RSAPrivateKey | Ed25519PrivateKey) -> None:
        self._before = b""
        self._parameters: tuple[Any, ...] = ()
        if isinstance(key, RSAPrivateKey):
            if key.key_size < MIN_SIGNING_BITS:
                raise ValueError(
                    f"an RSA key of {key.key_size} bits; at least {MIN_SIGNING_BITS} (RFC 8301 section 3.2)"
                )
            self.algorithm, self.bits = "rsa-sha256", key.key_size
            self._before, how = _rsa_signing(key)
            self._parameters = (_PKCS1, how)
        else:
            # RFC 8463 section 3: PureEdDSA over the digest, without parameters.
            self.algorithm, self.bits = "ed25519-sha256", ED25519_OCTETS * 8
        self._key: Any = key

    def sign(self, digest: bytes) -> bytes:
        """The signature over a SHA-256 digest (RFC 6376 section 3.3.2). Raises `ValueError` for another length."""
        if len(digest) != SHA256_OCTETS:
            raise ValueError(f"a SHA-256 digest has {SHA256_OCTETS} octets, not {len(digest)}")
        signature: bytes = self._key.sign(self._before + digest, *self._parameters)
        return signature

    def public(self) -> PublicKey:
        """The public half."""
        return PublicKey(self._key.public_key())

    def pem(self) -> bytes:
        """The key as PKCS#8 PEM, without a password."""
        pem: bytes = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return pem

    def __repr__(self) -> str:
        return f"<PrivateKey {self.algorithm} {self.bits} bits>"


MIN_SIGNING_BITS = 1024
"""RFC 8301 section 3.2: signers MUST use at least 1024 bits; 2048 are recommended."""

_PASSWORD_NEEDED = "a password is needed: password=, or --password-file for the command"

KeyMaterial: TypeAlias = bytes | str | RSAPrivateKey | Ed25519PrivateKey


AnyKey: TypeAlias = PublicKey | PrivateKey | RSAPublicKey | Ed25519PublicKey
"""What a key record can be made of."""


def public_half(key: AnyKey) -> PublicKey:
    """The public key of ours for any of these. Raises `TypeError` for keys of other kinds."""
    match key:
        case PrivateKey():
            return key.public()
        case PublicKey():
            return key
        case RSAPublicKey() | Ed25519PublicKey():
            return PublicKey(key)
    raise TypeError(f"a key record holds a public key, RSA or Ed25519, not {type(key).__name__}")


def private_key(material: object, password: bytes | None = None) -> PrivateKey:
    """A private key from PEM (`str` or `bytes`), DER, PKCS#1, PKCS#8, an Ed25519 seed, or a loaded key.

    A seed is 32 octets, or their base64. Parsed keys are kept, since parsing costs as much as a hundred signatures.
    Raises `ValueError` for anything else, without showing it, and `TypeError` for another type.
    """
    if isinstance(material, PrivateKey):
        return material
    if isinstance(material, str):
        material = material.encode("utf-8")
    if isinstance(material, bytes):
        return _parsed_key(material, password)
    if isinstance(material, RSAPrivateKey | Ed25519PrivateKey):
        return PrivateKey(material)
    raise TypeError(f"a private key is PEM or DER octets or a loaded key, not {type(material).__name__}")


@lru_cache(maxsize=64)
def _parsed_key(octets: bytes, password: bytes | None) -> PrivateKey:
    key: object = None
    try:
        if octets.lstrip().startswith(b"-----BEGIN "):
            key = serialization.load_pem_private_key(octets, password)
        else:
            seed = _seed(octets)
            key = seed if seed is not None else serialization.load_der_private_key(octets, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # Of the library's own words only those about passwords help; others may show what should not be shown.
        words = "not PEM, DER or an Ed25519 seed"
        if isinstance(error, TypeError):
            words = "it has no password" if password is not None else f"it is encrypted, and {_PASSWORD_NEEDED}"
        elif password is not None and b"ENCRYPTED" in octets[:2000]:
            words = "the password is wrong, or it is not a key"
        raise ValueError(f"the private key cannot be read: {words}") from None
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        raise ValueError("the private key is neither RSA nor Ed25519")
    return PrivateKey(key)


def _seed(octets: bytes) -> Ed25519PrivateKey | None:
    if len(octets) != ED25519_OCTETS:
        try:
            octets = a2b_base64(octets.strip(), strict_mode=True)
        except Base64Error:
            return None
    return Ed25519PrivateKey.from_private_bytes(octets) if len(octets) == ED25519_OCTETS else None


def generate(key_type: str, bits: int) -> PrivateKey:
    """A new key: "rsa" with so many bits, or "ed25519"."""
    if key_type == "ed25519":
        return PrivateKey(Ed25519PrivateKey.generate())
    return PrivateKey(rsa.generate_private_key(65537, bits))  # RFC 6376 section 3.3.2: SHOULD be 65537
