"""The search for what was done to a body: undo, canonicalise, hash, compare.

Each guess is canonicalised and hashed line by line, and the hash is looked at behind every line: so whatever was
added at the end is found in the same pass, together with any other alteration (RFC 6376 section 3.4).
"""

# SECURITY: the body comes from the peer, and bh= with it. `Account` bounds what is spent; what is kept beside the body
# are the guesses of one round, whose number is bounded.

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import NamedTuple

from mailauth.dkim.explanation.bounds import Account, Exhausted
from mailauth.dkim.explanation.canonical import canonical_body
from mailauth.dkim.explanation.links import rewritten_links
from mailauth.dkim.explanation.mime import Part, Structure, structure
from mailauth.dkim.explanation.parts import MIME, Edit, edits
from mailauth.dkim.explanation.result import Alteration, excerpt
from mailauth.dkim.explanation.result import AlterationCode as Code
from mailauth.dkim.explanation.undo import WHOLE, Undone, named

_ALL = (*WHOLE, ("links led through a gateway", rewritten_links), *MIME)
_MAX_REWRITTEN = 4 * 1024 * 1024
"""Octets of a body whose lines are written anew, which takes some forty times their memory."""

_MAX_BASES = 16  # guesses of each kind that a second one is tried with
_HASHED = 16  # octets that are hashed in the time in which one is canonicalised
_MAX_TEXTS = 8  # parts that hold text
_MAX_PAIRED_EDITS = 90
_MAX_PAIRED_OCTETS = 256 * 1024


class Target(NamedTuple):
    """What the signature says of the body."""

    digest: bytes  # bh=
    how: str  # "simple" | "relaxed"
    length: int | None  # l=


def behind_length(body: bytes, target: Target) -> bytes | None:
    """What stands behind the octets that were signed, where those are as they were; None if they are not."""
    canonical = canonical_body(body, target.how)
    length = len(canonical) if target.length is None else target.length
    if len(canonical) < length or hashlib.sha256(canonical[:length]).digest() != target.digest:
        return None
    return canonical[length:]


def hints(body: bytes, target: Target, content_type: bytes, encoding: bytes) -> str:
    """What shows that a body is not whole, for one that nothing explains."""
    canonical = canonical_body(body, target.how)
    if target.length is not None and len(canonical) < target.length:
        return f"l={target.length}, but it has {len(canonical)} octets: the end is missing"
    found = structure(body, content_type, encoding)
    if found.multipart and found.closed is None:
        return "its last boundary is missing: the end may be cut off"
    return ""


class Found(NamedTuple):
    """The body as it was signed, and what was done to it since, the last thing first."""

    body: bytes
    undone: tuple[Undone, ...]


