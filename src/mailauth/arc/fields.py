"""The sets of a message, and their fields as values (RFC 8617 sections 4.1 and 4.2). No keys, no hashing.

ARC-Message-Signature and ARC-Seal are read by DKIM's own parser; what differs is said here.
"""

# RFC 8617 section 3.9: instance = [CFWS] %s"i" [CFWS] "=" [CFWS] position;  position = 1*2DIGIT  ; 1 - 50
# Section 4.1.2: an ARC-Message-Signature is a DKIM-Signature with the instance for i=, and without v= (ignored).
# Section 4.1.3: an ARC-Seal has i, a, b, d, s, t and cv; h= is forbidden; only "relaxed" is used.
#
# SECURITY: the fields come from the peer. They are counted before any is read, each is read once.

from __future__ import annotations

from typing import Any, NamedTuple

from mailauth import authres
from mailauth.arc.result import ArcSet, Reason
from mailauth.authres import ARC_FIELD_NAME, AuthenticationResults
from mailauth.dkim.result import Reason as DkimReason
from mailauth.dkim.signature import (
    Refusal,
    SignatureField,
    Tags,
    Terms,
    end_of_text,
    parse,
    place_of_b,
    read_algorithm,
    read_key_place,
    read_signature,
    read_tags,
    shown,
)
from mailauth.mail.header import Header
from mailauth.mail.lines import LineEnd
from mailauth.plan import Question

MAX_SETS = 50
"""RFC 8617 section 4.2.1."""

RESULTS, SIGNATURE, SEAL = ARC_FIELD_NAME.lower(), "arc-message-signature", "arc-seal"
FIELD_NAMES = frozenset({RESULTS, SIGNATURE, SEAL})
"""The fields of ARC, in lower case."""

_NAMES = {RESULTS: ARC_FIELD_NAME, SIGNATURE: "ARC-Message-Signature", SEAL: "ARC-Seal"}
_STATUS = (b"none", b"fail", b"pass")
_MAX_TIME_DIGITS = 12  # RFC 6376 section 3.5, t=


class BrokenChain(Exception):
    """The chain fails: the reason in code and words, and the set. Never leaves the package."""

    def __init__(self, reason: Reason, detail: str, instance: int | None = None) -> None:
        super().__init__(reason, detail, instance)
        self.reason = reason
        self.detail = detail
        self.instance = instance


class Results(NamedTuple):
    """ARC-Authentication-Results."""

    instance: int
    raw: bytes
    results: AuthenticationResults


class MessageSignature(NamedTuple):
    """ARC-Message-Signature."""

    instance: int
    field: SignatureField


class Seal(NamedTuple):
    """ARC-Seal; `field` has no body hash and no list of fields."""

    instance: int
    field: SignatureField
    cv: str


class FieldSet(NamedTuple):
    """The three fields of an instance."""

    results: Results
    signature: MessageSignature
    seal: Seal

    @property
    def shown(self) -> ArcSet:
        """What the set says."""
        instance, field, cv = self.seal
        selector, _, _ = field.terms.question.name.partition("._domainkey.")
        signer = self.signature.field.terms.domain
        return ArcSet(instance, field.terms.domain, selector, cv, field.signed_at, signer, self.results.results)


def collect(header: Header) -> tuple[FieldSet, ...]:
    """The sets of a message, the oldest first; none without any field of ARC (RFC 8617 section 5.2, steps 1 and 3).

    Raises `BrokenChain` for fields that form no chain.
    """
    fields = {name: header.octets_by_name.get(name, ()) for name in _NAMES}
    if not any(fields.values()):
        return ()
    if header.broken_off is not None:
        raise BrokenChain(Reason.HEADER_TOO_LARGE, "the header is over the bound and was not read to its end")
    if any(len(found) > MAX_SETS for found in fields.values()):
        raise BrokenChain(Reason.TOO_MANY_SETS, f"there are more than {MAX_SETS} sets")
    results = _by_instance(RESULTS, [_results(raw) for raw in fields[RESULTS]])
    signatures = _by_instance(SIGNATURE, [_signature(raw, header.line_end) for raw in fields[SIGNATURE]])
    seals = _by_instance(SEAL, [_seal(raw, header.line_end) for raw in fields[SEAL]])
    newest = max((*results, *signatures, *seals))
    sets = []
    for instance in range(1, newest + 1):
        for found, name in ((results, RESULTS), (signatures, SIGNATURE), (seals, SEAL)):
            if instance not in found:
                raise BrokenChain(Reason.INCOMPLETE_SET, f"set {instance} has no {_NAMES[name]}", instance)
        sets.append(FieldSet(results[instance], signatures[instance], seals[instance]))
    return tuple(sets)


