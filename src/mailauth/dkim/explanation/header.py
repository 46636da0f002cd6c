"""The search for what was done to the header: put fields as they may have been, hash, and see.

RSA gives away the digest that the signer signed, so a guess is compared with it; under Ed25519 each guess is verified.
"""

# SECURITY: fields and h= come from the peer. What is guessed about is bounded in octets and in number, `Account` bounds
# what is spent.

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, islice, product
from typing import NamedTuple

from mailauth.dkim.explanation.bounds import Account, Exhausted
from mailauth.dkim.explanation.differences import MAX_LINES, difference
from mailauth.dkim.explanation.fields import Fields, Guess, guesses, lost, names_cased, title_of, usual_name
from mailauth.dkim.explanation.result import Alteration, excerpt
from mailauth.dkim.explanation.result import AlterationCode as Code
from mailauth.dkim.header import Canonicalizer

MAX_OPTIONS = 6000
MAX_PAIRS = 250_000
MAX_HELD_OCTETS = 8 * 1024 * 1024
NONE_BEFORE = "(there was none when the message was signed)"
"""How the detail of a field ends that was added where there was none."""

_MAX_OPTIONS_OF_A_FIELD = 500
_MAX_INSTANCES = 10
# What lists do to several fields at once: how many guesses of each are tried with all those of the others.
_OF_LISTS = {
    "from": 10, "subject": 4, "reply-to": 2, "content-type": 2, "content-transfer-encoding": 4, "sender": 1, "to": 2,
    "cc": 1,
}  # fmt: skip


_MAX_OF_LISTS = 6000


class Option(NamedTuple):
    """Fields as they may have been: places in h= with the octets that stood there (empty: none)."""

    changes: tuple[tuple[int, bytes], ...]
    code: Code
    detail: str
    name: str
    added: bytes = b""
    removed: bytes = b""


def _done_by_lists(option: Option) -> bool:
    if option.code is Code.FIELD_ADDED:
        return option.detail.endswith(NONE_BEFORE)
    if option.code is Code.SUBJECT_PREFIX:
        return option.added.lstrip()[:1] in (b"[", b"(", b"*", b"{")
    return option.code in (Code.FIELD_REPLACED, Code.FIELD_REMOVED, Code.ENCODING_CHANGED)


class Slots:
    """The fields that h= stands for, one place for each name, and the signature itself at the end."""

    def __init__(self, names: Sequence[str], by_name: dict[str, list[bytes]], own: bytes) -> None:
        self.names = list(names)
        self.by_name = by_name
        self.places: dict[str, list[int]] = {}
        for place, name in enumerate(self.names):
            self.places.setdefault(name, []).append(place)
        self.raws = [b""] * len(self.names)
        for name in self.places:
            for place, raw in self.assigned(name, by_name.get(name, [])):
                self.raws[place] = raw
        self.own = own  # the signature's field, b= emptied, without its line end

    def assigned(self, name: str, instances: Sequence[bytes]) -> list[tuple[int, bytes]]:
        """What the places of a name hold with these instances, top first: taken from the bottom (section 5.4.2)."""
        places = self.places[name]
        taken = [*reversed(instances)][: len(places)]
        return [*zip(places, taken, strict=False), *((place, b"") for place in places[len(taken) :])]


