"""One message whose signatures do not all pass: the key, the header and the body of each, one after the other."""

# SECURITY: everything here comes from the peer, and is bounded before it comes here. The verifier's own verdict stands,
# whatever is found: an explanation is never a pass.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mailauth.dkim.explanation import body as body_search
from mailauth.dkim.explanation import header as header_search
from mailauth.dkim.explanation.advice import advise
from mailauth.dkim.explanation.bounds import Account, Budget, ExplainLimits
from mailauth.dkim.explanation.differences import difference
from mailauth.dkim.explanation.fields import Fields
from mailauth.dkim.explanation.key import Evidence, evidence, usable
from mailauth.dkim.explanation.mime import readable, structure, type_fields
from mailauth.dkim.explanation.reading import ReadField
from mailauth.dkim.explanation.result import Alteration, Explanation, Half, HalfState, Key, KeyState, excerpt
from mailauth.dkim.explanation.result import AlterationCode as Code
from mailauth.dkim.header import canonicalizer
from mailauth.dkim.record import BadRecord, parse_record
from mailauth.dkim.result import Reason, Result, Signature
from mailauth.dkim.signature import SignatureField
from mailauth.mail.header import Header
from mailauth.mail.lines import LineEnd, to_crlf
from mailauth.plan import Answer, Question

if TYPE_CHECKING:
    from mailauth.dkim.crypto import PublicKey

_MAX_KEYS = 2  # Ed25519: keys that each guess is verified with


