"""Reading Authentication-Results fields: octets in, values or a typed failure out."""

# RFC 8601 section 2.2, with RFC 5322 section 3.2 for CFWS and quoted-string, RFC 2045 section 5.1 for value:
#   authres-payload = [CFWS] authserv-id [ CFWS authres-version ] ( no-result / 1*resinfo ) [CFWS] CRLF
#   authserv-id     = value
#   authres-version = 1*DIGIT [CFWS]
#   no-result       = [CFWS] ";" [CFWS] "none"
#   resinfo         = [CFWS] ";" methodspec [ CFWS reasonspec ] [ CFWS 1*propspec ]
#   methodspec      = [CFWS] method [CFWS] "=" [CFWS] result
#   method          = Keyword [ [CFWS] "/" [CFWS] method-version ]
#   reasonspec      = "reason" [CFWS] "=" [CFWS] value
#   propspec        = ptype [CFWS] "." [CFWS] property [CFWS] "=" pvalue
#   pvalue          = [CFWS] ( value / [ [ local-part ] "@" ] domain-name ) [CFWS]
#   value           = token / quoted-string
# RFC 8617 section 4.1.1, for ARC-Authentication-Results:
#   arc-info        = instance [CFWS] ";" authres-payload
#   instance        = [CFWS] "i" [CFWS] "=" [CFWS] 1*2DIGIT
#
# Lenient reading follows the same grammar. Where the text leaves it, the place is noted, and reading goes on: behind
# the word within a result, at the next semicolon where no method with its result was read.
#
# SECURITY: every octet may be a forger's. Nothing raises; each character is looked at a fixed number of times (white
# space and comments before a detached "@" twice; what quotes or parentheses without an end hold, once more for each of
# the first `_MAX_BROKEN`); comments nest to `MAX_COMMENT_DEPTH`; a field over `MAX_FIELD_OCTETS` is not read; of
# defects, `MAX_DEFECTS` are kept.

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal, overload

from mailauth.authres.field import AuthenticationResults, Defect, ParseFailure, Reason
from mailauth.authres.result import MethodResult, Property
from mailauth.authres.words import (
    ARC_FIELD_NAME,
    BARE_IDENTITY,
    BARE_RUN,
    CTEXT,
    DIGITS,
    FIELD_NAME,
    FOLD,
    FWS,
    KEYWORD_RUN,
    LOCAL_PART,
    MAX_COMMENT_DEPTH,
    MAX_FIELD_OCTETS,
    MAX_ID_OCTETS,
    MAX_INSTANCE,
    MAX_KEYWORD_CHARACTERS,
    MAX_VERSION,
    QTEXT,
    QUOTED_PAIR,
    SUPPORTED_VERSION,
    TOKEN,
    UNSAFE,
)

MAX_DEFECTS = 100
"""So many defects of one field are listed."""

_LAST_LINE_END = re.compile(r"\r?\n\Z")
_NAME = re.compile(rf"(?:{FIELD_NAME}|({ARC_FIELD_NAME}))[ \t]*:", re.IGNORECASE)
_BLANKS = re.compile(r"[ \t]+")
_UNSAFE = re.compile(f"[{UNSAFE}]")
_UNSAFE_BUT_FOLDS = re.compile(rf"(?![\r\n])[{UNSAFE}]")
_ESCAPED_OCTET = re.compile("[\udc80-\udcff]")  # as "surrogateescape" decodes anything that is not UTF-8

# For lenient reading. What a bare value holds that has quotes or a backslash in it; a word that is stepped over;
# comments and strings without an end, read to the first character that may end them; where a result begins.
_LAX_RUN = re.compile(r"[^\s;()]+")
_LAX_ID = re.compile(r'(?!")[^\s;()]+')
_JUNK = re.compile(r'[^\s;"()]+|[^;]')
_BROKEN_COMMENT = re.compile(r"\(([^();]*+)\)?")
_BROKEN_STRING = re.compile(r'"([^\s";()]*+)"?')
_BAD_LINE_END = re.compile(r"\r(?!\n[ \t])|\n(?![ \t])")
_PAIR = re.compile(r"[A-Za-z0-9-]+[ \t]*(?:/[ \t]*[0-9]+[ \t]*)?=")
_PROPERTY = re.compile(r"[A-Za-z0-9-]+\.[A-Za-z0-9-]+=")
_INSTANCE = re.compile(r"[ \t]*i[ \t]*=[ \t]*[0-9]+[ \t]*;")
_MAX_BROKEN = 8

