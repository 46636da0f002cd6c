# What belongs here: octets of a field in, values or a typed failure out.
#
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
#
# SECURITY: every octet may be a forger's. Nothing raises; each character is looked at a fixed number of times (white
# space and comments before a detached "@" twice); comments nest to `MAX_COMMENT_DEPTH`; a field over
# `MAX_FIELD_OCTETS` is not read.
"""Reading Authentication-Results fields."""

from __future__ import annotations

import re

from mailauth.authres.grammar import (
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
    MAX_KEYWORD_CHARACTERS,
    MAX_VERSION,
    QTEXT,
    QUOTED_PAIR,
    SUPPORTED_VERSION,
    TOKEN,
    UNSAFE,
)
from mailauth.authres.model import AuthenticationResults, MethodResult, ParseFailure, Property, Reason

_LAST_LINE_END = re.compile(r"\r?\n\Z")
_NAME = re.compile(rf"{FIELD_NAME}[ \t]*:", re.IGNORECASE)
_BLANKS = re.compile(r"[ \t]+")
_UNSAFE = re.compile(f"[{UNSAFE}]")


def parse(value: bytes | str) -> AuthenticationResults | ParseFailure:
    """Read the value of a field: what stands behind the colon, folded or not, with or without the last line end.

    Strict about structure: every departure from the grammar above is a `ParseFailure` with its place; lenient about
    the characters of an unquoted property value (docs/conformance.md). Unknown methods, results, ptypes and
    properties are kept. Keywords come back in lower case. Comments are kept behind results, reasons and property
    values, elsewhere read over.
    """
    text = _decode(value)
    if isinstance(text, ParseFailure):
        return text
    scanner = Scanner(_LAST_LINE_END.sub("", text))
    try:
        return _payload(scanner)
    except Trouble as trouble:
        return _failure(trouble, scanner, value)


def parse_field(field: bytes | str) -> AuthenticationResults | ParseFailure:
    """Read a whole field, its name included."""
    start = field[: len(FIELD_NAME) + 100]
    match = _NAME.match(start if isinstance(start, str) else start.decode("latin-1"))
    if match is None:
        return ParseFailure(Reason.OTHER_FIELD, 0, f"this is no {FIELD_NAME} field")
    result = parse(field[match.end() :])
    if isinstance(result, ParseFailure):
        return ParseFailure(result.reason, result.position + match.end(), result.detail, result.authserv_id)
    return result


def _decode(value: bytes | str) -> str | ParseFailure:
    if not isinstance(value, bytes | str):
        raise TypeError(f"a field is bytes or text, not {type(value).__name__}")
    if len(value) > MAX_FIELD_OCTETS:
        return ParseFailure(Reason.TOO_LONG, MAX_FIELD_OCTETS, f"the field is over {MAX_FIELD_OCTETS} octets long")
    if isinstance(value, str):
        return value
    try:
        return value.decode("utf-8")  # RFC 6532 section 3.2
    except UnicodeDecodeError as error:
        return ParseFailure(Reason.NOT_UTF8, error.start, "the field holds octets that are no UTF-8")


def _failure(trouble: Trouble, scanner: Scanner, value: bytes | str) -> ParseFailure:
    position = trouble.position
    if isinstance(value, bytes):
        position = len(scanner.text[:position].encode("utf-8"))
    return ParseFailure(trouble.reason, position, trouble.detail, scanner.authserv_id)


class Trouble(Exception):
    """The text stops being a field at `position`."""

    def __init__(self, reason: Reason, position: int, detail: str) -> None:
        self.reason = reason
        self.position = position
        self.detail = detail


