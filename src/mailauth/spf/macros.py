# What belongs here: macro strings (RFC 7208 section 7): their grammar, and their expansion from given values.
# Expansion is a plain function: what has to be asked in the DNS for it (%{p}) is asked before, by the evaluation.
#
# SECURITY: macro strings come from the DNS, the values put into them from the envelope (sender, HELO). Both parsing
# and expansion are linear; of a name only the last 253 octets are ever built, of an explanation only the first few
# hundred, however often a record repeats a macro; the digits of a transformer are clamped before they are a number.
"""SPF macros: parse once, expand many times."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from mailauth.plan.dns import MAX_LABEL_OCTETS, MAX_NAME_OCTETS
from mailauth.spf.problem import TermError

# RFC 7208 section 7.2: these letters are allowed only in explanation texts.
EXPLANATION_LETTERS = frozenset("crt")
_EXPLANATION_LETTERS_ANY_CASE = frozenset("crtCRT")

# RFC 7208 section 7.3: at least 127 must be supported, the most labels that a name has. A sender may have more parts.
_MAX_DIGITS = 5

# macro-string     = *( macro-expand / macro-literal )
# macro-expand     = ( "%{" macro-letter transformers *delimiter "}" ) / "%%" / "%_" / "%-"
# macro-literal    = %x21-24 / %x26-7E
# macro-letter     = "s" / "l" / "o" / "d" / "i" / "p" / "h" / "c" / "r" / "t" / "v"
# transformers     = *DIGIT [ "r" ]
# delimiter        = "." / "-" / "+" / "," / "/" / "_" / "="
_FLAGS = re.ASCII | re.IGNORECASE
_VISIBLE = r"[\x21-\x24\x26-\x7e]"
# explain-string   = *( macro-string / SP )
_VISIBLE_OR_SPACE = r"[\x20-\x24\x26-\x7e]"


def _grammar(literal: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """A pattern for all of a macro string (possessive: it never backtracks), and one for its tokens.

    The groups of a token: literal, letter, digits, reverse, delimiters, special.
    """
    whole = rf"(?:{literal}++|%\{{[slodiphcrtv][0-9]*r?[-.+,/_=]*\}}|%[%_-])*+"
    token = rf"({literal}+)|%\{{([slodiphcrtv])([0-9]*)(r?)([-.+,/_=]*)\}}|%([%_-])"
    return re.compile(whole, _FLAGS), re.compile(token, _FLAGS)


_MACRO_STRING = _grammar(_VISIBLE)
_EXPLAIN_STRING = _grammar(_VISIBLE_OR_SPACE)
_SPECIAL = {"%": "%", "_": " ", "-": "%20"}


class Macro(NamedTuple):
    """One ``%{...}``: which value, and how it is transformed (RFC 7208 section 7.3)."""

    letter: str
    keep: int = 0
    """How many right-hand parts stay; 0: all of them."""
    reverse: bool = False
    delimiters: str = ""
    """What the value is split at; empty: dots."""
    escape: bool = False
    """Written as a capital: the result is URL-escaped."""

    def expand(self, values: Mapping[str, str]) -> str:
        """The value, transformed."""
        letter, keep, reverse, delimiters, escape = self
        value = values[letter]
        if keep or reverse or delimiters:
            # RFC 7208 section 7.3: no special treatment of leading, trailing or consecutive delimiters.
            if len(delimiters) > 1:
                for other in delimiters[1:]:
                    value = value.replace(other, delimiters[0])
            labels = value.split(delimiters[:1] or ".")
            if reverse:
                # The last parts after reversal are the first ones before it.
                labels = labels[keep - 1 :: -1] if keep else labels[::-1]
            elif keep:
                labels = labels[-keep:]
            value = ".".join(labels)
        return _url_escape(value) if escape else value


Parts: TypeAlias = tuple[str | Macro, ...]
"""A parsed macro string: literal text (as it expands) and macros."""


def parse_macro_string(text: str, start: int = 0) -> Parts:
    """Parse a ``macro-string``; `start` is where it stands in its term. Raises `TermError`."""
    return _parse(_MACRO_STRING, text, start)[0]


def parse_explain_string(text: str) -> Parts:
    """Parse an ``explain-string``: a macro string with spaces. Raises `TermError`."""
    return _parse(_EXPLAIN_STRING, text, 0)[0]


def _parse(grammar: tuple[re.Pattern[str], re.Pattern[str]], text: str, start: int) -> tuple[Parts, str, str]:
    """The parts, the macro letters in them, and the literal text behind the last macro-expand."""
    whole, token = grammar
    end = whole.match(text).end()  # type: ignore[union-attr]  # it matches the empty text
    if end != len(text):
        raise _bad_macro(text, end, start)
    parts: list[str | Macro] = []
    letters = tail = ""
    for tail, letter, digits, reverse, delimiters, special in token.findall(text):
        if tail:
            parts.append(tail)
        elif special:
            parts.append(_SPECIAL[special])
        else:
            letters += letter
            if letter == "i" and reverse and not digits and not delimiters:
                parts.append(_REVERSED_IP)
            elif digits or reverse or delimiters:
                keep = _number(digits) if digits else 0
                if digits and not keep:
                    # RFC 7208 section 7.3: "If a DIGIT is specified, the value MUST be nonzero."
                    words = "the number in a macro must not be zero"
                    raise _macro_error(words, text, start, lambda macro: macro[3] and not _number(macro[3]))
                parts.append(Macro(letter.lower(), keep, reverse != "", delimiters, letter.isupper()))
            else:
                parts.append(_BARE[letter])
    return tuple(parts), letters.lower(), tail


# %{ir} is what nearly every "exists" begins with, as a query to a DNS list does: the client has it ready.
_REVERSED_IP = Macro("ir")
_BARE = {letter: Macro(letter.lower(), escape=letter.isupper()) for letter in "slodiphcrtvSLODIPHCRTV"}


def _number(digits: str) -> int:
    return int(digits.lstrip("0")[:_MAX_DIGITS] or "0")


def _macro_error(words: str, text: str, start: int, is_bad: Callable[[re.Match[str]], object]) -> TermError:
    """An error of the first macro for which `is_bad` holds."""
    macro = next(match for match in _MACRO_STRING[1].finditer(text) if match[2] and is_bad(match))
    return TermError("bad-macro", words, start + macro.start(), len(macro[0]))


def _bad_macro(text: str, position: int, start: int) -> TermError:
    if text[position] != "%":
        return TermError("bad-character", f"{text[position]!a} is not allowed here", start + position, 1)
    end = text.find("}", position) + 1 if text.startswith("%{", position) else min(position + 2, len(text))
    end = end or len(text)
    words = "a % begins %{letter...}, %%, %_ or %- (RFC 7208 section 7.1)"
    return TermError("bad-macro", words, start + position, end - position)


@dataclass(frozen=True, slots=True)
class DomainSpec:
    """A ``domain-spec``: a macro string that ends like a domain name. Equal when written alike."""

    text: str
    parts: Parts = field(compare=False, repr=False)
    """The literals and macros of it."""
    letters: frozenset[str] = field(compare=False, repr=False)
    """The macro letters in it, in lower case; none: the name does not depend on the message."""

    def __str__(self) -> str:
        return self.text


_NO_LETTERS: frozenset[str] = frozenset()


def letters_of(parts: Parts) -> frozenset[str]:
    """The macro letters of a macro string, in lower case."""
    return frozenset([part[0] for part in parts if type(part) is Macro])


# domain-spec      = macro-string domain-end
# domain-end       = ( "." toplabel [ "." ] ) / macro-expand
_PLAIN = re.compile(r"[\x21-\x24\x26-\x7e]+\Z")


def parse_domain_spec(text: str, start: int = 0) -> DomainSpec:
    """Parse ``domain-spec``; `start` is where it stands in its term. Raises `TermError`."""
    if "%" not in text and _PLAIN.match(text):
        tail, spec = text, DomainSpec(text, (text,), _NO_LETTERS)
    else:
        parts, letters, tail = _parse(_MACRO_STRING, text, start)
        spec = DomainSpec(text, parts, frozenset(letters))
        if not EXPLANATION_LETTERS.isdisjoint(spec.letters):
            # RFC 7208 section 7.2: "The following macro letters are allowed only in "exp" text".
            words = "%{c}, %{r} and %{t} are allowed in explanation texts only"
            raise _macro_error(words, text, start, lambda macro: macro[2] in _EXPLANATION_LETTERS_ANY_CASE)
    if (tail or not text) and not _ends_in_toplabel(tail):
        words = "a domain name of at least two labels, or a macro at its end, is needed here"
        raise TermError("bad-domain", words, start, len(text))
    return spec


# toplabel         = ( *alphanum ALPHA *alphanum ) / ( 1*alphanum "-" *( alphanum / "-" ) alphanum )
_LABEL_CHARACTERS = re.compile(r"[A-Za-z0-9-]+\Z")


def _ends_in_toplabel(literal: str) -> bool:
    _, dot, label = literal.removesuffix(".").rpartition(".")
    if dot and label.isalpha() and label.isascii():
        return True
    return bool(
        dot
        and _LABEL_CHARACTERS.match(label)
        and label[0] != "-"
        and label[-1] != "-"
        # Letters, or at least a hyphen: RFC 3696 section 2, a top-level label is never all digits.
        and not label.isdigit()
    )


# --- expansion --------------------------------------------------------------------------------------------


def expand_name(parts: Parts, values: Mapping[str, str]) -> str:
    """The expansion for use as a name: at least its last 254 octets, which `target_name` needs to see."""
    if len(parts) <= _FEW_PARTS:
        return "".join([part if type(part) is str else part.expand(values) for part in parts])  # type: ignore[union-attr]
    expanded: list[str] = []
    length = 0
    for part in reversed(parts):
        text = part if isinstance(part, str) else part.expand(values)
        expanded.append(text)
        length += len(text)
        if length > MAX_NAME_OCTETS + 1:
            break
    expanded.reverse()
    return "".join(expanded)


_FEW_PARTS = 16
"""So many parts are put together without looking at their length: a value has some 1,000 characters at most."""


def expand_text(parts: Parts, values: Mapping[str, str], limit: int) -> str:
    """The expansion for people, cut after `limit` characters."""
    expanded: list[str] = []
    length = 0
    for part in parts:
        text = part if isinstance(part, str) else part.expand(values)
        expanded.append(text[: limit - length])
        length += len(text)
        if length >= limit:
            break
    return "".join(expanded)


def target_name(expanded: str) -> str | None:
    """The name that is asked for an expanded domain-spec: lower case, no final dot; None for what is no name.

    RFC 7208 section 7.3: a name over 253 octets loses labels on its left until it fits. Section 11.5.3: macros carry
    arbitrary text of the sender into names; what is not printable US-ASCII is never asked.
    """
    if not expanded.isascii():  # asked first: some other characters have ASCII letters as their lower case
        return None
    name = expanded.removesuffix(".").lower()
    if len(name) > MAX_NAME_OCTETS:
        name = name[-MAX_NAME_OCTETS - 1 :].partition(".")[2]
    # RFC 1035 section 2.3.4: labels of 1 to 63 octets.
    if ".." in f".{name}." or not name.isprintable():
        return None
    if len(name) > MAX_LABEL_OCTETS and max(map(len, name.split("."))) > MAX_LABEL_OCTETS:
        return None
    return name


# RFC 3986 section 2.3: unreserved = ALPHA / DIGIT / "-" / "." / "_" / "~"
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*\Z")
_UNRESERVED_OCTETS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def _url_escape(value: str) -> str:
    if _UNRESERVED.match(value):
        return value
    octets = value.encode("utf-8", "surrogatepass")
    return "".join(chr(octet) if octet in _UNRESERVED_OCTETS else f"%{octet:02X}" for octet in octets)