# RFC 7208 section 9.1: some servers put these pairs of Received-SPF between results.
_RECEIVED_SPF_KEYS = {"client-ip", "envelope-from", "helo", "identity", "mechanism", "problem", "receiver"}


@overload
def parse(
    value: bytes | str, *, lenient: Literal[False] = False, arc: bool = False
) -> AuthenticationResults | ParseFailure: ...
@overload
def parse(value: bytes | str, *, lenient: Literal[True], arc: bool = False) -> AuthenticationResults: ...
@overload
def parse(value: bytes | str, *, lenient: bool, arc: bool = False) -> AuthenticationResults | ParseFailure: ...
def parse(value: bytes | str, *, lenient: bool = False, arc: bool = False) -> AuthenticationResults | ParseFailure:
    """Read the value of a field: what stands behind the colon, folded or not, with or without the last line end.

    Strict about structure: every departure from the grammar above is a `ParseFailure` with its place; lenient about
    the characters of an unquoted property value (docs/conformance.md). Unknown methods, results, ptypes and
    properties are kept. Keywords come back in lower case. Comments are kept behind results, reasons and property
    values, elsewhere read over. `arc`: this is an ARC-Authentication-Results field, with its instance in front.

    With `lenient` there is always a field: every result that can be read, and the rest as `defects` with their
    places. A missing authserv-id is "", and what may not stand in a field is read as U+FFFD.
    """
    if not isinstance(value, bytes | str):
        raise TypeError(f"a field is bytes or text, not {type(value).__name__}")
    if len(value) > MAX_FIELD_OCTETS:
        failure = ParseFailure(Reason.TOO_LONG, MAX_FIELD_OCTETS, f"the field is over {MAX_FIELD_OCTETS} octets long")
        return AuthenticationResults("", defects=(failure,)) if lenient else failure
    # RFC 6532 section 3.2: UTF-8
    text = value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")

    scanner = Scanner(_LAST_LINE_END.sub("", text), lenient=lenient)
    results: tuple[MethodResult, ...] = ()
    instance, failed = None, False
    try:
        if isinstance(value, bytes) and (match := _ESCAPED_OCTET.search(text)):
            scanner.defect(Reason.NOT_UTF8, "the field holds octets that are no UTF-8", match.start())
            scanner.text = _ESCAPED_OCTET.sub("\ufffd", scanner.text)
        if lenient:
            scanner.clean()
        results, instance = _payload(scanner, arc)
    except Malformed as error:
        failed = True
        scanner.defects.append(error.defect)
    defects = scanner.defects
    if isinstance(value, bytes) and not value.isascii():
        places = [len(text[: d.position].encode("utf-8", "surrogateescape")) for d in defects]
        defects = [replace(d, position=place) for d, place in zip(defects, places, strict=True)]
    if failed and not lenient:
        return ParseFailure(defects[0].reason, defects[0].position, defects[0].detail, scanner.authserv_id)
    return AuthenticationResults(scanner.authserv_id, results, instance=instance, defects=tuple(defects))


@overload
def parse_field(field: bytes | str, *, lenient: Literal[False] = False) -> AuthenticationResults | ParseFailure: ...
@overload
def parse_field(field: bytes | str, *, lenient: bool) -> AuthenticationResults | ParseFailure: ...
def parse_field(field: bytes | str, *, lenient: bool = False) -> AuthenticationResults | ParseFailure:
    """Read a whole field, its name included: Authentication-Results, or ARC-Authentication-Results (RFC 8617).

    A field of another name is a `ParseFailure` in any case.
    """
    start = field[: len(ARC_FIELD_NAME) + 100]
    match = _NAME.match(start if isinstance(start, str) else start.decode("latin-1"))
    if match is None:
        return ParseFailure(Reason.OTHER_FIELD, 0, f"this is no {FIELD_NAME} field")
    skipped = match.end()
    result = parse(field[skipped:], lenient=lenient, arc=match[1] is not None)
    if isinstance(result, ParseFailure):
        return replace(result, position=result.position + skipped)
    defects = tuple(replace(defect, position=defect.position + skipped) for defect in result.defects)
    return replace(result, defects=defects) if defects else result