class HeaderSearch:
    """Looks for the header that was signed. `fits` says whether a digest is the one that was signed."""

    def __init__(
        self,
        slots: Slots,
        canonicalize: Canonicalizer,
        fields: Fields,
        fits: Callable[[bytes], bool],
        account: Account,
    ) -> None:
        self.slots = slots
        self.account = account
        self.tried: list[str] = []
        self.exhausted = False
        self._fields = fields
        self._fits = fits
        self._canonicalize = canonicalize
        self._canonical = [self._of_field(raw) for raw in slots.raws]
        self._canonical.append(self._of_signature(slots.own))
        self._own_place = len(slots.names)
        self._whole = memoryview(b"".join(self._canonical))
        self._starts = [0]
        for octets in self._canonical:
            self._starts.append(self._starts[-1] + len(octets))
        self._states = self._hashed_so_far()
        self._seen: set[bytes] = set()

    def _of_field(self, raw: bytes) -> bytes:
        return self._canonicalize([raw]) if raw else b""

    def _of_signature(self, own: bytes) -> bytes:
        return self._canonicalize([own])[:-2]  # RFC 6376 section 3.7: without its CRLF

    def _hashed_so_far(self) -> list[hashlib._Hash]:
        state, states = hashlib.sha256(), []
        for octets in self._canonical:
            states.append(state.copy())
            state.update(octets)
        return states

    def intact(self) -> bool:
        """Whether the header is as it was signed."""
        return self._fits(hashlib.sha256(self._whole).digest())

    def difference(self, found: tuple[Option, ...]) -> tuple[str, ...]:
        """The fields that differ, as they were signed and as they came."""
        lines: list[str] = []
        for option in found:
            for place, raw in option.changes:
                now = self.slots.own if place == self._own_place else self.slots.raws[place]
                if raw and now:
                    lines += difference(raw, now)
                elif raw or now:
                    lines.append(("-" if raw else "+") + excerpt(raw or now).rstrip("\n"))
        return tuple(lines[:MAX_LINES])

    def run(self) -> tuple[Option, ...] | None:
        """What was done; None where no guess was right."""
        try:
            return self._run()
        except Exhausted:
            self.exhausted = True
            return None

    def _run(self) -> tuple[Option, ...] | None:
        options: list[tuple[Option, list[tuple[int, bytes]]]] = []
        held = 0
        for option in islice(self.options(), MAX_OPTIONS):
            changes = self._canonical_changes(option)
            if not changes:
                continue
            if self._check(changes):
                return (option,)
            options.append((option, changes))
            held += sum(len(octets) for _, octets in changes)
            if held > MAX_HELD_OCTETS:
                break
        self.tried.append(f"{len(options)} ways in which a field, or the signature's own field, may have been written")
        found = self._as_lists_do(options)
        if found is not None:
            return found
        for first, second in islice(_pairs_likeliest_first(len(options)), MAX_PAIRS):
            one, its = options[first]
            other, others = options[second]
            places = {place for place, _ in its}
            if all(place not in places for place, _ in others):
                if self._check(sorted(its + others)):
                    return (one, other)
        self.tried.append("two of these at once")
        return None

    def _as_lists_do(self, options: list[tuple[Option, list[tuple[int, bytes]]]]) -> tuple[Option, ...] | None:
        """Three fields and more at once: the subject tagged, From rewritten, Reply-To added, the whole wrapped."""
        by_field: dict[str, list[tuple[Option, list[tuple[int, bytes]]]]] = {}
        for option in options:
            name = option[0].name.lower()
            if _done_by_lists(option[0]) and len(by_field.get(name, ())) < _OF_LISTS.get(name, 0):
                by_field.setdefault(name, []).append(option)
        left = _MAX_OF_LISTS
        for most, number in product((2, max(_OF_LISTS.values())), range(3, len(by_field) + 1)):
            for fields in combinations([options[:most] for options in by_field.values()], number):
                for chosen in product(*fields):
                    left -= 1
                    if left < 0:
                        return None
                    if self._check(sorted(change for _, changes in chosen for change in changes)):
                        return tuple(option for option, _ in chosen)
        if len(by_field) > 2:
            self.tried.append("what mailing lists do, three fields and more at once")
        return None

    def _canonical_changes(self, option: Option) -> list[tuple[int, bytes]]:
        """Only what differs in its canonical form."""
        changes = []
        for place, raw in option.changes:
            octets = self._of_signature(raw) if place == self._own_place else self._of_field(raw)
            if octets != self._canonical[place]:
                changes.append((place, octets))
        return changes

    def _check(self, changes: list[tuple[int, bytes]]) -> bool:
        first = changes[0][0]
        state = self._states[first].copy()
        done = self._starts[first]
        for place, octets in changes:
            state.update(self._whole[done : self._starts[place]])
            state.update(octets)
            done = self._starts[place + 1]
        state.update(self._whole[done:])
        digest = state.digest()
        if digest in self._seen:
            return False
        self.account.spend(len(self._whole) - self._starts[first])
        self._seen.add(digest)
        return self._fits(digest)

    # --- what may have been done -----------------------------------------------------------------------------------

    def options(self) -> Iterator[Option]:
        """Fields that were added, single fields written differently, fields that are gone, all fields at once."""
        yield from self._added()
        yield from self._in_turn()
        yield from self._everywhere()

    def _in_turn(self) -> Iterator[Option]:
        """The likeliest guesses about each field, then the next ones: pairs are tried in this order."""
        streams = [self._rewritten(place, raw) for place, raw in enumerate(self.slots.raws) if raw]
        streams += [self._signature(), *self._lost()]
        step = 8
        while streams:
            going_on = []
            for stream in streams:
                some = list(islice(stream, step))
                yield from some
                if len(some) == step:
                    going_on.append(stream)
            streams = going_on

    def _added(self) -> Iterator[Option]:
        for name in self.slots.places:
            instances = self.slots.by_name.get(name, [])
            for index, raw in enumerate(instances[:_MAX_INSTANCES]):
                changes = tuple(self.slots.assigned(name, instances[:index] + instances[index + 1 :]))
                title = _name_of(raw)
                if len(instances) == 1:
                    words = f"{title} was added {NONE_BEFORE}"
                elif index == len(instances) - 1:
                    words = f"a second {title} was added below"
                else:
                    words = f"a second {title} was added above"
                yield Option(changes, Code.FIELD_ADDED, words, title, added=raw)
            if len(instances) > 2:
                for raw in (instances[0], instances[-1]):
                    changes = tuple(self.slots.assigned(name, [raw]))
                    yield Option(changes, Code.FIELD_ADDED, f"more {_name_of(raw)} fields were added", _name_of(raw))
            if len(instances) > 1:
                changes = tuple(self.slots.assigned(name, instances[::-1]))
                yield Option(
                    changes,
                    Code.FIELDS_REORDERED,
                    f"the {_name_of(instances[0])} fields stand in another order",
                    _name_of(instances[0]),
                )

    def _rewritten(self, place: int, raw: bytes) -> Iterator[Option]:
        name = self.slots.names[place]
        for guess in islice(guesses(name, raw, self._fields), _MAX_OPTIONS_OF_A_FIELD):
            yield _option(place, guess, _name_of(raw))

    def _lost(self) -> list[Iterator[Option]]:
        def of(place: int, name: str) -> Iterator[Option]:
            for guess in islice(lost(name, self._fields), _MAX_OPTIONS_OF_A_FIELD):
                yield _option(place, guess, _name_of(guess.raw))

        absent = [(places[0], name) for name, places in self.slots.places.items() if not self.slots.by_name.get(name)]
        return [of(place, name) for place, name in absent]

    def _signature(self) -> Iterator[Option]:
        own = self.slots.own
        for text in signature_spellings(own, simple=self._fields.simple):
            if text != own:
                detail = "the DKIM-Signature field was folded or spaced differently"
                yield Option(((self._own_place, text),), Code.SIGNATURE_REFOLDED, detail, "DKIM-Signature")

    def _everywhere(self) -> Iterator[Option]:
        """What a server does to all fields alike."""
        if not self._fields.simple:
            return
        fields = [(place, raw) for place, raw in enumerate(self.slots.raws) if raw]
        own = (self._own_place, self.slots.own)
        for detail, code, rewrite in _OF_ALL:
            for chosen in (fields, [*fields, own]):
                rewritten = [(place, raw, rewrite(raw)) for place, raw in chosen]
                changes = tuple((place, before) for place, raw, before in rewritten if before != raw)
                if len(changes) > 1:
                    yield Option(changes, code, detail, "")


