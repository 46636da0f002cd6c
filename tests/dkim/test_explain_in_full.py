"""Explanations to their last value: the place, the words, the lines of a diff, what stands in the JSON."""

from __future__ import annotations

import hashlib
import re
import textwrap
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from mailauth.dkim import AlterationCode, ExplainLimits, Explanation, HalfState, KeyState, canonical_forms, explain
from mailauth.dkim.explanation.differences import MAX_LINES, difference
from mailauth.dkim.explanation.links import target_of
from mailauth.dkim.explanation.mime import MAX_PART_HEADER, quoted_printable, structure
from mailauth.dkim.explanation.repair import repaired
from mailauth.plan import run
from mailauth.resolvers import ZoneResolver
from tests.dkim import altered
from tests.dkim.altered import PLAIN, signed_message
from tests.dkim.makers import NOW, canonical_body, ed_key, ed_record, rsa_key, rsa_record, signed, zone

C = AlterationCode
RECORD = rsa_record()
SIMPLE = {"c": "simple/simple", "h": altered.OVERSIGNED}
RELAXED = {"c": "relaxed/relaxed", "h": altered.OVERSIGNED}


def only(message: bytes, record: Any = RECORD, **settings: Any) -> Explanation:
    (explanation,) = run(explain(message, now=NOW, **settings), zone(record))
    return explanation


def one(explanation: Explanation) -> tuple[AlterationCode, str, str, str]:
    """Its only alteration: the code, the words, what was added and what was there before."""
    (alteration,) = explanation.alterations
    return alteration.code, alteration.detail, alteration.added, alteration.removed


def rewritten(
    before: bytes, after: bytes, tags: dict[str, str | None] = RELAXED, message: bytes = PLAIN
) -> Explanation:
    """A message that was signed with one text in its header, and came with another."""
    whole = signed(message, tags)
    assert whole.count(before) == 1
    return only(whole.replace(before, after))


# --- fields --------------------------------------------------------------------------------------------------------


def test_an_answers_mark_is_put_in_front_of_a_subject() -> None:
    message = PLAIN.replace(b"Re: minutes", b"minutes")
    explanation = rewritten(b"Subject: ", b"Subject: Re: ", message=message)
    assert one(explanation)[::2] == (C.SUBJECT_PREFIX, "Re: ")


def test_the_identifiers_of_references() -> None:
    explanation = rewritten(b"<1@example.net> <2@", b"<1@example.net><2@")
    assert one(explanation) == (
        C.MESSAGE_ID_REFORMATTED, "blanks between the identifiers in References were taken away",
        "<1@example.net><2@example.net>", "<1@example.net> <2@example.net>",
    )  # fmt: skip
    explanation = rewritten(b"abcd@example.org", b"abcd@EXAMPLE.ORG")
    assert one(explanation) == (
        C.MESSAGE_ID_REFORMATTED, "the domain in Message-ID was written in capitals",
        "<1234.abcd@EXAMPLE.ORG>", "<1234.abcd@example.org>",
    )  # fmt: skip


@pytest.mark.parametrize(
    "date",
    [b"Mon, 2 Nov 2026 15:30:00 +0530", b"Mon, 02 Nov 2026 18:00:00 +0800", b"Mon, 2 Nov 2026 15:45:00 +0545",
     b"Mon, 2 Nov 2026 06:30:00 -0330", b"Tue, 3 Nov 2026 00:00:00 +1400", b"Sun, 1 Nov 2026 22:00:00 -1200"],
)  # fmt: skip
def test_a_date_that_was_written_in_another_zone(date: bytes) -> None:
    """Whatever zone on earth it was written in."""
    message = PLAIN.replace(b"Mon, 02 Nov 2026 10:00:00 +0000", date)
    explanation = rewritten(date, b"Mon, 02 Nov 2026 10:00:00 +0000", message=message)
    assert one(explanation)[::3] == (C.DATE_REFORMATTED, date.decode())


def test_a_field_folded_within_a_word() -> None:
    assert one(rewritten(b"minutes", b"minu\r\n tes"))[0] is C.FIELD_REFOLDED


def test_a_list_of_fields_in_h_that_lost_its_blanks() -> None:
    explanation = rewritten(b"from : to : subject", b"from:to:subject", {"h": "from : to : subject"})
    (alteration,) = explanation.alterations
    assert (alteration.code, alteration.field) == (C.SIGNATURE_REFOLDED, "DKIM-Signature")


def test_names_that_a_server_writes_as_it_is_used_to() -> None:
    message = PLAIN.replace(b"Message-ID", b"Message-Id").replace(b"MIME-Version", b"Mime-Version")
    whole = signed(message, SIMPLE).replace(b"Message-Id:", b"Message-ID:").replace(b"Mime-Version", b"MIME-Version")
    assert one(only(whole))[0] is C.FIELD_NAME_RECASED


@pytest.mark.parametrize(("below", "words"), [(False, "above"), (True, "below")])
def test_a_second_subject(below: bool, words: str) -> None:
    """RFC 6376 section 8.15: readers may show either."""
    message = signed(PLAIN, RELAXED)
    new = b"Subject: win a prize\r\n"
    message = message.replace(b"Date: ", new + b"Date: ", 1) if below else new + message
    explanation = only(message)
    assert one(explanation)[:2] == (C.FIELD_ADDED, f"a second Subject was added {words}")
    assert "of two such fields" in explanation.advice[0]


def test_blanks_around_a_value() -> None:
    explanation = rewritten(b"Re: minutes of", b" Re: minutes of", SIMPLE)
    assert one(explanation)[:2] == (C.FIELD_BLANKS, "the blanks around the value of Subject were changed")
    message = PLAIN.replace(b"Re: minutes of", b"XL sizes of")
    assert one(rewritten(b"XL sizes", b" XL sizes", SIMPLE, message))[0] is C.FIELD_BLANKS


@pytest.mark.parametrize("address", [b"ann@example.org", b"news@example.org"])
def test_a_reply_to_that_is_gone(address: bytes) -> None:
    """What stood there is found where From or Return-Path has the same address."""
    lost = b"Reply-To: " + address + b"\r\n"
    message = signed(b"Return-Path: <news@example.org>\r\n" + lost + PLAIN, RELAXED)
    (alteration,) = only(message.replace(lost, b"")).alterations
    assert (alteration.code, alteration.field) == (C.FIELD_REMOVED, "Reply-To")


def test_the_diff_of_a_field_that_was_added() -> None:
    explanation = only(b"Reply-To: eve@example.com\r\n" + signed(PLAIN, RELAXED))
    assert one(explanation)[0] is C.FIELD_ADDED
    assert explanation.header.diff == ("+Reply-To: eve@example.com",)
    assert explanation.header.attempts > 1
    assert explanation.header.to_dict()["attempts"] == explanation.header.attempts


