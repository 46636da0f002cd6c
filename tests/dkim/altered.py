"""Messages and what servers do to them: the corpus that explanations are tested with.

Every alteration is made here, by code that shares nothing with what undoes it, to a message that was signed before. The
signer is the slow one of makers.py.
"""

from __future__ import annotations

import base64
import quopri
import re
from collections.abc import Callable
from email.header import Header as EncodedWords
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from mailauth.dkim import AlterationCode as Code
from tests.dkim.makers import signed

HEADER = (
    b"Received: from a.example by b.example; Mon, 2 Nov 2026 10:00:05 +0000\r\n"
    b"From: Ann Example <ann@example.org>\r\n"
    b"To: Bob <bob@example.net>,\r\n\tCarol Jones <carol@example.com>\r\n"
    b"Cc: dan@example.net\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe_zum_Wochenende?=\r\n"
    b"Date: Mon, 02 Nov 2026 10:00:00 +0000\r\n"
    b"Message-ID: <1234.abcd@example.org>\r\n"
    b"References: <1@example.net> <2@example.net>\r\n"
    b"MIME-Version: 1.0\r\n"
)
PLAIN_HEADER = HEADER.replace(
    b"=?utf-8?q?Gr=C3=BC=C3=9Fe_zum_Wochenende?=", b"Re: minutes of the meeting on Monday, draft"
)

_PROSE = (
    b"Hello Bob,\r\n"
    b"\r\n"
    b"From what I hear, the meeting is on Monday.  We should talk about:\r\n"
    b"\r\n"
    b"\t* the budget\r\n"
    b"\t* the party\r\n"
    b"\r\n"
    b".profile is the file that I meant.\r\n"
    b"\r\n"
    b"> Did you find it?\r\n"
    b">\r\n"
    b"> From here I cannot see it.\r\n"
    b"\r\n"
    b"-- \r\n"
    b"Ann Example\r\n"
)
_LONG = (
    b"A line that goes on and on, as programs write that leave it to the reader to break the lines of a paragraph where"
    b" the window ends, and which is therefore far longer than any line that a person would type.\r\n"
)
TEXT = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
PLAIN = PLAIN_HEADER + TEXT + b"\r\n" + _PROSE
LONG = PLAIN_HEADER + TEXT + b"\r\nHello,\r\n\r\n" + _LONG + b"\r\n" + _LONG * 8 + b"\r\nAnn\r\n"
UTF8 = HEADER + TEXT + b"\r\n" + "Grüße aus Köln, schönes Wochenende!\r\n\r\nBjörn\r\n".encode()
QUOTED = (
    HEADER + TEXT.replace(b"8bit", b"quoted-printable") + b"\r\n"
    + quopri.encodestring(
        "Grüße aus Köln, und vielen Dank für alles, was in dieser Woche für uns getan wurde!\n\nBjörn\n".encode()
    ).replace(b"\n", b"\r\n")
)  # fmt: skip
_HTML = (
    b'<html>\r\n<head><title>Hello</title></head>\r\n<body style="margin: 0">\r\n<p>Hello <b>Bob</b>,</p>\r\n'
    b"<div>the meeting is on Monday.</div>\r\n<p>Ann</p>\r\n</body>\r\n</html>\r\n"
)
ALTERNATIVE = (
    PLAIN_HEADER + b"Content-Type: multipart/alternative; boundary=\"=_alt\"\r\n\r\n"
    b"This is a multi-part message in MIME format.\r\n\r\n"
    b"--=_alt\r\n" + TEXT + b"\r\n" + _PROSE + b"\r\n"
    b"--=_alt\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + _HTML + b"\r\n"
    b"--=_alt--\r\n"
)  # fmt: skip
_PICTURE = bytes(range(256)) * 12
_TEXT64 = base64.encodebytes("Grüße!\r\n\r\nEin Bild hängt an.\r\n\r\nBjörn\r\n".encode()).replace(b"\n", b"\r\n")
MIXED = (
    HEADER + b"Content-Type: multipart/mixed; boundary=mix\r\n\r\n"
    b"--mix\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + _TEXT64 + b"\r\n"
    b"--mix\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    + "Noch ein Gruß.\r\n".encode() + b"\r\n"
    b"--mix\r\nContent-Type: image/png; name=p.png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(_PICTURE).replace(b"\n", b"\r\n") + b"\r\n"
    b"--mix--\r\n"
)  # fmt: skip
MESSAGES = {
    "plain": PLAIN, "long": LONG, "utf8": UTF8, "quoted": QUOTED, "alternative": ALTERNATIVE, "mixed": MIXED,
}  # fmt: skip

OVERSIGNED = (
    "from:from:to:to:cc:cc:subject:subject:date:message-id:references:mime-version:content-type:content-type"
    ":content-transfer-encoding:reply-to:sender:in-reply-to"
)
_FIELD = rb"(?im)^%b:(?:[^\r]*\r\n)(?:[ \t][^\r]*\r\n)*"