class Malformed(Exception):
    """The text leaves the grammar at a place."""

    def __init__(self, reason: Reason, position: int, detail: str) -> None:
        self.defect = Defect(reason, position, detail)


class Scanner:
    """A place in a text, and the small tokens that can be read there.

    What leaves the grammar raises `Malformed`; where `lenient`, most of it is noted in `defects` instead.
    """

    def __init__(self, text: str, *, lenient: bool = False) -> None:
        self.text = text
        self.position = 0
        self.authserv_id = ""
        self.lenient = lenient
        self.defects: list[Defect] = []
        self._broken = 0  # comments and strings that were read to the end in vain

    def take(self, pattern: re.Pattern[str]) -> str:
        """The text that the pattern matches here, "" for nothing."""
        match = pattern.match(self.text, self.position)
        if match is None:
            return ""
        self.position = match.end()
        return match.group()

    def peek(self) -> str:
        """The next character, "" at the end."""
        return self.text[self.position : self.position + 1]

    def skip(self, character: str) -> bool:
        """Step over the character, if it is next."""
        found = self.text.startswith(character, self.position)
        self.position += found
        return found

    def malformed(self, reason: Reason, detail: str) -> Malformed:
        """The error to raise for what stands here; controls and broken folds go by their own name."""
        here = self.peek()
        if here in {"\r", "\n"} and here:
            reason, detail = Reason.BAD_FOLD, "a line end that no white space follows"
        elif _UNSAFE.match(here):
            reason, detail = Reason.CONTROL_CHARACTER, "a control character"
        return Malformed(reason, self.position, detail)

    def defect(self, reason: Reason, detail: str, position: int | None = None) -> None:
        """Raise `Malformed`, or where `lenient` note the defect and go on."""
        if position is None:
            error = self.malformed(reason, detail)
        else:
            error = Malformed(reason, position, detail)
        self.note(error)

    def note(self, error: Malformed) -> None:
        """Raise the error, or where `lenient` note it."""
        if not self.lenient:
            raise error
        if len(self.defects) < MAX_DEFECTS:
            self.defects.append(error.defect)

    def clean(self) -> None:
        """Replace each character that may not stand in a field, so that it cannot pass for another; note the first."""
        for pattern, reason, detail, character in (
            (_BAD_LINE_END, Reason.BAD_FOLD, "a line end that no white space follows", " "),
            (_UNSAFE_BUT_FOLDS, Reason.CONTROL_CHARACTER, "a control character", "\ufffd"),
        ):
            if match := pattern.search(self.text):
                self.defect(reason, detail, match.start())
                self.text = pattern.sub(character, self.text)

    # CFWS    = (1*([FWS] comment) [FWS]) / FWS
    def cfws(self) -> tuple[bool, str]:
        """Step over white space and comments: whether there were any, and what the comments say."""
        start, comments = self.position, []
        self.take(FWS)
        while self.peek() == "(" or (self.lenient and self.peek() == ")"):
            if self.peek() == "(":
                comments.append(self._lax_comment() if self.lenient else self._comment())
            else:
                self.defect(Reason.UNEXPECTED, 'a ")" that closes no comment')
                self.position += 1
            self.take(FWS)
        return self.position > start, " ".join(filter(None, comments))

    # comment = "(" *([FWS] ccontent) [FWS] ")";  ccontent = ctext / quoted-pair / comment
    def _comment(self) -> str:
        start, depth, pieces = self.position, 0, []
        while True:
            here = self.peek()
            if here == "(":
                depth += 1
                if depth > MAX_COMMENT_DEPTH:
                    raise self.malformed(Reason.COMMENT_TOO_DEEP, f"comments nest deeper than {MAX_COMMENT_DEPTH}")
            elif here == ")":
                depth -= 1
            if here in {"(", ")"} and here:
                self.position += 1
                pieces.append(here)
                if not depth:
                    return _BLANKS.sub(" ", "".join(pieces)[1:-1]).strip(" ")
            elif not self._content(CTEXT, pieces):
                raise self._broken_off(Reason.UNTERMINATED_COMMENT, start, "this comment has no end")

    def _lax_comment(self) -> str:
        """A comment; one without an end, or too deep, is read to the first parenthesis or semicolon."""
        start = self.position
        if self._broken < _MAX_BROKEN:
            try:
                return self._comment()
            except Malformed as error:
                self.note(error)
                self.position = start
                self._broken += 1
        text = self.take(_BROKEN_COMMENT)
        return _BLANKS.sub(" ", text.strip("()")).strip(" ")

    def _content(self, run: re.Pattern[str], pieces: list[str]) -> bool:
        """Read plain text, a quoted pair or a fold within quotes or parentheses."""
        if text := self.take(run):
            pieces.append(text)
        elif pair := self.take(QUOTED_PAIR):
            pieces.append(pair[1])
        elif not self.take(FOLD):
            return False
        return True

    # quoted-string = [CFWS] DQUOTE *([FWS] qcontent) [FWS] DQUOTE [CFWS]
    def quoted_string(self) -> str:
        """The content of the quoted string that begins here: folds undone, pairs resolved."""
        start, pieces = self.position, list[str]()
        if self._broken < _MAX_BROKEN:
            self.position += 1
            while self._content(QTEXT, pieces):
                pass
            if self.skip('"'):
                return "".join(pieces)
            self.note(self._broken_off(Reason.UNTERMINATED_QUOTED_STRING, start, "this quoted string has no end"))
            self.position = start
            self._broken += 1
        return self.take(_BROKEN_STRING).strip('"')

    def _broken_off(self, reason: Reason, start: int, detail: str) -> Malformed:
        """The error where quotes or parentheses stop short: at the end of the text, or at what may not be there."""
        self.skip("\\")
        return self.malformed(reason, detail) if self.peek() else Malformed(reason, start, detail)

    # value = token / quoted-string
    def value(self, reason: Reason, what: str) -> str:
        """A value; `Malformed` if there is none."""
        if self.peek() == '"':
            return self.quoted_string()
        token = self.take(TOKEN)
        if not token:
            raise self.malformed(reason, f"expected {what}")
        return token

    def keyword(self, reason: Reason, what: str) -> str:
        """A keyword in lower case; `Malformed` if there is none."""
        start, word = self.position, self.take(KEYWORD_RUN)
        if not word:
            raise self.malformed(reason, f"expected {what}")
        if word.endswith("-"):
            raise Malformed(reason, start, f"{what} ends with a hyphen")
        if len(word) > MAX_KEYWORD_CHARACTERS:
            raise Malformed(Reason.TOO_LONG, start, f"{what} is over {MAX_KEYWORD_CHARACTERS} characters long")
        return word.lower()

    def version(self) -> int:
        """1*DIGIT; `Malformed` if there is none."""
        start, digits = self.position, self.take(DIGITS)
        if not digits:
            raise self.malformed(Reason.UNEXPECTED, "expected a version number")
        if len(digits) > len(str(MAX_VERSION)):
            raise Malformed(Reason.UNSUPPORTED_VERSION, start, "the version number is absurdly long")
        return int(digits)

    def expect(self, character: str) -> None:
        """Step over CFWS, the character, and CFWS."""
        self.cfws()
        if not self.skip(character):
            raise self.malformed(Reason.UNEXPECTED, f'expected "{character}"')
        self.cfws()

    def skip_word(self) -> None:
        """Step over what cannot be read: a word, a comment or a quoted string."""
        if self.peek() == '"':
            self.quoted_string()
        elif not self.cfws()[0]:
            self.take(_JUNK)

    def skip_result(self) -> None:
        """Step over everything up to the next semicolon."""
        while self.peek() not in {"", ";"}:
            self.skip_word()