@dataclass
class Case:
    """One message, and what was answered about it."""

    header: Header
    body: bytes  # as it came
    too_large: bool
    answers: dict[Question, Answer]
    limits: ExplainLimits
    clock: Callable[[], float] | None

    def explain(self, signatures: list[Signature], fields: list[ReadField | None]) -> list[Explanation]:
        """One explanation for each signature; `fields` are None where a field cannot be read."""
        self.budget = Budget(self.limits, len(self.body), self.clock)
        self.by_name = {name: [self._crlf(raw) for raw in raws] for name, raws in self.header.octets_by_name.items()}
        self.text = self._crlf(self.body)
        self.bodies: dict[body_search.Target, Half] = {}
        self.found_keys = self._all_keys(fields)
        return [self._one(*pair) for pair in zip(signatures, fields, strict=True)]

    def _crlf(self, octets: bytes) -> bytes:
        return to_crlf(octets) if self.header.line_end is LineEnd.LF else octets

    def _all_keys(self, fields: list[ReadField | None]) -> list[tuple[str, PublicKey]]:
        found = []
        for question in dict.fromkeys(read.field.terms.question for read in fields if read is not None):
            answer = self.answers.get(question)
            for text in answer.texts[:3] if answer is not None else ():
                record = parse_record(text)
                key = None if isinstance(record, BadRecord) or not record.key else usable(record)
                if key is not None and key.key_type == "rsa":
                    found.append((question.name, key))
        return found[:20]

    def _one(self, signature: Signature, read: ReadField | None) -> Explanation:
        intact = signature.result is Result.PASS
        passed_over = signature.reason is Reason.TOO_MANY_SIGNATURES or signature.algorithm == "rsa-sha1"
        if intact or read is None or passed_over:
            state = HalfState.INTACT if intact else HalfState.UNKNOWN
            key = Key(KeyState.FITS, "the key is the signer's") if intact else Key(KeyState.NOT_ASKED)
            return advise(signature, Half(state), Half(state), key)
        field = read.field
        answer = self.answers.get(field.terms.question)
        proof = Evidence(Key(KeyState.NOT_ASKED)) if answer is None else evidence(field, answer, self.found_keys)
        header, key = self._header(read, signature, proof)
        body = self._body(field)
        if header.state is HalfState.UNKNOWN and body.state is HalfState.INTACT and not body.detail:
            body = replace(body, detail="it fits bh=; whether bh= is the signer's, is not known")
        return advise(signature, body, header, key)

    # --- the header ------------------------------------------------------------------------------------------------

    def _header(self, read: ReadField, signature: Signature, proof: Evidence) -> tuple[Half, Key]:
        key, field = proof.key, read.field
        if proof.digest is None and not proof.candidates:
            if proof.other_hash:
                words = f"a digest of {proof.other_hash} was signed, where a= says {signature.algorithm}"
                return Half(HalfState.UNKNOWN, words), key
            return Half(HalfState.UNKNOWN, "without the signer's key nothing can be said about it"), key
        attempts = self.limits.attempts if proof.digest is not None else self.limits.verifications

        def fits(digest: bytes) -> bool:
            if proof.digest is not None:
                return digest == proof.digest
            return any(candidate.verify(field.signature, digest) for candidate in proof.candidates[:_MAX_KEYS])

        search = header_search.HeaderSearch(
            self._slots(read, signature),
            canonicalizer(field.terms.header_canonicalization, self.header),
            self._fields(field),
            fits,
            Account(self.budget, attempts),
        )
        rewritten = (_ENCODED_SIGNATURE,) if read.rewritten else ()
        if search.intact():
            state = HalfState.EXPLAINED if rewritten else HalfState.INTACT
            return Half(state, "", rewritten, self._of_rewritten(read, signature), attempts=1), _proved(key)
        found = search.run()
        attempts = search.account.attempts
        if found is None:
            tried = tuple(search.tried)
            if key.state is KeyState.FITS or key.proved:
                return Half(HalfState.ALTERED, "", (), (), tried, attempts, search.exhausted), key
            detail = "it was altered, or the key is another one"
            return Half(HalfState.UNKNOWN, detail, (), (), tried, attempts, search.exhausted), key
        alterations = tuple(header_search.alterations(found))
        if rewritten:
            # Its blanks may have been changed with it, which is the same alteration.
            alterations = (*rewritten, *(found for found in alterations if found.code is not Code.SIGNATURE_REFOLDED))
        lines = (*self._of_rewritten(read, signature), *search.difference(found))
        return Half(HalfState.EXPLAINED, "", alterations, lines, (), attempts), _proved(key)

    def _of_rewritten(self, read: ReadField, signature: Signature) -> tuple[str, ...]:
        if not read.rewritten:
            return ()
        came = self.by_name["dkim-signature"][signature.index]
        return difference(read.field.raw, came)

    def _slots(self, read: ReadField, signature: Signature) -> header_search.Slots:
        field = read.field
        by_name = {name: list(raws) for name, raws in self.by_name.items()}
        if "dkim-signature" in field.terms.signed_fields:
            # RFC 6376 section 3.5, h=: the signature itself is never among them.
            index = signature.index
            by_name["dkim-signature"] = by_name["dkim-signature"][:index] + by_name["dkim-signature"][index + 1 :]
        own = field.raw[: field.b_start] + field.raw[field.b_end : field.end]
        return header_search.Slots(read.names, by_name, self._crlf(own))

    def _fields(self, field: SignatureField) -> Fields:
        return Fields(self.by_name, field.terms.header_canonicalization == "simple", tuple(self._part_types()))

    def _part_types(self) -> list[bytes]:
        found = structure(self.text, *self._content())
        return type_fields(self.text, found)

    def _content(self) -> tuple[bytes, bytes]:
        """The values of Content-Type and Content-Transfer-Encoding."""
        names = ("content-type", "content-transfer-encoding")
        kind, encoding = ((self.by_name.get(name) or [b":"])[-1].partition(b":")[2] for name in names)
        return kind, encoding

    # --- the body --------------------------------------------------------------------------------------------------

    def _body(self, field: SignatureField) -> Half:
        target = body_search.Target(field.body_hash, field.terms.body_canonicalization, field.body_length)
        if target not in self.bodies:
            self.bodies[target] = self._search_body(target)
        return self.bodies[target]

    def _search_body(self, target: body_search.Target) -> Half:
        if self.too_large:
            return Half(HalfState.UNKNOWN, f"the message has more than {self.limits.message_octets} octets")
        lines = self._crlf(self.header.mbox_line + self.header.raw + self.header.separator).count(b"\n")
        behind = body_search.behind_length(self.text, target)
        if behind is not None:
            return Half(HalfState.INTACT) if not behind else self._behind_length(behind, target, lines)
        search = body_search.BodySearch(self.text, *self._content(), target, Account(self.budget))
        found = search.run()
        attempts = search.account.attempts
        if found is None:
            detail = body_search.hints(self.text, target, *self._content())
            return Half(HalfState.ALTERED, detail, (), (), tuple(search.tried), attempts, search.exhausted)
        alterations = tuple(body_search.alterations(found, self.text, lines))
        return Half(HalfState.EXPLAINED, "", alterations, self._difference(found), (), attempts)

    def _difference(self, found: body_search.Found) -> tuple[str, ...]:
        """Nobody reads base64: what was put into a part that is encoded so is shown decoded."""
        if not any(undone.code in _OF_ENCODING for undone in found.undone):
            before, after = (readable(body, structure(body, *self._content())) for body in (found.body, self.text))
            lines = difference(before, after)
            if lines and (before, after) != (found.body, self.text):
                return ("@ base64 is shown decoded", *lines)
        return difference(found.body, self.text)

    def _behind_length(self, behind: bytes, target: body_search.Target, header_lines: int) -> Half:
        """RFC 6376 section 8.2: what stands behind l= was not signed."""
        words = f"{len(behind)} octets stand behind the {target.length} that l= covers"
        line = header_lines + self.text.count(b"\n") - behind.count(b"\n") + 1
        added = Alteration(Code.TEXT_BEHIND_LENGTH, words, "body", line=line, added=excerpt(behind))
        return Half(HalfState.INTACT, words, (added,), tuple("+" + line for line in excerpt(behind).split("\n")[:20]))


_OF_ENCODING = frozenset({Code.ENCODING_CHANGED, Code.BASE64_REDONE})
_ENCODED_SIGNATURE = Alteration(
    Code.SIGNATURE_REFOLDED,
    "the DKIM-Signature field was written as encoded words (RFC 2047)",
    "header",
    field="DKIM-Signature",
)


def _proved(key: Key) -> Key:
    """Ed25519: everything fits, so the key is the signer's."""
    if key.state is not KeyState.UNPROVED:
        return key
    return Key(KeyState.FITS, "the key is the signer's", key.name, key.records, key.repairs, proved=True)
