"""Explanations at their edges: what is just long enough, the last of several, the number that is named."""

from __future__ import annotations

import io
import quopri
import re
import textwrap
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest

from mailauth.dkim import AlterationCode, ExplainLimits, Explanation, HalfState, KeyState, canonical_forms, explain
from mailauth.dkim.explanation import header as header_search
from mailauth.dkim.explanation import mime
from mailauth.dkim.explanation.differences import difference
from mailauth.dkim.explanation.links import MAX_LINKS, target_of
from mailauth.dkim.explanation.mime import readable, structure
from mailauth.dkim.explanation.repair import repaired
from mailauth.dkim.explanation.result import excerpt
from mailauth.plan import run
from tests.dkim import altered
from tests.dkim.altered import PLAIN
from tests.dkim.makers import NOW, canonical_body, rsa_key, rsa_record, signed, zone

C = AlterationCode
RECORD = rsa_record()
SIMPLE = {"c": "simple/simple"}


def only(message: bytes, record: Any = RECORD, **settings: Any) -> Explanation:
    (explanation,) = run(explain(message, now=NOW, **settings), zone(record))
    return explanation


def in_field(before: bytes, after: bytes, *, how: str = "relaxed/relaxed", more: bytes = b"") -> Any:
    """The only alteration of a message that was signed with one text in its header, and came with another."""
    message = more + signed(PLAIN.replace(*_place(before)), {"c": how, "h": altered.OVERSIGNED})
    assert message.count(before) == 1
    (alteration,) = only(message.replace(before, after)).alterations
    return alteration


def _place(field: bytes) -> tuple[bytes, bytes]:
    """The field of that name in the message, and the one to stand in its place."""
    name = field.partition(b":")[0]
    found = re.search(altered._FIELD % re.escape(name.lower()), PLAIN)
    assert found is not None
    return found[0], field


# --- the header ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [b"'Ann Example' <ann@example.org>", b'"Ann Example" <ann@example.org>'])
@pytest.mark.parametrize("name", [b"Reply-To", b"X-Original-Sender"])
def test_the_author_in_another_field_with_other_quotes(name: bytes, other: bytes) -> None:
    before = b"From: Ann Example <ann@example.org>\r\n"
    message = signed(PLAIN.replace(b"From: Ann Example <ann@example.org>\r\n", before))
    came = name + b": " + other + b"\r\n" + message.replace(before, b"From: A list <list@example.net>\r\n")
    (alteration,) = only(came).alterations
    assert (alteration.code, alteration.field) == (C.FIELD_REPLACED, "From")
    assert alteration.removed == "Ann Example <ann@example.org>"
    assert alteration.detail.endswith(f"stands in {name.decode()})")


@pytest.mark.parametrize("came", [
    "Xaver X via A list", "Xaver X through A list", "Xaver X (A list)", "'Xaver X' via list", '"Xaver X via A list"',
    '"Xaver X [list]"',
])  # fmt: skip
def test_the_author_through_a_list(came: str) -> None:
    before = b"From: Xaver X <x@example.org>\r\n"
    message = signed(PLAIN.replace(*_place(before))).replace(before, f"From: {came} <list@example.net>\r\n".encode())
    (alteration,) = only(b"Reply-To: x@example.org\r\n" + message).alterations
    assert (alteration.code, alteration.removed) == (C.FIELD_REPLACED, "Xaver X <x@example.org>")
    assert alteration.detail == "From was rewritten (its old address stands in Reply-To)"


def test_the_fourth_name_of_an_address_list_was_written_anew() -> None:
    words = "=?utf-8?q?J=C3=B6rg?="
    people = "".join(f", {name} <{name}@example.net>" for name in ("a", "b"))
    before = f"To: x <x@example.net>{people}, Jörg <j@example.net>\r\n".encode()
    assert in_field(before, before.replace("Jörg".encode(), words.encode())).code is C.ENCODED_WORDS


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1"])
@pytest.mark.parametrize("how", ["b", "q"])
def test_encoded_words_that_fill_several_lines(charset: str, how: str) -> None:
    """RFC 2047 section 2: a word has at most 75 characters, so a long text is written as several."""
    text = "Grüße aus Köln und schöne Tage am Rhein, für alle, die dort über Brücken gehen, übermorgen früh"
    room = 75 - len(f"=?{charset}?{how}??=")
    pieces, current = [], ""
    for char in text:
        if _length(current + char, charset, how) > room:
            pieces.append(current)
            current = ""
        current += char
    spelled = " ".join(f"=?{charset}?{how}?{_written(piece, charset, how)}?=" for piece in [*pieces, current])
    assert len(pieces) >= 1
    assert all(len(word) <= 75 for word in spelled.split())
    alteration = in_field(f"Subject: {spelled}\r\n".encode(), f"Subject: {text}\r\n".encode())
    assert (alteration.code, alteration.removed) == (C.ENCODED_WORDS, spelled)


def _written(text: str, charset: str, how: str) -> str:
    octets = text.encode(charset)
    if how == "b":
        return b64encode(octets).decode()
    plain = "".join(f"={octet:02X}" if octet > 126 or octet in b",_?=" else chr(octet) for octet in octets)
    return plain.replace(" ", "_")


def _length(text: str, charset: str, how: str) -> int:
    return len(_written(text, charset, how))


@pytest.mark.parametrize("number", range(1, 5))
def test_tags_in_front_of_an_answers_mark(number: int) -> None:
    tags = b"".join(b"[list %d] " % at for at in range(number))
    alteration = in_field(b"Subject: Re: minutes\r\n", b"Subject: %bRe: minutes\r\n" % tags)
    assert (alteration.code, alteration.added) == (C.SUBJECT_PREFIX, tags.decode())
    moved = in_field(b"Subject: Re: %bminutes\r\n" % tags, b"Subject: %bRe: minutes\r\n" % tags)
    assert (moved.code, moved.detail) == (C.SUBJECT_PREFIX, "the tag in Subject was moved")


@pytest.mark.parametrize("number", range(1, 8))
def test_words_behind_a_subject(number: int) -> None:
    more = b"".join(b" w%d" % at for at in range(number))
    alteration = in_field(
        b"Subject: the minutes of the meeting\r\n", b"Subject: the minutes of the meeting%b\r\n" % more
    )
    assert (alteration.code, alteration.added) == (C.SUBJECT_SUFFIX, more.decode())


