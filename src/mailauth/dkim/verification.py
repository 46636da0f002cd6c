"""Verifying DKIM signatures (RFC 6376 section 6).

Verification, in the order of RFC 6376 section 6.1: the field (6.1.1), the key (6.1.2), the computation (6.1.3). Each
step is a short function that either returns or refuses with a reason. No clock: `now` is an argument. No DNS: the
keys are asked for by a plan.
"""

# SECURITY: everything here comes from the peer, the keys included. The number of signatures is bounded before any of
# them is parsed, the body is hashed once for each canonicalisation, keys are measured before arithmetic, and every
# refusal ends in a result.

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeAlias

from mailauth.dkim.advice import about_text
from mailauth.dkim.body import BodyHash
from mailauth.dkim.header import canonicalizer, select
from mailauth.dkim.policy import DkimPolicy
from mailauth.dkim.reader import MessageReader
from mailauth.dkim.record import BadRecord, KeyRecord, parse_record
from mailauth.dkim.result import RESULT_OF, AuthorMatch, Reason, Result, Signature
from mailauth.dkim.signature import Refusal, SignatureField, Terms, parse, shown
from mailauth.mail.addresses import address_domains
from mailauth.mail.header import Header
from mailauth.mail.lines import MessageSource, blocks, message_source
from mailauth.mail.names import is_within, to_ascii
from mailauth.plan import Answer, Plan, Question, ask_all

if TYPE_CHECKING:
    from mailauth.dkim.crypto import PublicKey

VerifyPlan: TypeAlias = Plan[list[Signature]]
"""A plan that ends in one result for each signature of a message, top first."""

WantBodies: TypeAlias = Callable[[Header, dict[str, BodyHash]], object]
"""Adds what it wants hashed to the bodies, by the name of their canonicalisation."""

_DEFAULT_POLICY = DkimPolicy()
_FAIL, _SAME = Result.FAIL, AuthorMatch.SAME
_QUICK_DOMAIN = re.compile(rb"[:;][ \t\r\n]*+d[ \t\r\n]*+=[ \t\r\n]*+([^; \t\r\n]++)")


def verify(message: MessageSource, *, now: float, policy: DkimPolicy = _DEFAULT_POLICY) -> VerifyPlan:
    """A plan that verifies every DKIM signature of a message and returns one result each, top first.

    `message` is octets, which are read at once, or a binary file, which the plan reads to its end before its first
    question. `now` is the time of reception in seconds since the epoch. No signature: an empty list. Raises
    `TypeError` for another kind of message, `ValueError` for a `now` that is no time, and whatever reading raises.
    """
    verifier, octets = Verifier(now=now, policy=policy), message_source(message)
    if isinstance(octets, bytes):
        verifier.feed(octets)
        return verifier.finish()

    def read_and_verify() -> VerifyPlan:
        for block in blocks(octets):
            verifier.feed(block)
        return (yield from verifier.finish())

    return read_and_verify()