def _lower(raw: bytes) -> bytes:
    name, colon, rest = raw.partition(b":")
    return name.lower() + colon + rest


def _titled(raw: bytes) -> bytes:
    name, colon, rest = raw.partition(b":")
    return title_of(name) + colon + rest


def _usual(raw: bytes) -> bytes:
    name, colon, rest = raw.partition(b":")
    return usual_name(name) + colon + rest


_WSP_OF_FOLD = re.compile(rb"\r\n[ \t]++")
_OF_ALL: tuple[tuple[str, Code, Callable[[bytes], bytes]], ...] = (
    ("all fields were folded differently", Code.FIELD_REFOLDED, lambda raw: re.sub(rb"\r\n(?=[ \t])", b"", raw)),
    ("all fields were folded differently", Code.FIELD_REFOLDED, lambda raw: _WSP_OF_FOLD.sub(b" ", raw)),
    ("all fields were folded differently", Code.FIELD_REFOLDED, lambda raw: _WSP_OF_FOLD.sub(b"\r\n\t", raw)),
    ("all fields were folded differently", Code.FIELD_REFOLDED, lambda raw: _WSP_OF_FOLD.sub(b"\r\n ", raw)),
    ("the names of all fields were written differently", Code.FIELD_NAME_RECASED, _usual),
    ("the names of all fields were written differently", Code.FIELD_NAME_RECASED, _titled),
    ("the names of all fields were written differently", Code.FIELD_NAME_RECASED, _lower),
)  # fmt: skip