@pytest.mark.parametrize("number", range(1, 9))
def test_words_in_front_of_a_subject(number: int) -> None:
    more = b"".join(b"w%d " % at for at in range(number))
    alteration = in_field(b"Subject: minutes\r\n", b"Subject: %bminutes\r\n" % more)
    assert (alteration.code, alteration.added) == (C.SUBJECT_PREFIX, more.decode())


@pytest.mark.parametrize("kept", [1, 4])
@pytest.mark.parametrize("first", [False, True])
def test_identifiers_that_were_added_to_references(kept: int, first: bool) -> None:
    old = b" ".join(b"<%d@example.net>" % at for at in range(kept))
    new = b" ".join(b"<new%d@example.org>" % at for at in range(19 - kept))
    came = new + b" " + old if first else old + b" " + new
    alteration = in_field(b"References: %b\r\n" % old, b"References: %b\r\n" % came)
    assert (alteration.code, alteration.removed) == (C.FIELD_REPLACED, old.decode())
    assert alteration.detail == "identifiers were added to References"


def test_a_search_that_holds_all_that_it_may_goes_on_with_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    message = signed().replace(b"Date: ", b"Date: nothing that anybody guesses ")
    whole = only(message).header
    monkeypatch.setattr(header_search, "MAX_HELD_OCTETS", 500)
    short = only(message).header
    assert short.state is HalfState.ALTERED
    assert short.attempts < whole.attempts
    assert not short.exhausted
    assert short.tried[-1] == whole.tried[-1] == "two of these at once"


def test_an_old_address_is_none_that_stands_in_a_field_of_that_name() -> None:
    """Return-Path holds an address, and never the old value of From."""
    old = b"From: <ann@example.org>\r\n"
    message = signed(PLAIN.replace(*_place(old))).replace(old, b"From: A list <list@example.net>\r\n")
    (alteration,) = only(b"Return-Path: <ann@example.org>\r\n" + message).alterations
    assert (alteration.code, alteration.removed) == (C.FIELD_REPLACED, "<ann@example.org>")
    assert alteration.detail == "From was rewritten (its old address stands in Return-Path)"


@pytest.mark.parametrize("before", [b"%b", b" %b ", b"  %b", b"\t%b"])
def test_blanks_around_a_value_in_simple(before: bytes) -> None:
    came = b"Subject: minutes\r\n" if before != b" %b" else b"Subject:minutes\r\n"
    alteration = in_field(b"Subject:" + before % b"minutes" + b"\r\n", came, how="simple/simple")
    assert alteration.code is C.FIELD_BLANKS
    assert alteration.detail == "the blanks around the value of Subject were changed"


LAYOUT = (
    b"DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d=example.org; s=sel; h=from:to; x1=1; x2=2; x3=%b; x4=4;"
    b" x5=5; bh=%%(bh)s; b=%%(b)s"
)


def filled(tags: list[bytes], columns: int) -> list[bytes]:
    """Lines with as many tags as fit; the first begins the field."""
    lines, line = [], tags[0]
    for tag in tags[1:]:
        shown = tag.replace(b"%(bh)s", b"h" * 44).replace(b"%(b)s", b"")
        if len(line) + 2 + len(shown) > columns:
            lines.append(line)
            line = b" " + tag
        else:
            line += b"; " + tag
    return [*lines, line]


@pytest.mark.parametrize("columns", [72, 76, 78])
@pytest.mark.parametrize("more", range(24, 34))
def test_a_signature_folded_where_a_tag_just_fits(columns: int, more: int) -> None:
    """As many tags on each line as fit, wherever that is: one of these ends just at the column."""
    lines = filled((LAYOUT % (b"y" * more)).replace(b"%%", b"%").split(b"; "), columns)
    message = signed(PLAIN, {"c": "simple/simple", "h": "from:to"}, template=b";\r\n".join(lines))
    stop = message.index(b"\r\nReceived")
    explanation = only(message[:stop].replace(b"\r\n ", b" ") + message[stop:])
    assert [found.code for found in explanation.alterations] == [C.SIGNATURE_REFOLDED]


@pytest.mark.parametrize("end", [b"", b";"])
@pytest.mark.parametrize(("separator", "colon"), [(b";", b":"), (b"; ", b":"), (b"; ", b": "), (b"; ", b" : ")])
def test_a_signature_whose_blanks_were_changed(separator: bytes, colon: bytes, end: bytes) -> None:
    text = (LAYOUT % b"3").replace(b"%%", b"%").replace(b"; ", separator)
    text = text.replace(b"from:to", b"from" + colon + b"to") + end
    message = signed(PLAIN, {"c": "simple/simple", "h": "from:to"}, template=text)
    (alteration,) = only(message.replace(b"x1=", b"  x1=")).alterations
    assert alteration.code is C.SIGNATURE_REFOLDED


@pytest.mark.parametrize("name", ["Message-ID", "In-Reply-To", "References", "Content-ID", "Resent-Message-ID"])
def test_brackets_around_an_identifier(name: str) -> None:
    """RFC 5322 section 3.6.4."""
    field = name.encode() + b": %b\r\n"
    message = re.sub(altered._FIELD % name.lower().encode(), b"", PLAIN)
    whole = signed(field % b"1@example.org" + message, {"h": f"from:{name.lower()}"})
    (alteration,) = only(whole.replace(field % b"1@example.org", field % b"<1@example.org>")).alterations
    assert (alteration.code, alteration.removed) == (C.MESSAGE_ID_REFORMATTED, "1@example.org")
    assert alteration.detail == f"angle brackets were added in {name}"


@pytest.mark.parametrize("came", ["Jörg Meier", "=?utf-8?b?SsO2cmcgTWVpZXI=?=", "=?utf-8?q?J=C3=B6rg?= Meier"])
@pytest.mark.parametrize("before", ["=?utf-8?q?J=C3=B6rg_Meier?=", "=?iso-8859-1?Q?J=F6rg_Meier?="])
@pytest.mark.parametrize("to", ["{} <j@example.net>", "x <x@example.net>, {} <j@example.net>"])
def test_a_name_whose_words_were_encoded_together(to: str, before: str, came: str) -> None:
    field = f"To: {to}\r\n"
    alteration = in_field(field.format(before).encode(), field.format(came).encode())
    assert (alteration.code, alteration.removed) == (C.ENCODED_WORDS, to.format(before))
    assert alteration.added == to.format(came)