def _by_instance(name: str, fields: list[Any]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for each in fields:
        if each.instance in found:
            raise BrokenChain(Reason.REPEATED_FIELD, f"set {each.instance} has two {_NAMES[name]}", each.instance)
        found[each.instance] = each
    return found


def _results(raw: bytes) -> Results:
    # RFC 8617 section 3.4: the syntax of what follows the instance does not affect the chain.
    parsed = authres.parse(raw.partition(b":")[2], arc=True, lenient=True)
    if parsed.instance is None:
        raise BrokenChain(Reason.MALFORMED_FIELD, f"an {ARC_FIELD_NAME} has no instance from 1 to {MAX_SETS}")
    return Results(parsed.instance, raw, parsed)


def _instance(tags: Tags) -> int:
    value = tags.get(b"i", b"")
    if not value.isdigit() or len(value) > 2 or not 1 <= int(value) <= MAX_SETS:
        raise Refusal(DkimReason.MALFORMED_TAG, f"i={shown(value)} is no instance from 1 to {MAX_SETS}")
    return int(value)


def _signature(raw: bytes, line_end: LineEnd) -> MessageSignature:
    found: list[int] = []

    def adapt(tags: Tags) -> Tags:
        found.append(_instance(tags))
        # Section 4.1.2: no v=, and i= is no identity.
        return {**{name: value for name, value in tags.items() if name != b"i"}, b"v": b"1"}

    try:
        field = parse(raw, line_end, {}, adapt)
        banned = field.terms.signed_fields & FIELD_NAMES
        if banned:
            # Section 4.1.2: MUST NOT. Authentication-Results, which must not be listed either, only breaks easily.
            raise Refusal(DkimReason.MALFORMED_TAG, f"h= lists {min(banned)}")
    except Refusal as refusal:
        raise _broken(SIGNATURE, refusal, found) from None
    return MessageSignature(found[0], field)


def _seal(raw: bytes, line_end: LineEnd) -> Seal:
    found: list[int] = []
    try:
        start, end = raw.index(b":") + 1, end_of_text(raw, line_end)
        tags = read_tags(raw[start:end], line_end)
        found.append(_instance(tags))
        return Seal(found[0], _seal_field(raw, start, end, tags), _cv(tags))
    except Refusal as refusal:
        raise _broken(SEAL, refusal, found) from None


def _seal_field(raw: bytes, start: int, end: int, tags: Tags) -> SignatureField:
    place = place_of_b(raw, start, end)
    for name in (b"a", b"b", b"d", b"s", b"cv"):
        if name not in tags or (name == b"b" and place is None):
            raise Refusal(DkimReason.MISSING_TAG, f"{name.decode()}= is missing")
    if b"h" in tags:
        raise Refusal(DkimReason.MALFORMED_TAG, "h= is not allowed")  # section 4.1.3
    assert place is not None
    details: dict[str, Any] = {}
    domain, selector = read_key_place(tags, details)
    algorithm = read_algorithm(tags[b"a"], details)
    key_type, _, hash_name = algorithm.partition("-")
    question = Question(f"{selector}._domainkey.{domain}", "TXT")
    terms = Terms(
        algorithm, key_type, hash_name, "relaxed", "simple", domain, question, frozenset(), (), domain
    )  # fmt: skip
    time = tags.get(b"t")
    if time is not None and (not time.isdigit() or len(time) > _MAX_TIME_DIGITS):
        raise Refusal(DkimReason.MALFORMED_TAG, f"t={shown(time)} is no time")
    signature = read_signature(tags[b"b"], details)
    signed_at = None if time is None else int(time)
    return SignatureField(raw, *place.span(1), end, terms, signature, b"", None, signed_at, None)


def _cv(tags: Tags) -> str:
    value = tags[b"cv"].lower()
    if value not in _STATUS:
        raise Refusal(DkimReason.MALFORMED_TAG, f"cv={shown(value)} is none of none, fail and pass")
    return value.decode("ascii")


def _broken(name: str, refusal: Refusal, found: list[int]) -> BrokenChain:
    number = f" of set {found[0]}" if found else ""
    words = f"the {_NAMES[name]}{number}: {refusal.detail}"
    return BrokenChain(Reason.MALFORMED_FIELD, words, found[0] if found else None)