class Change(NamedTuple):
    """Something that a server does, to which of the messages, and what it is called."""

    name: str
    code: Code
    messages: tuple[str, ...]
    apply: Callable[[bytes], bytes]
    header: bool = False


CHANGES: list[Change] = []


def change(code: Code, *messages: str, header: bool = False) -> Callable[[Any], Any]:
    """Register an alteration of the body (or of the header) of these messages."""

    def register(function: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
        def apply(message: bytes) -> bytes:
            if header:
                return function(message)
            head, empty, body = message.partition(b"\r\n\r\n")
            return head + empty + function(body)

        name = function.__name__.lstrip("_").replace("_", "-")
        CHANGES.append(Change(name, code, messages, apply, header))
        return function

    return register


def on_field(name: bytes, rewrite: Callable[[bytes], bytes], message: bytes) -> bytes:
    """The message with the lowest field of that name outside the signature rewritten."""
    head, empty, body = message.partition(b"\r\n\r\n")
    found = list(re.finditer(_FIELD % name, head + b"\r\n"))[-1]
    text = head + b"\r\n"
    return (text[: found.start()] + rewrite(found[0]) + text[found.end() :])[:-2] + empty + body


# --- the body ------------------------------------------------------------------------------------------------------

_FOOTER = b"_______________________________________________\r\nList mailing list\r\nhttps://lists.example.net/list\r\n"


@change(Code.TEXT_ADDED_AT_END, "plain", "utf8", "long", "quoted")
def _footer(body: bytes) -> bytes:
    return body + b"\r\n" + _FOOTER


@change(Code.TEXT_ADDED_AT_END, "plain")
def _one_line_footer(body: bytes) -> bytes:
    return body + b"Scanned for viruses.\r\n"


@change(Code.TEXT_ADDED_AT_START, "plain", "utf8", "long")
def _banner(body: bytes) -> bytes:
    return b"CAUTION: this message came from outside.\r\n\r\n" + body


@change(Code.TEXT_AFTER_LAST_BOUNDARY, "alternative", "mixed")
def _epilogue(body: bytes) -> bytes:
    return body + b"\r\n" + _FOOTER


@change(Code.TEXT_ADDED_IN_PART, "alternative")
def _footer_in_text(body: bytes) -> bytes:
    return body.replace(b"Ann Example\r\n", b"Ann Example\r\n" + _FOOTER)


@change(Code.TEXT_ADDED_IN_PART, "alternative")
def _banner_in_text(body: bytes) -> bytes:
    return body.replace(b"Hello Bob,", b"CAUTION: from outside.\r\n\r\nHello Bob,")


@change(Code.TEXT_ADDED_IN_PART, "alternative")
def _banner_in_html(body: bytes) -> bytes:
    block = b'<div style="background: yellow"><b>CAUTION</b>: from outside.</div><br>'
    return re.sub(rb"(<body[^>]*>)", rb"\1" + block, body)


@change(Code.TEXT_ADDED_IN_PART, "alternative")
def _footer_in_html(body: bytes) -> bytes:
    return body.replace(b"</body>", b"<hr><p>Scanned for <i>viruses</i>.</p>\r\n</body>")


@change(Code.TEXT_ADDED_IN_PART, "mixed")
def _footer_in_base64(body: bytes) -> bytes:
    text = base64.b64decode(_TEXT64) + b"\r\n" + _FOOTER
    return body.replace(_TEXT64, base64.encodebytes(text).replace(b"\n", b"\r\n"))


@change(Code.TEXT_ADDED_IN_PART, "mixed")
def _footer_in_eight_bit_part(body: bytes) -> bytes:
    return body.replace("Gruß.\r\n".encode(), "Gruß.\r\n".encode() + b"-- \r\n" + _FOOTER)


@change(Code.PART_ADDED, "mixed", "alternative")
def _footer_as_part(body: bytes) -> bytes:
    last = body.rindex(b"--", 0, len(body.rstrip()) - 2)
    delimiter = body[last:].rstrip()[:-2]
    part = delimiter + b"\r\nContent-Type: text/plain\r\n\r\n" + _FOOTER
    return body[:last] + part + b"\r\n" + body[last:]


@change(Code.BLANK_LINES_ADDED, "plain", "alternative", "quoted")
def _empty_line_at_start(body: bytes) -> bytes:
    return b"\r\n" + body


@change(Code.BLANK_LINES_ADDED, "plain", "long")
def _blank_lines_at_end(body: bytes) -> bytes:
    return body + b" \r\n \r\n\r\n"


@change(Code.BLANK_LINES_ADDED, "alternative", "mixed")
def _empty_line_before_boundaries(body: bytes) -> bytes:
    return re.sub(rb"\r\n--(?==_alt|mix)", rb"\r\n\r\n--", body)


@change(Code.BLANK_LINES_REMOVED, "alternative", "mixed")
def _empty_line_before_boundaries_gone(body: bytes) -> bytes:
    return re.sub(rb"(?<=\S)\r\n\r\n--(?==_alt|mix)", rb"\r\n--", body)


@change(Code.BLANK_LINES_ADDED, "plain")
def _double_spaced(body: bytes) -> bytes:
    return (
        body.replace(b"\r\n\r\n", b"\r\n").replace(b"\r\n", b"\r\n\r\n")
        if b"\r\n\r\n" not in body
        else body.replace(b"\r\n", b"\r\n\r\n")
    )


@change(Code.BLANKS_AT_LINE_ENDS_ADDED, "long", "utf8")
def _blanks_at_ends(body: bytes) -> bytes:
    return body.replace(b"\r\n", b" \r\n")


@change(Code.BLANKS_AT_LINE_ENDS_REMOVED, "plain")
def _blank_of_signature_gone(body: bytes) -> bytes:
    return body.replace(b"-- \r\n", b"--\r\n")


@change(Code.TABS_TO_BLANKS, "plain")
def _tabs_expanded(body: bytes) -> bytes:
    return body.replace(b"\t", b"        ")


@change(Code.BLANKS_TO_TABS, "plain")
def _blanks_to_tabs(body: bytes) -> bytes:
    return re.sub(rb"(?m)^ +|  ", b"\t", body.replace(b"\t", b"\t"))


@change(Code.LINE_ENDS_CHANGED, "plain", "alternative")
def _second_cr(body: bytes) -> bytes:
    return body.replace(b"\r\n", b"\r\r\n")


@change(Code.LINE_ENDS_CHANGED, "plain", "utf8")
def _one_bare_lf(body: bytes) -> bytes:
    at = body.index(b"\r\n\r\n")
    return body[:at] + body[at + 1 :]


@change(Code.LINE_ENDS_CHANGED, "plain", "quoted")
def _bare_lf(body: bytes) -> bytes:
    return body.replace(b"\r\n", b"\n")


@change(Code.DOTS_DOUBLED, "plain", "alternative")
def _dots_doubled(body: bytes) -> bytes:
    return re.sub(rb"(?m)^\.", b"..", body)


@change(Code.FROM_ESCAPED, "plain", "alternative")
def _from_escaped(body: bytes) -> bytes:
    return re.sub(rb"(?m)^From ", b">From ", body)


@change(Code.LINES_WRAPPED, "long")
def _wrapped_at_76(body: bytes) -> bytes:
    return b"\r\n".join(b"\r\n".join(_filled(line, 76)) for line in body.split(b"\r\n"))


@change(Code.LINES_WRAPPED, "long")
def _broken_at_76(body: bytes) -> bytes:
    return _broken(body, 76, b"\r\n")


def _filled(line: bytes, width: int) -> list[bytes]:
    lines = [b""]
    for word in line.split(b" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = lines[-1] + b" " + word if lines[-1] else word
    return lines


def _broken(body: bytes, width: int, by: bytes) -> bytes:
    lines = body.split(b"\r\n")
    return b"\r\n".join(
        by.join([line[at : at + width] for at in range(0, len(line), width)] or [b""]) for line in lines
    )


@change(Code.LINES_WRAPPED, "very_long")
def _broken_at_998(body: bytes) -> bytes:
    return _broken(body, 998, b"\r\n")


@change(Code.LINES_WRAPPED, "very_long")
def _broken_at_1000(body: bytes) -> bytes:
    return _broken(body, 1000, b"\r\n")


@change(Code.LINES_WRAPPED, "very_long")
def _broken_at_990_with_a_mark(body: bytes) -> bytes:
    return _broken(body, 989, b"!\r\n ")


MESSAGES["very_long"] = PLAIN_HEADER + TEXT + b"\r\nHello,\r\n\r\n" + (_LONG[:-2] + b" ") * 20 + b"end\r\n\r\nAnn\r\n"


@change(Code.QUOTED_PRINTABLE_REDONE, "quoted")
def _quoted_printable_redone(body: bytes) -> bytes:
    text = quopri.decodestring(body).replace(b"\r\n", b"\n")
    lines = [line.replace(b"=", b"=3D") for line in text.split(b"\n")]
    octets = ["".join(chr(o) if o < 128 else f"={o:02X}" for o in line) for line in lines]
    return "\r\n".join(octets).encode()  # without soft line breaks


@change(Code.BASE64_REDONE, "mixed")
def _base64_redone(body: bytes) -> bytes:
    text = base64.b64encode(_PICTURE)
    lines = b"\r\n".join(text[at : at + 64] for at in range(0, len(text), 64)) + b"\r\n"
    return body.replace(base64.encodebytes(_PICTURE).replace(b"\n", b"\r\n"), lines)


@change(Code.BYTE_ORDER_MARK_ADDED, "utf8", "plain")
def _byte_order_mark(body: bytes) -> bytes:
    return b"\xef\xbb\xbf" + body


@change(Code.CHARSET_CHANGED, "utf8")
def _latin_1(body: bytes) -> bytes:
    return body.decode().encode("iso-8859-1")


@change(Code.ENCODING_CHANGED, "mixed")
def _part_made_quoted_printable(body: bytes) -> bytes:
    before = b"8bit\r\n\r\n" + "Noch ein Gruß.\r\n".encode()
    return body.replace(before, b"quoted-printable\r\n\r\nNoch ein Gru=C3=9F.\r\n")


@change(Code.ENCODING_CHANGED, "alternative")
def _parts_made_base64(body: bytes) -> bytes:
    for text in (_PROSE, _HTML):
        body = body.replace(
            b"8bit\r\n\r\n" + text, b"base64\r\n\r\n" + base64.encodebytes(text).replace(b"\n", b"\r\n")
        )
    return body


@change(Code.PREAMBLE_REMOVED, "alternative")
def _preamble_gone(body: bytes) -> bytes:
    return body[body.index(b"--=_alt") :]


@change(Code.DOTS_REMOVED, "dotted")
def _dots_undone_twice(body: bytes) -> bytes:
    return re.sub(rb"(?m)^\.\.", b".", body)


MESSAGES["dotted"] = PLAIN_HEADER + TEXT + b"\r\n..\r\n..and so on\r\n>From the beginning\r\n"


@change(Code.FROM_UNESCAPED, "dotted")
def _from_unescaped(body: bytes) -> bytes:
    return body.replace(b">From ", b"From ")


@change(Code.BYTE_ORDER_MARK_REMOVED, "marked")
def _byte_order_mark_gone(body: bytes) -> bytes:
    return body[3:]


MESSAGES["marked"] = PLAIN_HEADER + TEXT + b"\r\n\xef\xbb\xbfHello.\r\n"


@change(Code.CHARSET_CHANGED, "latin")
def _made_utf_8(body: bytes) -> bytes:
    return body.decode("iso-8859-1").encode()


MESSAGES["latin"] = PLAIN_HEADER + TEXT.replace(b"utf-8", b"iso-8859-1") + b"\r\nGr\xfc\xdfe\r\n"


@change(Code.BLANK_LINES_REMOVED, "spaced")
def _first_empty_line_gone(body: bytes) -> bytes:
    return body[2:]


MESSAGES["spaced"] = PLAIN_HEADER + TEXT + b"\r\n\r\nHello.  \r\n>\t\r\n\r\n"


@change(Code.BLANKS_AT_LINE_ENDS_REMOVED, "flowed")
def _flowed_blanks_gone(body: bytes) -> bytes:
    return re.sub(rb" +\r\n", b"\r\n", body)


MESSAGES["flowed"] = PLAIN_HEADER + TEXT + b"\r\nThis is \r\na paragraph \r\nof text.\r\n\r\nAnd one \r\nmore.\r\n"


@change(Code.TEXT_ADDED_IN_PART, "nested")
def _footer_in_nested_html(body: bytes) -> bytes:
    return body.replace(b"</body>", b"<div>Sent through a <b>gateway</b>.</div></body>")


MESSAGES["nested"] = (
    PLAIN_HEADER + b"Content-Type: multipart/mixed;\r\n boundary=outer\r\n\r\n"
    b"--outer\r\n" + ALTERNATIVE.partition(b"MIME-Version: 1.0\r\n")[2] + b"\r\n"
    b"--outer\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(_PICTURE).replace(b"\n", b"\r\n") + b"--outer--\r\n"
)  # fmt: skip


@change(Code.BASE64_REDONE, "nested")
def _picture_in_one_line(body: bytes) -> bytes:
    lines = base64.encodebytes(_PICTURE).replace(b"\n", b"\r\n")
    return body.replace(lines, lines.replace(b"\r\n", b"") + b"\r\n")


@change(Code.TEXT_ADDED_IN_PART, "nested")
def _banner_in_nested_html(body: bytes) -> bytes:
    return re.sub(rb"(<body[^>]*>\r\n)", rb"\1<table><tr><td>from outside</td></tr></table>\r\n", body)


_LINKS = (
    b"<p><a href=\"https://www.example.com/a?x=1&amp;y=2\">here</a> or <a href='http://example.org/'>there</a></p>\r\n"
)
MESSAGES["linked"] = ALTERNATIVE.replace(b"Ann Example\r\n", b"https://www.example.com/a?x=1&y=2\r\n", 1).replace(
    b"<p>Ann</p>\r\n", _LINKS
)


@change(Code.LINKS_REWRITTEN, "linked")
def _links_as_a_parameter(body: bytes) -> bytes:
    def through(match: re.Match[bytes]) -> bytes:
        target = quote(match[0].replace(b"&amp;", b"&"), safe="")
        return f"https://eu1.gateway.example.net/?url={target}&data=05%7C01%7C&reserved=0".encode()

    return re.sub(rb"https?://[^\s\"'<>]+", through, body)


@change(Code.LINKS_REWRITTEN, "linked")
def _links_in_the_path(body: bytes) -> bytes:
    return re.sub(rb"(?<==')https?://[^\s\"'<>]+", rb"https://gateway.example.net/v3/__\g<0>__;!!abc!def$", body)


@change(Code.LINKS_REWRITTEN, "linked")
def _links_with_dashes(body: bytes) -> bytes:
    dashed = b"https-3A__www.example.com_a-3Fx-3D1-26y-3D2"
    link = b"https://gateway.example.net/v2/url?u=" + dashed + b"&d=DwMFAg&c=x"
    return body.replace(b"https://www.example.com/a?x=1&y=2", link)


@change(Code.BLANKS_AT_LINE_ENDS_ADDED, "plain")
def _blank_at_one_end(body: bytes) -> bytes:
    return body.replace(b"We should talk about:\r\n", b"We should talk about: \r\n")


def _recode(body: bytes, by: Callable[[bytes], bytes]) -> bytes:
    for text in (_ASCII, _ASCII_HTML):
        body = body.replace(b"quoted-printable\r\n\r\n" + _quoted(text), b"base64\r\n\r\n" + by(text))
    return body


def _quoted(text: bytes) -> bytes:
    return quopri.encodestring(text.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")


def _base64(text: bytes) -> bytes:
    return base64.encodebytes(text).replace(b"\n", b"\r\n")


_ASCII = b"Hello Bob,\r\n\r\nthe offer is attached.\r\n\r\nAnn\r\n"
_ASCII_HTML = b'<html><head></head><body dir="ltr"><p>Hello Bob,</p>\r\n<p>the offer is attached.</p></body></html>\r\n'
MESSAGES["ascii"] = (
    PLAIN_HEADER + b"Content-Type: multipart/alternative; boundary=asc\r\n\r\n"
    b'--asc\r\nContent-Type: text/plain; charset="us-ascii"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n'
    + _quoted(_ASCII) + b"\r\n"
    b'--asc\r\nContent-Type: text/html; charset="us-ascii"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n'
    + _quoted(_ASCII_HTML) + b"\r\n--asc--\r\n"
)  # fmt: skip
MESSAGES["bare_html"] = (
    PLAIN_HEADER + b"Content-Type: text/html; charset=us-ascii\r\n\r\n<p>Hello <b>Bob</b>,</p>\r\n<p>Ann</p>\r\n"
)


@change(Code.ENCODING_CHANGED, "ascii")
def _quoted_printable_of_ascii_made_base64(body: bytes) -> bytes:
    return _recode(body, _base64)


@change(Code.TEXT_ADDED_IN_PART, "ascii")
def _meta_in_head(body: bytes) -> bytes:
    meta = b'<meta http-equiv=3D"Content-Type" content=3D"text/html; charset=3Dus-ascii">'
    return body.replace(
        _quoted(_ASCII_HTML), _quoted(_ASCII_HTML.replace(b"<head>", b"<head>" + meta.replace(b"=3D", b"=")))
    )


@change(Code.TEXT_ADDED_AT_START, "bare_html")
def _banner_in_html_without_body(body: bytes) -> bytes:
    return b"<div>CAUTION: from <b>outside</b>.</div>" + body


@change(Code.PART_HEADER_REWRITTEN, "ascii")
def _part_header_folded(body: bytes) -> bytes:
    return body.replace(b"text/plain; ", b"text/plain;\r\n\t")


@change(Code.PART_HEADER_REWRITTEN, "ascii", "alternative")
def _part_headers_in_another_order(body: bytes) -> bytes:
    return re.sub(rb"(Content-Type: text[^\r]*\r\n)(Content-Transfer[^\r]*\r\n)", rb"\2\1", body)


@change(Code.PART_HEADER_REWRITTEN, "ascii")
def _quotes_in_part_headers_gone(body: bytes) -> bytes:
    return body.replace(b'"us-ascii"', b"us-ascii", 2)


@change(Code.PART_HEADER_REWRITTEN, "ascii", "mixed")
def _field_added_to_a_part(body: bytes) -> bytes:
    return body.replace(b"Content-Type: text/plain", b"Content-Disposition: inline\r\nContent-Type: text/plain", 1)


# --- the header ----------------------------------------------------------------------------------------------------


def _subject(message: bytes, before: bytes = b"", behind: bytes = b"") -> bytes:
    return on_field(b"Subject", lambda raw: b"Subject: " + before + raw[9:-2] + behind + b"\r\n", message)


@change(Code.SUBJECT_PREFIX, "plain", "utf8", header=True)
def _list_tag(message: bytes) -> bytes:
    return _subject(message, b"[list] ")


@change(Code.SUBJECT_PREFIX, "plain", "utf8", header=True)
def _external_tag(message: bytes) -> bytes:
    return _subject(message, b"[EXTERNAL] ")


@change(Code.SUBJECT_PREFIX, "plain", "utf8", header=True)
def _spam_tag(message: bytes) -> bytes:
    return _subject(message, b"***SPAM*** ")


@change(Code.SUBJECT_PREFIX, "plain", header=True)
def _list_tag_behind_re(message: bytes) -> bytes:
    return message.replace(b"Subject: Re: ", b"Subject: Re: [list] ")


@change(Code.SUBJECT_PREFIX, "plain", header=True)
def _tags_before_and_behind_re(message: bytes) -> bytes:
    return message.replace(b"Subject: Re: ", b"Subject: [EXTERNAL] Re: [list] ")


@change(Code.SUBJECT_PREFIX, "plain", header=True)
def _list_tag_with_another_re(message: bytes) -> bytes:
    return message.replace(b"Subject: Re: ", b"Subject: [list] RE: ")


MESSAGES["tagged"] = PLAIN.replace(b"Subject: Re: ", b"Subject: Re: [list] ")


@change(Code.SUBJECT_PREFIX, "tagged", header=True)
def _list_tag_moved_to_the_front(message: bytes) -> bytes:
    return message.replace(b"Subject: Re: [list] ", b"Subject: [list] Re: ")


@change(Code.SUBJECT_PREFIX, "utf8", header=True)
def _list_tag_encoded_anew(message: bytes) -> bytes:
    text = EncodedWords("[list] Grüße zum Wochenende", "utf-8", header_name="Subject").encode()
    return on_field(b"Subject", lambda _: b"Subject: " + text.encode().replace(b"\n", b"\r\n") + b"\r\n", message)


@change(Code.SUBJECT_SUFFIX, "plain", header=True)
def _subject_suffix(message: bytes) -> bytes:
    return _subject(message, behind=b" (bulk)")


@change(Code.FIELD_ADDED, "plain", header=True)
def _second_subject_below(message: bytes) -> bytes:
    return message.replace(b"\r\n\r\n", b"\r\nSubject: win a prize\r\n\r\n", 1)


@change(Code.FIELD_ADDED, "plain", header=True)
def _second_to_above(message: bytes) -> bytes:
    return message.replace(b"\r\nFrom:", b"\r\nTo: eve@example.com\r\nFrom:", 1)


@change(Code.FIELD_ADDED, "plain", "mixed", header=True)
def _reply_to_added(message: bytes) -> bytes:
    return message.replace(b"\r\nFrom:", b"\r\nReply-To: list@lists.example.net\r\nFrom:", 1)


@change(Code.FIELD_ADDED, "plain", header=True)
def _sender_added(message: bytes) -> bytes:
    return message.replace(b"\r\nFrom:", b"\r\nSender: list-bounces@lists.example.net\r\nFrom:", 1)


@change(Code.FIELD_REMOVED, "plain", "alternative", header=True)
def _mime_version_gone(message: bytes) -> bytes:
    return on_field(b"MIME-Version", lambda raw: b"", message)


@change(Code.FIELD_REMOVED, "plain", "quoted", header=True)
def _encoding_gone(message: bytes) -> bytes:
    return on_field(b"Content-Transfer-Encoding", lambda raw: b"", message)


@change(Code.FIELD_REMOVED, "plain", header=True)
def _message_id_renamed(message: bytes) -> bytes:
    return on_field(b"Message-ID", lambda raw: b"X-Original-" + raw, message)


@change(Code.FIELD_REPLACED, "plain", "utf8", header=True)
def _from_rewritten(message: bytes) -> bytes:
    new = b'From: "Ann Example via List" <list@lists.example.net>\r\nX-Original-'
    return on_field(b"From", lambda raw: new + raw, message)


@change(Code.FIELD_REPLACED, "mixed", header=True)
def _from_rewritten_author_in_cc(message: bytes) -> bytes:
    new = b"From: Ann Example via List <list@lists.example.net>\r\nX-Original-Sender: ann@example.org\r\n"
    return on_field(b"From", lambda raw: new, message)


@change(Code.FIELD_REPLACED, "plain", header=True)
def _to_rewritten(message: bytes) -> bytes:
    new = b"To: list@lists.example.net\r\nX-Original-"
    return on_field(b"To", lambda raw: new + raw, message)


@change(Code.FIELD_REPLACED, "plain", header=True)
def _cc_rewritten(message: bytes) -> bytes:
    return on_field(b"Cc", lambda raw: b"Cc: other@example.com\r\nDelivered-To: dan@example.net\r\n", message)


@change(Code.FIELD_REFOLDED, "plain", header=True)
def _to_unfolded(message: bytes) -> bytes:
    return on_field(b"To", lambda raw: raw.replace(b"\r\n\t", b" "), message)


@change(Code.FIELD_REFOLDED, "plain", header=True)
def _to_folded_with_blank(message: bytes) -> bytes:
    return on_field(b"To", lambda raw: raw.replace(b"\r\n\t", b"\r\n "), message)


@change(Code.FIELD_REFOLDED, "plain", header=True)
def _references_folded(message: bytes) -> bytes:
    return on_field(b"References", lambda raw: raw.replace(b"> <", b">\r\n\t<"), message)


@change(Code.FIELD_NAME_RECASED, "plain", header=True)
def _message_id_recased(message: bytes) -> bytes:
    return message.replace(b"\r\nMessage-ID:", b"\r\nMessage-Id:")


@change(Code.FIELD_BLANKS, "plain", header=True)
def _blanks_behind_colon(message: bytes) -> bytes:
    return message.replace(b"\r\nCc: ", b"\r\nCc:   ")


@change(Code.ENCODED_WORDS, "utf8", "quoted", header=True)
def _subject_recoded(message: bytes) -> bytes:
    return message.replace(
        b"=?utf-8?q?Gr=C3=BC=C3=9Fe_zum_Wochenende?=", b"=?UTF-8?B?R3LDvMOfZSB6dW0gV29jaGVuZW5kZQ==?="
    )


@change(Code.ENCODED_WORDS, "mixed", header=True)
def _subject_decoded(message: bytes) -> bytes:
    return message.replace(b"=?utf-8?q?Gr=C3=BC=C3=9Fe_zum_Wochenende?=", "Grüße zum Wochenende".encode())


@change(Code.DATE_REFORMATTED, "plain", "mixed", header=True)
def _date_with_gmt(message: bytes) -> bytes:
    return on_field(b"Date", lambda raw: raw.replace(b"+0000", b"GMT"), message)


@change(Code.DATE_REFORMATTED, "plain", header=True)
def _date_without_zero(message: bytes) -> bytes:
    return on_field(b"Date", lambda raw: raw.replace(b" 02 ", b" 2 "), message)


@change(Code.DATE_REFORMATTED, "plain", header=True)
def _date_in_another_zone(message: bytes) -> bytes:
    from datetime import timedelta, timezone

    def rewrite(raw: bytes) -> bytes:
        when = parsedate_to_datetime(raw[6:].decode().strip()).astimezone(timezone(timedelta(hours=2)))
        return when.strftime("Date: %a, %d %b %Y %H:%M:%S %z\r\n").encode()

    return on_field(b"Date", rewrite, message)


@change(Code.MESSAGE_ID_REFORMATTED, "plain", header=True)
def _message_id_without_brackets(message: bytes) -> bytes:
    return on_field(b"Message-ID", lambda raw: raw.replace(b"<", b"").replace(b">", b""), message)


@change(Code.FIELD_REFORMATTED, "plain", header=True)
def _quotes_around_name(message: bytes) -> bytes:
    return on_field(b"From", lambda raw: raw.replace(b"Ann Example", b'"Ann Example"'), message)


@change(Code.FIELD_REFORMATTED, "plain", header=True)
def _brackets_around_address(message: bytes) -> bytes:
    return on_field(b"Cc", lambda raw: raw.replace(b"dan@example.net", b"<dan@example.net>"), message)


@change(Code.FIELD_REFORMATTED, "plain", header=True)
def _charset_quoted(message: bytes) -> bytes:
    return on_field(b"Content-Type", lambda raw: raw.replace(b"=utf-8", b'="utf-8"'), message)


@change(Code.SIGNATURE_REFOLDED, "plain", "mixed", header=True)
def _signature_folded(message: bytes) -> bytes:
    return re.sub(rb"(?s)\A(DKIM-Signature:.*?\r\n)(?=\S)", lambda m: m[1].replace(b"; ", b";\r\n\t"), message, count=1)


@change(Code.SIGNATURE_REFOLDED, "plain", header=True)
def _names_in_h_folded(message: bytes) -> bytes:
    return message.replace(b":subject:", b":subject:\r\n ", 1)


@change(Code.FIELD_REPLACED, "answer", header=True)
def _reply_to_rewritten(message: bytes) -> bytes:
    new = b"Reply-To: list@lists.example.net\r\nX-Original-"
    return on_field(b"Reply-To", lambda raw: new + raw, message)


MESSAGES["answer"] = PLAIN.replace(
    b"\r\nMIME", b"\r\nReply-To: Office <office@example.org>\r\nIn-Reply-To: <2@example.net>\r\nSender: ann@example.org"
    b"\r\nMIME", 1,
)  # fmt: skip


@change(Code.FIELD_REMOVED, "answer", header=True)
def _sender_gone(message: bytes) -> bytes:
    return on_field(b"Sender", lambda raw: b"Return-Path: <ann@example.org>\r\n", message)


@change(Code.FIELD_REPLACED, "answer", header=True)
def _reference_added(message: bytes) -> bytes:
    return on_field(b"References", lambda raw: raw[:-2] + b" <3@example.com>\r\n", message)


@change(Code.FIELD_REFORMATTED, "answer", header=True)
def _blank_behind_comma_gone(message: bytes) -> bytes:
    return on_field(b"To", lambda raw: raw.replace(b",\r\n\t", b","), message)


@change(Code.FIELD_REFORMATTED, "answer", header=True)
def _domain_in_capitals(message: bytes) -> bytes:
    return on_field(b"Cc", lambda raw: raw.replace(b"example.net", b"EXAMPLE.NET"), message)


@change(Code.MESSAGE_ID_REFORMATTED, "answer", header=True)
def _message_id_in_capitals(message: bytes) -> bytes:
    return on_field(b"Message-ID", lambda raw: raw.replace(b"example.org", b"Example.ORG"), message)


@change(Code.FIELD_REFORMATTED, "answer", header=True)
def _comment_in_mime_version(message: bytes) -> bytes:
    return message.replace(b"MIME-Version: 1.0\r\n", b"MIME-Version: 1.0 (made by a gateway)\r\n")


@change(Code.FIELD_REMOVED, "answer", header=True)
def _date_gone(message: bytes) -> bytes:
    message = message.replace(b"10:00:05 +0000", b"10:00:00 +0000", 1).replace(b"Mon, 2 Nov", b"Mon, 02 Nov", 1)
    return on_field(b"Date", lambda raw: b"", message)


@change(Code.FIELD_REMOVED, "answer", header=True)
def _in_reply_to_gone(message: bytes) -> bytes:
    return on_field(b"In-Reply-To", lambda raw: b"", message)


@change(Code.FIELD_REMOVED, "answer", header=True)
def _cc_made_an_envelope(message: bytes) -> bytes:
    return on_field(b"Cc", lambda raw: b"Delivered-To: dan@example.net\r\n", message)


@change(Code.ENCODED_WORDS, "named", header=True)
def _name_recoded(message: bytes) -> bytes:
    return message.replace(b"=?utf-8?q?J=C3=B6rg?=", b"=?UTF-8?B?SsO2cmc=?=")


MESSAGES["named"] = PLAIN.replace(b"Ann Example <", b"=?utf-8?q?J=C3=B6rg?= <")


@change(Code.FIELD_NAME_RECASED, "answer", header=True)
def _all_names_in_lower_case(message: bytes) -> bytes:
    head, empty, body = message.partition(b"\r\n\r\n")
    return re.sub(rb"(?m)^(?!DKIM)([A-Za-z-]+):", lambda match: match[0].lower(), head) + empty + body


def whole_recoded(message: bytes) -> bytes:
    """A gateway that cannot send 8 bits: body and Content-Transfer-Encoding change together."""
    head, empty, body = message.partition(b"\r\n\r\n")
    text = "\r\n".join("".join(chr(o) if o < 128 else f"={o:02X}" for o in line) for line in body.split(b"\r\n"))
    return head.replace(b"Transfer-Encoding: 8bit", b"Transfer-Encoding: quoted-printable") + empty + text.encode()


def wrapped_in_multipart(message: bytes) -> bytes:
    """A list that puts the message into a multipart, with its footer as the second part."""
    head, _, body = message.partition(b"\r\n\r\n")
    kind = re.search(rb"(?im)^Content-Type:[^\r]*\r\n", head + b"\r\n")
    encoding = re.search(rb"(?im)^Content-Transfer-Encoding:[^\r]*\r\n", head + b"\r\n")
    assert kind is not None
    assert encoding is not None
    outer = (head + b"\r\n").replace(kind[0], b"Content-Type: multipart/mixed; boundary=out\r\n")
    outer = outer.replace(encoding[0], b"")
    inner = b"--out\r\n" + kind[0] + encoding[0] + b"\r\n" + body + b"\r\n"
    return outer + b"\r\n" + inner + b"--out\r\nContent-Type: text/plain\r\n\r\n" + _FOOTER + b"\r\n--out--\r\n"


def through_a_list(message: bytes) -> bytes:
    """What list managers do today: From is the list's, Reply-To the author's, the subject is tagged."""
    new = b"From: Ann Example via List <list@lists.example.net>\r\nReply-To"
    message = on_field(b"From", lambda raw: new + raw.removeprefix(b"From"), message)
    return _subject(message, b"[list] ")


def signed_message(name: str, canonicalization: str, key: Any, **tags: str) -> bytes:
    """One of the messages, signed."""
    return signed(MESSAGES[name], {"c": canonicalization, "h": OVERSIGNED, **tags}, key=key)