def test_a_signature_over_another_signature() -> None:
    """RFC 6376 section 3.5: the signature's own field is never one of those that h= names."""
    inner = signed(PLAIN, {"s": "other"})
    message = signed(inner, {"h": "from:subject:dkim-signature:dkim-signature"}) + b"footer\r\n"
    dns = ZoneResolver({("sel._domainkey.example.org", "TXT"): [RECORD]})
    outer = run(explain(message, now=NOW), dns)[0]
    assert (outer.header.state, outer.body.state) == (HalfState.INTACT, HalfState.EXPLAINED)


# --- the body ------------------------------------------------------------------------------------------------------


def test_what_was_done_in_front_of_what_l_covers() -> None:
    message = signed(PLAIN, {"l": "200"})
    explanation = only(message.replace(b"\r\n\r\n", b"\r\n\r\nCAUTION: from outside.\r\n\r\n", 1))
    assert [alteration.code for alteration in explanation.alterations] == [C.TEXT_ADDED_AT_START]


def test_text_behind_l_has_its_line() -> None:
    message = signed(PLAIN, {"c": "simple/simple", "l": str(len(PLAIN.partition(b"\r\n\r\n")[2]))})
    (alteration,) = only(message + b"more\r\nand more\r\n").alterations
    assert (alteration.code, alteration.line) == (C.TEXT_BEHIND_LENGTH, message.count(b"\n") + 1)
    (form,) = canonical_forms(signed(PLAIN, {"l": "100"}))
    assert (len(form.body_octets), form.body_digest) == (100, form.signed_digest)


def test_the_line_of_what_was_put_into_base64() -> None:
    """The line at which the part begins: within base64 no line of the text can be found."""
    (change,) = (change for change in altered.CHANGES if change.name == "footer-in-base64")
    message = change.apply(signed_message("mixed", "relaxed/relaxed", rsa_key()))
    (alteration,) = only(message).alterations
    begin = re.search(rb"base64\r\n\r\n", message)
    assert begin is not None
    assert alteration.line == message.count(b"\n", 0, begin.end()) + 1


def test_a_banner_within_a_message_of_html_alone() -> None:
    html = b"<html>\r\n<body>\r\n<p>Hello</p>\r\n</body>\r\n</html>\r\n"
    head = PLAIN.partition(b"\r\n\r\n")[0].replace(b"text/plain", b"text/html")
    explanation = only(signed(head + b"\r\n\r\n" + html).replace(b"<body>", b"<body><div>CAUTION</div>"))
    (alteration,) = explanation.alterations
    assert (alteration.code, alteration.part) == (C.TEXT_ADDED_IN_PART, "")
    assert "CAUTION" in alteration.added
    assert explanation.body.attempts > 1