class Verifier(MessageReader):
    """Verifies a message that is pushed in pieces; memory does not grow with the message.

    ::

        verifier = Verifier(now=time.time())
        for piece in pieces:
            verifier.feed(piece)
        signatures = run(verifier.finish(), resolver)

    Each signature is judged by itself (RFC 6376 section 4.2). The hashes are made as the message comes in (section
    3.7), and the result does not depend on how it was cut. `also` is called when the header is complete: it may want
    more of the same pass over the body. Raises `ValueError` for a `now` that is no time.
    """

    def __init__(self, *, now: float, policy: DkimPolicy = _DEFAULT_POLICY, also: WantBodies | None = None) -> None:
        if not isfinite(now):
            # No comparison with it would be true, so nothing would ever expire.
            raise ValueError("now is in seconds since the epoch")
        super().__init__(policy.max_header_octets)
        self._now = now
        self._policy = policy
        self._also = also
        self._checks: list[_Check] = []

    @property
    def questions(self) -> list[Question]:
        """The keys that will be asked for, known as soon as the header is complete: to ask while the body comes in."""
        return [check.parsed.terms.question for check in self._checks if check.parsed is not None]

    def finish(self) -> VerifyPlan:
        """The message is at its end; return the plan that asks for the keys and returns the results."""
        self._end()
        return self._ask()

    def _begin(self, header: Header) -> None:
        """The header is complete: judge the signatures by what they say, and see what must be hashed."""
        # One pass over the body for all signatures with the same canonicalisation.
        bodies: dict[str, BodyHash] = {}
        self._begin_checks(header, bodies)
        if self._also is not None:
            self._also(header, bodies)
        self._bodies = bodies.values()

    def _begin_checks(self, header: Header, bodies: dict[str, BodyHash]) -> None:
        fields = header.octets_by_name.get("dkim-signature", ())
        if not fields:
            return
        # The author, if there is exactly one From field with exactly one address.
        from_fields, author = header.octets_by_name.get("from", ()), None
        if len(from_fields) == 1:
            domains = address_domains(from_fields[0].partition(b":")[2])
            author = domains[0] if domains is not None and len(domains) == 1 else None
        # Of too many signatures, those that match the author's domain are looked at first.
        most = self._policy.max_signatures
        tried: Sequence[int] = range(len(fields))
        if len(fields) > most:
            tried = sorted(tried, key=lambda index: (_quick_match(fields[index], author), index))[:most]
        for index, raw in enumerate(fields):
            check = _Check(header, index, self._policy)
            self._checks.append(check)
            if index not in tried:
                check.refuse(Reason.TOO_MANY_SIGNATURES, f"only {most} signatures are looked at")
                continue
            check.read(raw, author, self._now)
            if check.parsed is not None:
                check.body = want_body(check.parsed, header, bodies)

    def _ask(self) -> VerifyPlan:
        waiting = [(check, check.parsed.terms.question) for check in self._checks if check.parsed is not None]
        questions = [question for _, question in waiting]
        if len(questions) == 1:
            answers: list[Answer] = [(yield questions[0])]
        else:
            answers = (yield from ask_all(questions)) if questions else []
        for (check, _), answer in zip(waiting, answers, strict=True):
            check.judge(answer)
        return [check.result() for check in self._checks]


def want_body(parsed: SignatureField, header: Header, bodies: dict[str, BodyHash]) -> BodyHash:
    """What the body hash of a signature is compared with; only before the body comes."""
    name = parsed.terms.body_canonicalization
    if name not in bodies:
        bodies[name] = BodyHash(name, header.line_end)
    if parsed.body_length is not None:
        bodies[name].want(parsed.body_length)
    return bodies[name]


def _quick_match(raw: bytes, author: str | None) -> int:
    """Where a signature stands in the queue, by a glance at its d= alone.

    U-labels stand last: there may be thousands of signatures, and to convert their domains takes time.
    """
    found = _QUICK_DOMAIN.search(raw)
    domain = to_ascii(found[1].decode("ascii")) if found and found[1].isascii() else None
    return _RANKS[_author_match(domain, author)]


_RANKS = {AuthorMatch.SAME: 0, AuthorMatch.PARENT: 1, AuthorMatch.CHILD: 1, AuthorMatch.NONE: 2}


def _author_match(domain: str | None, author: str | None) -> AuthorMatch:
    if author is None or domain is None:
        return AuthorMatch.NONE
    if domain == author:
        return _SAME
    if is_within(author, domain):
        return AuthorMatch.PARENT
    return AuthorMatch.CHILD if is_within(domain, author) else AuthorMatch.NONE