def test_a_signature_without_order_in_its_blanks_that_was_folded_within_h() -> None:
    template = LAYOUT.replace(b"; s=sel", b";s=sel").replace(b"c=simple/simple", b"c=relaxed/relaxed") % b"3"
    message = signed(PLAIN, {"h": "from:to"}, template=template)
    (alteration,) = only(message.replace(b"h=from:to", b"h=from:\r\n to")).alterations
    assert alteration.code is C.SIGNATURE_REFOLDED


def test_fields_in_another_order() -> None:
    """RFC 6376 section 5.4.2: of several, h= means the last one first."""
    one, two = b"Comments: one\r\n", b"Comments: two\r\n"
    message = signed(one + two + PLAIN, {"h": "from:comments:comments"})
    (alteration,) = only(message.replace(one + two, two + one)).alterations
    assert (alteration.code, alteration.field) == (C.FIELDS_REORDERED, "Comments")
    assert alteration.detail == "the Comments fields stand in another order"


def test_a_field_that_was_added_is_shown_to_its_last_blank() -> None:
    message = b"Reply-To: x@example.net \r\n" + signed(PLAIN, {**SIMPLE, "h": altered.OVERSIGNED})
    assert only(message).header.diff == ("+Reply-To: x@example.net ",)


@pytest.mark.parametrize("fold", [b"\r\n ", b"\r\n\t"])
def test_parameters_folded_with_a_blank_in_one_of_them(fold: bytes) -> None:
    before = b'Content-Type: text/plain;%bcharset=utf-8;%bname="a b c.txt"\r\n' % (fold, fold)
    assert in_field(before, before.replace(fold, b" "), how="simple/simple").code is C.FIELD_REFOLDED


CHARSETS = ["utf-8", "UTF-8", "us-ascii", "US-ASCII", "iso-8859-1", "ISO-8859-1", "iso-8859-15", "windows-1252"]


@pytest.mark.parametrize("form", ["{}", '"{}"'])
@pytest.mark.parametrize("charset", CHARSETS)
def test_the_usual_character_sets(charset: str, form: str) -> None:
    before = f"text/plain; charset={form.format(charset)}".encode()
    field = b"Content-Type: %b\r\n"
    alteration = in_field(field % before, field % b"text/plain; charset=koi8-r")
    assert (alteration.code, alteration.removed) == (C.FIELD_REPLACED, before.decode())
    assert alteration.detail == "the character set in Content-Type was changed"
    gone = in_field(field % before, b"")
    assert (gone.code, gone.removed, gone.field) == (C.FIELD_REMOVED, before.decode(), "Content-Type")


@pytest.mark.parametrize("before", [
    "7bit", "8bit", "quoted-printable", "base64", "binary", "7BIT", "8BIT", "QUOTED-PRINTABLE", "BASE64", "BINARY",
    "8Bit", "7Bit", "Quoted-Printable",
])  # fmt: skip
def test_the_usual_encodings(before: str) -> None:
    """RFC 2045 section 6.1: their case does not count."""
    field = "Content-Transfer-Encoding: {}\r\n"
    alteration = in_field(field.format(before).encode(), field.format("x-other").encode())
    assert (alteration.code, alteration.removed) == (C.ENCODING_CHANGED, before)
    assert alteration.detail == f"Content-Transfer-Encoding was changed from {before}"


@pytest.mark.parametrize("mark", [
    "Re: ", "RE: ", "Fw: ", "Fwd: ", "AW: ", "WG: ", "SV: ", "TR: ", "Antw: ", "R: ", "I: ", "Re[2]: ", "Re: Re: ",
    "Fwd:\tRe:",
])  # fmt: skip
@pytest.mark.parametrize("tag", ["[list] ", "***SPAM*** ", "{Spam?} ", "(extern) ", "<list> "])
def test_a_tag_on_either_side_of_an_answers_mark(mark: str, tag: str) -> None:
    subject = f"Subject: {mark}minutes\r\n".encode()
    for came in (f"{tag}{mark}minutes", f"{mark}{tag}minutes"):
        alteration = in_field(subject, f"Subject: {came}\r\n".encode())
        assert (alteration.code, alteration.added.strip()) == (C.SUBJECT_PREFIX, tag.strip())


@pytest.mark.parametrize("name", ["Content-ID", "List-ID", "Resent-Message-ID", "Message-ID", "MIME-Version"])
def test_names_that_are_written_with_capitals(name: str) -> None:
    message = PLAIN.replace(b"Message-ID: <1234.abcd@example.org>\r\nReferences", b"References").replace(
        b"MIME-Version: 1.0\r\n", b""
    )
    field = name.encode() + b": <1@example.org>\r\n"
    whole = signed(field + message, {**SIMPLE, "h": f"from:{name.lower()}"})
    (alteration,) = only(whole.replace(name.encode() + b": <", name.title().encode() + b": <")).alterations
    assert (alteration.code, alteration.removed) == (C.FIELD_NAME_RECASED, name)


# --- the key -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", range(1, 6))
def test_a_signature_that_lost_octets(lost: int) -> None:
    """What the end of a line took is a few octets; a signature of quite another length has another key."""
    explanation = only(_with_signature(bytes(range(1, 257 - lost))))
    assert (explanation.key.state, explanation.key.name) == (KeyState.OTHER, "sel._domainkey.example.org")
    assert explanation.key.records == (RECORD,)
    octets = 256 - lost
    if lost < 4:
        assert explanation.key.detail.startswith(f"b= has {octets} octets; a signature under the key of 2048 bits has")
        assert explanation.key.repairs == ("send the signature as it was made: b= lost octets",)
    else:
        assert explanation.key.detail.endswith(f"the signature was made with a key of {octets * 8} bits")
        assert explanation.key.repairs[0].startswith("compare the private key with sel._domainkey.example.org")


@pytest.mark.parametrize("octets", [63, 64])
def test_a_signature_that_is_too_short_for_any_key(octets: int) -> None:
    key = only(_with_signature(bytes(octets))).key
    assert ("which is no RSA signature" in key.detail) is (octets < 64)
    assert (key.state, key.name, key.records) == (KeyState.OTHER, "sel._domainkey.example.org", (RECORD,))


def _with_signature(octets: bytes) -> bytes:
    message = signed()
    start = message.index(b"; b=") + 4
    return message[:start] + b64encode(octets) + message[message.index(b"\r\n", start) :]