@pytest.mark.parametrize("how", ["relaxed/relaxed", "simple/simple"])
def test_what_was_added_to_an_empty_body(how: str) -> None:
    message = signed(PLAIN.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", {"c": how})
    assert one(only(message + b"buy\r\nnow\r\n"))[::2] == (C.TEXT_ADDED_AT_END, "buy\nnow\n")


def test_a_search_that_came_to_its_end() -> None:
    message = signed(PLAIN.partition(b"\r\n\r\n")[0] + b"\r\n\r\nHello\r\n").replace(b"\r\nHello", b"\r\nHullo")
    explanation = only(message)
    assert (explanation.body.state, explanation.body.exhausted) == (HalfState.ALTERED, False)
    assert explanation.body.tried[-1] == "two of these at once"


def test_a_type_of_octets_beyond_ascii() -> None:
    """RFC 2045 section 5.1 allows none; whoever writes some gets an explanation as well."""
    message = PLAIN.replace(b"text/plain; charset=utf-8", b"text/pl\xe4in; charset=\xfcber")
    explanation = only(signed(message) + b"footer\r\n")
    assert one(explanation)[0] is C.TEXT_ADDED_AT_END
    parts = altered.ALTERNATIVE.replace(b"charset=utf-8", b"charset=\xfcber")
    assert one(only(signed(parts) + b"footer\r\n"))[0] is C.TEXT_AFTER_LAST_BOUNDARY


# --- the diff ------------------------------------------------------------------------------------------------------


def test_a_diff_of_sixty_lines_is_whole() -> None:
    def lines(word: str, count: int) -> bytes:
        return b"".join(b"%b %d\r\n" % (word.encode(), number) for number in range(count))

    whole = difference(lines("was", MAX_LINES // 2), lines("is", MAX_LINES // 2))
    assert len(whole) == MAX_LINES
    assert (whole[0], whole[-1]) == ("-was 0", "+is 29")
    more = difference(lines("was", MAX_LINES // 2 + 1), lines("is", MAX_LINES // 2))
    assert (len(more), more[-1]) == (MAX_LINES + 1, "@ 1 more lines")
    large = difference(lines("was", 500), lines("is", 450))
    assert large[:2] == ("-was 0", "-was 1")
    assert large[27:29] == ("@ 473 more lines of what was signed", "+is 0")
    assert large[-1] == "@ 423 more lines of what came"


# --- the key and the summary ---------------------------------------------------------------------------------------


def test_the_record_of_a_key_that_fits() -> None:
    key = only(signed() + b"footer\r\n").key
    assert (key.state, key.records, key.name) == (KeyState.FITS, (RECORD,), "sel._domainkey.example.org")


def test_a_key_of_the_same_size_that_is_another_one() -> None:
    """The signature shows by itself that it was made with another key."""
    other = rsa_record(rsa_key(2048, 3))
    key = only(signed(), other).key
    assert (key.state, key.proved, key.records) == (KeyState.OTHER, False, (other,))
    # Of a message that is too large to be searched, the key is said all the same.
    large = only(signed() + b"footer\r\n", other, limits=ExplainLimits(message_octets=100))
    assert (large.header.state, large.body.state) == (HalfState.UNKNOWN, HalfState.UNKNOWN)
    assert key.detail in large.summary


def test_a_signature_that_was_refused_before_its_key_was_asked_for() -> None:
    explanation = only(signed(PLAIN, {"a": "rsa-sha1", "bh": "q83vEjRWeJCrze8SNFZ4kKvN7xI="}))
    assert explanation.key.state is KeyState.NOT_ASKED
    assert explanation.summary == explanation.signature.detail


def test_what_ed25519_leaves_open() -> None:
    message = signed(PLAIN, key=ed_key()).replace(b"Ann Example <", b"Eve Example <")
    header = only(message, ed_record(), limits=ExplainLimits(verifications=300)).header
    assert (header.state, header.detail) == (HalfState.UNKNOWN, "it was altered, or the key is another one")
    assert (header.attempts, header.exhausted, header.diff) == (300, True, ())
    whole = only(message, ed_record(), limits=ExplainLimits(verifications=50_000)).header
    assert whole.tried or whole.exhausted


def test_a_part_that_was_wrapped_has_no_advice_for_lists() -> None:
    explanation = only(altered.wrapped_in_multipart(signed_message("plain", "relaxed/relaxed", rsa_key())))
    assert C.FIELD_REPLACED in [alteration.code for alteration in explanation.alterations]
    assert not any("rewrites From" in advice for advice in explanation.advice)


# --- what little there is between one guess and the next ---


@pytest.mark.parametrize("how", ["relaxed/simple", "simple/relaxed"])
def test_the_octets_that_b_signs(how: str) -> None:
    """RFC 6376 section 3.7: what is shown as hashed is what the signature fits."""
    message = signed(PLAIN, {"c": how})
    (form,) = canonical_forms(message)
    found = re.search(rb" b=([^;\r]+)", message)
    assert found is not None
    octets = form.header_octets
    rsa_key().public_key().verify(b64decode(found[1]), octets, PKCS1v15(), SHA256())
    digest = b64encode(hashlib.sha256(octets).digest()).decode()
    assert form.to_dict() == {
        "index": 0, "domain": "example.org", "selector": "sel", "header_canonicalization": how.partition("/")[0],
        "body_canonicalization": how.partition("/")[2], "header": form.header,
        "header_base64": b64encode(octets).decode(), "header_digest": digest, "body": form.body,
        "body_base64": b64encode(form.body_octets).decode(), "body_digest": form.signed_digest,
        "signed_digest": form.signed_digest,
    }  # fmt: skip


def test_a_body_that_lost_its_last_words_is_shorter_than_l_says() -> None:
    """RFC 6376 section 3.4.5: l= counts what canonicalisation leaves."""
    head, empty, body = PLAIN.partition(b"\r\n\r\n")
    blank = b"many        blanks, \r\n" * 20
    message = signed(head + empty + blank + body, {"l": "400"})
    short = message.removesuffix(body) + body[:90]
    (form,) = canonical_forms(short)
    assert len(form.body_octets) < 400 < len(blank) + 90
    assert only(short).body.detail == f"l=400, but it has {len(form.body_octets)} octets: the end is missing"


def test_of_a_large_body_the_first_difference_is_shown() -> None:
    many = b"".join(b"line %d\r\n" % number for number in range(500_000))
    for number in (499_999, 499_998, 3, 1, 0):
        before = [f" line {number - 1}"] if number else []
        behind = [f" line {number + 1}"] if number < 499_999 else []
        shown = difference(many, many.replace(b"line %d\r\n" % number, b"LINE %d\r\n" % number, 1))
        assert list(shown) == [*before, f"-line {number}", f"+LINE {number}", *behind]
        added = many.replace(b"line %d\r\n" % number, b"line %d\r\nfooter\r\n" % number, 1)
        assert list(difference(many, added)) == [f" line {number}", "+footer", *behind]
    assert difference(many, many) == ()


@pytest.mark.parametrize(
    ("first", "code", "words"),
    [
        (b"\r\n", C.BLANK_LINES_ADDED, "an empty line was added at the beginning of the body"),
        (b"\r\n" * 3, C.BLANK_LINES_ADDED, "3 empty lines were added at the beginning of the body"),
        (b" \r\n\t\r\n", C.BLANK_LINES_ADDED, "2 empty lines were added at the beginning of the body"),
        (b"\xef\xbb\xbf\r\n", C.BYTE_ORDER_MARK_ADDED, "a byte-order mark was added at the beginning of the body"),
        (b"News\r\n\r\n", C.TEXT_ADDED_AT_START, "text was added at the beginning of the body"),
    ],
)
@pytest.mark.parametrize("kind", [b"text/plain", b"application/pdf"])
def test_what_was_added_at_the_top_is_counted(kind: bytes, first: bytes, code: AlterationCode, words: str) -> None:
    message = signed(PLAIN.replace(b"text/plain", kind), {"c": "simple/simple"})
    (alteration,) = only(message.replace(b"\r\n\r\n", b"\r\n\r\n" + first, 1)).alterations
    assert (alteration.code, alteration.detail) == (code, words)
    assert alteration.count == (first.count(b"\n") if code is C.BLANK_LINES_ADDED else 1)
    assert alteration.line == message[: message.index(b"\r\n\r\n")].count(b"\n") + 3


@pytest.mark.parametrize("number", [1, 3])
def test_empty_lines_at_the_end_are_counted(number: int) -> None:
    """RFC 6376 section 3.4.3: simple takes lines of blanks for text."""
    message = signed(PLAIN, {"c": "simple/simple"})
    (alteration,) = only(message + b" \r\n" * number).alterations
    assert (alteration.code, alteration.count) == (C.BLANK_LINES_ADDED, number)
    words = "an empty line was" if number == 1 else "3 empty lines were"
    assert alteration.detail == f"{words} added at the end"


def test_a_subject_of_many_words_with_one_behind_it() -> None:
    subject = b"Re: minutes of the meeting on Monday, in the second week of the month"
    message = PLAIN.replace(b"Re: minutes of the meeting on Monday, draft", subject)
    explanation = rewritten(b"of the month", b"of the month external", message=message)
    assert one(explanation)[::2] == (C.SUBJECT_SUFFIX, " external")


def folded(columns: int) -> tuple[bytes, bytes]:
    """A To whose first line has so many columns, and the same on one line."""
    first = b"To: ann@example.org, " + b"b" * (columns - 34) + b"@example.org,"
    assert len(first) == columns
    rest = b"carol@example.com, dan@example.net"
    return first + b"\r\n " + rest + b"\r\n", first + b" " + rest + b"\r\n"


@pytest.mark.parametrize("columns", [72, 76, 78])
def test_a_field_that_was_folded_at_a_column(columns: int) -> None:
    before, after = folded(columns)
    message = re.sub(altered._FIELD % b"to", lambda _: before, PLAIN)
    assert one(rewritten(before, after, SIMPLE, message))[0] is C.FIELD_REFOLDED


def test_references_that_are_gone_stand_in_the_field_of_the_answered_message() -> None:
    """RFC 5322 section 3.6.4: an answer to a message without References has its identifier in both."""
    message = PLAIN.replace(
        b"<1@example.net> <2@example.net>\r\n", b"<1@example.net>\r\nIn-Reply-To: <1@example.net>\r\n"
    )
    explanation = only(signed(message, RELAXED).replace(b"References: <1@example.net>\r\n", b""))
    assert one(explanation)[0::3] == (C.FIELD_REMOVED, "<1@example.net>")
    assert explanation.alterations[0].field == "References"


@pytest.mark.parametrize("below", [False, True])
def test_two_more_subjects(below: bool) -> None:
    """RFC 6376 section 5.4.2: h= takes them from the bottom."""
    new = b"Subject: win\r\nSubject: a prize\r\n"
    message = signed(PLAIN, RELAXED)
    (alteration,) = only(message.replace(b"Date: ", new + b"Date: ", 1) if below else new + message).alterations
    assert (alteration.code, alteration.field) == (C.FIELD_ADDED, "Subject")
    assert alteration.detail == "more Subject fields were added"


def test_the_last_letter_of_a_field_is_in_the_diff() -> None:
    assert only(b"Reply-To: X\r\n" + signed(PLAIN, RELAXED)).header.diff == ("+Reply-To: X",)


def test_how_many_names_were_written_as_a_server_is_used_to() -> None:
    message = PLAIN.replace(b"Message-ID", b"Message-Id").replace(b"MIME-Version", b"Mime-Version")
    whole = signed(message, SIMPLE).replace(b"Message-Id:", b"Message-ID:").replace(b"Mime-Version", b"MIME-Version")
    (alteration,) = only(whole).alterations
    assert alteration.count >= 2


LAYOUT = (
    b"DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d=example.org; s=sel; q=dns/txt; h=from:to; bh=%(bh)s; "
    b"b=%(b)s"
)


@pytest.mark.parametrize("columns", [72, 76, 78])
@pytest.mark.parametrize("fold", [b"\r\n\t", b"\r\n "])
def test_a_signature_that_was_folded_at_a_column(columns: int, fold: bytes) -> None:
    """As many tags on a line as fit, and the next would be one column too long; a server wrote all of them on one."""
    long = b"x%b=1" % (b"y" * (columns - 69))
    words = LAYOUT.replace(b"; s=sel", b"; %b; s=sel" % long).split(b"; ")
    assert len(b"; ".join(words[:5])) == columns + 1
    lines = [words[:4], words[4:8], words[8:]]
    template = (b";" + fold).join(b"; ".join(line) for line in lines)
    message = signed(PLAIN, {"c": "simple/simple", "h": "from:to"}, template=template)
    explanation = only(message.replace(b";" + fold, b"; ", 2))
    assert one(explanation)[0] is C.SIGNATURE_REFOLDED


@pytest.mark.parametrize("blank", [b" ", b"\t", b"  "])
def test_a_signature_folded_before_its_blanks(blank: bytes) -> None:
    """RFC 5322 section 2.2.3: folding puts CRLF before a blank, and unfolding takes it away."""
    template = LAYOUT.replace(b"; ", b";" + blank)
    message = signed(PLAIN, {"c": "simple/simple", "h": "from:to"}, template=template)
    assert one(only(message.replace(b";" + blank + b"s=", b";\r\n" + blank + b"s=")))[0] is C.SIGNATURE_REFOLDED


@pytest.mark.parametrize(
    "record", [RECORD.replace("p=", "p=p="), "v=DKIM1; k=rsa; p=####", "v=DKIM1; p=", "v=DKIM1; k=rsa; h=md5; p=!"]
)
def test_the_records_at_the_keys_name_are_shown(record: str) -> None:
    key = only(signed(), record).key
    assert (key.state, key.records, key.name) == (KeyState.UNUSABLE, (record,), "sel._domainkey.example.org")


@pytest.mark.parametrize(
    ("link", "target"),
    [
        (b"https://gw.example/v3/__https://b.example/a__;Kw!!x", b"https://b.example/a"),
        (b"https://gw.example/v3/__https://b.example/a*b__;Kw!!x", None),  # the character is not in the link
        (b"https://gw.example/v3/__https://b.example/a", None),
        (b"https://gw.example/?u=https%3A%2F%2Fb.example%2Fa&amp;d=1", b"https://b.example/a"),
        (b"https://gw.example/?d=1&u=https-3A__b.example_a", b"https://b.example/a"),
        (b"https://gw.example/?d=1", None),
    ],
)
def test_where_a_link_leads(link: bytes, target: bytes | None) -> None:
    assert target_of(link) == target


def test_a_link_led_through_a_gateway_within_base64() -> None:
    def part(link: bytes) -> bytes:
        return b64encode(b"Hello,\r\n\r\nlook at " + link + b" now.\r\n" * 9)

    head = PLAIN.partition(b"\r\n\r\n")[0].replace(b"8bit", b"base64") + b"\r\n\r\n"
    lines = [b"\r\n".join(re.findall(rb".{1,76}", part(link))) for link in (
        b"https://b.example/a", b"https://gw.example/?u=https%3A%2F%2Fb.example%2Fa")]  # fmt: skip
    for end in (b"", b"\r\n"):
        message = signed(head + lines[0] + end)
        assert one(only(message.replace(lines[0], lines[1])))[0] is C.LINKS_REWRITTEN
    # In a multipart, an empty line before the delimiter is the part's.
    fields, empty, rest = altered.MIXED.partition(b"base64\r\n\r\n")
    for end in (b"", b"\r\n"):
        message = signed(fields + empty + lines[0] + b"\r\n" + end + rest[rest.index(b"--mix") :])
        assert one(only(message.replace(lines[0], lines[1])))[0] is C.LINKS_REWRITTEN


def test_a_field_that_was_given_to_a_part() -> None:
    message = signed(altered.ALTERNATIVE).replace(
        b"\r\nContent-Type: text/html", b"\r\nX-Scanned: yes\r\nContent-Type: text/html"
    )
    (alteration,) = only(message).alterations
    assert (alteration.code, alteration.part) == (C.PART_HEADER_REWRITTEN, "2 text/html")
    assert alteration.detail.endswith("given X-Scanned")
    assert alteration.added == "X-Scanned: yes\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"<body>\r\n<p>", b"<body>\r\n<div>CAUTION</div><p>"),
        (b"<body>\r\n<p>", b"<body>\r\n<div>CAUTION</div>\r\n<p>"),
        (b"<body>\r\n<p>", b"<body><div>CAUTION</div>\r\n<p>"),
        (b"<p>Ann</p></body>", b"<p>Ann</p>\r\n<div>CAUTION</div></body>"),
        (b"<p>Ann</p></body>", b"<p>Ann</p><div>CAUTION</div>\r\n</body>"),
    ],
)
def test_where_a_block_is_put_into_html(before: bytes, after: bytes) -> None:
    html = b"<html>\r\n<body>\r\n<p>Hello</p>\r\n<p>Ann</p></body>\r\n</html>\r\n"
    head = PLAIN.partition(b"\r\n\r\n")[0].replace(b"text/plain", b"text/html")
    (alteration,) = only(signed(head + b"\r\n\r\n" + html, SIMPLE).replace(before, after)).alterations
    assert alteration.code is C.TEXT_ADDED_IN_PART
    assert alteration.added.strip() == "<div>CAUTION</div>"


def altered_body(before: bytes, after: bytes, body: bytes, how: str = "relaxed/simple") -> Explanation:
    """A body of 8-bit text that was signed with some octets, and came with others in their first place."""
    head = PLAIN.partition(b"\r\n\r\n")[0]
    message = signed(head + b"\r\n\r\n" + body, {"c": how})
    return only(message.replace(before, after, 1) if before else message + after)


@pytest.mark.parametrize("width", [8, 4, 2, 1])
def test_tabs_that_were_blanks_begin_at_the_first(width: int) -> None:
    blanks = b" " * width
    body = b"Hello\r\n" + b"".join(b"%b%b%bx\r\n" % (blanks, word, blanks) for word in (b"one", b"two", b"three"))
    message = signed(PLAIN.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body, SIMPLE)
    came = re.sub(rb"(?m)^ {%d}(one|two|three) {%d}x" % (width, width), rb"\t\1\tx", message)
    (alteration,) = only(came).alterations
    assert alteration.code is C.BLANKS_TO_TABS
    assert alteration.line == came.count(b"\n", 0, came.index(b"\tone")) + 1


def test_one_dot_of_two() -> None:
    """RFC 5321 section 4.5.2: a dot at the beginning of a line is doubled on its way, and then taken away again."""
    body = b"Hello\r\n.one\r\n.two\r\n"
    (alteration,) = altered_body(b"\r\n.two", b"\r\n..two", body).alterations
    assert (alteration.code, alteration.added, alteration.removed) == (C.DOTS_DOUBLED, ".", "")
    assert "a line" in alteration.detail
    (alteration,) = altered_body(b"\r\n..two", b"\r\n.two", body.replace(b".two", b"..two")).alterations
    assert (alteration.code, alteration.added, alteration.removed) == (C.DOTS_REMOVED, "", ".")


@pytest.mark.parametrize("width", [66, 70, 90])
def test_lines_broken_at_a_width_of_their_own(width: int) -> None:
    paragraphs = [altered._LONG.strip().decode() for _ in range(3)]
    came = b"".join(f"{line}\r\n".encode() for text in paragraphs for line in (*textwrap.wrap(text, width), ""))
    body = b"".join(f"{text}\r\n\r\n".encode() for text in paragraphs)
    (alteration,) = altered_body(body, came, body).alterations
    assert alteration.code is C.LINES_WRAPPED
    assert alteration.count == came.count(b"\n") - body.count(b"\n")


@pytest.mark.parametrize(
    ("text", "charset"), [("Grüße", "iso-8859-1"), ("10 €, “bitte”", "cp1252"), ("10 €, Š", "iso-8859-15")]
)
def test_text_that_was_made_utf_8(text: str, charset: str) -> None:
    (alteration,) = altered_body(
        text.encode(charset), text.encode(), b"Hallo, " + text.encode(charset) + b"\r\n"
    ).alterations
    assert (alteration.code, alteration.detail.split()[-1]) == (C.CHARSET_CHANGED, "utf-8")


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", "iso-8859-1", "ISO-8859-1"])
@pytest.mark.parametrize("how", ["q", "Q"])
def test_a_subject_whose_encoded_words_were_written_anew(charset: str, how: str) -> None:
    """RFC 2047 section 2: neither the name of the charset nor that of the encoding has a case of its own."""
    octets = "ü".encode(charset)
    word = f"=?{charset}?{how}?Gr{''.join(f'={octet:02X}' for octet in octets)}n?=".encode()
    message = re.sub(altered._FIELD % b"subject", lambda _: b"Subject: " + word + b"\r\n", PLAIN)
    explanation = rewritten(word, b"=?windows-1252?B?R3L8bg==?=", SIMPLE, message)
    assert one(explanation)[0] is C.ENCODED_WORDS


OTHER_PLACES = {
    "From": "Reply-To X-Original-Sender Sender Return-Path X-Envelope-From Resent-From Cc",
    "Sender": "From Return-Path X-Original-From",
    "Reply-To": "From X-Original-From Sender List-Post",
    "To": "Delivered-To X-Envelope-To X-Forwarded-To X-BeenThere List-Post Resent-To Envelope-To",
    "Cc": "To Delivered-To X-BeenThere List-Post Resent-Cc",
}


@pytest.mark.parametrize(
    ("name", "other"), [(name, other) for name, all in OTHER_PLACES.items() for other in all.split()]
)
def test_an_address_that_was_rewritten_stands_in_another_field(name: str, other: str) -> None:
    old = b"dan@example.net"
    fields = {"From": b"ann@example.org", "To": b"bob@example.net", "Subject": b"hello"}
    fields[name] = old
    whole = {**fields, other: b"<mailto:%b>" % old if other == "List-Post" else old}
    text = b"".join(b"%b: %b\r\n" % (key.encode(), value) for key, value in whole.items()) + b"\r\nhello\r\n"
    message = signed(text, {"h": ":".join({*map(str.lower, fields)} - {other.lower()})})
    line = f"\r\n{name}: ".encode()
    came = message.replace(line + old, line + b"list@lists.example")
    (alteration,) = only(came).alterations
    assert (alteration.code, alteration.field) == (C.FIELD_REPLACED, name)
    assert alteration.detail.lower().endswith(f"stands in {other})".lower())


USUAL = {
    "MIME-Version": ["1.0"],
    "Content-Transfer-Encoding": ["7bit", "8bit", "quoted-printable", "base64", "binary", "7BIT", "8BIT"],
    "Content-Type": ["text/plain", "text/plain; charset=utf-8", 'text/plain; charset="UTF-8"'],
    "Content-Language": ["en-US", "en", "en-GB", "de-DE", "fr-FR"],
    "Content-Disposition": ["inline"],
    "To": ["undisclosed-recipients:;"],
    "List-Unsubscribe-Post": ["List-Unsubscribe=One-Click"],  # RFC 8058 section 3.1
    "Precedence": ["bulk", "list", "normal"],
    "Importance": ["Normal", "normal", "High", "high"],
    "X-Priority": ["3", "1", "3 (Normal)"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, all in USUAL.items() for value in all])
def test_a_field_that_is_gone_had_a_usual_value(name: str, value: str) -> None:
    lost = f"{name}: {value}\r\n".encode()
    message = signed(
        b"From: ann@example.org\r\n" + lost + b"\r\nhello\r\n", {"h": f"from:{name}", "c": "simple/simple"}
    )
    (alteration,) = only(message.replace(lost, b"")).alterations
    assert (alteration.code, alteration.field, alteration.removed) == (C.FIELD_REMOVED, name, value)


@pytest.mark.parametrize("tag", [b"bh", b"h"])
def test_a_signature_folded_within_a_value(tag: bytes) -> None:
    """RFC 6376 sections 3.2 and 3.5: folds and blanks are allowed within both, and count where the field is hashed."""
    message = signed(PLAIN, {"h": "from:to:subject"})
    found = re.search(rb"; %b=[a-z:]{5}|; %b=.{20}" % (tag, tag), message)
    assert found is not None
    came = message[: found.end()] + b"\r\n\t" + message[found.end() :]
    came = came.replace(b"; s=", b";\r\n\ts=")
    assert one(only(came))[0] is C.SIGNATURE_REFOLDED


def test_a_few_of_many_records_are_looked_at() -> None:
    """A zone is anybody's."""
    records: list[str | bytes] = [f"v=DKIM1; k=x{number}; p=AAAA" for number in range(9)]
    assert len(only(signed(), records).key.records) == 6


def test_what_quoted_printable_leaves_as_it_is() -> None:
    """RFC 2045 section 6.7: "=", controls and what is beyond US-ASCII are written in hexadecimal digits."""
    for octet in range(256):
        literal = 33 <= octet <= 126 and octet != 61
        assert quoted_printable(b"a%cb" % octet) == (
            b"a%cb" % octet if literal or octet in (9, 32) else b"a=%02Xb" % octet
        )


def test_a_part_whose_fields_do_not_end() -> None:
    """However much stands there: it is looked through for their end a bounded way."""
    fields = b"X-Long: " + b"x" * MAX_PART_HEADER + b"\r\n"
    (part,) = structure(b"--b\r\n" + fields + b"\r\nhello\r\n--b--\r\n", b"multipart/mixed; boundary=b", b"").leaves
    assert part.content_type == "text/plain"
    assert part.header == 5
    assert part.body < len(fields)


def test_the_codes_are_the_names() -> None:
    """A program that stored one finds it again."""
    for codes in (AlterationCode, HalfState, KeyState):
        assert [code.value for code in codes] == [code.name.lower().replace("_", "-") for code in codes]


def test_the_line_of_what_was_put_behind_much_base64() -> None:
    """Wherever it stands in the text: within base64 its line is not to be seen, and the first of the part is given."""
    head = PLAIN.partition(b"\r\n\r\n")[0].replace(b"8bit", b"base64") + b"\r\n\r\n"
    text = b"".join(b"This is line %d of the text.\r\n" % number for number in range(40))

    def lines(content: bytes) -> bytes:
        return b"".join(line + b"\r\n" for line in re.findall(rb".{1,76}", b64encode(content)))

    message = signed(head + lines(text))
    came = message.replace(lines(text), lines(text + b"-- \r\nsent by a list\r\n"))
    (alteration,) = only(came).alterations
    assert (alteration.code, alteration.added) == (C.TEXT_ADDED_AT_END, "-- \nsent by a list\n")
    assert alteration.line == came[: came.index(b"\r\n\r\n")].count(b"\n") + 3


@pytest.mark.parametrize("behind", [b"", b"\r\n"])
def test_a_part_of_quoted_printable_that_was_made_8bit(behind: bytes) -> None:
    """RFC 2046 section 5.1.1: the line end before a delimiter is the delimiter's; gateways differ in that."""
    head = PLAIN.partition(b"Content-Type")[0] + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    field = b"Content-Transfer-Encoding: "
    before = b"--b\r\n" + field + b"quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n--b--\r\n"
    after = b"--b\r\n" + field + b"8bit\r\n\r\n" + "Grüße".encode() + behind + b"\r\n--b--\r\n"
    message = signed(head + before, {"c": "simple/simple"})
    (alteration,) = only(message.replace(before, after)).alterations
    assert (alteration.code, alteration.part) == (C.ENCODING_CHANGED, "1 text/plain")
    assert alteration.detail == "quoted-printable was made 8bit"


def test_parameters_whose_names_were_written_in_capitals() -> None:
    """RFC 2045 section 5.1: the names of parameters know no case; values do."""
    message = PLAIN.replace(b"charset=utf-8", b"charset=utf-8; name=Notes.TXT")
    explanation = rewritten(b"charset=utf-8; name=", b"CHARSET=utf-8; NAME=", RELAXED, message)
    assert one(explanation)[::3] == (C.FIELD_REFORMATTED, "text/plain; charset=utf-8; name=Notes.TXT")


@pytest.mark.parametrize("columns", [72, 76, 78])
@pytest.mark.parametrize("fold", [b"\r\n ", b"\r\n\t"])
def test_a_subject_that_was_folded_at_a_column(columns: int, fold: bytes) -> None:
    """As many words on a line as fit, and the first line is full."""
    first = b"Re: minutes of the meeting " + b"x" * (columns - 36)
    assert len(b"Subject: " + first) == columns
    message = PLAIN.replace(b"Re: minutes of the meeting on Monday, draft", first + fold + b"on Monday")
    assert one(rewritten(fold + b"on Mon", b" on Mon", SIMPLE, message))[0] is C.FIELD_REFOLDED


def test_empty_lines_before_the_boundaries() -> None:
    """How many there are, and the line of the first."""
    message = signed(altered.ALTERNATIVE, {"c": "simple/simple"})
    came = message.replace(b"\r\n--=_alt", b"\r\n\r\n--=_alt")
    (alteration,) = only(came).alterations
    assert alteration.code is C.BLANK_LINES_ADDED
    assert (alteration.count, alteration.line) == (3, came[: came.index(b"\r\n--=_alt")].count(b"\n") + 1)
    assert alteration.detail == "3 empty lines were added before the boundaries"


@pytest.mark.parametrize("width", [4, 8])
def test_blanks_up_to_a_column_that_were_made_tabs(width: int) -> None:
    """As unexpand(1) does, and then expand(1) the other way round."""
    came = b"to be\r\non\tx\r\nthree\ty\r\n\tz\r\n"
    body = b"\r\n".join(line.expandtabs(width) for line in came.split(b"\r\n"))
    (alteration,) = altered_body(body, came, body).alterations
    assert (alteration.code, alteration.added, alteration.removed) == (C.BLANKS_TO_TABS, "\t", "")
    assert alteration.detail == f"blanks were made tabs, at every {width}th column"
    (back,) = altered_body(came, body, came).alterations
    assert (back.code, back.line) == (C.TABS_TO_BLANKS, alteration.line)


@pytest.mark.parametrize(
    "other",
    ["Original-Subject", "X-Original-Subject", "X-Old-Subject", "Old-Subject", "X-Google-Original-Subject",
     "X-Subject", "X-Envelope-Subject"],
)  # fmt: skip
def test_an_old_value_that_is_kept_in_another_field(other: str) -> None:
    """RFC 5703 section 5 names Original-Subject; others have names of their own."""
    message = signed(PLAIN, RELAXED)
    for came, code in ((b"Subject: win a prize\r\n", C.FIELD_REPLACED), (b"", C.FIELD_REMOVED)):
        old = re.search(rb"Subject: (.*)\r\n", message)
        assert old is not None
        kept = other.encode() + b": " + old[1] + b"\r\n"
        (alteration,) = only(kept + message.replace(old[0], came)).alterations
        assert (alteration.code, alteration.field, alteration.removed) == (code, "Subject", old[1].decode())
        assert alteration.detail.endswith(f"stands in {other})")


def test_the_bounds_are_those_of_the_documentation() -> None:
    mebi = 1024 * 1024
    assert ExplainLimits() == ExplainLimits(
        attempts=40_000, verifications=12_000, octets=128 * mebi, octets_per_octet=64, seconds=10.0,
        message_octets=64 * mebi,
    )  # fmt: skip


@pytest.mark.parametrize("mark", ["RE: ", "re: ", "AW: ", "Aw: ", "Re:"])
def test_an_answers_mark_that_was_written_anew_with_a_tag(mark: str) -> None:
    message = PLAIN.replace(b"Re: minutes", mark.encode() + b"minutes")
    explanation = rewritten(b"Subject: " + mark.encode() + b"minutes", b"Subject: [list] Re: minutes", message=message)
    assert one(explanation)[::2] == (C.SUBJECT_PREFIX, "[list] ")


@pytest.mark.parametrize("month", range(1, 13))
def test_a_date_of_any_day_of_the_week_and_any_month(month: int) -> None:
    """RFC 5322 section 3.3."""
    for day in range(1, 8):
        when = datetime(2026, month, day, 22, 30, tzinfo=timezone(timedelta(hours=-5)))
        before, after = (format_datetime(each).encode() for each in (when, when.astimezone(UTC)))
        message = PLAIN.replace(b"Mon, 02 Nov 2026 10:00:00 +0000", before)
        assert one(rewritten(before, after, message=message))[::3] == (C.DATE_REFORMATTED, before.decode())


@pytest.mark.parametrize(
    ("zone", "names"),
    [
        ("+0000", "GMT UT UTC Z -0000"),
        ("+0100", "CET"), ("+0200", "CEST"), ("-0800", "PST"), ("-0700", "PDT"), ("-0600", "CST"), ("-0500", "EST"),
        ("-0400", "EDT"),
    ],
)  # fmt: skip
def test_a_zone_that_was_written_as_a_number(zone: str, names: str) -> None:
    """RFC 5322 section 4.3: names are obsolete, and mailers still write them, or put them into a comment."""
    after = f"Mon, 02 Nov 2026 10:00:00 {zone}"
    for name in names.split():
        for written in (name, f"{zone} ({name})") if name.isalpha() and name not in ("UT", "Z") else (name,):
            before = f"Mon, 02 Nov 2026 10:00:00 {written}".encode()
            message = PLAIN.replace(b"Mon, 02 Nov 2026 10:00:00 +0000", before)
            assert one(rewritten(before, after.encode(), message=message))[::3] == (C.DATE_REFORMATTED, before.decode())


@pytest.mark.parametrize("name", [b"Dkim-Signature", b"dkim-signature", b"DKIM-SIGNATURE"])
def test_the_signatures_own_name_as_a_server_is_used_to_write_it(name: bytes) -> None:
    assert one(only(signed(PLAIN, SIMPLE).replace(b"DKIM-Signature", name)))[0] is C.SIGNATURE_REFOLDED


def test_the_line_of_text_behind_the_last_boundary() -> None:
    message = signed(altered.ALTERNATIVE)
    (alteration,) = only(message + b"sent by a list\r\n").alterations
    assert (alteration.code, alteration.added) == (C.TEXT_AFTER_LAST_BOUNDARY, "sent by a list\n")
    assert alteration.line == message.count(b"\n") + 1


def test_a_banner_in_a_part_and_text_behind_the_last_boundary() -> None:
    message = signed(altered.ALTERNATIVE).replace(b'margin: 0">', b'margin: 0"><div>CAUTION</div>')
    explanation = only(message + b"sent by a list\r\n")
    found = {alteration.code: alteration for alteration in explanation.alterations}
    assert set(found) == {C.TEXT_ADDED_IN_PART, C.TEXT_AFTER_LAST_BOUNDARY}
    assert found[C.TEXT_ADDED_IN_PART].part == "2 text/html"
    assert found[C.TEXT_AFTER_LAST_BOUNDARY].line == message.count(b"\n") + 1
    assert found[C.TEXT_AFTER_LAST_BOUNDARY].detail == "text was added behind the last boundary"


def test_a_search_of_the_header_that_came_to_its_end() -> None:
    header = only(signed().replace(b"Date: ", b"Date: nothing that anybody guesses ")).header
    assert (header.state, header.to_dict()["exhausted"]) == (HalfState.ALTERED, False)
    assert header.tried[-1] == "two of these at once"


def test_a_folded_subject_that_begins_and_ends_with_any_letter() -> None:
    message = PLAIN.replace(b"Re: minutes of the meeting on Monday, draft", b"X marks the\r\n spot of the X")
    assert one(rewritten(b"X marks", b"[list] X marks", SIMPLE, message))[::2] == (C.SUBJECT_PREFIX, "[list] ")
    assert one(rewritten(b"X marks", b"[list] X marks", RELAXED, message))[::2] == (C.SUBJECT_PREFIX, "[list] ")


def test_the_line_end_behind_a_part_is_not_its_own() -> None:
    """RFC 2046 section 5.1.1: within a multipart it is the delimiter's; a body that is one part is read alike."""
    for body, content_type in (
        (b"hello\r\n", b"text/plain"),
        (b"--b\r\n\r\nhello\r\n--b--\r\n", b"multipart/x; boundary=b"),
    ):
        (part,) = structure(body, content_type, b"").leaves
        assert body[part.body : part.end] == b"hello"


def test_a_field_that_was_given_to_a_part_once_more() -> None:
    field = b"X-Host: a\r\nX-Scanned: no\r\n"
    whole = altered.ALTERNATIVE.replace(b"Content-Type: text/html", field + b"Content-Type: text/html")
    message = signed(whole, {"c": "simple/simple"}).replace(b"X-Scanned: no\r\n", b"X-Scanned: no\r\nX-Scanned: no\r\n")
    (alteration,) = only(message).alterations
    assert (alteration.code, alteration.added) == (C.PART_HEADER_REWRITTEN, "X-Scanned: no\n")


@pytest.mark.parametrize("blank", [b" ", b""])
def test_one_line_that_was_broken_in_two(blank: bytes) -> None:
    first, second = b"word " * 8 + b"word", b"word " * 3 + b"end"
    lines = [b"word " * 15 + b"end", b"word " * 14 + b"end", first + blank + second, b"word word", b"word " * 15]
    body = b"\r\n".join(lines) + b"\r\n"
    (alteration,) = altered_body(first + blank + second, first + b"\r\n" + second, body).alterations
    assert (alteration.code, alteration.detail) == (C.LINES_WRAPPED, "a line was broken in two")


def test_a_record_without_the_type_of_its_key() -> None:
    """RFC 8463 section 4.2: without k= the key is one of RSA."""
    (found,) = repaired([ed_record().replace("k=ed25519; ", "").encode()])
    assert (found.text, found.record.key_type) == (ed_record().encode(), "ed25519")


def test_a_key_that_the_altered_header_proves() -> None:
    """Under Ed25519 the signature fits or not: where it does once the alteration is undone, the key is the signer's."""
    message = signed(PLAIN, {"h": altered.OVERSIGNED}, key=ed_key()).replace(b"Subject: ", b"Subject: [list] ")
    key = only(message, ed_record()).key
    assert (key.state, key.proved, key.detail) == (KeyState.FITS, True, "the key is the signer's")
    assert (key.name, key.records) == ("sel._domainkey.example.org", (ed_record(),))


@pytest.mark.parametrize("how", ["simple", "relaxed"])
def test_a_signer_that_hashed_lf_of_each_canonicalization(how: str) -> None:
    """RFC 6376 section 5.3: lines end in CRLF before they are hashed."""
    body = PLAIN.partition(b"\r\n\r\n")[2]
    for part in (body, body + b"and  two   blanks \t\r\n"):
        hashed = canonical_body(part, how).replace(b"\r\n", b"\n")
        digest = b64encode(hashlib.sha256(hashed).digest()).decode()
        message = signed(PLAIN.replace(body, part), {"c": f"relaxed/{how}", "bh": digest})
        assert one(only(message))[0] is C.SIGNED_WITH_LF


@pytest.mark.parametrize("fold", [b"\r\n ", b"\r\n\t", b"\r\n    ", b"\r\n        "])
@pytest.mark.parametrize(
    ("name", "pieces", "separator"),
    [
        (b"To", [b"bob@example.net", b"carol@example.com", b"dan@example.net"], b","),
        (b"Content-Type", [b"text/plain", b"charset=utf-8", b"name=a.txt"], b";"),
        (b"References", [b"<1@example.net>", b"<2@example.net>", b"<3@example.net>"], b""),
    ],
)
def test_a_field_that_was_folded_at_each_piece(name: bytes, pieces: list[bytes], separator: bytes, fold: bytes) -> None:
    before, after = (name + b": " + (separator + blank).join(pieces) + b"\r\n" for blank in (fold, b" "))
    message = re.sub(altered._FIELD % name, lambda _: before, PLAIN)
    assert one(rewritten(before, after, SIMPLE, message))[0] is C.FIELD_REFOLDED


@pytest.mark.parametrize(("before", "after"), [(b'name="a.txt"', b"name=a.txt"), (b"name=a.txt", b'name="a.txt"')])
def test_quotes_around_a_parameter(before: bytes, after: bytes) -> None:
    """RFC 2045 section 5.1: with quotes or without them, the value is the same."""
    message = PLAIN.replace(b"charset=utf-8", before)
    assert one(rewritten(before, after, RELAXED, message))[0] is C.FIELD_REFORMATTED


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (b"html; charset", b"html;\r\n charset", "folded differently"),
        (b"html;\r\n\tcharset", b"html; charset", "folded differently"),
        (b"html;\r\n charset", b"html; charset", "folded differently"),
        (b"html;charset", b"html;\r\n charset", "given blanks before the parameters"),
        (b"html; charset=utf-8", b'html; charset="utf-8"', "given quotes"),
        (b'html; charset="utf-8"', b"html; charset=utf-8", "freed of quotes"),
    ],
)
def test_the_fields_of_a_part_that_were_written_anew(before: bytes, after: bytes, words: str) -> None:
    whole = altered.ALTERNATIVE.replace(b"html; charset=utf-8", before)
    assert before in whole
    (alteration,) = only(signed(whole, {"c": "simple/simple"}).replace(before, after)).alterations
    assert (alteration.code, alteration.part) == (C.PART_HEADER_REWRITTEN, "2 text/html")
    assert alteration.detail.endswith(f"were {words}")


def test_a_length_that_was_changed_has_no_line() -> None:
    whole = len(PLAIN.partition(b"\r\n\r\n")[2])
    (alteration,) = only(
        signed(PLAIN, {"l": str(whole)}).replace(b"l=%d" % whole, b"l=%d" % (whole - 30))
    ).body.alterations
    assert (alteration.code, alteration.line) == (C.LENGTH_CHANGED, None)


def test_a_date_that_was_given_its_seconds() -> None:
    """RFC 5322 section 3.3: seconds may be left out."""
    before = b"Mon, 02 Nov 2026 10:00 +0000"
    message = PLAIN.replace(b"Mon, 02 Nov 2026 10:00:00 +0000", before)
    explanation = rewritten(before, b"Mon, 02 Nov 2026 10:00:00 +0000", message=message)
    assert one(explanation)[::3] == (C.DATE_REFORMATTED, before.decode())


def test_a_parameter_that_is_gone() -> None:
    """RFC 3676 section 4."""
    message = PLAIN.replace(b"charset=utf-8", b"charset=utf-8; format=flowed")
    explanation = rewritten(b"; format=flowed", b"", message=message)
    assert one(explanation) == (
        C.FIELD_REPLACED, "a parameter of Content-Type is gone",
        "text/plain; charset=utf-8", "text/plain; charset=utf-8; format=flowed",
    )  # fmt: skip


@pytest.mark.parametrize(("before", "after"), [(b"name=a.txt", b"name=A.TXT"), (b"name=A.TXT", b"name=a.txt")])
def test_a_parameter_in_the_other_case(before: bytes, after: bytes) -> None:
    message = PLAIN.replace(b"charset=utf-8", before)
    assert one(rewritten(before, after, RELAXED, message))[0] is C.FIELD_REFORMATTED


def test_the_name_of_one_field_before_and_after() -> None:
    message = PLAIN.replace(b"Subject:", b"SUBJECT:")
    assert one(rewritten(b"SUBJECT:", b"Subject:", SIMPLE, message)) == (
        C.FIELD_NAME_RECASED, "the name Subject was written differently", "Subject", "SUBJECT",
    )  # fmt: skip


def test_where_another_key_was_found() -> None:
    other = rsa_record(rsa_key(2048, 3))
    assert only(signed(), other).key.name == "sel._domainkey.example.org"


@pytest.mark.parametrize("tag", [b"body", b"BODY", b"html", b"HTML"])
def test_text_before_the_end_of_html(tag: bytes) -> None:
    """The names of elements know no case; not every page has a <body>."""
    html = b"<%b>\r\n<p>Hello</p> <b>Bob</b></%b>\r\n" % (tag, tag)
    head = PLAIN.partition(b"\r\n\r\n")[0].replace(b"text/plain", b"text/html")
    came = signed(head + b"\r\n\r\n" + html, SIMPLE).replace(b"</%b>" % tag, b"<div>CAUTION</div></%b>" % tag)
    (alteration,) = only(came).alterations
    assert (alteration.code, alteration.added) == (C.TEXT_ADDED_IN_PART, "<div>CAUTION</div>")
