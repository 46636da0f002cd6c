"""SPF macros: parse once, expand many times.

Macro strings (RFC 7208 section 7): their grammar, and their expansion from given values. Expansion is a plain
function: what has to be asked in the DNS for it (%{p}) is asked before, by the evaluation.
"""

# SECURITY: macro strings come from the DNS, the values put into them from the envelope (sender, HELO). Both parsing
# and expansion are linear; of a long text for a name only the end is built that a name can hold, of an explanation only
# the first few hundred octets, however often a record repeats a macro; the digits of a transformer are clamped before
# they are a number.

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from mailauth.plan.dns import MAX_LABEL_OCTETS, MAX_NAME_OCTETS
from mailauth.spf.problem import TermError

# RFC 7208 section 7.2: these letters are allowed only in explanation texts.
EXPLANATION_LETTERS = frozenset("crt")

# macro-string     = *( macro-expand / macro-literal )
# macro-expand     = ( "%{" macro-letter transformers *delimiter "}" ) / "%%" / "%_" / "%-"
# macro-literal    = %x21-24 / %x26-7E
# macro-letter     = "s" / "l" / "o" / "d" / "i" / "p" / "h" / "c" / "r" / "t" / "v"
# transformers     = *DIGIT [ "r" ]
# delimiter        = "." / "-" / "+" / "," / "/" / "_" / "="
_VISIBLE = re.compile(r"[\x21-\x7e]*+\Z")
# explain-string   = *( macro-string / SP )
_VISIBLE_OR_SPACE = re.compile(r"[\x20-\x7e]*+\Z")
# The parts of a text that is right: literals, macros (the group is the letter), and the other things with a "%".
# RFC 7208 section 7.3: "If a DIGIT is specified, the value MUST be nonzero."
_PART = re.compile(
    r"[\x20-\x24\x26-\x7e]++|%\{([slodiphcrtv])(?:0*[1-9][0-9]*+)?+r?[-.+,/_=]*+\}|%[%_-]", re.ASCII | re.IGNORECASE
)


class Macro(NamedTuple):
    """One ``%{...}``: which value, and how it is transformed (RFC 7208 section 7.3)."""

    text: str
    """As it is written between the braces."""
    letter: str
    selection: slice | None
    """Which parts of the value stay, and in which order; None: it is not split at all."""
    delimiter: str
    """What it is split at."""
    delimiters: str
    """What else it is split at."""
    escape: bool
    """Written as a capital: the result is URL-escaped."""

    def expand(self, values: Mapping[str, str]) -> str:
        """The value, transformed."""
        _, letter, selection, delimiter, delimiters, escape = self
        value = values[letter]
        if selection is not None:
            # RFC 7208 section 7.3: no special treatment of leading, trailing or consecutive delimiters.
            if delimiters:
                for other in delimiters:
                    value = value.replace(other, delimiter)
            value = ".".join(value.split(delimiter)[selection])
        return _url_escape(value) if escape else value


class MacroString(NamedTuple):
    """A parsed ``macro-string``, or a ``domain-spec``, which is one that ends like a domain name."""

    text: str
    """As it is written."""
    template: str
    """The same for Python's operator "%", which takes the values from a dict by the texts of the macros."""
    transformed: tuple[Macro, ...]
    """The macros that are more than the letter of a value."""
    letters: frozenset[str]
    """The macro letters in it, in lower case; none: what it expands to does not depend on the message."""

    def __str__(self) -> str:
        return self.text

    def __hash__(self) -> int:
        return hash(self.text)  # everything else follows from it


_new = tuple.__new__  # makes a named tuple without the detour of its constructor
_NO_LETTERS: frozenset[str] = frozenset()


def parse_macro_string(text: str, start: int = 0) -> MacroString:
    """Parse a ``macro-string``; `start` is where it stands in its term. Raises `TermError`."""
    return _parse(text, start, _VISIBLE)[0]


def parse_explain_string(text: str) -> MacroString:
    """Parse an ``explain-string``: a macro string with spaces. Raises `TermError`."""
    return _parse(text, 0, _VISIBLE_OR_SPACE)[0]


def _parse(text: str, start: int, visible: re.Pattern[str]) -> tuple[MacroString, str]:
    """The macro string, and the literal text behind its last macro-expand."""
    given, letters = text, ""
    transformed: list[Macro] = []
    special = text.count("%") != text.count("%{")
    if special:
        for sign, meaning in _SPECIAL.items():
            text = text.replace(sign, meaning.replace("%", _PERCENT) + _END)
    tail, *pieces = text.split("%{")
    template = tail
    try:
        if not visible.match(given) or (special and text.count("%") != len(pieces)):
            raise ValueError(given)
        for piece in pieces:
            name, tail = piece.split("}", 1)
            if name not in _VALUES:
                transformed.append(_transformed(name))
            letters += name[0]
            template += f"%({name})s{tail}"
    except ValueError:
        raise _bad_macro(given, start, visible) from None
    if special:
        template = template.replace(_PERCENT, "%%").replace(_END, "")
        tail = tail.rpartition(_END)[2]
    return _new(MacroString, (given, template, tuple(transformed), frozenset(letters.lower()))), tail