class _Check:
    """One signature on its way to a result."""

    parsed: SignatureField | None = None  # as long as the signature may still pass
    body: BodyHash | None = None  # what its body hash is compared with
    reason = Reason.VERIFIED
    words = ""
    digest: bytes | None = None  # of the header, worked out when the first key is tried

    def __init__(self, header: Header, index: int, policy: DkimPolicy) -> None:
        self.header = header
        self.policy = policy
        self.details: dict[str, Any] = {"index": index, "line_end": header.line_end}

    def refuse(self, reason: Reason, words: str) -> None:
        """The signature goes no further."""
        self.parsed, self.reason, self.words = None, reason, words

    def read(self, raw: bytes, author: str | None, now: float) -> None:
        """RFC 6376 section 6.1.1: what can be said without the key."""
        try:
            if self.header.broken_off is not None:
                raise Refusal(Reason.HEADER_TOO_LARGE, "the header is over the bound and was not read to its end")
            parsed = parse(raw, self.header.line_end, self.details)
            self.details["author_match"] = _author_match(parsed.terms.domain, author)
            require_acceptable(parsed, self.header, self.policy, now)
            self.parsed = parsed
        except Refusal as refusal:
            self.refuse(refusal.reason, refusal.detail)

    def judge(self, answer: Answer) -> None:
        """RFC 6376 sections 6.1.2 and 6.1.3: the key, the body hash, the signature."""
        try:
            self.details.update(try_keys(records_of(answer, self.policy.max_keys), self._verify_with))
        except Refusal as refusal:
            self.details.update(refusal.found)
            self.refuse(refusal.reason, refusal.detail)

    def _verify_with(self, record: KeyRecord | BadRecord, details: dict[str, Any]) -> None:
        """Steps 5 to 8 of RFC 6376 section 6.1.2 and all of 6.1.3, with one key."""
        parsed, policy = self.parsed, self.policy
        assert parsed is not None
        assert self.body is not None
        if isinstance(record, BadRecord):
            raise Refusal(record.reason, record.detail)
        details["key_flags"] = record.flags
        require_suitable(record, parsed.terms)
        key = usable_key(record, policy, details)
        body_hash, length = self.body.digest(parsed.body_length), parsed.body_length
        if body_hash is None:
            # RFC 6376 section 3.5, l=: MUST NOT be larger than the body.
            raise Refusal(Reason.BODY_TOO_SHORT, f"l={length}, but the body has {self.body.length} octets")
        if body_hash != parsed.body_hash:
            raise Refusal(Reason.BODY_HASH_DIFFERS, "the body is not the one that was signed")
        if self.digest is None:
            self.digest = _header_digest(parsed, self.header)
        if not key.verify(parsed.signature, self.digest):
            raise Refusal(Reason.SIGNATURE_DIFFERS, "the signature does not match header and key")
        details["unsigned_octets"] = unsigned = 0 if length is None else self.body.length - length
        if unsigned and not policy.allow_unsigned_content:
            raise Refusal(Reason.UNSIGNED_CONTENT, f"{unsigned} octets stand behind l={length}")
        require_no_test(record, policy)

    def result(self) -> Signature:
        """What became of it."""
        result = RESULT_OF[self.reason]
        if result is _FAIL and "y" in self.details.get("key_flags", ()):
            # RFC 6376 section 3.6.1, t=y: not to be treated differently from unsigned mail.
            result, self.words = Result.NEUTRAL, f"{self.words} (the key is in test mode)"
        self.details.update(result=result, reason=self.reason, detail=self.words)
        return Signature.of(self.details)


# --- RFC 6376 section 6.1.1: what can be said without the key -------------------------------------------------


def require_acceptable(parsed: SignatureField, header: Header, policy: DkimPolicy, now: float) -> None:
    terms = parsed.terms
    # RFC 6376 section 3.8. Whoever takes away the empty line changes nothing that is signed, but a reader that passes
    # over the odd line finds fields in the body, among them, perhaps, another From.
    if header.no_empty_line:
        raise Refusal(Reason.NO_EMPTY_LINE, "no empty line stands between header and body")
    number = len(header.octets_by_name.get("from", ()))
    if "from" not in terms.signed_fields or not number:
        words = "h= does not list From" if number else "the message has no From field"
        raise Refusal(Reason.FROM_NOT_SIGNED, words)
    if number > 1 and not policy.allow_several_from:
        raise Refusal(Reason.SEVERAL_FROM, f"the message has {number} From fields (RFC 5322 section 3.6)")
    if terms.algorithm not in policy.algorithms:
        historic = " (RFC 8301 section 3.1)" if terms.algorithm == "rsa-sha1" else ""
        raise Refusal(Reason.ALGORITHM_NOT_ALLOWED, f"a={terms.algorithm} is not accepted{historic}")
    for name in policy.required_fields:
        if name.lower() not in terms.signed_fields and header.first(name) is not None:
            raise Refusal(Reason.FIELD_NOT_SIGNED, f"h= does not list {name}")
    # RFC 6376 section 3.5, t= and x=
    if parsed.expires_at is not None and now > parsed.expires_at + policy.clock_skew:
        raise Refusal(Reason.EXPIRED, f"x={parsed.expires_at} has passed")
    if parsed.signed_at is not None and now < parsed.signed_at - policy.clock_skew:
        raise Refusal(Reason.FROM_THE_FUTURE, f"t={parsed.signed_at} has not come yet")


# --- RFC 6376 section 6.1.2: the key --------------------------------------------------------------------------


