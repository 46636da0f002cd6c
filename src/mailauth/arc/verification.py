"""Verifying a chain, in the order of RFC 8617 section 5.2. Keys are asked for by a plan; no clock, no I/O."""

# SECURITY: everything here comes from the peer, the keys included. At most 50 sets are read; the newest signature and
# the newest seal are verified first, and the others only if those pass, so that a chain costs more than two keys only
# where somebody sealed this very message. Seals are hashed once for all, and no field is made canonical twice, however
# many message signatures list it.

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any, TypeAlias

from mailauth.arc.fields import BrokenChain, FieldSet, collect
from mailauth.arc.result import NO_CHAIN, ArcResult, Reason
from mailauth.dkim.body import BodyHash
from mailauth.dkim.header import canonicalizer, select
from mailauth.dkim.policy import DkimPolicy
from mailauth.dkim.reader import MessageReader
from mailauth.dkim.record import BadRecord, KeyRecord
from mailauth.dkim.result import Reason as DkimReason
from mailauth.dkim.signature import Refusal, SignatureField
from mailauth.dkim.verification import (
    records_of,
    require_acceptable,
    require_no_test,
    require_suitable,
    try_keys,
    usable_key,
    want_body,
)
from mailauth.mail.header import Header
from mailauth.mail.lines import MessageSource, blocks, message_source
from mailauth.plan import Answer, Plan, Question, ask_all

ArcPlan: TypeAlias = Plan[ArcResult]
_DEFAULT_POLICY = DkimPolicy()


def verify(message: MessageSource, *, now: float, policy: DkimPolicy = _DEFAULT_POLICY) -> ArcPlan:
    """A plan that verifies the chain of a message; "none" where it has none.

    `message` is octets or a binary file, which the plan reads to its end. `now` is the time of reception in seconds
    since the epoch; `policy` says which keys and algorithms are accepted, as for DKIM. Raises `TypeError` for another
    kind of message, `ValueError` for a `now` that is no time, and whatever reading raises.
    """
    verifier, source = Verifier(now=now, policy=policy), message_source(message)

    def read_and_verify() -> ArcPlan:
        for block in blocks(source):
            verifier.feed(block)
        return (yield from verifier.finish())

    return read_and_verify()


class Verifier(MessageReader):
    """Verifies the chain of a message that is pushed in pieces, as `mailauth.dkim.Verifier` does its signatures."""

    def __init__(self, *, now: float, policy: DkimPolicy = _DEFAULT_POLICY) -> None:
        super().__init__(policy.max_header_octets)
        self._chain = Chain(now=now, policy=policy)

    def _begin(self, header: Header) -> None:
        bodies: dict[str, BodyHash] = {}
        self._chain.begin(header, bodies)
        self._bodies = bodies.values()

    def finish(self) -> ArcPlan:
        """The message is at its end; return the plan that asks for the keys and returns the result."""
        self._end()
        return self._chain.finish()