# The order counts: in "%%{" and "%%_", the first two signs belong together.
_SPECIAL = {"%%": "%", "%_": " ", "%-": "%20"}
# While a text is taken apart: what stands for a percent sign, and for the end of one of these.
_PERCENT, _END = "\1", "\2"
# %{ir} is what nearly every "exists" begins with, as a query to a DNS list does: the client has it ready.
_VALUES = frozenset((*"slodiphcrtv", "ir"))
# RFC 7208 section 7.3: "If a DIGIT is specified, the value MUST be nonzero." At least 127 must be supported, the most
# labels that a name has; a sender may have more parts, but not 99,999.
_TRANSFORMED = re.compile(r"([slodiphcrtvSLODIPHCRTV])(?:0*([1-9][0-9]{0,4})[0-9]*)?+([rR]?)([-.+,/_=]?)([-.+,/_=]*)\Z")
_ALL, _REVERSED = slice(None), slice(None, None, -1)


def _transformed(macro: str) -> Macro:
    """The macro between its braces; `ValueError` for anything else (RFC 7208 section 7.3)."""
    match = _TRANSFORMED.match(macro)
    if match is None:
        raise ValueError(macro)
    letter, digits, reverse, delimiter, others = match.groups()
    selection: slice | None
    if digits:
        keep = int(digits)
        # The last parts after reversal are the first ones before it.
        selection = slice(keep - 1, None, -1) if reverse else slice(-keep, None)
    else:
        selection = _REVERSED if reverse else _ALL if delimiter else None
    value = letter.lower()
    return _new(Macro, (macro, value, selection, delimiter or ".", _distinct(others), value != letter))


def _distinct(characters: str) -> str:
    return "".join(dict.fromkeys(characters)) if characters else ""


def _bad_macro(text: str, start: int, visible: re.Pattern[str]) -> TermError:
    """What is wrong with a text that is no macro string."""
    position = 0
    while (part := _PART.match(text, position)) is not None:
        position = part.end()
    if visible is _VISIBLE and " " in text[:position]:
        position = text.index(" ")
    if text[position] != "%":
        return TermError("bad-character", f"{text[position]!a} is not allowed here", start + position, 1)
    end = text.find("}", position) + 1 if text.startswith("%{", position) else min(position + 2, len(text))
    end = end or len(text)
    words = "a % begins %{letter...}, %%, %_ or %- (RFC 7208 section 7.1)"
    if text[position + 3 : end].startswith("0"):
        words = "the number in a macro must not be zero (RFC 7208 section 7.3)"
    return TermError("bad-macro", words, start + position, end - position)


# domain-spec      = macro-string domain-end
# domain-end       = ( "." toplabel [ "." ] ) / macro-expand
_PLAIN = re.compile(r"[\x21-\x24\x26-\x7e]+\Z")


def parse_domain_spec(text: str, start: int = 0) -> MacroString:
    """Parse ``domain-spec``; `start` is where it stands in its term. Raises `TermError`."""
    if "%" not in text and _PLAIN.match(text):
        tail, spec = text, _new(MacroString, (text, text, (), _NO_LETTERS))
    else:
        spec, tail = _parse(text, start, _VISIBLE)
        if not EXPLANATION_LETTERS.isdisjoint(spec.letters):
            # RFC 7208 section 7.2: "The following macro letters are allowed only in "exp" text".
            words = "%{c}, %{r} and %{t} are allowed in explanation texts only"
            macro = next(part for part in _PART.finditer(text) if (part[1] or "").lower() in EXPLANATION_LETTERS)
            raise TermError("bad-macro", words, start + macro.start(), len(macro[0]))
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


def expand_name(string: MacroString, values: dict[str, str]) -> str:
    """The expansion for use as a name: at least its last 254 octets, which `target_name` needs to see.

    The transformed values are added to `values`.
    """
    _, template, transformed, _ = string
    if len(template) <= _SHORT_TEMPLATE:
        for macro in transformed:
            values[macro[0]] = macro.expand(values)
        return template % values
    expanded: list[str] = []
    length = 0
    for part in reversed(list(_PART.finditer(string.text))):
        expanded.append(_expand_part(part, values))
        length += len(expanded[-1])
        if length > MAX_NAME_OCTETS + 1:
            break
    return "".join(reversed(expanded))


_SHORT_TEMPLATE = 128
"""Some 20 macros at most, which are put in without looking at their length: a value has some 1,000 characters."""


def expand_text(string: MacroString, values: dict[str, str], limit: int) -> str:
    """The expansion for people, cut after `limit` characters."""
    expanded = ""
    for part in _PART.finditer(string.text):
        expanded += _expand_part(part, values)
        if len(expanded) >= limit:
            break
    return expanded[:limit]


def _expand_part(part: re.Match[str], values: dict[str, str]) -> str:
    if part[1]:
        name = part[0][2:-1]
        return values[name] if name in _VALUES else _transformed(name).expand(values)
    return _SPECIAL.get(part[0], part[0])


def target_name(expanded: str) -> str | None:
    """The name that is asked for an expanded domain-spec: lower case, no final dot; None where there is none.

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
    # RFC 7208 section 7.3: capital letters escape all that is not unreserved.
    if _UNRESERVED.match(value):
        return value
    octets = value.encode("utf-8", "surrogatepass")
    return "".join(chr(octet) if octet in _UNRESERVED_OCTETS else f"%{octet:02X}" for octet in octets)