@pytest.mark.parametrize(
    "text", ["k=rsa; {p}; v=DKIM1", "{p}; v=DKIM1; k=rsa", '"k=rsa; {p}; v=DKIM1;"', "{p};v=DKIM1"]
)
def test_the_version_stands_first(text: str) -> None:
    """RFC 6376 section 3.6.1: v= is the first tag, if it is there."""
    p = RECORD[RECORD.index("p=") :]
    (found,) = repaired([text.format(p=p).encode()])
    assert found.text.startswith(b"v=DKIM1;")
    assert "let the text begin with v=DKIM1" in found.changes
    assert found.record.key
    explanation = only(signed(), text.format(p=p))
    assert (explanation.key.state, explanation.key.proved) == (KeyState.UNUSABLE, True)


@pytest.mark.parametrize("octets", [b"\xfb" + bytes(31), b"\xff" + bytes(31), b"\xfb\xff" + bytes(30)])
def test_a_key_in_the_other_alphabet_of_base64(octets: bytes) -> None:
    """RFC 4648 section 5 writes "-" for "+", and "_" for "/"; many leave the padding out."""
    for p in (urlsafe_b64encode(octets), urlsafe_b64encode(octets).rstrip(b"=")):
        (found,) = repaired([b"v=DKIM1; k=ed25519; p=" + p])
        assert found.text == b"v=DKIM1; k=ed25519; p=" + b64encode(octets)
        assert found.changes == ("write p= in base64",)


def test_a_repaired_record_may_hold_octets_beyond_ascii() -> None:
    """RFC 6376 section 3.6.1: n= are notes."""
    p = RECORD[RECORD.index("p=") :]
    key = only(signed(), f'v=DKIM1 "; n=Grüße; {p}'.encode()).key
    assert (key.state, key.proved) == (KeyState.UNUSABLE, True)
    assert "n=Gr\N{REPLACEMENT CHARACTER}" in key.repaired


# --- the body ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2])
def test_empty_lines_above_a_multipart(number: int) -> None:
    message = signed(altered.ALTERNATIVE, SIMPLE)
    (alteration,) = only(message.replace(b"\r\n\r\n", b"\r\n" * (2 + number), 1)).alterations
    words = "an empty line was" if number == 1 else "2 empty lines were"
    assert alteration.detail == f"{words} added at the beginning of the body"
    assert (alteration.code, alteration.count) == (C.BLANK_LINES_ADDED, number)


@pytest.mark.parametrize("width", [4, 8])
def test_blanks_that_stand_where_a_tab_stood(width: int) -> None:
    """Wherever the column is."""
    body = b"a\tb\r\n12345\tc\r\n"
    message = signed(PLAIN.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body, SIMPLE)
    head = message[: -len(body)]
    (alteration,) = only(head + body.replace(b"\t", b" " * width)).alterations
    assert (alteration.code, alteration.removed, alteration.added) == (C.TABS_TO_BLANKS, "\t", " " * width)
    assert alteration.detail == f"{width} blanks stand where a tab stood"
    assert alteration.line == head.count(b"\n") + 1


@pytest.mark.parametrize("number", [1, 2])
def test_how_many_links_were_led_through_a_gateway(number: int) -> None:
    links = b"\r\n".join(b"see https://%d.example/page now" % at for at in range(number))
    body = b"Hello\r\n" + links + b"\r\n"
    message = signed(PLAIN.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body)
    came = re.sub(rb"https://(\d)\.example/page", rb"https://gw.example/?u=https%3A%2F%2F\1.example%2Fpage", message)
    (alteration,) = only(came).alterations
    words = "a link was" if number == 1 else "2 links were"
    assert (alteration.code, alteration.count) == (C.LINKS_REWRITTEN, number)
    assert alteration.detail == f"{words} led through a gateway"
    assert alteration.line == message.count(b"\n", 0, message.index(b"see https")) + 1
    assert (alteration.removed, alteration.added[:18]) == ("https://0.example/page", "https://gw.example")


def test_delimiters_with_blanks_behind_them() -> None:
    """RFC 2046 section 5.1.1: transport padding is no part of the boundary; blanks in front are text."""
    body = b"--mix \t\r\n\r\none\r\n--mix\r\n\r\ntwo\r\n-- mix\r\nstill two\r\n--mix-- \r\nend\r\n"
    found = structure(body, b"multipart/mixed; boundary=mix", b"")
    assert [body[part.body : part.end] for part in found.parts] == [b"one", b"two\r\n-- mix\r\nstill two"]
    assert found.closed == body.index(b"end")


@pytest.mark.parametrize("fold", [b"\r\n ", b"\n ", b"\r\n\t"])
def test_a_boundary_that_was_folded(fold: bytes) -> None:
    """RFC 5322 section 2.2.3: the line end is taken out, the blank behind it stays."""
    between = fold[-1:]
    body = b"--a" + between + b"b\r\n\r\none\r\n--a" + between + b"b--\r\n"
    found = structure(body, b"multipart/mixed;" + fold + b'boundary="a' + fold + b'b"', b"")
    assert [body[part.body : part.end] for part in found.parts] == [b"one"]


