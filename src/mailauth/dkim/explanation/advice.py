"""The explanation in a sentence or two, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator

from mailauth.dkim.explanation.header import NONE_BEFORE
from mailauth.dkim.explanation.result import Alteration, Explanation, Half, HalfState, Key, KeyState
from mailauth.dkim.explanation.result import AlterationCode as Code
from mailauth.dkim.result import Reason, Result, Signature


def advise(signature: Signature, body: Half, header: Half, key: Key) -> Explanation:
    """Put together what was found."""
    advice = tuple(dict.fromkeys([*key.repairs, *_advice(signature, body, header)]))
    return Explanation(signature, _summary(signature, body, header, key), body, header, key, advice)


def _summary(signature: Signature, body: Half, header: Half, key: Key) -> str:
    if signature.result is Result.PASS:
        return "the signature passes"
    if header.state is HalfState.UNKNOWN and body.state is HalfState.UNKNOWN and key.state is KeyState.NOT_ASKED:
        return signature.detail or signature.reason.value.replace("-", " ")
    states = {header.state, body.state}
    if states == {HalfState.INTACT}:
        if key.state is KeyState.UNUSABLE:
            return "the message is as it was signed, only the key record is broken; repaired, the signature verifies"
        why = signature.detail or signature.reason.value
        return f"what was signed is as it was, and the key is the signer's; the signature does not count, though: {why}"
    halves = [_of_header(header, key), _of_body(body, header)]
    if body.state is HalfState.INTACT and not body.alterations:
        halves.reverse()  # what was altered last, for the words behind it to refer to
    sentences = [text for text in (*halves, _of_key(key)) if text]
    if states <= {HalfState.INTACT, HalfState.EXPLAINED} and key.state is KeyState.FITS:
        sentences.append("without that, the signature would verify")
    return "; ".join(sentences)


def _of_header(header: Half, key: Key) -> str:
    if header.state is HalfState.EXPLAINED:
        return f"the header was altered after signing: {_and(header.alterations)}"
    if header.state is HalfState.ALTERED:
        return "the header was altered after signing, it is not known how"
    if header.state is HalfState.INTACT:
        return "the header is as it was signed"
    if key.state is KeyState.UNPROVED:
        return "the header was altered after signing, or the key is another one"
    if key.state is KeyState.FITS:
        return header.detail
    return ""


def _of_body(body: Half, header: Half) -> str:
    also = "also " if header.state in (HalfState.EXPLAINED, HalfState.ALTERED) else ""
    if body.state is HalfState.EXPLAINED:
        return f"the body was {also}altered after signing: {_and(body.alterations)}"
    if body.state is HalfState.ALTERED:
        return f"the body was {also}altered after signing, it is not known how"
    if body.state is HalfState.INTACT:
        # Whoever forges the header forges bh= with it.
        sound = header.state is not HalfState.UNKNOWN
        return "the body is as it was signed" if sound else "the body fits the signature's body hash"
    return ""


def _of_key(key: Key) -> str:
    if key.state in (KeyState.OTHER, KeyState.UNUSABLE, KeyState.UNAVAILABLE):
        return key.detail
    return ""


def _and(alterations: tuple[Alteration, ...]) -> str:
    return ", and ".join(map(in_words, alterations))


def in_words(alteration: Alteration) -> str:
    """One alteration with its place."""
    if alteration.half == "header":
        text = alteration.added.strip()
        short = alteration.code in _SHOWN and len(text) <= 40 and "\n" not in text
        return f'{alteration.detail} ("{text}")' if short else alteration.detail
    where = f" (line {alteration.line})" if alteration.line is not None else ""
    part = f" in part {alteration.part}" if alteration.part and alteration.part not in alteration.detail else ""
    return f"{alteration.detail}{part}{where}"


_SHOWN = frozenset({Code.SUBJECT_PREFIX, Code.SUBJECT_SUFFIX})
_LIST = "a mailing list that alters messages signs them itself, and rewrites From where the author's DMARC policy asks"
_TAGGED = "check DKIM before the subject is tagged; a list that tags it signs the message itself (RFC 6377 section 5.8)"
_ADDED = "check DKIM before text is added; a list that adds some signs the message itself (RFC 6377 section 5.8)"
_BY_CODE: dict[Code, str] = {
    Code.TEXT_ADDED_AT_END: _ADDED,
    Code.TEXT_ADDED_IN_PART: _ADDED,
    Code.TEXT_ADDED_AT_START: _ADDED,
    Code.TEXT_AFTER_LAST_BOUNDARY: _ADDED,
    Code.PART_ADDED: _ADDED,
    Code.WRAPPED_IN_MULTIPART: _ADDED,
    Code.PART_HEADER_REWRITTEN: "sign behind whatever writes the fields of MIME parts anew",
    Code.TEXT_BEHIND_LENGTH: "sign without l=: anybody may append behind it (RFC 6376 section 8.2)",
    Code.LENGTH_CHANGED: "sign without l=",
    Code.BLANK_LINES_ADDED: "let what adds the empty lines run before the signer",
    Code.BLANKS_AT_LINE_ENDS_ADDED: "sign with c=relaxed/relaxed, which passes over such blanks",
    Code.BLANKS_AT_LINE_ENDS_REMOVED: "sign with c=relaxed/relaxed, which passes over such blanks",
    Code.TABS_TO_BLANKS: "sign with c=relaxed/relaxed, which passes over tabs made blanks",
    Code.BLANKS_TO_TABS: "sign with c=relaxed/relaxed, which passes over blanks made tabs",
    Code.LINE_ENDS_CHANGED: "sign what has CR LF at the end of every line, as SMTP sends it (RFC 6376 section 5.3)",
    Code.SIGNED_WITH_LF: "make CR LF of all line ends before signing (RFC 6376 section 5.3)",
    Code.DOTS_DOUBLED: "undo SMTP's dots once, and only once, on the way (RFC 5321 section 4.5.2)",
    Code.DOTS_REMOVED: "undo SMTP's dots once, and only once, on the way (RFC 5321 section 4.5.2)",
    Code.FROM_ESCAPED: 'write quoted-printable with "=46rom " before signing, which no mailbox escapes',
    Code.FROM_UNESCAPED: 'write quoted-printable with "=46rom " before signing, which no mailbox escapes',
    Code.LINES_WRAPPED: "send lines of at most 998 characters (RFC 5322 section 2.1.1), or encode before signing",
    Code.ENCODING_CHANGED: "encode as 7bit, quoted-printable or base64 before signing (RFC 6376 section 5.3)",
    Code.QUOTED_PRINTABLE_REDONE: "sign behind whatever encodes the message anew",
    Code.BASE64_REDONE: "sign behind whatever encodes the message anew",
    Code.CHARSET_CHANGED: "encode as quoted-printable or base64 before signing, so that nobody touches the text",
    Code.LINKS_REWRITTEN: "check DKIM before links are rewritten; what comes behind takes the result from the header",
    Code.PREAMBLE_REMOVED: "send multiparts without text before the first boundary: gateways drop it",
    Code.BLANK_LINES_REMOVED: "let what takes the empty lines out run before the signer",
    Code.BYTE_ORDER_MARK_ADDED: "let what adds the byte-order mark run before the signer",
    Code.BYTE_ORDER_MARK_REMOVED: "send text without a byte-order mark",
    Code.SUBJECT_PREFIX: _TAGGED,
    Code.SUBJECT_SUFFIX: _TAGGED,
    Code.FIELD_REPLACED: _LIST,
    Code.FIELD_REFOLDED: "sign with c=relaxed/relaxed, which passes over folds",
    Code.FIELD_NAME_RECASED: "sign with c=relaxed/relaxed, which passes over the case of names",
    Code.FIELD_BLANKS: "sign with c=relaxed/relaxed, which passes over such blanks",
    Code.SIGNATURE_REFOLDED: "sign with c=relaxed/relaxed, and fold the field where blanks stand",
    Code.FIELD_ADDED: "find what put it there: of two such fields readers show either (RFC 6376 section 8.15)",
    Code.FIELDS_REORDERED: "do not sign fields that stand there more than once, such as Received",
    Code.FIELD_REMOVED: "do not sign fields that servers on the way take out (RFC 6376 section 5.4.1)",
    Code.DATE_REFORMATTED: "write Date as RFC 5322 has it before signing, so that nobody writes it anew",
    Code.MESSAGE_ID_REFORMATTED: "write Message-ID as RFC 5322 has it before signing, so that nobody writes it anew",
    Code.ENCODED_WORDS: "write the field as RFC 2047 has it before signing, so that nobody writes it anew",
    Code.FIELD_REFORMATTED: "write the field as RFC 5322 has it before signing, so that nobody writes it anew",
}
_BY_REASON: dict[Reason, str] = {
    Reason.EXPIRED: "look at the Received fields for where it waited; sign with a later x=, or none",
    Reason.FROM_THE_FUTURE: "set the signer's clock",
    Reason.ALGORITHM_NOT_ALLOWED: "sign with rsa-sha256 or ed25519-sha256: rsa-sha1 must not be used (RFC 8301)",
    Reason.KEY_TOO_SMALL: "publish and use an RSA key of 2048 bits (RFC 8301 section 3.2)",
    Reason.KEY_TOO_LARGE: "use an RSA key of 2048 to 4096 bits: not all verifiers take more (RFC 8301 section 3.2)",
    Reason.SEVERAL_FROM: "send one From field (RFC 5322 section 3.6), and sign it twice in h= against additions",
    Reason.NO_EMPTY_LINE: "put the empty line back between header and body",
    Reason.FROM_NOT_SIGNED: "put From into h= (RFC 6376 section 5.4)",
    Reason.TESTING_KEY: "take y out of t= of the key record",
    Reason.IDENTITY_OUTSIDE_DOMAIN: "let i= end in d= (RFC 6376 section 3.5)",
    Reason.KEY_UNAVAILABLE: "try again later; look at the name servers of the signing domain",
    Reason.UNSUPPORTED_ALGORITHM: "sign with rsa-sha256 or ed25519-sha256",
    Reason.UNSUPPORTED_CANONICALIZATION: "sign with c=relaxed/relaxed",
    Reason.UNSUPPORTED_VERSION: "write v=1",
    Reason.MALFORMED_TAG_LIST: "look at what wrote the DKIM-Signature field, or rewrote it on the way",
    Reason.DUPLICATE_TAG: "write each tag of DKIM-Signature once (RFC 6376 section 3.2)",
    Reason.MISSING_TAG: "write all the tags that RFC 6376 section 3.5 requires",
    Reason.MALFORMED_TAG: "look at what wrote the DKIM-Signature field, or rewrote it on the way",
    Reason.TOO_MANY_SIGNATURES: "look at where so many signatures come from",
}


def _advice(signature: Signature, body: Half, header: Half) -> Iterator[str]:
    for alteration in (*header.alterations, *body.alterations):
        if alteration.code is Code.FIELD_ADDED and alteration.detail.endswith(NONE_BEFORE):
            field = alteration.field
            yield f"let what adds {field} run before the signer, or do not name {field} in h= where there is none"
            continue
        mime = alteration.code is Code.FIELD_REPLACED and alteration.field.lower().startswith("content-")
        if alteration.code in _BY_CODE and not mime:
            yield _BY_CODE[alteration.code]
    if signature.result is not Result.PASS and signature.reason in _BY_REASON:
        yield _BY_REASON[signature.reason]