def _payload(scanner: Scanner, arc: bool) -> tuple[tuple[MethodResult, ...], int | None]:
    """The results, and the instance of an ARC-Authentication-Results field."""
    instance = _instance(scanner) if arc or (scanner.lenient and _INSTANCE.match(scanner.text)) else None
    begun = _authserv_id(scanner)
    if not begun:
        spaced = scanner.cfws()[0]
        if spaced and DIGITS.match(scanner.peek()):
            start = scanner.position
            if scanner.version() != SUPPORTED_VERSION:
                # RFC 8601 section 2.6: discontinue, for what follows might not be in the expected format.
                scanner.defect(Reason.UNSUPPORTED_VERSION, "the only known version is 1", start)
                return (), instance
            scanner.cfws()
        if not scanner.peek():
            # RFC 8601 section 2.2: one result at least, or the word "none".
            scanner.defect(Reason.NO_RESULTS, 'no results, and no "none" either')
        elif scanner.lenient and scanner.peek() != ";":
            scanner.defect(Reason.UNEXPECTED, 'expected ";"')
            begun = _PAIR.match(scanner.text, scanner.position) is not None
            if not begun:
                scanner.skip_result()
    results: list[MethodResult] = []
    while begun or scanner.skip(";"):
        begun = False
        try:
            result = _resinfo(scanner)
        except Malformed as error:
            scanner.note(error)
            scanner.skip_result()
            continue
        if result is not None:
            results.append(result)
        elif results or scanner.peek():
            scanner.defect(Reason.UNEXPECTED, '"none" stands alone')
        if scanner.peek() not in {"", ";"}:
            scanner.defect(Reason.UNEXPECTED, 'expected ";" or the end')
            scanner.skip_result()
    if scanner.peek():
        raise scanner.malformed(Reason.UNEXPECTED, 'expected ";" or the end')
    return tuple(results), instance


