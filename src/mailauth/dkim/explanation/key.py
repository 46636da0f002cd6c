"""The key: whether it is the signer's, what is wrong with its record, and what would repair it."""

# RFC 8017 section 8.2.2: whoever has the public RSA key can undo the signature. If the padding is right, the signature
# was made with the private key to it, and what comes out is the digest that was signed, whatever became of the message.
#
# SECURITY: records come from the DNS of whoever signed. Their number is bounded, and so is the size of the keys that
# arithmetic is done with.

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from mailauth.dkim.explanation.repair import repaired
from mailauth.dkim.explanation.result import Key, KeyState, excerpt
from mailauth.dkim.policy import ABSOLUTE_MAX_RSA_BITS
from mailauth.dkim.record import BadRecord, KeyRecord, parse_record
from mailauth.dkim.signature import SignatureField
from mailauth.plan import Answer

if TYPE_CHECKING:
    from mailauth.dkim.crypto import PublicKey

MAX_RECORDS = 6
_PATIENCE_BITS = 8192  # RSA keys up to here are tried, even where a policy refuses them


class Evidence(NamedTuple):
    """What the key says about the signature."""

    key: Key
    digest: bytes | None = None  # RSA: what was signed; SHA-256
    other_hash: str = ""  # RSA: the name of the hash that was signed, where it is not SHA-256
    candidates: tuple[PublicKey, ...] = ()  # Ed25519: keys to verify with


def evidence(parsed: SignatureField, answer: Answer, others: Sequence[tuple[str, PublicKey]]) -> Evidence:
    """Try the keys at the selector's name; then repaired records; then the keys of the message's other signatures."""
    name = parsed.terms.question.name
    if answer.failed:
        detail = f"the DNS did not answer: {answer.outcome}"
        return Evidence(Key(KeyState.UNAVAILABLE, detail, name))
    texts = sorted(set(answer.texts))[:MAX_RECORDS]
    shown = tuple(excerpt(text) for text in texts)
    records = [parse_record(text) for text in texts]
    sound = [record for record in records if isinstance(record, KeyRecord)]
    keys = [(record, key) for record in sound if record.key and (key := usable(record)) is not None]
    for record, key in keys:
        signed = _signed(key, parsed.signature)
        if signed is not None:
            detail, repairs = _of_fitting(record, parsed, len(sound))
            return Evidence(Key(KeyState.FITS, detail, name, shown, repairs), *signed)
    found = _repaired(parsed, texts, name, shown)
    if found is not None:
        return found
    suited = [(record, key) for record, key in keys if key.key_type == parsed.terms.key_type]
    if not suited:
        return Evidence(_unusable(parsed, records, answer, name, shown))
    if parsed.terms.key_type == "ed25519":
        detail, repairs = _of_fitting(suited[0][0], parsed, len(sound))
        detail = "Ed25519 does not tell another key from an altered header"
        return Evidence(
            Key(KeyState.UNPROVED, detail, name, shown, repairs), candidates=tuple(key for _, key in suited)
        )
    return Evidence(_other(parsed, suited, others, name, shown))


def usable(record: KeyRecord) -> PublicKey | None:
    """The key in a record, if it is one."""
    from mailauth.dkim import crypto

    if record.key_type not in ("rsa", "ed25519"):
        return None
    try:
        key = crypto.public_key(record.key_type, record.key)
    except crypto.BadKey:
        return None
    return key if key.bits <= min(_PATIENCE_BITS, ABSOLUTE_MAX_RSA_BITS) else None


class _Signed(NamedTuple):
    """What was signed with the private key to a public one: a digest of SHA-256, or that of another hash."""

    digest: bytes | None
    other_hash: str = ""


def _signed(key: PublicKey, signature: bytes) -> _Signed | None:
    """None where the padding is wrong, or what it holds is no digest."""
    from mailauth.dkim import crypto

    octets = key.recover(signature)
    if octets is None:
        return None
    digest, other = crypto.signed_sha256(octets), crypto.other_hash_signed(octets)
    return _Signed(digest, other or "") if digest is not None or other is not None else None


def _of_fitting(record: KeyRecord, parsed: SignatureField, number: int) -> tuple[str, tuple[str, ...]]:
    """A key that is the signer's may still forbid this use."""
    repairs = tuple(_forbidden(record, parsed))
    detail = "the key is the signer's"
    if number > 1:
        repairs += (
            f"leave one record there: {number} key records stand at one name, and verifiers may take any of them",
        )
    return detail, repairs


def _forbidden(record: KeyRecord, parsed: SignatureField) -> Iterator[str]:
    terms = parsed.terms
    if record.hash_names is not None and terms.hash_name not in record.hash_names:
        yield f"take h= out of the record, or write h={terms.hash_name}: it allows only {', '.join(record.hash_names)}"
    if "*" not in record.services and "email" not in record.services:
        yield f"take s= out of the record, or write s=email: it allows only {', '.join(record.services)}"
    if "s" in record.flags and terms.identity_domain != terms.domain:
        yield f"take s out of t=, or sign with i=@{terms.domain}: t=s forbids i= in {terms.identity_domain}"
    if "y" in record.flags:
        yield "take y out of t= once the tests are done: verifiers treat the mail as unsigned"


