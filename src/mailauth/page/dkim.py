"""DKIM on the page: one card for each signature, with what is known of why it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mailauth.dkim import Explanation, Signature
from mailauth.mail.lines import LineEnd
from mailauth.page.explanation import explanation
from mailauth.page.html import Child, Html, element, join
from mailauth.page.parts import (
    MAX_ITEMS,
    Tone,
    code,
    facts,
    fold,
    left_out,
    mark,
    moment,
    paragraph,
    section,
    sentence,
    tone_of,
)


def dkim_section(signatures: Sequence[Signature], why: Mapping[int, Explanation], not_made: str = "") -> Html:
    """Every signature, top first. `why` has the explanations, by the signature's place in the header (`index`)."""
    if not_made:
        return section("dkim", "DKIM", mark("not checked", "none"), paragraph(not_made))
    if not signatures:
        return section("dkim", "DKIM", mark("none"), paragraph("The message has no DKIM signature."))
    cards = [_card(signature, why.get(signature.index)) for signature in signatures[:MAX_ITEMS]]
    return section("dkim", "DKIM", mark(*summary(signatures)), *cards, left_out(len(signatures)))


def summary(signatures: Sequence[Signature]) -> tuple[str, Tone]:
    """All signatures in a word or two: one that passes is enough (RFC 6376 section 6.1), but says not all."""
    results = [signature.result.value for signature in signatures]
    passed = results.count("pass")
    if not results or passed == len(results) or len(set(results)) == 1:
        return (results[0], tone_of(results[0])) if results else ("none", "none")
    return f"{passed} of {len(results)} pass", "doubt" if passed or "temperror" in results else "bad"


def _card(signature: Signature, why: Explanation | None) -> Html:
    key = f"{signature.selector or '?'}._domainkey.{signature.domain or '?'}"
    detail = signature.detail or ("the signature verifies" if signature.result == "pass" else "")
    return element(
        "div",
        element("h3", code(key), " ", mark(signature.result.value)),
        paragraph(sentence(detail), class_="lead") if detail else None,
        facts(_rows(signature)),
        None if why is None else explanation(why),
        _fields(signature),
        class_=f"card {tone_of(signature.result.value)}",
    )


def _rows(signature: Signature) -> list[tuple[str, Child]]:
    algorithm: Child = ""
    if signature.algorithm:
        bits = f", key of {signature.key_bits} bits" if signature.key_bits else ""
        algorithm = join(code(signature.algorithm), bits)
    canonical = ""
    if signature.header_canonicalization or signature.body_canonicalization:
        canonical = f"{signature.header_canonicalization or '?'}/{signature.body_canonicalization or '?'}"
    length: Child = ""
    if signature.body_length is not None:
        length = f"l={signature.body_length}: {signature.unsigned_octets} octets behind it are not signed"
    return [
        ("Reason", code(signature.reason)),
        ("Algorithm", algorithm),
        ("On behalf of", code(signature.identity) if signature.identity else ""),
        ("Canonicalization", code(canonical) if canonical else ""),
        ("Signed at", moment(signature.signed_at)),
        ("Expires", moment(signature.expires_at)),
        ("Body", length),
        ("Key", "in test mode (t=y)" if signature.testing else ""),
        ("Line ends", "LF; the message was hashed with CRLF" if signature.line_end is LineEnd.LF else ""),
    ]


def _fields(signature: Signature) -> Html | None:
    if not signature.signed_fields:
        return None
    times: dict[str, int] = {}
    for name in signature.signed_fields:
        times[name] = times.get(name, 0) + 1
    # A field that is named once more than it is there is protected against additions (RFC 6376 section 8.15).
    names = [join(code(name), f" ×{number}" if number > 1 else "") for name, number in list(times.items())[:MAX_ITEMS]]
    items = [element("li", name) for name in names]
    return fold(f"Signed header fields ({len(times)})", element("ul", *items, class_="inline"))