def _option(place: int, guess: Guess, name: str) -> Option:
    detail = guess.detail.replace("{}", name)
    return Option(((place, guess.raw),), guess.code, detail, name, guess.added, guess.removed)


def _name_of(raw: bytes) -> str:
    return excerpt(raw.partition(b":")[0].strip(), 80)


def _pairs_likeliest_first(number: int) -> Iterator[tuple[int, int]]:
    """All pairs, by the sum of their places."""
    for total in range(1, 2 * number - 2):
        for first in range(max(0, total - number + 1), (total + 1) // 2):
            yield first, total - first


_H_VALUE = re.compile(rb"(;[ \t\r\n]*+h[ \t\r\n]*+=)([^;]*+)")
_BH_VALUE = re.compile(rb"(;[ \t\r\n]*+bh[ \t\r\n]*+=)([^;]*+)")


def signature_spellings(own: bytes, *, simple: bool) -> Iterator[bytes]:
    """The signature's own field, b= emptied, as it may have been laid out."""
    name, _, rest = own.partition(b":")
    tight = _squeezed(rest)
    tags = [tag.strip() for tag in tight.split(b";")]
    ends = (b"", b";") if tags[-1] else (b";", b"")
    tags = [tag for tag in tags if tag]
    spaced = b" " + b"; ".join(tags)
    for end in ends:
        yield name + b":" + spaced + end
        yield name + b":" + b" " + b";".join(tags) + end
    yield name + b":" + tight
    yield name + b":" + _WSP_OF_FOLD.sub(b"", rest)
    for end in ends:
        for colon in (b": ", b" : "):
            listed = [tag.replace(b":", colon) if tag.startswith(b"h=") else tag for tag in tags]
            yield name + b": " + b"; ".join(listed) + end
    if not simple:
        return
    yield name + b":" + re.sub(rb"\r\n(?=[ \t])", b"", rest)
    for fold in (b"\r\n\t", b"\r\n ", b"\r\n  ", b"\r\n    ", b"\r\n        "):
        yield name + b":" + _WSP_OF_FOLD.sub(fold, rest)
        for end in ends:
            yield name + b": " + (b";" + fold).join(tags) + end
    for columns in (72, 76, 78):
        for fold in (b"\r\n\t", b"\r\n "):
            for end in ends:
                yield name + b": " + _filled(tags, fold, columns, len(name) + 2) + end
    for form in names_cased(name):
        yield form + b":" + rest


def _squeezed(rest: bytes) -> bytes:
    """Without blanks where none is needed: in h= and bh=, and where the field was folded."""
    for pattern in (_H_VALUE, _BH_VALUE):
        rest = pattern.sub(lambda match: match[1] + b"".join(match[2].split()), rest)
    return _WSP_OF_FOLD.sub(b" ", rest)


def _filled(tags: list[bytes], fold: bytes, columns: int, start: int) -> bytes:
    text, length = tags[0], start + len(tags[0])
    for tag in tags[1:]:
        if length + 2 + len(tag) > columns:
            text += b";" + fold + tag
            length = 1 + len(tag)
        else:
            text += b"; " + tag
            length += 2 + len(tag)
    return text


def alterations(found: tuple[Option, ...]) -> Iterator[Alteration]:
    """What was done, for the result."""
    for option in found:
        yield Alteration(
            option.code,
            option.detail,
            "header",
            field=option.name,
            added=excerpt(option.added.strip(b"\r\n")),
            removed=excerpt(option.removed.strip(b"\r\n")),
            count=max(1, len(option.changes)) if not option.name else 1,
        )