class Chain:
    """The chain of a message that somebody else reads: ``mailauth.dkim.Verifier(now=now, also=chain.begin)``.

    One pass over the body then serves DKIM and ARC. Raises `ValueError` for a `now` that is no time.
    """

    def __init__(self, *, now: float, policy: DkimPolicy = _DEFAULT_POLICY) -> None:
        if not isfinite(now):
            raise ValueError("now is in seconds since the epoch")
        self._now = now
        self._policy = policy
        self._header: Header | None = None
        self._sets: tuple[FieldSet, ...] = ()
        self._bodies: list[BodyHash] = []  # of each message signature
        self._broken: BrokenChain | None = None
        self._relaxed: dict[bytes, bytes] = {}  # the canonical octets of fields

    def begin(self, header: Header, bodies: dict[str, BodyHash]) -> None:
        """The header is complete: read the sets, and see what must be hashed of the body."""
        self._header = header
        try:
            self._sets = collect(header)
            _require_structure(self._sets)
        except BrokenChain as broken:
            self._broken = broken
        else:
            self._bodies = [want_body(each.signature.field, header, bodies) for each in self._sets]

    def finish(self) -> ArcPlan:
        """The body is at its end; return the plan that asks for the keys and returns the result."""
        header = self._header
        assert header is not None
        if self._broken is None and not self._sets:
            return NO_CHAIN
        try:
            if self._broken is not None:
                raise self._broken
            oldest_pass = yield from self._verify(header)
        except BrokenChain as broken:
            return self._result(broken.reason, broken.detail, broken.instance)
        return self._result(Reason.VERIFIED, "every seal verifies", oldest_pass=oldest_pass)

    def _result(
        self, reason: Reason, detail: str, instance: int | None = None, *, oldest_pass: int | None = None
    ) -> ArcResult:
        return ArcResult(reason, detail, instance, tuple(each.shown for each in self._sets), oldest_pass)

    def _verify(self, header: Header) -> Plan[int]:
        """Steps 4 to 6: the newest signature, the older ones, every seal from the newest down."""
        *older, newest = self._sets
        seals = _seal_digests(self._sets, header)
        answers: Sequence[Answer]
        answers = yield from _ask([newest.signature.field, newest.seal.field])
        self._check_signature(len(older), answers[0], header)
        self._check_seal(newest, answers[1], seals[-1])
        answers = yield from _ask([field for each in older for field in (each.signature.field, each.seal.field)])
        oldest_pass = self._oldest_pass(answers[::2], header)
        for each, answer, digest in reversed(list(zip(older, answers[1::2], seals, strict=False))):
            self._check_seal(each, answer, digest)
        return oldest_pass

    def _oldest_pass(self, answers: Sequence[Answer], header: Header) -> int:
        """RFC 8617 section 5.2 step 5."""
        for index in reversed(range(len(answers))):
            try:
                self._check_signature(index, answers[index], header)
            except BrokenChain:
                return index + 2  # the instance above this one
        return 0

    def _check_signature(self, index: int, answer: Answer, header: Header) -> None:
        """One ARC-Message-Signature: what it says, its key, the body, the header."""
        field, body, policy = self._sets[index].signature.field, self._bodies[index], self._policy
        try:
            require_acceptable(field, header, policy, self._now)
            hashed, length = body.digest(field.body_length), field.body_length
            if hashed is None:
                raise Refusal(DkimReason.BODY_TOO_SHORT, f"l={length}, but the body has {body.length} octets")
            if hashed != field.body_hash:
                raise Refusal(DkimReason.BODY_HASH_DIFFERS, "the body is not the one that was signed")
            if length is not None and body.length > length and not policy.allow_unsigned_content:
                raise Refusal(DkimReason.UNSIGNED_CONTENT, f"{body.length - length} octets stand behind l={length}")
            self._try_keys(field, answer, self._signature_digest(field, header))
        except Refusal as refusal:
            raise _broken(Reason.SIGNATURE, "ARC-Message-Signature", refusal, index + 1) from None

    def _signature_digest(self, field: SignatureField, header: Header) -> bytes:
        """As for a DKIM-Signature (RFC 6376 section 3.7); h= never lists fields of ARC, so none is to be left out."""
        canonicalize = canonicalizer(field.terms.header_canonicalization, header)
        fields = select(field.terms.places, header, None)
        if field.terms.header_canonicalization == "simple":
            return hashlib.sha256(canonicalize([*fields, _emptied(field)])[:-2]).digest()
        digest = hashlib.sha256()
        for raw in fields:
            if raw not in self._relaxed:
                self._relaxed[raw] = canonicalize([raw])
            digest.update(self._relaxed[raw])
        digest.update(canonicalize([_emptied(field)])[:-2])
        return digest.digest()

    def _check_seal(self, each: FieldSet, answer: Answer, digest: bytes) -> None:
        try:
            if each.seal.field.terms.algorithm not in self._policy.algorithms:
                words = f"a={each.seal.field.terms.algorithm} is not accepted"
                raise Refusal(DkimReason.ALGORITHM_NOT_ALLOWED, words)
            self._try_keys(each.seal.field, answer, digest)
        except Refusal as refusal:
            raise _broken(Reason.SEAL, "ARC-Seal", refusal, each.seal.instance) from None

    def _try_keys(self, field: SignatureField, answer: Answer, digest: bytes) -> None:
        def attempt(record: KeyRecord | BadRecord, found: dict[str, Any]) -> None:
            if isinstance(record, BadRecord):
                raise Refusal(record.reason, record.detail)
            require_suitable(record, field.terms)
            if not usable_key(record, self._policy, found).verify(field.signature, digest):
                raise Refusal(DkimReason.SIGNATURE_DIFFERS, "the signature does not match header and key")
            require_no_test(record, self._policy)

        try_keys(records_of(answer, self._policy.max_keys), attempt)


def _require_structure(sets: Sequence[FieldSet]) -> None:
    """RFC 8617 section 5.2, steps 2 and 3C."""
    if sets and sets[-1].seal.cv == "fail":
        raise BrokenChain(Reason.MARKED_FAIL, f"the seal of set {len(sets)} says cv=fail", len(sets))
    for each in sets:
        instance, cv = each.seal.instance, each.seal.cv
        expected = "none" if instance == 1 else "pass"
        if cv != expected:
            raise BrokenChain(Reason.WRONG_CV, f"set {instance} has cv={cv} where cv={expected} belongs", instance)


def _ask(fields: Iterable[SignatureField]) -> Plan[Sequence[Answer]]:
    questions: list[Question] = [field.terms.question for field in fields]
    return (yield from ask_all(questions)) if questions else []


def _emptied(field: SignatureField) -> bytes:
    return field.raw[: field.b_start] + field.raw[field.b_end : field.end]


def _seal_digests(sets: Sequence[FieldSet], header: Header) -> list[bytes]:
    """What each seal signs: all sets up to its own, itself last with b= emptied (RFC 8617 section 5.1.1)."""
    canonicalize, before, digests = canonicalizer("relaxed", header), hashlib.sha256(), []
    for results, signature, seal in sets:
        before.update(canonicalize([results.raw]) + canonicalize([signature.field.raw]))
        own = before.copy()
        own.update(canonicalize([_emptied(seal.field)])[:-2])
        digests.append(own.digest())
        before.update(canonicalize([seal.field.raw]))
    return digests


def _broken(reason: Reason, name: str, refusal: Refusal, instance: int) -> BrokenChain:
    reason = Reason.DNS_ERROR if refusal.reason is DkimReason.KEY_UNAVAILABLE else reason
    return BrokenChain(reason, f"{name} of set {instance}: {refusal.detail}", instance)