def _instance(scanner: Scanner) -> int | None:
    """The instance with its semicolon; None if it cannot be read."""
    scanner.cfws()
    start = scanner.position
    try:
        if scanner.keyword(Reason.BAD_INSTANCE, "an instance") != "i":
            raise Malformed(Reason.BAD_INSTANCE, start, 'expected "i="')
        scanner.expect("=")
        place, digits = scanner.position, scanner.take(DIGITS)
        if not digits or len(digits) > 2 or not 1 <= int(digits) <= MAX_INSTANCE:
            raise Malformed(Reason.BAD_INSTANCE, place, f"expected a number from 1 to {MAX_INSTANCE}")
        scanner.expect(";")
    except Malformed as error:
        scanner.note(error)
        if _INSTANCE.match(scanner.text, start):
            scanner.take(_INSTANCE)
            scanner.position = scanner.text.index(";", start) + 1
        else:
            scanner.position = start
        return None
    return int(digits)


def _authserv_id(scanner: Scanner) -> bool:
    """Read the authserv-id; whether the first result stands in its place (some servers leave the id out)."""
    scanner.cfws()
    start = scanner.position
    if scanner.lenient and _PAIR.match(scanner.text, start):
        scanner.defect(Reason.NO_AUTHSERV_ID, "a result stands where the authserv-id belongs", start)
        return True
    try:
        if scanner.lenient and (word := scanner.take(_LAX_ID)):
            if not TOKEN.fullmatch(word):
                scanner.defect(Reason.UNEXPECTED, "an authserv-id of these characters needs quotes", start)
            authserv_id = word
        else:
            authserv_id = scanner.value(Reason.NO_AUTHSERV_ID, "an authserv-id")
        if not authserv_id.strip():
            raise Malformed(Reason.NO_AUTHSERV_ID, start, "the authserv-id is empty")
        if len(authserv_id.encode("utf-8", "surrogatepass")) > MAX_ID_OCTETS:
            raise Malformed(Reason.TOO_LONG, start, f"the authserv-id is over {MAX_ID_OCTETS} octets long")
        if scanner.peek() == "=":
            raise Malformed(Reason.NO_AUTHSERV_ID, start, "a result stands where the authserv-id belongs")
    except Malformed as error:
        scanner.note(error)
        scanner.skip_result()
    else:
        scanner.authserv_id = authserv_id
    return False