def test_base64_of_so_many_octets_is_shown_decoded() -> None:
    head = b"Content-Transfer-Encoding: base64\r\n\r\n"
    for octets in (mime._MAX_READ, mime._MAX_READ + 1):
        text = b"QUJD" * (mime._MAX_READ // 4) + b"\n" * (octets - mime._MAX_READ)
        body = b"--mix\r\n" + head + text + b"\r\n--mix--\r\n"
        shown = readable(body, structure(body, b"multipart/mixed; boundary=mix", b""))
        assert (b"ABCABC" in shown) is (octets == mime._MAX_READ)
        assert shown.endswith(b"\r\n--mix--\r\n")


def test_what_was_put_into_much_base64() -> None:
    def mail(content: bytes) -> bytes:
        return b"\r\n".join(re.findall(rb".{1,76}", b64encode(content))) + b"\r\n"

    text = b"line of text\r\n" * 4000
    head = PLAIN.partition(b"\r\n\r\n")[0].replace(b"8bit", b"base64") + b"\r\n\r\n"
    message = signed(head + mail(text))
    (alteration,) = only(message[: message.index(b"\r\n\r\n") + 4] + mail(b"CAUTION\r\n" + text)).alterations
    assert (alteration.code, alteration.added) == (C.TEXT_ADDED_AT_START, "CAUTION\n")


def test_parts_that_have_no_fields() -> None:
    """RFC 2046 section 5.1: a part may begin with its empty line."""
    body = b"--mix\r\n\r\none\r\n--mix\r\nContent-Type: text/plain; charset=utf-8\r\n\r\ntwo\r\n--mix--\r\n"
    head = PLAIN.partition(b"Content-Type")[0] + b"Content-Type: multipart/mixed; boundary=mix\r\n\r\n"
    message = signed(head + body, SIMPLE)
    (alteration,) = only(message.replace(b"plain; charset", b"plain;\r\n charset")).alterations
    assert (alteration.code, alteration.part) == (C.PART_HEADER_REWRITTEN, "2 text/plain")


def test_the_words_of_a_key_of_another_type_name_both() -> None:
    explanation = only(signed(key=rsa_key()), "v=DKIM1; k=ed25519; p=" + "A" * 43 + "=")
    assert explanation.key.detail == "the key there is of type ed25519, the signature of type rsa"


@pytest.mark.parametrize("char", ["a", "ü", "€", "\N{GRINNING FACE}"])
def test_what_is_shown_is_cut_at_its_limit(char: str) -> None:
    octets = char.encode()
    assert excerpt(octets * 50, 50) == char * 50
    assert excerpt(octets * 51, 50) == char * 50 + "…"
    assert excerpt(octets * 5000, 50) == char * 50 + "…"
    # What is written with more characters than it has, is cut too.
    assert excerpt(b"\x00" * 50, 50) == ("\\x00" * 50)[:50] + "…"


def test_a_link_of_a_gateway_whose_path_has_the_end_of_its_mark_before() -> None:
    assert target_of(b"https://gw.example/v3__;/__https://b.example/a__;!!x") == b"https://b.example/a"
    assert target_of(b"https://gw.example/v3/__https://b.example/a") is None


@pytest.mark.parametrize("width", [76, 78])
def test_a_link_within_quoted_printable(width: int) -> None:
    text = "Grüße aus Köln, schau mal, da steht: %b und noch mehr, von dem, was wir dort sahen.".encode() + b" more" * 9
    links = b"https://b.example/a?x=1", b"https://gw.example/?u=https%3A%2F%2Fb.example%2Fa%3Fx%3D1"
    before, after = (quoted(text % link, width) for link in links)
    head = PLAIN.partition(b"\r\n\r\n")[0].replace(b"8bit", b"quoted-printable") + b"\r\n\r\n"
    (alteration,) = only(signed(head + before + b"\r\n").replace(before, after)).alterations
    assert (alteration.code, alteration.removed) == (C.LINKS_REWRITTEN, "https://b.example/a?x=1")


def test_so_many_links_are_led_back_and_not_one_more() -> None:
    body = b"".join(b"https://%d.example/\r\n" % number for number in range(MAX_LINKS + 1))
    through = re.sub(rb"https://(\d+)\.example/", rb"https://gw.example/?u=https%3A%2F%2F\1.example%2F", body)
    for number in (MAX_LINKS, MAX_LINKS + 1):
        before, after = (b"".join(text.splitlines(keepends=True)[:number]) for text in (body, through))
        message = signed(PLAIN.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + before)
        explanation = only(message[: -len(before)] + after, limits=ExplainLimits(attempts=800))
        counts = [alteration.count for alteration in explanation.alterations]
        assert counts == ([MAX_LINKS] if number == MAX_LINKS else [])


# --- parts ---------------------------------------------------------------------------------------------------------


def with_parts(*parts: bytes, preamble: bytes = b"") -> bytes:
    """A multipart of these parts, header and all."""
    head = PLAIN.partition(b"Content-Type")[0] + b"Content-Type: multipart/mixed; boundary=mix\r\n\r\n"
    return head + preamble + b"".join(b"--mix\r\n" + part + b"\r\n" for part in parts) + b"--mix--\r\n"


@pytest.mark.parametrize("end", [b"\r\n", b"\r\n\r\n"])
@pytest.mark.parametrize("preamble", [
    b"This is a multi-part message in MIME format.",
    b"This is a MIME-formatted message.  If you see this text it means that your\r\nE-mail software does not support"
    b" MIME-formatted messages.",
    b"This is a multipart message in MIME format.",
    b"This is a message with multiple parts in MIME format.",
])  # fmt: skip
def test_the_words_before_the_first_boundary_are_gone(preamble: bytes, end: bytes) -> None:
    parts = b"Content-Type: text/plain\r\n\r\nHello", b"Content-Type: image/png\r\n\r\nx"
    message = signed(with_parts(*parts, preamble=preamble + end), SIMPLE)
    (alteration,) = only(message.replace(preamble + end, b"")).alterations
    assert (alteration.code, alteration.removed) == (C.PREAMBLE_REMOVED, preamble.decode().replace("\r\n", "\n"))
    assert alteration.line == message[: message.index(preamble)].count(b"\n") + 1


@pytest.mark.parametrize("width", [76, 72, 64, 60, 73, 75, 78, 10_000])
def test_base64_in_lines_of_another_width(width: int) -> None:
    """RFC 2045 section 6.8: at most 76."""

    def part(columns: int) -> bytes:
        text = re.findall(rb".{1,%d}" % columns, b64encode(bytes(range(256)) * 2))
        return b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b"\r\n".join(text)

    message = signed(with_parts(part(width)), SIMPLE)
    (alteration,) = only(message.replace(part(width), part(68))).alterations
    assert (alteration.code, alteration.part) == (C.BASE64_REDONE, "1 image/png")
    assert alteration.detail == "the base64 was written anew"


def quoted(text: bytes, width: int, special: bytes = b"") -> bytes:
    """One line of text as quoted-printable (RFC 2045 section 6.7)."""
    pieces = [b"=%02X" % octet if octet > 126 or octet in b"=" + special else bytes([octet]) for octet in text]
    if text.endswith(b" "):
        pieces[-1] = b"=20"
    lines, line = [], b""
    for index, piece in enumerate(pieces):
        if len(line) + len(piece) > (width if index == len(pieces) - 1 else width - 1):
            lines.append(line + b"=")
            line = b""
        line += piece
    return b"\r\n".join([*lines, line])


@pytest.mark.parametrize("width", [76, 78, 75, 74, 73, 72])
@pytest.mark.parametrize("special", [b"", b'!"#$@[\\]^`{|}~', b"."])
def test_quoted_printable_in_lines_of_another_width(width: int, special: bytes) -> None:
    """RFC 2045 section 6.7: at most 76; what need not be quoted may be."""
    text = "Grüße! Es kostet 10 $ [netto], siehe a@b.example. ".encode() * 6
    before = quoted(text, width, special)
    after = quopri.encodestring(text, quotetabs=True).rstrip(b"\n").replace(b"\n", b"\r\n")
    fields = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    message = signed(with_parts(fields + before), SIMPLE)
    (alteration,) = only(message.replace(before, after)).alterations
    assert (alteration.code, alteration.part) == (C.QUOTED_PRINTABLE_REDONE, "1 text/plain")
    assert alteration.detail == "the quoted-printable was written anew"


@pytest.mark.parametrize("gap", [b"", b"\r\n"])
@pytest.mark.parametrize(("before", "behind"), [(b"", b""), (b"\r\n", b""), (b"", b"\r\n"), (b"\r\n", b"\r\n")])
def test_a_block_with_its_line_ends(gap: bytes, before: bytes, behind: bytes) -> None:
    """Behind <body>, and before </body>: with the line ends that came with it."""
    html = b"<html><body>" + gap + b"<b>Hello</b>" + gap + b"</body></html>\r\n"
    block = before + b"<div>note</div>" + behind
    message = signed(PLAIN.partition(b"\r\n\r\n")[0].replace(b"text/plain", b"text/html") + b"\r\n\r\n" + html)
    for tag, came in ((b"<body>", b"<body>" + block), (b"</body>", block + b"</body>")):
        (alteration,) = only(message.replace(tag, came)).alterations
        assert alteration.code is C.TEXT_ADDED_IN_PART
        assert alteration.added.strip() == "<div>note</div>"


ENDS = ["div", "table", "p", "center", "span", "section", "blockquote", "h1", "h6"]


@pytest.mark.parametrize("tag", [*ENDS, "br", "hr", "comment"])
def test_a_block_of_html_above_and_below(tag: str) -> None:
    html = b"<html><body>Hello <i>Bob</i></body></html>\r\n"
    blocks = {
        "br": (b"note<br>", b"<br>note"),
        "hr": (b"note<hr/>", b"<hr/>note"),
        "comment": (b"note<!--x-->", b"<!--x-->note"),
    }
    whole = f"<{tag} id=x>note</{tag}>".encode()
    above, below = blocks.get(tag, (whole, whole))
    message = signed(PLAIN.partition(b"\r\n\r\n")[0].replace(b"text/plain", b"text/html") + b"\r\n\r\n" + html)
    (first,) = only(message.replace(b"<body>", b"<body>" + above)).alterations
    assert (first.code, first.added) == (C.TEXT_ADDED_IN_PART, above.decode())
    (last,) = only(message.replace(b"</body>", below + b"</body>")).alterations
    assert (last.code, last.added) == (C.TEXT_ADDED_IN_PART, below.decode())
    explanation = only(message.replace(b"<body>", b"<body>" + above).replace(b"</body>", below + b"</body>"))
    assert {found.added for found in explanation.alterations} == {above.decode(), below.decode()}


@pytest.mark.parametrize("block", [
    b"<meta charset=utf-8>", b"<base href='https://x.example/'>", b"<link rel=x>", b"<style>p {}</style>",
    b"<script>0</script>", b"<title>note</title >", b"<!-- note -->",
])  # fmt: skip
def test_what_was_put_into_the_head_of_html(block: bytes) -> None:
    html = b"<html><head></head><body>Hello</body></html>\r\n"
    message = signed(PLAIN.partition(b"\r\n\r\n")[0].replace(b"text/plain", b"text/html") + b"\r\n\r\n" + html)
    (alteration,) = only(message.replace(b"<head>", b"<head>" + block)).alterations
    assert (alteration.code, alteration.added) == (C.TEXT_ADDED_IN_PART, block.decode())


def in_body(before: bytes, after: bytes, body: bytes) -> Any:
    """The only alteration of a body that was signed with some octets, and came with others."""
    message = signed(PLAIN.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body, SIMPLE)
    head = message[: -len(body)]
    assert body.count(before) == 1
    (alteration,) = only(head + body.replace(before, after)).alterations
    return alteration


def test_a_bare_cr_that_was_added() -> None:
    alteration = in_body(b"name", b"na\rme", b"Hello\r\nmy name is Ann\r\n")
    assert (alteration.code, alteration.detail) == (C.LINE_ENDS_CHANGED, "a bare CR was added")
    assert (alteration.added, alteration.count) == ("\\r", 1)


PARAGRAPH = b"A paragraph of some length, that a program breaks where its window ends, or where its author thinks so."


def test_lines_broken_as_flowed_text() -> None:
    """RFC 3676 section 4.2: a blank at the end says that the line goes on; section 4.3: but for that of "-- "."""
    came = b"A paragraph that is broken as its author \r\nthinks right, which is at no column that \r\nis known "
    body = (
        came.replace(b"\r\n", b"")
        + b"to others.\r\n\r\nAnother line, which is longer than those, and stands alone here\r\n-- \r\nAnn\r\n"
    )
    alteration = in_body(came.replace(b"\r\n", b""), came, body)
    assert (alteration.code, alteration.count) == (C.LINES_WRAPPED, 2)
    assert alteration.detail == "lines were broken as flowed text (RFC 3676)"


@pytest.mark.parametrize("kind", [b"text/plain", b"text/x-diff"])
def test_lines_of_a_part_that_were_wrapped(kind: bytes) -> None:
    text = b"Content-Type: " + kind + b"\r\n\r\n" + PARAGRAPH + b"\r\nend"
    message = signed(with_parts(text, b"Content-Type: image/png\r\n\r\nx"), SIMPLE)
    wrapped = b"\r\n".join(line.encode() for line in textwrap.wrap(PARAGRAPH.decode(), 50))
    (alteration,) = only(message.replace(PARAGRAPH, wrapped)).alterations
    assert (alteration.code, alteration.count) == (C.LINES_WRAPPED, wrapped.count(b"\n"))
    assert alteration.line == message[: message.index(PARAGRAPH)].count(b"\n") + 1


@pytest.mark.parametrize("kind", ["text/plain", "application/json"])
def test_a_byte_order_mark_of_a_part(kind: str) -> None:
    part = f"Content-Type: {kind}\r\n\r\n".encode()
    message = signed(with_parts(b"\r\none", part + b"{}"), SIMPLE)
    (alteration,) = only(message.replace(b"\r\n{}", b"\r\n\xef\xbb\xbf{}")).alterations
    assert (alteration.code, alteration.part) == (C.BYTE_ORDER_MARK_ADDED, f"2 {kind}")
    assert alteration.line == message[: message.index(b"{}")].count(b"\n") + 1


@pytest.mark.parametrize(
    ("before", "after"), [(b" ", b"\r\n "), (b" ", b"\r\n\t"), (b"\r\n\t", b"\r\n "), (b"\r\n ", b"\r\n  ")]
)
def test_a_field_of_a_part_that_was_folded_between_words(before: bytes, after: bytes) -> None:
    field = b"Content-Description: a picture of the house%bin which we live\r\n"
    parts = [b"Content-Type: image/png\r\n" + field % before + b"\r\nx%d" % at for at in range(2)]
    message = signed(with_parts(*parts), SIMPLE)
    (alteration,) = only(message.replace(field % before, field % after)).alterations
    assert (alteration.code, alteration.detail) == (
        C.PART_HEADER_REWRITTEN, "the fields of 2 parts were folded differently",
    )  # fmt: skip
    assert alteration.count == 2
    (single,) = only(message.replace(field % before, field % after, 1)).alterations
    assert (single.code, single.part) == (C.PART_HEADER_REWRITTEN, "1 image/png")


def test_the_canonical_form_of_a_large_message() -> None:
    body = b"".join(b"line %d\r\n" % number for number in range(40_000))
    message = signed(PLAIN.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body)
    for source in (message, io.BytesIO(message)):
        (form,) = canonical_forms(source)
        assert form.body_octets == body
        assert form.body_digest == form.signed_digest


def test_the_difference_from_nothing() -> None:
    assert difference(b"", b"text\r\n") == ("+text",)
    assert difference(b"text\r\n", b"") == ("-text",)
    assert difference(b"\r\n", b"\r\n\r\n") == (" ", "+")
    assert difference(b"", b"") == ()


@pytest.mark.parametrize("indent", [b"", b" "])
def test_lines_broken_with_a_mark(indent: bytes) -> None:
    """RFC 5321 section 4.5.3.1.6: a line has at most 998 octets and its end; some break longer ones, with a mark."""
    line = b"0123456789" * 300
    pieces = [line[:989], *(line[at : at + 989 - len(indent)] for at in range(989, len(line), 989 - len(indent)))]
    came = (b"!\r\n" + indent).join(pieces)
    alteration = in_body(line, came, b"Hello\r\n" + line + b"\r\nend\r\n")
    assert (alteration.code, alteration.count) == (C.LINES_WRAPPED, len(pieces) - 1)
    assert alteration.detail.endswith('with "!"')


def test_blanks_at_line_ends_that_are_gone_are_named() -> None:
    alteration = in_body(b"-- \r\n", b"--\r\n", b"Hello\r\n-- \r\nAnn\r\n")
    assert (alteration.code, alteration.removed, alteration.added) == (C.BLANKS_AT_LINE_ENDS_REMOVED, " ", "")
    assert alteration.detail == 'the blank of "-- " is gone'


@pytest.mark.parametrize(("width", "words"), [
    (8, "8 blanks stood"), (4, "4 blanks stood"), (2, "2 blanks stood"), (1, "a blank stood"),
])  # fmt: skip
def test_tabs_that_were_blanks_in_words(width: int, words: str) -> None:
    alteration = in_body(b" " * width + b"x", b"\tx", b"Hello\r\n" + b" " * width + b"x\r\n")
    assert alteration.detail == f"a tab stands where {words}"
    assert (alteration.added, alteration.removed) == ("\t", " " * width)


def test_text_behind_l_is_shown() -> None:
    length = len(canonical_body(PLAIN.partition(b"\r\n\r\n")[2], "relaxed"))
    half = only(signed(PLAIN, {"l": str(length)}) + b"one\r\ntwo\r\n").body
    (alteration,) = half.alterations
    assert (half.state, alteration.code) == (HalfState.INTACT, C.TEXT_BEHIND_LENGTH)
    assert (alteration.added, half.diff[:2]) == ("one\ntwo\n", ("+one", "+two"))
    assert half.detail == alteration.detail == f"10 octets stand behind the {length} that l= covers"


def test_the_search_may_be_done_elsewhere() -> None:
    done = []

    def worker(work: Callable[[], Any]) -> Any:
        done.append(work())
        return done[0]

    message = signed() + b"footer\r\n"
    explanation = only(message, worker=worker)
    assert done == [[explanation]]
    assert explanation == only(message)


@pytest.mark.parametrize(("number", "before"), [(1, 0), (2, 0), (3, 0), (1, 1), (1, 2)])
def test_so_many_empty_lines_before_each_boundary(number: int, before: int) -> None:
    """All of them were added; or one, to those that stood there."""
    part = b"Content-Type: text/plain\r\n\r\nHello" + b"\r\n" * before
    message = signed(with_parts(part, part), SIMPLE)
    came = message.replace(b"Hello", b"Hello" + b"\r\n" * number)
    (alteration,) = only(came).alterations
    assert (alteration.code, alteration.count) == (C.BLANK_LINES_ADDED, 2 * number)
    assert alteration.detail == f"{2 * number} empty lines were added before the boundaries"
    (single,) = only(message.replace(b"Hello", b"Hello" + b"\r\n" * number, 1)).alterations
    assert (single.code, single.count) == (C.BLANK_LINES_ADDED, number)


def test_one_empty_line_more_above_a_multipart() -> None:
    part = b"Content-Type: text/plain\r\n\r\nHello"
    message = signed(with_parts(part, preamble=b"\r\n\r\n"), SIMPLE)
    (alteration,) = only(message.replace(b"\r\n--mix", b"\r\n\r\n--mix", 1)).alterations
    assert (alteration.code, alteration.count) == (C.BLANK_LINES_ADDED, 1)
    assert alteration.line is not None


@pytest.mark.parametrize("width", [76, 78, 75, 74, 73, 72])
def test_what_was_put_into_quoted_printable(width: int) -> None:
    """Decoded, cut and encoded anew as it was, for it may begin within a line."""
    text = "Grüße! Es kostet 10 Euro, und man fährt über die Brücke, wo es schöner ist als anderswo.".encode()
    fields = b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    html, block = b"<body>" + text + b"</body>", b"<div>CAUTION</div>"
    came = html.replace(b"<body>", b"<body>" + block)
    message = signed(with_parts(fields + quoted(html, width)), SIMPLE)
    (alteration,) = only(message.replace(quoted(html, width), quoted(came, width))).alterations
    assert (alteration.code, alteration.added) == (C.TEXT_ADDED_IN_PART, block.decode())


def test_all_texts_were_encoded_anew() -> None:
    def part(kind: str, how: str, octets: bytes) -> bytes:
        fields = f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: {how}\r\n\r\n"
        return fields.encode() + octets

    texts = {kind: f"<p>Grüße in {kind}</p>".encode() for kind in ("plain", "html")}
    message = signed(with_parts(*(part(kind, "8bit", text) for kind, text in texts.items())), SIMPLE)
    came = {kind: part(kind, "base64", b64encode(text)) for kind, text in texts.items()}
    whole = message
    for kind, text in texts.items():
        whole = whole.replace(part(kind, "8bit", text), came[kind])
    (alteration,) = only(whole).alterations
    assert (alteration.code, alteration.count) == (C.ENCODING_CHANGED, 2)
    assert alteration.detail == "8bit was made base64, in 2 parts"
    mixed = whole.replace(
        came["html"], part("html", "quoted-printable", quoted(texts["html"].replace(b"=", b"=3D"), 76))
    )
    (alteration,) = only(mixed).alterations
    assert alteration.detail == "8bit was made another encoding, in 2 parts"


def test_text_behind_a_body_that_begins_with_an_empty_line() -> None:
    message = signed(PLAIN.partition(b"\r\n\r\n")[0] + b"\r\n\r\n\r\nHello\r\n", SIMPLE)
    (alteration,) = only(message + b"footer\r\n").alterations
    assert (alteration.code, alteration.added) == (C.TEXT_ADDED_AT_END, "footer\n")


@pytest.mark.parametrize("how", ["simple/simple", "relaxed/relaxed"])
def test_text_in_a_part_behind_a_line_that_ends_with_a_blank(how: str) -> None:
    """RFC 6376 section 3.4.4: relaxed takes blanks at line ends away, at the end of a part, too."""
    part = b"Content-Type: text/plain\r\n\r\nHello "
    message = signed(with_parts(part, b"Content-Type: image/png\r\n\r\nx"), {"c": how})
    (alteration,) = only(message.replace(b"Hello ", b"Hello \r\nfooter")).alterations
    assert (alteration.code, alteration.part) == (C.TEXT_ADDED_IN_PART, "1 text/plain")
    assert alteration.added.strip() == "footer"


def test_a_long_difference_says_how_much_is_left_out_if_anything_is() -> None:
    def lines(word: bytes, number: int) -> bytes:
        return b"".join(b"%b %d\r\n" % (word, at) for at in range(number))

    for number, left_out in ((27, ()), (28, ("@ 1 more lines of what was signed",))):
        shown = difference(lines(b"old", number), lines(b"new", 401))
        assert tuple(line for line in shown if line.startswith("@")) == (*left_out, "@ 374 more lines of what came")
    for number, left_out in ((27, ()), (28, ("@ 1 more lines of what came",))):
        shown = difference(lines(b"old", 401), lines(b"new", number))
        assert tuple(line for line in shown if line.startswith("@")) == (
            "@ 374 more lines of what was signed", *left_out,
        )  # fmt: skip


def test_a_content_type_that_was_rewritten_has_no_advice_for_lists() -> None:
    message = signed(PLAIN, {"h": altered.OVERSIGNED}).replace(b"charset=utf-8", b"charset=koi8-r")
    explanation = only(message)
    assert [found.code for found in explanation.alterations] == [C.FIELD_REPLACED]
    assert not any("list" in words for words in explanation.advice)


@pytest.mark.parametrize("tag", ["[list]", "***SPAM***", "{Spam?}", "(extern)", "[a][b]"])
def test_a_tag_without_a_blank_behind_it(tag: str) -> None:
    alteration = in_field(b"Subject: minutes\r\n", f"Subject: {tag}minutes\r\n".encode())
    assert (alteration.code, alteration.added) == (C.SUBJECT_PREFIX, tag)


def test_the_type_that_stands_in_a_part_now() -> None:
    message = signed(PLAIN, {"h": altered.OVERSIGNED})
    kind = b"Content-Type: text/plain; charset=utf-8\r\n"
    head, _, body = message.partition(b"\r\n\r\n")
    came = (head + b"\r\n\r\n").replace(kind, b"Content-Type: multipart/mixed; boundary=mix\r\n")
    found = only(came + b"--mix\r\n" + kind + b"\r\n" + body + b"--mix--\r\n").alterations
    assert [(one.code, one.half) for one in found] == [(C.FIELD_REPLACED, "header"), (C.WRAPPED_IN_MULTIPART, "body")]
    assert found[0].detail == "Content-Type was rewritten (its old value stands in the header of a part)"
    assert found[1].detail == "the message was put into a multipart, as its part 1 text/plain"


def test_what_says_nothing_of_its_encoding_is_7bit() -> None:
    """RFC 2045 section 6.1."""
    part = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\none =3D one"
    message = signed(with_parts(part), SIMPLE)
    (alteration,) = only(
        message.replace(b"Content-Transfer-Encoding: quoted-printable\r\n\r\none =3D one", b"\r\none = one")
    ).alterations
    assert (alteration.code, alteration.detail) == (C.ENCODING_CHANGED, "quoted-printable was made 7bit")


def test_one_line_around_each_difference() -> None:
    lines = [b"one\r\n", b"two\r\n", b"three\r\n", b"four\r\n", b"five\r\n", b"six\r\n", b"seven\r\n"]
    whole = b"".join(lines)
    assert difference(whole, whole.replace(b"four", b"4")) == (" three", "-four", "+4", " five")
    both = difference(whole, whole.replace(b"two", b"2").replace(b"six", b"6"))
    assert both == (" one", "-two", "+2", " three", "@", " five", "-six", "+6", " seven")


def test_blanks_at_the_end_of_one_line_of_several() -> None:
    alteration = in_body(b"two\r\n", b"two \r\n", b"one \r\ntwo\r\nthree\t\r\n")
    assert (alteration.code, alteration.added, alteration.count) == (C.BLANKS_AT_LINE_ENDS_ADDED, " ", 1)
    assert alteration.detail == "blanks were added at the end of a line"


def test_empty_lines_before_the_boundaries_that_are_gone() -> None:
    part = b"Content-Type: text/plain\r\n\r\nHello\r\n"
    message = signed(with_parts(part, part), SIMPLE)
    (alteration,) = only(message.replace(b"Hello\r\n\r\n", b"Hello\r\n")).alterations
    assert (alteration.code, alteration.count) == (C.BLANK_LINES_REMOVED, 2)
    assert alteration.detail == "an empty line before the boundaries is gone"