def _repaired(parsed: SignatureField, texts: list[bytes], name: str, shown: tuple[str, ...]) -> Evidence | None:
    """A record that its author meant otherwise: proved, where the signature fits its key."""
    best: Evidence | None = None
    for found in repaired(texts):
        key = usable(found.record)
        if key is None or not found.changes:
            continue
        signed = _signed(key, parsed.signature)
        proved = signed is not None
        text = found.text.decode("ascii", "replace")
        repairs = (*found.changes, *_forbidden(found.record, parsed))
        detail = "the record is broken; repaired, its key is the signer's" if proved else "the record is broken"
        candidates = (key,) if key.key_type == parsed.terms.key_type == "ed25519" else ()
        digest, other_hash = signed or _Signed(None)
        repair = Key(KeyState.UNUSABLE, detail, name, shown, repairs, text, proved)
        evidence = Evidence(repair, digest, other_hash, candidates)
        if proved:
            return evidence
        best = best or evidence
    return best if best is not None and not any(_sound(text) for text in texts) else None


def _sound(text: bytes) -> bool:
    record = parse_record(text)
    return isinstance(record, KeyRecord) and usable(record) is not None


def _unusable(
    parsed: SignatureField, records: list[KeyRecord | BadRecord], answer: Answer, name: str, shown: tuple[str, ...]
) -> Key:
    """No key there that the signature could be checked with."""
    own = [record for record in records if not (isinstance(record, BadRecord) and record.foreign)]
    if not own:
        found = f"none of the {len(records)} TXT records is a key" if records else f"no key there: {answer.outcome}"
        publish = f"publish the key record at {name}, or sign with a selector that is published"
        return Key(KeyState.UNUSABLE, found, name, shown, (publish,))
    for record in own:
        if isinstance(record, BadRecord):
            return Key(KeyState.UNUSABLE, record.detail, name, shown, (_ANEW,))
        if record.revoked:
            repairs = ("sign with the selector that is in use now: an empty p= says that this key is given up",)
            return Key(KeyState.UNUSABLE, "the key is revoked", name, shown, repairs)
    kind = next(record.key_type for record in own if isinstance(record, KeyRecord))
    wanted = parsed.terms.key_type
    detail = f"the key there is of type {excerpt(kind.encode(), 40)}, the signature of type {wanted}"
    if kind == wanted:
        return Key(KeyState.UNUSABLE, _why_no_key(own), name, shown, (_ANEW,))
    repairs = (f"publish the {wanted} key at a selector of its own, and sign with that one",)
    return Key(KeyState.UNUSABLE, detail, name, shown, repairs)


_ANEW = "publish the record anew: mailauth dkim keygen prints it as a zone line and as one string"


def _why_no_key(records: Sequence[KeyRecord | BadRecord]) -> str:
    from mailauth.dkim import crypto

    for record in records:
        if isinstance(record, KeyRecord):
            try:
                crypto.public_key(record.key_type, record.key)
            except crypto.BadKey as error:
                return str(error)
    return "p= holds a key that is too large"


def _other(
    parsed: SignatureField,
    suited: list[tuple[KeyRecord, PublicKey]],
    others: Sequence[tuple[str, PublicKey]],
    name: str,
    shown: tuple[str, ...],
) -> Key:
    """RSA, and the padding is wrong: the signature was not made with the private key to this one."""
    for elsewhere, key in others:
        if elsewhere != name and _signed(key, parsed.signature) is not None:
            detail = f"the key is another one than the signer's, whose key stands at {elsewhere}"
            repairs = (f"sign with the selector of {elsewhere}, or publish that key at {name}, too",)
            return Key(KeyState.OTHER, detail, name, shown, repairs, proved=True)
    sizes = {(key.bits + 7) // 8 for _, key in suited}
    octets = len(parsed.signature)
    if octets not in sizes:
        size = ", ".join(f"{key.bits}" for _, key in suited)
        if octets < 64:
            detail = f"b= has only {octets} octets, which is no RSA signature: b= is damaged"
            return Key(KeyState.OTHER, detail, name, shown, ("send the signature as it was made: b= lost octets",))
        if any(octets == number - missing for number in sizes for missing in (1, 2, 3)):
            detail = f"b= has {octets} octets; a signature under the key of {size} bits has some more: b= is damaged"
            return Key(KeyState.OTHER, detail, name, shown, ("send the signature as it was made: b= lost octets",))
        detail = f"the key has {size} bits, but the signature was made with a key of {octets * 8} bits"
    else:
        detail = "the key is another one than the signer's, or b= is damaged: the signature's padding is wrong"
    advice = (
        f"compare the private key with {name}: mailauth dkim testkey --key FILE",
        "after a change of keys, leave the old record until all mail signed with it is delivered",
    )
    return Key(KeyState.OTHER, detail, name, shown, advice)