def _resinfo(scanner: Scanner) -> MethodResult | None:
    """One result, up to the next semicolon; None for the word "none" of no-result."""
    scanner.cfws()
    start = scanner.position
    method = scanner.keyword(Reason.EXPECTED_METHOD, "a method")
    scanner.cfws()
    if method == "none" and scanner.peek() not in {"=", "/"}:
        return None
    if scanner.lenient and method in _RECEIVED_SPF_KEYS:
        raise Malformed(Reason.EXPECTED_METHOD, start, "a pair of Received-SPF stands here")
    version = SUPPORTED_VERSION
    if scanner.skip("/"):
        scanner.cfws()
        version = scanner.version()
    scanner.expect("=")
    result = scanner.keyword(Reason.EXPECTED_RESULT, "a result")
    spaced, comment = scanner.cfws()
    if not spaced and scanner.peek() not in {"", ";"}:
        raise scanner.malformed(Reason.UNEXPECTED, "expected white space")
    properties: list[Property] = []
    reason = None
    while scanner.peek() not in {"", ";"}:
        try:
            if not spaced:
                scanner.defect(Reason.UNEXPECTED, "expected white space")
            name = scanner.keyword(Reason.EXPECTED_PROPERTY, "a property type")
            if name == "reason" and reason is None and (scanner.lenient or not properties) and _is_reason(scanner):
                if properties:
                    scanner.defect(Reason.UNEXPECTED, "a reason stands before the properties")
                reason = scanner.value(Reason.EXPECTED_VALUE, "a reason")
                spaced, more = scanner.cfws()
                comment = " ".join(filter(None, (comment, more)))
            else:
                properties.append(_propspec(scanner, name))
                spaced = True  # RFC 8601 section 2.2: nothing need stand between a pvalue and the next propspec
        except Malformed as error:
            scanner.note(error)
            scanner.skip_word()
            scanner.cfws()
            spaced = True
    return MethodResult(method, result, tuple(properties), reason, comment, version)


def _is_reason(scanner: Scanner) -> bool:
    scanner.cfws()
    if not scanner.skip("="):
        return False
    scanner.cfws()
    return True


def _propspec(scanner: Scanner, ptype: str) -> Property:
    scanner.expect(".")
    name = scanner.keyword(Reason.EXPECTED_PROPERTY, "a property")
    scanner.expect("=")
    value = _pvalue(scanner)
    return Property(ptype, name, value, scanner.cfws()[1])


def _pvalue(scanner: Scanner) -> str:
    start = scanner.position
    if scanner.peek() == '"':
        value = scanner.quoted_string()
        # What the text of a quoted local part is: quotes and pairs as they came, without folds.
        local_part = FOLD.sub("", scanner.text[start : scanner.position])
    else:
        if scanner.lenient and (lax := _lax_value(scanner)) is not None:
            return lax
        value = scanner.take(BARE_RUN)
        if not value:
            raise scanner.malformed(Reason.EXPECTED_VALUE, "expected a value")
        if "@" in value:
            return _checked(scanner, value, start)
        local_part = value if LOCAL_PART.fullmatch(value) else ""
    end = scanner.position
    if local_part and _at_follows(scanner):
        start = scanner.position
        return local_part + _checked(scanner, scanner.take(BARE_RUN), start)
    scanner.position = end
    return value if local_part.startswith('"') else _checked(scanner, value, start)


def _lax_value(scanner: Scanner) -> str | None:
    """A value that others leave out, or write without the quotes that it needs; None for all others."""
    start = scanner.position
    if scanner.text[start - 1] != "=" and _PROPERTY.match(scanner.text, start):
        scanner.defect(Reason.EXPECTED_VALUE, "expected a value", start)
        return ""
    value = scanner.take(_LAX_RUN)
    if '"' in value or "\\" in value:
        scanner.defect(Reason.UNEXPECTED, "a value with quotes or backslashes in it needs quotes around it", start)
        return value
    scanner.position = start
    return None


def _at_follows(scanner: Scanner) -> bool:
    scanner.cfws()
    return scanner.peek() == "@"


def _checked(scanner: Scanner, value: str, start: int) -> str:
    """An unquoted value may hold "=" only in a local part: elsewhere it belongs to the next property."""
    equals = value.find("=")
    if equals >= 0 and not BARE_IDENTITY.fullmatch(value):
        scanner.defect(Reason.UNEXPECTED, 'a value with "=" needs quotes', start + equals)
    if value.endswith("@"):
        scanner.defect(Reason.EXPECTED_VALUE, 'expected a domain behind the "@"', start + len(value))
    return value
