# What belongs here: the SMTP reply for a result. Whether such mail is refused is the receiver's policy.
#
# SECURITY: the explanation in it is the sending domain's text; it is printable US-ASCII (the evaluation made sure of
# it), is marked as theirs, and the whole reply is cut to one line that SMTP allows.
"""The reply of an SMTP server that refuses mail because of SPF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailauth.spf.result import SpfResult

# RFC 5321 section 4.5.3.1.5: a reply line has at most 512 octets with its code and CRLF.
MAX_REPLY_TEXT = 512 - len("550 5.7.23 \r\n")


@dataclass(frozen=True, slots=True)
class SmtpReply:
    """Code, enhanced status code (RFC 3463) and one line of printable US-ASCII."""

    code: int
    enhanced: str
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.enhanced} {self.text}"


def reply(spf: SpfResult) -> SmtpReply | None:
    """The reply for fail, temperror and permerror; None for every other result.

    RFC 7208 section 8.5 asks not to reject for softfail alone, section 8.2 to treat neutral like none.
    """
    identity = "HELO" if spf.identity == "helo" else "MAIL FROM"
    match spf.result.value:
        case "fail":
            # RFC 7372 section 3.2, in place of the 5.7.1 of RFC 7208 section 8.4.
            return SmtpReply(550, "5.7.23", _cut(f"SPF {identity} check failed: {_words(spf)}"))
        case "temperror":
            # RFC 7208 section 8.6. RFC 7372 would allow 4.7.24, which hides that it is the DNS that failed.
            return SmtpReply(451, "4.4.3", _cut(f"SPF {identity} check: {_printable(spf.detail)}"))
        case "permerror":
            # RFC 7372 section 3.2, in place of the 5.5.2 of RFC 7208 section 8.7.
            return SmtpReply(550, "5.7.24", _cut(f"SPF {identity} check: {_printable(spf.detail)}"))
    return None


def _words(spf: SpfResult) -> str:
    if spf.explanation is None:
        return f"{spf.ip} is not allowed to send mail for {spf.domain}"
    # RFC 7208 sections 6.2 and 8.4: make it clear that the text comes from a third party.
    return f"the domain {spf.domain} explains: {spf.explanation}"


def _printable(text: str) -> str:
    return "".join(char if " " <= char <= "~" else "?" for char in text)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_REPLY_TEXT else text[: MAX_REPLY_TEXT - 3] + "..."