class BodySearch:
    """Looks for the body that was signed."""

    def __init__(self, body: bytes, content_type: bytes, encoding: bytes, target: Target, account: Account) -> None:
        self.body = body
        self.target = target
        self.account = account
        self.tried: list[str] = []
        self.exhausted = False
        self._fields = content_type, encoding
        self._seen: set[bytes] = set()
        # Of larger bodies the parts are looked at, and the end.
        self._operations = _ALL if len(body) <= _MAX_REWRITTEN else MIME

    def run(self) -> Found | None:
        """The body that was signed, or None where no guess was right."""
        try:
            return self._run()
        except Exhausted:
            self.exhausted = True
            return None

    def _run(self) -> Found | None:
        """Text at the end and within parts; then whatever else is done to the whole; then two of these."""
        found = self._scan(self.body, ())
        if found is not None:
            return found
        self._note("text at the end, cut at each line")
        # First of all in large messages: what stands around the part is only hashed.
        found = self._in_parts(self.body, ())
        if found is not None:
            return found
        self._note("text at the beginning of parts, at their end, and around HTML's body")
        for name, operation in self._operations:
            self.account.work(len(self.body))
            for undone in operation(self.body, self._structure(self.body)):
                found = self._scan(undone.body, (undone,))
                if found is not None:
                    return found
            self._note(name)
        found = self._other_signers() or self._in_two_parts() or self._pairs()
        self._note("two of these at once")
        return found

    def _note(self, name: str) -> None:
        self.tried.append(name)

    def _pairs(self) -> Found | None:
        """Whatever was done to the whole body, and then something else; guesses are made anew, not kept."""
        for base in self._bases():
            shape = self._structure(base.body)
            for _, operation in self._operations:
                self.account.work(len(base.body))
                for undone in operation(base.body, shape):
                    # Twice the same is no pair.
                    if undone.code is base.code and undone.code not in _REPEATED:
                        continue
                    found = self._scan(undone.body, (undone, base))
                    if found is not None:
                        return found
        for base in self._bases():
            found = self._in_parts(base.body, (base,))
            if found is not None:
                return found
        return None

    def _bases(self) -> Iterator[Undone]:
        shape = self._structure(self.body)
        # The first of each concern all places at once.
        for _, operation in self._operations:
            yield from islice(operation(self.body, shape), _MAX_BASES)

    def _structure(self, body: bytes) -> Structure:
        return structure(body, *self._fields)

    def _scan(self, body: bytes, undone: tuple[Undone, ...]) -> Found | None:
        """Whether this body was signed, or some first lines of it."""
        target = self.target
        canonical = canonical_body(body, target.how)
        self.account.spend(len(canonical))
        if target.length is not None and len(canonical) >= target.length:
            if hashlib.sha256(canonical[: target.length]).digest() == target.digest:
                return Found(body, undone)
        digest = hashlib.sha256(canonical).digest()
        if digest in self._seen:
            return None
        self._seen.add(digest)
        if digest == target.digest:
            return Found(body, self._with_length(undone))
        kept = _lines_kept(canonical, target)
        if kept is None:
            return None
        at = _place_of_line(body, kept)
        cut = self._name_of_cut(body, at)
        return Found(body[:at], self._with_length((cut, *undone)))

    def _with_length(self, undone: tuple[Undone, ...]) -> tuple[Undone, ...]:
        """What fits as a whole where l= says that a part was hashed."""
        if self.target.length is None:
            return undone
        words = f"l={self.target.length} is not what was hashed"
        return (*undone, Undone(b"", Code.LENGTH_CHANGED, words))

    def _name_of_cut(self, body: bytes, at: int) -> Undone:
        added = body[at:]
        shape = self._structure(body)
        if shape.closed is not None and at >= shape.closed:
            code, words = Code.TEXT_AFTER_LAST_BOUNDARY, "text was added behind the last boundary"
        else:
            code, words = Code.TEXT_ADDED_AT_END, "text was added at the end"
        code, detail, number = named(added, code, words)
        return Undone(body[:at], code, detail, at, added, number=number)

    def _other_signers(self) -> Found | None:
        """Signers that hash the LF of their files, where RFC 6376 section 3.4 wants CRLF."""
        canonical = canonical_body(self.body, self.target.how).replace(b"\r\n", b"\n")
        self.account.spend(len(canonical))
        if hashlib.sha256(canonical).digest() != self.target.digest:
            return None
        words = "the signer hashed LF line ends; RFC 6376 section 3.4 wants CRLF"
        return Found(self.body, (Undone(self.body, Code.SIGNED_WITH_LF, words, 0),))

    # --- text within parts -----------------------------------------------------------------------------------------

    def _texts(self, body: bytes) -> list[Part]:
        leaves = self._structure(body).leaves
        return [part for part in leaves if part.content_type.startswith("text/") and part.end > part.body][:_MAX_TEXTS]

    def _in_parts(self, body: bytes, base: tuple[Undone, ...]) -> Found | None:
        self.account.work(len(body))
        for part in self._texts(body):
            frame = _Frame(body, part.body, part.end, self.target.how)
            for edit in edits(body, part):
                self.account.spend(len(edit.octets) + len(frame.after) // _HASHED)
                if frame.digest(edit.octets) == self.target.digest:
                    return self._with_edits(body, (edit,), base)
        return None

    def _in_two_parts(self) -> Found | None:
        """The same footer, as plain text and as HTML."""
        body = self.body
        likely = [
            (part, _likely([edit for edit in edits(body, part) if len(edit.octets) <= _MAX_PAIRED_OCTETS]))
            for part in self._texts(body)
        ]
        for (first, before), (second, behind) in pairwise(likely):
            if second.body < first.end:
                continue
            frame = _Frame(body, first.body, second.end, self.target.how)
            between = _canonical_lines(body[first.end : second.body], self.target.how)
            for one in before:
                begun = frame.begun(one.octets)
                begun.update(between)
                for other in behind:
                    self.account.spend(len(other.octets) + len(frame.after) // _HASHED)
                    if frame.ended(begun.copy(), other.octets) == self.target.digest:
                        return self._with_edits(body, (one, other), ())
        return None

    def _with_edits(self, body: bytes, found: tuple[Edit, ...], base: tuple[Undone, ...]) -> Found:
        whole, undone = body, []
        for edit in reversed(found):
            part = edit.part
            whole = whole[: part.body] + edit.octets + whole[part.end :]
            for detail, added, offset in reversed(edit.added):
                at = part.body + (0 if part.encoding == "base64" else offset)
                code = Code.TEXT_ADDED_IN_PART
                if not part.path and "within" not in detail:
                    code = Code.TEXT_ADDED_AT_END if offset else Code.TEXT_ADDED_AT_START
                code, detail, number = named(added, code, detail)
                title = part.title if part.path else ""
                undone.append(Undone(whole, code, detail, at, added, number=number, part=title))
        return Found(whole, (*reversed(undone), *base))


def _likely(guesses: list[Edit]) -> list[Edit]:
    """Those of a part that are worth a try together with each of another part."""
    single = [guess for guess in guesses if len(guess.added) == 1]
    starts = [guess for guess in single if not guess.added[0][2]]
    within = [guess for guess in single if guess.added[0][2] and "within" in guess.added[0][0]]
    ends = [guess for guess in single if guess.added[0][2] and "within" not in guess.added[0][0]]
    return [*ends[:_MAX_PAIRED_EDITS], *starts[: _MAX_PAIRED_EDITS // 3], *within]


_REPEATED = frozenset({Code.ENCODING_CHANGED, Code.PART_ADDED})


def _lines_kept(canonical: bytes, target: Target) -> int | None:
    """How many first lines have the hash; one pass, the state of the hash looked at behind each line."""
    hashed = hashlib.sha256()
    empty = hashlib.sha256(b"" if target.how == "relaxed" else b"\r\n").digest()
    if empty == target.digest:
        return 0
    at = number = 0
    while (end := canonical.find(b"\r\n", at)) >= 0:
        number += 1
        hashed.update(canonical[at : end + 2])
        # Empty lines at the end are never hashed.
        if end > at and hashed.digest() == target.digest:
            return number
        at = end + 2
    return None


def _place_of_line(body: bytes, number: int) -> int:
    """Where the line after so many lines begins."""
    at = 0
    for _ in range(number):
        end = body.find(b"\r\n", at)
        if end < 0:
            return len(body)
        at = end + 2
    return at


def _canonical_lines(text: bytes, how: str) -> bytes:
    """The canonical form of whole lines within a body: without what concerns its end."""
    if how == "simple":
        return text
    text = text.replace(b"\t", b" ")
    while b"  " in text:  # each round halves the longest run
        text = text.replace(b"  ", b" ")
    return text.replace(b" \r\n", b"\r\n")


class _Frame:
    """What stands around a stretch of the body that is guessed, hashed as far as it can be."""

    def __init__(self, body: bytes, start: int, end: int, how: str) -> None:
        self._how = how
        self._before = body[:start]
        self._hashed = hashlib.sha256(_canonical_lines(self._before, how))
        # The CRLF behind the stretch ends its last line, and the blanks before it.
        self._line_end = body[end : end + 2] if body.startswith(b"\r\n", end) else b""
        rest = canonical_body(body[end + len(self._line_end) :], how)
        self.after = b"" if not rest.strip(b"\r\n") else rest

    def begun(self, octets: bytes) -> hashlib._Hash:
        """The hash of what stands before, and of these octets, which end within a line."""
        hashed = self._hashed.copy()
        hashed.update(_canonical_lines(octets, self._how))
        return hashed

    def digest(self, octets: bytes) -> bytes:
        """The hash of the whole body with these octets."""
        if not self.after:
            return hashlib.sha256(canonical_body(self._before + octets + b"\r\n", self._how)).digest()
        return self.ended(self._hashed.copy(), octets)

    def ended(self, hashed: hashlib._Hash, octets: bytes) -> bytes:
        """The same, where the hash has come up to these octets."""
        hashed.update(_canonical_lines(octets + self._line_end, self._how))
        hashed.update(self.after)
        return hashed.digest()


def alterations(found: Found, body: bytes, header_lines: int) -> Iterator[Alteration]:
    """What was done, with its place in the message as it came."""
    for undone in found.undone:
        at = undone.at
        if undone.added and not body.startswith(undone.added, max(at, 0)):
            place = body.find(undone.added[:400])
            at = place if place >= 0 else at
        line = header_lines + body.count(b"\n", 0, at) + 1 if at >= 0 else None
        yield Alteration(
            undone.code,
            undone.detail,
            "body",
            line=line,
            part=undone.part,
            added=excerpt(undone.added),
            removed=excerpt(undone.removed),
            count=undone.number,
        )
