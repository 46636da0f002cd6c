"""RFC 8301: what was strong enough for RFC 6376 and is no more; each test is named by its section."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from mailauth.dkim import DkimPolicy, load_key, sign
from tests.dkim.makers import MESSAGE, b64, canonical_body, canonical_field, fields_of, only, rsa_key, rsa_record
from tests.dkim.small_keys import small_key


def signed_with_sha1(message: bytes) -> bytes:
    """A signature that was right before this RFC."""
    header, _, body = message.partition(b"\r\n\r\n")
    bh = b64(hashlib.sha1(canonical_body(body, "relaxed"), usedforsecurity=False).digest())
    field = b"DKIM-Signature: v=1; a=rsa-sha1; c=relaxed/relaxed; d=example.org; s=sel; h=from; bh=" + bh.encode()
    (author,) = [raw for raw in fields_of(header + b"\r\n") if raw.startswith(b"From:")]
    octets = canonical_field(author, "relaxed") + canonical_field(field + b"; b=\r\n", "relaxed")[:-2]
    signature = rsa_key().sign(octets, padding.PKCS1v15(), hashes.SHA1())
    return field + b"; b=" + b64(signature).encode() + b"\r\n" + message


@pytest.mark.parametrize("record", [rsa_record(), rsa_record(extra="h=sha1; "), rsa_record(extra="h=sha1:sha256; ")])
def test_3_1_rsa_sha1_is_never_a_pass(record: str) -> None:
    """RFC 8301 sections 1 and 3.1; no policy allows it, and the key is not even asked for."""
    signature = only(signed_with_sha1(MESSAGE), record)
    assert (signature.result, signature.reason) == ("policy", "algorithm-not-allowed")
    assert (signature.algorithm, signature.key_bits) == ("rsa-sha1", None)
    with pytest.raises(ValueError, match=r"RFC 8301 section 3\.1"):
        DkimPolicy(algorithms=("rsa-sha256", "rsa-sha1"))


def test_3_1_nobody_signs_with_sha_1() -> None:
    """RFC 8301 sections 1 and 3.1: neither a key nor a signer of the caller's does."""

    class Old:
        algorithm = "rsa-sha1"

        def sign(self, digest: bytes) -> bytes:
            return digest

    with pytest.raises(ValueError, match="rsa-sha1"):
        load_key(Old())
    field = sign(MESSAGE, rsa_key(), domain="example.org", selector="sel")
    assert b"a=rsa-sha256;" in field
    assert len(b64decode(field.partition(b"bh=")[2].partition(b";")[0])) == hashlib.sha256().digest_size


@pytest.mark.parametrize(("bits", "allowed"), [(512, False), (1023, False), (1024, True), (2048, True)])
def test_3_2_keys_to_sign_with(bits: int, allowed: bool) -> None:
    key = small_key(bits)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    for form in (key, pem):
        if allowed:
            assert only(sign(MESSAGE, form, domain="example.org", selector="sel") + MESSAGE, rsa_record(key)).key_bits
        else:
            with pytest.raises(ValueError, match=r"RFC 8301 section 3\.2|cannot be read"):
                load_key(form)


class Signer:
    """A key whose primes need not be looked for, since Mersenne's are known: the RSA operation alone."""

    algorithm = "rsa-sha256"
    public_exponent = 65537

    def __init__(self, first: int, second: int) -> None:
        p, q = (1 << first) - 1, (1 << second) - 1
        self.modulus = p * q
        self.exponent = pow(self.public_exponent, -1, (p - 1) * (q - 1))

    def public_key(self) -> rsa.RSAPublicKey:
        return rsa.RSAPublicNumbers(self.public_exponent, self.modulus).public_key()

    def sign(self, digest: bytes) -> bytes:
        """RFC 8017 sections 8.2.1 and 9.2."""
        size = (self.modulus.bit_length() + 7) // 8
        info = bytes.fromhex("3031300d060960864801650304020105000420") + digest
        encoded = b"\0\1" + b"\xff" * (size - 3 - len(info)) + b"\0" + info
        return pow(int.from_bytes(encoded, "big"), self.exponent, self.modulus).to_bytes(size, "big")


@pytest.mark.parametrize(
    ("key", "bits", "reason"),
    [
        (rsa_key(1024), 1024, "verified"),
        (rsa_key(2048), 2048, "verified"),
        (Signer(1279, 2281), 3560, "verified"),
        (rsa_key(4096), 4096, "verified"),
        (Signer(2203, 2281), 4484, "key-too-large"),
    ],
)
def test_3_2_keys_to_verify_with(key: Any, bits: int, reason: str) -> None:
    """RFC 8301 section 3.2: 1024 to 4096 bits pass as they are, longer ones if the policy says so."""
    message = sign(MESSAGE, key, domain="example.org", selector="sel") + MESSAGE
    found = only(message, rsa_record(key))
    assert (found.reason, found.key_bits) == (reason, bits)
    assert only(message, rsa_record(key), policy=DkimPolicy(max_rsa_bits=16384)).result == "pass"
