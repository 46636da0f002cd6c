"""Explanations to their last value: the place, the words, the lines of a diff, what stands in the JSON."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mailauth.dkim import AlterationCode, ExplainLimits, Explanation, HalfState, KeyState, canonical_forms, explain
from mailauth.dkim.explanation.differences import MAX_LINES, difference
from mailauth.plan import run
from mailauth.resolvers import ZoneResolver
from tests.dkim import altered
from tests.dkim.altered import PLAIN, signed_message
from tests.dkim.makers import NOW, ed_key, ed_record, rsa_key, rsa_record, signed, zone

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
    assert large[30:32] == ("@ 470 more lines of what was signed", "+is 0")


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