class Scanner:
    """A place in a text, and the small tokens that can be read there."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.authserv_id = ""

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

    def trouble(self, reason: Reason, detail: str) -> Trouble:
        """The trouble to raise for what stands here; controls and broken folds go by their own name."""
        here = self.peek()
        if here in {"\r", "\n"} and here:
            reason, detail = Reason.BAD_FOLD, "a line end that no white space follows"
        elif _UNSAFE.match(here):
            reason, detail = Reason.CONTROL_CHARACTER, "a control character"
        return Trouble(reason, self.position, detail)

    # CFWS    = (1*([FWS] comment) [FWS]) / FWS
    def cfws(self) -> tuple[bool, str]:
        """Step over white space and comments: whether there were any, and what the comments say."""
        start, comments = self.position, []
        self.take(FWS)
        while self.peek() == "(":
            comments.append(self._comment())
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
                    raise self.trouble(Reason.COMMENT_TOO_DEEP, f"comments nest deeper than {MAX_COMMENT_DEPTH}")
            elif here == ")":
                depth -= 1
            if here in {"(", ")"} and here:
                self.position += 1
                pieces.append(here)
                if not depth:
                    return _BLANKS.sub(" ", "".join(pieces)[1:-1]).strip(" ")
            elif not self._content(CTEXT, pieces):
                raise self._broken_off(Reason.UNTERMINATED_COMMENT, start, "this comment has no end")

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
        self.position += 1
        while self._content(QTEXT, pieces):
            pass
        if not self.skip('"'):
            raise self._broken_off(Reason.UNTERMINATED_QUOTED_STRING, start, "this quoted string has no end")
        return "".join(pieces)

    def _broken_off(self, reason: Reason, start: int, detail: str) -> Trouble:
        """The trouble where quotes or parentheses stop short: at the end of the text, or at what may not be there."""
        self.skip("\\")
        return self.trouble(reason, detail) if self.peek() else Trouble(reason, start, detail)

    # value = token / quoted-string
    def value(self, reason: Reason, what: str) -> str:
        """A value; trouble if there is none."""
        if self.peek() == '"':
            return self.quoted_string()
        token = self.take(TOKEN)
        if not token:
            raise self.trouble(reason, f"expected {what}")
        return token

    def keyword(self, reason: Reason, what: str) -> str:
        """A keyword in lower case; trouble if there is none."""
        start, word = self.position, self.take(KEYWORD_RUN)
        if not word:
            raise self.trouble(reason, f"expected {what}")
        if word.endswith("-"):
            raise Trouble(reason, start, f"{what} ends with a hyphen")
        if len(word) > MAX_KEYWORD_CHARACTERS:
            raise Trouble(Reason.TOO_LONG, start, f"{what} is over {MAX_KEYWORD_CHARACTERS} characters long")
        return word.lower()

    def version(self) -> int:
        """1*DIGIT; trouble if there is none."""
        start, digits = self.position, self.take(DIGITS)
        if not digits:
            raise self.trouble(Reason.UNEXPECTED, "expected a version number")
        if len(digits) > len(str(MAX_VERSION)):
            raise Trouble(Reason.UNSUPPORTED_VERSION, start, "the version number is absurdly long")
        return int(digits)

    def expect(self, character: str) -> None:
        """Step over CFWS, the character, and CFWS."""
        self.cfws()
        if not self.skip(character):
            raise self.trouble(Reason.UNEXPECTED, f'expected "{character}"')
        self.cfws()


def _payload(scanner: Scanner) -> AuthenticationResults:
    authserv_id = _authserv_id(scanner)
    spaced = scanner.cfws()[0]
    if spaced and DIGITS.match(scanner.peek()):
        _field_version(scanner)
    if not scanner.peek():
        # RFC 8601 section 2.2: one result at least, or the word "none".
        raise scanner.trouble(Reason.NO_RESULTS, 'no results, and no "none" either')
    results: list[MethodResult] = []
    while scanner.skip(";"):
        result = _resinfo(scanner)
        if result is None:
            if results or scanner.peek():
                raise scanner.trouble(Reason.UNEXPECTED, '"none" stands alone')
            break
        results.append(result)
    if scanner.peek():
        raise scanner.trouble(Reason.UNEXPECTED, 'expected ";" or the end')
    return AuthenticationResults(authserv_id, tuple(results))


def _authserv_id(scanner: Scanner) -> str:
    scanner.cfws()
    start = scanner.position
    authserv_id = scanner.value(Reason.NO_AUTHSERV_ID, "an authserv-id")
    if not authserv_id.strip():
        raise Trouble(Reason.NO_AUTHSERV_ID, start, "the authserv-id is empty")
    if len(authserv_id.encode("utf-8", "surrogatepass")) > MAX_ID_OCTETS:
        raise Trouble(Reason.TOO_LONG, start, f"the authserv-id is over {MAX_ID_OCTETS} octets long")
    if scanner.peek() == "=":
        # Some servers leave the id out, and the first method stands in its place.
        raise Trouble(Reason.NO_AUTHSERV_ID, start, "a result stands where the authserv-id belongs")
    scanner.authserv_id = authserv_id
    return authserv_id


def _field_version(scanner: Scanner) -> None:
    start = scanner.position
    version = scanner.version()
    if version != SUPPORTED_VERSION:
        # RFC 8601 section 2.6: discontinue, for what follows might not be in the expected format.
        raise Trouble(Reason.UNSUPPORTED_VERSION, start, "the only known version is 1")
    scanner.cfws()


def _resinfo(scanner: Scanner) -> MethodResult | None:
    """One result, up to the next semicolon; None for the word "none" of no-result."""
    scanner.cfws()
    method = scanner.keyword(Reason.EXPECTED_METHOD, "a method")
    scanner.cfws()
    if method == "none" and scanner.peek() not in {"=", "/"}:
        return None
    version = SUPPORTED_VERSION
    if scanner.skip("/"):
        scanner.cfws()
        version = scanner.version()
    scanner.expect("=")
    result = scanner.keyword(Reason.EXPECTED_RESULT, "a result")
    spaced, comment = scanner.cfws()
    properties: list[Property] = []
    reason = None
    while scanner.peek() not in {"", ";"}:
        if not spaced:
            raise scanner.trouble(Reason.UNEXPECTED, "expected white space")
        name = scanner.keyword(Reason.EXPECTED_PROPERTY, "a property type")
        if name == "reason" and reason is None and not properties and _is_reason(scanner):
            reason = scanner.value(Reason.EXPECTED_VALUE, "a reason")
            spaced, more = scanner.cfws()
            comment = " ".join(filter(None, (comment, more)))
        else:
            properties.append(_propspec(scanner, name))
            spaced = True  # RFC 8601 section 2.2: nothing need stand between a pvalue and the next propspec
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
        value = scanner.take(BARE_RUN)
        if not value:
            raise scanner.trouble(Reason.EXPECTED_VALUE, "expected a value")
        if "@" in value:
            return _checked(scanner, value, start)
        local_part = value if LOCAL_PART.fullmatch(value) else ""
    end = scanner.position
    if local_part and _at_follows(scanner):
        start = scanner.position
        return local_part + _checked(scanner, scanner.take(BARE_RUN), start)
    scanner.position = end
    return value if local_part.startswith('"') else _checked(scanner, value, start)


def _at_follows(scanner: Scanner) -> bool:
    scanner.cfws()
    return scanner.peek() == "@"


def _checked(scanner: Scanner, value: str, start: int) -> str:
    """An unquoted value may hold "=" only in a local part: elsewhere it belongs to the next property."""
    equals = value.find("=")
    if equals >= 0 and not BARE_IDENTITY.fullmatch(value):
        raise Trouble(Reason.UNEXPECTED, start + equals, 'a value with "=" needs quotes')
    if value.endswith("@"):
        raise Trouble(Reason.EXPECTED_VALUE, start + len(value), 'expected a domain behind the "@"')
    return value