def records_of(answer: Answer, most: int) -> list[KeyRecord | BadRecord]:
    """The key records to try: those that are no DKIM records are passed over, sound ones come first.

    RFC 6376 section 3.6.2.2 leaves several records undefined, section 6.1.2 step 4 allows to try each. The order of a
    record set means nothing, so it is made definite here.
    """
    if answer.failed:
        raise Refusal(Reason.KEY_UNAVAILABLE, f"the key could not be asked for: {answer.outcome}")
    everything = [parse_record(text) for text in sorted(set(answer.texts))[:_MAX_RECORDS]]
    records = [record for record in everything if not (isinstance(record, BadRecord) and record.foreign)]
    if not records:
        words = f"no key there: {answer.outcome}"
        if answer.records:
            advice = next((found for text in answer.texts if (found := about_text(text))), "")
            words = f"none of the TXT records is a DKIM key{': ' if advice else ''}{advice}"
        raise Refusal(Reason.NO_KEY, words)
    records.sort(key=lambda record: isinstance(record, BadRecord))
    return records[:most]


_MAX_RECORDS = 100


def try_keys(
    records: list[KeyRecord | BadRecord], attempt: Callable[[KeyRecord | BadRecord, dict[str, Any]], None]
) -> dict[str, Any]:
    """Try one key after the other, until one fits; what was found with it.

    If none does, the `Refusal` of the key that got furthest is raised, with what was found as its `found`.
    """
    furthest: tuple[Refusal, dict[str, Any]] | None = None
    for record in records:
        found: dict[str, Any] = {}
        try:
            attempt(record, found)
        except Refusal as refusal:
            if furthest is None or len(found) > len(furthest[1]):
                furthest = refusal, found
        else:
            return found
    assert furthest is not None
    furthest[0].found = furthest[1]
    raise furthest[0]


def require_suitable(record: KeyRecord, terms: Terms) -> None:
    if record.hash_names is not None and terms.hash_name not in record.hash_names:
        raise Refusal(Reason.KEY_HASH_NOT_ALLOWED, f"h= of the key does not allow {terms.hash_name}")
    if not record.key:
        raise Refusal(Reason.KEY_REVOKED, "p= of the key is empty")
    if record.key_type != terms.key_type:
        words = f"the key is of type {shown(record.key_type.encode())}, the signature of type {terms.key_type}"
        raise Refusal(Reason.KEY_TYPE_DIFFERS, words)
    # RFC 6376 section 3.6.1, s=
    if "*" not in record.services and "email" not in record.services:
        raise Refusal(Reason.KEY_NOT_FOR_EMAIL, "s= of the key does not allow email")
    # RFC 6376 sections 3.6.1, t=s, and 3.10
    if "s" in record.flags and terms.identity_domain != terms.domain:
        raise Refusal(Reason.KEY_FORBIDS_SUBDOMAINS, f"t=s of the key forbids i= in {terms.identity_domain}")


def require_no_test(record: KeyRecord, policy: DkimPolicy) -> None:
    # RFC 6376 section 3.6.1, t=y; docs/conformance.md, "Keys in test mode"
    if "y" in record.flags and not policy.allow_testing_keys:
        raise Refusal(Reason.TESTING_KEY, "the key is in test mode (t=y)")


def usable_key(record: KeyRecord, policy: DkimPolicy, details: dict[str, Any]) -> PublicKey:
    """The key itself, measured before any arithmetic is done with it."""
    # Imported when the first key is used: it takes more time than all else here.
    from mailauth.dkim import crypto

    try:
        key = crypto.public_key(record.key_type, record.key)
    except crypto.BadKey as error:
        raise Refusal(Reason.KEY_MALFORMED, str(error)) from None
    bits = details["key_bits"] = key.bits
    if record.key_type == "rsa":
        if bits < policy.min_rsa_bits:
            raise Refusal(Reason.KEY_TOO_SMALL, f"{bits} bits; at least {policy.min_rsa_bits} (RFC 8301 section 3.2)")
        if bits > policy.max_rsa_bits:
            raise Refusal(Reason.KEY_TOO_LARGE, f"{bits} bits; at most {policy.max_rsa_bits}")
    return key


# --- RFC 6376 section 6.1.3: the computation --------------------------------------------------------------------


def _header_digest(parsed: SignatureField, header: Header) -> bytes:
    terms, own = parsed.terms, parsed.raw
    fields = select(terms.places, header, own if "dkim-signature" in terms.signed_fields else None)
    # RFC 6376 section 3.7: the signature itself comes last, b= emptied with the blanks around its value, no line end.
    fields.append(own[: parsed.b_start] + own[parsed.b_end : parsed.end])
    canonicalize = canonicalizer(terms.header_canonicalization, header)
    return hashlib.sha256(canonicalize(fields)[:-2]).digest()
