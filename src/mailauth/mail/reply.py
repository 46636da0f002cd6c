"""SMTP replies: code, enhanced status code and safe text.

The words of an SMTP dialogue that several parts speak. Values only: no sockets, no policy.
"""

#   Reply-line  = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF    RFC 5321 section 4.2
#   Reply-code  = %x32-35 %x30-35 %x30-39
#   textstring  = 1*(%d09 / %d32-126)
#   status-code = class "." subject "." detail                                                 RFC 3463 section 2
#   class       = "2"/"4"/"5";  subject = 1*3digit;  detail = 1*3digit    (without leading zero digits)
#
# SECURITY: reply texts carry what a peer chose (domain names, explanations from DNS). Text is made safe once, when
# the reply is made: it cannot end the line, begin another reply, or grow without bound. It is no format string: a "%"
# in it is a "%", and whoever hands it to something that formats has to escape it.

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mailauth.mail.text import printable

MAX_TEXT_CHARACTERS = 1000
"""What is kept of a text; longer ones end with "[...]". Two lines hold it."""

MAX_LINE_OCTETS = 512  # RFC 5321 section 4.5.3.1.5, code and CRLF included

_CUT_MARK = "[...]"
_CODE = re.compile(r"[2-5][0-5][0-9]")
_SUB_CODE = r"(?:0|[1-9][0-9]{0,2})"
_ENHANCED = re.compile(rf"[245]\.{_SUB_CODE}\.{_SUB_CODE}")
_WHITE_SPACE = re.compile(r"[\t\n\r ]+")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server says to a command: ``Reply(550, "5.7.23", "SPF validation failed")``.

    `enhanced` is "" where there is none, as with greetings and codes of the form 3yz. `text` may be anything, and is
    kept in a safe form: runs of white space, line ends included, as one blank, other characters outside printable
    ASCII as "?", cut to 1000 characters. Raises `ValueError` for an invalid code or enhanced code, and
    for two that contradict each other; `TypeError` for wrong types.
    """

    code: int
    enhanced: str = ""
    text: str = ""

    def __post_init__(self) -> None:
        _check_types(self.code, self.enhanced, self.text)
        if not _CODE.fullmatch(str(int(self.code))):
            raise ValueError(f"{self.code} is no SMTP reply code (RFC 5321 section 4.2)")
        if self.enhanced:
            _check_enhanced(self.code, self.enhanced)
        # Subclasses of int and str (enumerations) become plain values.
        object.__setattr__(self, "code", int(self.code))
        object.__setattr__(self, "enhanced", str(self.enhanced))
        object.__setattr__(self, "text", safe_text(self.text))

    @property
    def temporary(self) -> bool:
        """Whether the client should try again later (4yz)."""
        return self.code // 100 == 4

    @property
    def permanent(self) -> bool:
        """Whether the client should give up (5yz)."""
        return self.code // 100 == 5

    def lines(self) -> tuple[str, ...]:
        """The reply as it goes over the wire, without line ends; each line repeats code and enhanced code."""
        # RFC 2034 section 4: in a multi-line reply the enhanced code stands on every line.
        enhanced = self.enhanced + " " if self.enhanced else ""
        pieces = list(_wrapped(self.text, MAX_LINE_OCTETS - len(f"{self.code} {enhanced}\r\n")))
        # RFC 5321 section 4.2.1: a hyphen on every line but the last; a blank even where no text follows.
        return (
            *(f"{self.code}-{enhanced}{piece}" for piece in pieces[:-1]),
            f"{self.code} {enhanced}{pieces[-1]}" if self.text else f"{self.code} {self.enhanced}",
        )

    def to_bytes(self) -> bytes:
        """The reply as octets, each line with CRLF."""
        return "".join(line + "\r\n" for line in self.lines()).encode("ascii")

    def __str__(self) -> str:
        """The reply on one line, for logs and for policy services, which fold it themselves."""
        return " ".join(filter(None, (str(self.code), self.enhanced, self.text)))

    def to_dict(self) -> dict[str, Any]:
        """The reply as JSON has it."""
        return {"code": self.code, "enhanced": self.enhanced, "text": self.text}


def safe_text(text: str) -> str:
    """Text that may stand on a reply line: printable ASCII, one line, 1000 characters at most."""
    text = _WHITE_SPACE.sub(" ", text).strip(" ")
    if len(text) > MAX_TEXT_CHARACTERS:
        text = text[: MAX_TEXT_CHARACTERS - len(_CUT_MARK)] + _CUT_MARK
    return printable(text, ascii_only=True)


def _check_types(code: object, enhanced: object, text: object) -> None:
    if not isinstance(code, int) or isinstance(code, bool):
        raise TypeError(f"a reply code is a number, not {type(code).__name__}")
    if not isinstance(enhanced, str) or not isinstance(text, str):
        raise TypeError("the enhanced code and the text of a reply are text")


def _check_enhanced(code: int, enhanced: str) -> None:
    if not _ENHANCED.fullmatch(enhanced):
        raise ValueError(f"{enhanced!r} is no enhanced status code (RFC 3463 section 2), such as 5.7.1")
    # RFC 2034 section 4: the class agrees with the first digit of the code; 3yz has no enhanced code.
    if enhanced[0] != str(code)[0]:
        raise ValueError(f"reply code {code} and enhanced code {enhanced} contradict each other")


def _wrapped(text: str, width: int) -> Iterator[str]:
    """The text in pieces of at most `width`, broken at blanks where there are any; one piece at least."""
    while len(text) > width:
        place = text.rfind(" ", 1, width + 1)
        end = place if place > 0 else width
        yield text[:end]
        text = text[end:].removeprefix(" ")
    yield text
