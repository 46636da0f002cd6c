"""Deleting forged Authentication-Results fields.

No reader sees a field of ours that the message brought along, and no other octet changes.
"""

from __future__ import annotations

import email
import email.policy
import re
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailauth.authres import (
    AuthenticationResults,
    Claim,
    build,
    find_forged,
    parse_field,
    remove_forged,
    remove_forged_from_header,
    spf,
)
from mailauth.mail import header as splitter

ID = "mx.example.net"
NAME = "Authentication-Results"


def claim_of(value: str | bytes, authserv_id: str = ID) -> Claim | None:
    """What is said of one field with this value, in a message and in a milter's list."""
    octets = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
    field = NAME.encode() + b": " + octets + b"\r\n"
    before, after = b"From: ann@example.org\r\n", b"Subject: x\r\n\r\nbody\r\n"
    message, removed = remove_forged(before + field + after, authserv_id)
    listed = find_forged([("From", "x"), (NAME, octets), ("Subject", "x")], authserv_id)
    assert [f.claim for f in removed] == [f.claim for f in listed]
    assert message == before + (b"" if removed else field) + after
    return removed[0].claim if removed else None


OURS = [
    "mx.example.net; none",
    "mx.example.net 1; spf=pass smtp.mailfrom=bank.example",
    "MX.Example.NET; spf=pass",  # RFC 8601 section 2.5 names domains; they are compared without case
    '"mx.example.net"; spf=pass',
    '"mx\\.example.n\\et"; spf=pass',
    "(forged) mx.example.net (by me); spf=pass",
    "\r\n mx.example.net\r\n ; spf=pass",
    "mx.example.net.; spf=pass",
    '" mx.example.net "; spf=pass',
    # what follows the id does not matter
    "mx.example.net",
    "mx.example.net; spf",
    "mx.example.net; spf=pass (",
    "mx.example.net; \0",
    "mx.example.net; \udcff",
    "mx.example.net 2; spf=pass",
    # lax readers: something behind the id, words torn apart
    "mx.example.net/queue-id; spf=pass",
    '"mx.example.net; x"; spf=pass',
    '"mx.example.net/x"; spf=pass',
    "mx.example.net=x; spf=pass",
    "mx.example.net@x; spf=pass",
    "mx.example.net:25; spf=pass",
    'mx.example.net"x"; spf=pass',
    "mx.exam(x)ple.net; spf=pass",
    "mx . example . net; spf=pass",
    'mx."example".net; spf=pass',
    "mx.example\r\n .net 1; spf=pass",
    "mx.exam(x)ple.net.; spf=pass",
    "mx.exam(x)ple.net. 1; spf=pass",
    'mx.exam(x)"ple.net/x"; spf=pass',
    # UTF-8 without quotes, and characters that nobody sees
    "mx.\uff45xample.net; spf=pass",
    "\uff4dx.example.net; spf=pass",
    "mx.exam\u00adple.net; spf=pass",
    '"mx.exam\u200bple.net\ufeff"; spf=pass',
]
UNREADABLE = [
    "",
    " ",
    "; spf=pass",
    '""; spf=pass',
    "<mx.example.net>; spf=pass",
    "@mx.example.net; spf=pass",
    '"mx.example.net; spf=pass',
    '"other.example; spf=pass',
    "(mx.example.net; spf=pass",
    "other.example (; spf=pass",
    "(" * 100 + ")" * 100 + "mx.example.net; spf=pass",
    "\0mx.example.net; spf=pass",
    "mx\0.example.net; spf=pass",
    "other.example\x01; spf=pass",
    "\udcff; spf=pass",
    "m\rx.example.net; spf=pass",
    # RFC 2047: whoever decodes these everywhere reads mx.example.net
    "=?utf-8?q?mx.example.net?=; spf=pass",
    "m=?utf-8?q?x.example.net?=; spf=pass",
    '"=?utf-8?q?mx.example.net?="; spf=pass',
    "(=?utf-8?q?=29?= mx.example.net ; ) other.example; spf=pass",
]
UNSUPPORTED = [
    "other.example 2; spf=pass",
    "other.example (x) 0 (y); spf=pass",
    "other.example " + "9" * 9999 + "; a=b",
]
KEPT = [
    "other.example; none",
    "other.example 1; spf=pass",
    "other.example 01; spf=pass",
    '"other.example"; spf=pass smtp.mailfrom=mx.example.net',
    "other.example (mx.example.net); spf=pass",
    "other.example; spf=pass (",
    "other.example; \0",
    "xmx.example.net; spf=pass",
    "mx.example.net.other.example; spf=pass",
    "mx.example.net\u00e9; spf=pass",
    "mx.exam ple.net.other; spf=pass",
    "b\u00fccher.example; spf=pass",
    "other.example; spf=pass (=?utf-8?q?mx.example.net?=)",
    "mx.example.net-other; spf=pass",
    "mx.example.network; spf=pass",
    "mx.example; spf=pass",
    "sub.mx.example.net; spf=pass",
    # no id at all, as some servers write it: whatever it is, it does not claim to be ours
    "spf=pass (sender is x) smtp.mailfrom=mx.example.net; dkim=none",
    "spf = pass smtp.mailfrom=mx.example.net",
    "i=1; mx.example.net; spf=pass",
]


@pytest.mark.parametrize("value", OURS)
def test_fields_that_claim_to_be_ours_go(value: str) -> None:
    assert claim_of(value) is Claim.OURS


@pytest.mark.parametrize("value", UNREADABLE, ids=[repr(v)[:30] for v in UNREADABLE])
def test_fields_whose_beginning_cannot_be_read_go(value: str) -> None:
    assert claim_of(value) is Claim.UNREADABLE


@pytest.mark.parametrize("value", UNSUPPORTED, ids=[v[:30] for v in UNSUPPORTED])
def test_fields_of_another_version_go(value: str) -> None:
    """RFC 8601 section 5."""
    assert claim_of(value) is Claim.UNSUPPORTED_VERSION


@pytest.mark.parametrize("value", KEPT)
def test_fields_of_others_stay(value: str) -> None:
    assert claim_of(value) is None


def test_a_labels_and_u_labels_are_the_same() -> None:
    """RFC 8601 section 5."""
    for ours in ("mx.b\u00fccher.example", "mx.xn--bcher-kva.example", "MX.B\u00dcCHER.example"):
        for theirs in (
            "mx.xn--bcher-kva.example; none",
            '"mx.b\u00fccher.example"; none',
            '"mx.BU\u0308CHER.example"; none',
            "mx.b\u00fccher.example; none",  # no token, but section 2.5 allows UTF-8, and so may a reader
            "mx.b\u00fccher.example 1; none",
            '"mx.b\u00fc"(x)"cher.example"; none',
            '"mx.b\u00fc"(x)"cher.example" 1; none',
        ):
            assert claim_of(theirs, ours) is Claim.OURS
        assert claim_of("mx.bucher.example; none", ours) is None
    assert claim_of('"\uff4dx.example.net"; none') is Claim.OURS  # full-width m


def test_several_ids_are_ours() -> None:
    message = b"".join(b"Authentication-Results: %s; none\r\n" % one for one in (b"a", b"b", b"c")) + b"\r\n"
    assert remove_forged(message, ["A", "c"]).message == b"Authentication-Results: b; none\r\n\r\n"


@pytest.mark.parametrize("authserv_id", ["", [], "m\0x", ["mx", " "]])
def test_ids_that_cannot_be(authserv_id: str | list[str]) -> None:
    with pytest.raises(ValueError, match="authserv-id"):
        remove_forged(b"", authserv_id)


def test_a_message_is_bytes() -> None:
    with pytest.raises(TypeError, match="bytes"):
        remove_forged("From: x", ID)  # type: ignore[arg-type]


def test_what_was_removed_is_told_from_the_end() -> None:
    message = (
        b"Received: x\r\n"
        b"Authentication-Results: mx.example.net; none\r\n"
        b"authentication-results : other.example; none\r\n"
        b"AUTHENTICATION-RESULTS:\r\n mx.example.net;\r\n spf=pass\r\n"
        b"Subject: Authentication-Results: mx.example.net; none\r\n"
        b"\r\n"
        b"Authentication-Results: mx.example.net; none\r\n"
    )
    cleaned, removed = remove_forged(message, ID)
    assert cleaned == (
        b"Received: x\r\n"
        b"authentication-results : other.example; none\r\n"
        b"Subject: Authentication-Results: mx.example.net; none\r\n"
        b"\r\n"
        b"Authentication-Results: mx.example.net; none\r\n"
    )
    assert [(f.index, f.occurrence) for f in removed] == [(3, 3), (1, 1)]
    assert removed[0].raw == b"AUTHENTICATION-RESULTS:\r\n mx.example.net;\r\n spf=pass\r\n"
    assert removed[0].to_dict()["claim"] == "ours"


def test_a_milter_deletes_in_the_order_given() -> None:
    """`chgheader(name, n, "")` deletes the n-th field of the name; the numbers of the fields above do not change."""
    fields = [("A", "x"), (NAME, "mx.example.net; none"), (NAME.lower(), "other; none"), ("B", "y"), (NAME, "(")]
    rest = list(fields)
    for forged in find_forged(fields, ID):
        named = [i for i, (name, _) in enumerate(rest) if name.lower() == NAME.lower()]
        assert forged.occurrence is not None
        assert named[forged.occurrence - 1] == forged.index
        del rest[named[forged.occurrence - 1]]
    assert rest == [fields[0], fields[2], fields[3]]


def test_header_of_a_stream() -> None:
    import io

    octets = b"From x\r\nAuthentication-Results: mx.example.net; none\r\nA: b\r\n\r\nbody"
    header, body = splitter.split_stream(io.BytesIO(octets))
    cleaned = remove_forged_from_header(header, ID).message + b"".join(body)
    assert cleaned == remove_forged(octets, ID).message == b"From x\r\nA: b\r\n\r\nbody"


FORGED = b"Authentication-Results: mx.example.net; spf=pass"
HIDDEN = [
    # the first line ends in LF, so every LF ends a line: these are fields
    (b"X: a\n" + FORGED + b"\r\nY: b\r\n\r\n", 1, b"X: a\nY: b\r\n\r\n"),
    (FORGED + b"\n" + FORGED + b"\r\nZ: d\r\n\r\n", 2, b"Z: d\r\n\r\n"),
    # behind a bare LF or CR in another field; the field that hid it ends as before
    (b"Y: b\r\nX: a\n" + FORGED + b"\n c\r\nZ: d\r\n\r\n", 1, b"Y: b\r\nX: a\r\nZ: d\r\n\r\n"),
    (b"Y: b\r\nX: a\r" + FORGED + b"\r\nZ: d\r\n\r\n", 1, b"Y: b\r\nX: a\r\nZ: d\r\n\r\n"),
    (b"Y: b\r\nX: a\r" + FORGED + b"\rmore\r\n\r\n", 1, b"Y: b\r\nX: a\rmore\r\n\r\n"),
    (b"Y: b\r\nX: a\n" + FORGED + b"\n" + FORGED + b"\r\n\r\n", 2, b"Y: b\r\nX: a\r\n\r\n"),
    (b"Y: b\nX: a\r" + FORGED + b"\nZ: d\n\n", 1, b"Y: b\nX: a\nZ: d\n\n"),
    # behind what str.splitlines takes for a line end
    *((b"Y: b\r\nX: a" + end.encode() + FORGED + b"\r\nZ: d\r\n\r\n", 1, b"Y: b\r\nX: a\r\nZ: d\r\n\r\n")
      for end in "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"),
    (b"Z: d\r\nAuthentication-Results: x; none\x0b" + FORGED + b"\r\n\r\n", 1,
     b"Z: d\r\nAuthentication-Results: x; none\r\n\r\n"),
    # in an LF message, for readers to whom only CRLF ends a line: their header goes on behind LF LF
    (b"A: b\n\nfoo\r\n" + FORGED + b"\r\n\r\n" + FORGED, 1, b"A: b\n\nfoo\r\n\r\n" + FORGED),
    (b"A: b\n\r\n" + FORGED + b"\r\n\r\nbody", 1, b"A: b\n\r\n\r\nbody"),
    (FORGED + b"\nX: y\r\nZ: d\n\nfoo\r\n" + FORGED + b"\r\n\r\n", 2, b"X: y\r\nZ: d\n\nfoo\r\n\r\n"),
    (b"A: b\n\nfoo\r\nbar\n" + FORGED + b"\n", 0, b"A: b\n\nfoo\r\nbar\n" + FORGED + b"\n"),
    (b"A: b\n\n" + FORGED + b"\n", 0, b"A: b\n\n" + FORGED + b"\n"),
    # with a name that is whole only without its NUL, or after unfolding
    (b"Z: d\r\n\0Authentication\0-Results\0: mx.example.net; none\r\n\r\n", 1, b"Z: d\r\n\r\n"),
    (b"\0Authentication-Results: mx.example.net; none\r\nZ: d\r\n\r\n", 1, b"Z: d\r\n\r\n"),
    (b"Z: d\r\nAuthentication-Results\r\n : mx.example.net; none\r\nY: b\r\n\r\n", 1, b"Z: d\r\nY: b\r\n\r\n"),
    # with an id that is whole only without its odd line end
    (b"Z: d\r\nno field\r\nAuthentication-Results: mx.exam\x0bple.net; none\r\n\r\n", 1,
     b"Z: d\r\nno field\x0bple.net; none\r\n\r\n"),
    (b"Z: d\r\nno field\r\nAuthentication-Results: mx.exam\rple.net; none\r\n\r\n", 1,
     b"Z: d\r\nno field\rple.net; none\r\n\r\n"),
    # within a field of ours it goes with it, within one of others alone
    (b"Z: d\r\n" + FORGED + b"\n" + FORGED + b"\r\nY: b\r\n\r\n", 1, b"Z: d\r\nY: b\r\n\r\n"),
    (b"Z: d\r\n" + FORGED + b"\n" + FORGED + b"\r\n\r\n", 1, b"Z: d\r\n\r\n"),
    (b"Z: d\r\nAuthentication-Results: x; none\n" + FORGED + b"\r\n\r\n", 1,
     b"Z: d\r\nAuthentication-Results: x; none\r\n\r\n"),
    # behind a line that is no field, up to the empty line
    (b"Z: d\r\nno field\r\n" + FORGED + b"\r\n\r\n" + FORGED, 1, b"Z: d\r\nno field\r\n\r\n" + FORGED),
    (b"Z: d\nno field\n" + FORGED + b"\n\n" + FORGED, 1, b"Z: d\nno field\n\n" + FORGED),
    (b"no field\r\n" + FORGED + b"\r\n" + FORGED, 2, b"no field"),
    (b"Z: d\r\n" + FORGED + b"\r\n" + b"no field\r\n" + FORGED + b"\r\n\r\n", 2, b"Z: d\r\nno field\r\n\r\n"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "count", "expected"), HIDDEN)
def test_fields_that_only_lax_readers_see(message: bytes, count: int, expected: bytes) -> None:
    cleaned, removed = remove_forged(message, ID)
    assert cleaned == expected
    assert len(removed) == count
    assert remove_forged(cleaned, ID) == (cleaned, ())


CONTINUED = [
    b" ; dkim=pass header.d=bank.example\r\nFrom: x\r\n\r\nbody",
    b"\t; dkim=pass\r\n ; spf=pass\r\nFrom: x\r\n\r\nbody",
    b" ; dkim=pass header.d=bank.example\nFrom: x\n\nbody",
    b" ; dkim=pass\n ;\rspf=pass\r\nFrom: x\n\nbody",
    b" ;\rdkim=pass\r\nFrom: x\r\n\r\nbody",
    b" \r\n ; dkim=pass\r\n" + FORGED + b"\r\nFrom: x\r\n\r\nbody",
    b" ; dkim=pass\r\n\r\nbody",
    b" ; dkim=pass",
    b"From x\r\n ; dkim=pass\r\nFrom: x\r\n\r\nbody",
    b" x\r\nFrom x\r\n ; dkim=pass\r\nFrom: x\r\n\r\nbody",
    b"\0 ; dkim=pass\r\nFrom: x\r\n\r\nbody",  # for readers that drop NUL or CR
    b"\r ; dkim=pass\r\nFrom: x\r\n\r\nbody",
]


@pytest.mark.parametrize("message", CONTINUED)
def test_the_message_continues_no_field_of_ours(message: bytes) -> None:
    """RFC 5322 section 2.2.3: what begins with white space continues the field above, and that will be ours."""
    cleaned, removed = remove_forged(message, ID)
    assert removed[-1].claim is Claim.CONTINUATION
    assert removed[-1].to_dict()["index"] is None
    assert b"dkim" not in cleaned
    assert FORGED not in cleaned
    assert cleaned.endswith((b"From: x\r\n\r\nbody", b"From: x\n\nbody", b"\r\nbody")) or not cleaned
    assert remove_forged(cleaned, ID) == (cleaned, ())
    field = build(ID, spf("fail", helo="x.example"))
    (top,) = email.message_from_bytes(field + cleaned).get_all(NAME) or []
    assert parse_field(f"{NAME}: {top}\r\n") == parse_field(field)


def test_a_field_below_such_white_space_keeps_its_own() -> None:
    message = b" x\r\nFrom : ann\r\n @example.org\r\n\r\n"
    assert remove_forged(message, ID).message == message[4:]


def test_bounds_of_the_splitter_hide_nothing() -> None:
    """Ten thousand fields, or four megabytes of one, in front of the forged one."""
    for padding in (
        b"a:\r\n" * (splitter.MAX_HEADER_FIELDS - 1),
        b"a:" + b"x" * splitter.MAX_HEADER_OCTETS + b"\r\n",
    ):
        for count in (1, 2, 3):
            message = padding + (FORGED + b"\r\n") * count + b"Z: d\r\n\r\n" + FORGED
            cleaned, removed = remove_forged(message, ID)
            assert cleaned == padding + b"Z: d\r\n\r\n" + FORGED
            assert len(removed) == count
    huge = FORGED + b"x" * splitter.MAX_HEADER_OCTETS + b"\r\n"
    assert remove_forged(huge + huge + b"Z: d\r\n\r\n", ID).message == b"Z: d\r\n\r\n"


def naive_ids(message: bytes) -> list[str]:
    """The ids that other readers find: the standard library's parser of messages, and text split at the first ";"."""
    found = []
    for policy, decoded in ((email.policy.compat32, False), (email.policy.SMTP, False), (email.policy.SMTP, True)):
        parsed = email.message_from_bytes(message, policy=policy)
        for name, value in parsed.items() if decoded else parsed.raw_items():
            if name.strip().lower() == NAME.lower():
                text = re.sub(r"\([^()]*\)", "", str(value)).split(";")[0]
                found += [text.strip().strip('"').lower(), *text.lower().split()[:1]]
    return found


LINES = st.sampled_from(
    [b"Authentication-Results", b"authentication-results ", b":", b": ", b"mx.example.net", b"MX.example.net",
     b"; none", b"; spf=pass", b"other", b" 1", b" 2", b"X: y", b"X: y\r\n", b"From x", b"garbage", FORGED + b"\r\n",
     b"\r\n", b"\r\n", b"\r\n ", b"\n", b"\r", b"\n\n", b"\r\n\r\n", b'"', b"(", b")", b"\\", b"\0", b"\xff",
     b"=?utf-8?q?", b"?=", b"mx.", b"example.net",
     b"\x0b", b"\xc2\x85", b"\xe2\x80\xa8", b"\xc2", b"Authentication-", b"Results"]
)  # fmt: skip


@settings(max_examples=400)
@given(st.one_of(st.binary(max_size=300), st.lists(LINES, max_size=30).map(b"".join)))
def test_any_octets(message: bytes) -> None:
    """Any octets: what is left are octets of the message, in order; nothing forged is left for us, or for others."""
    cleaned, removed = remove_forged(message, ID)
    assert len(cleaned) <= len(message)
    assert is_subsequence(cleaned, message)
    assert bool(removed) == (cleaned != message)
    assert remove_forged(cleaned, ID) == (cleaned, ())
    assert ID not in naive_ids(cleaned)
    header, body = splitter.split(message).header, splitter.split(message).body
    # Only where line ends are mixed, readers differ about where the body begins.
    if header.separator and (header.line_end is splitter.LineEnd.CRLF or b"\r\n" not in body):
        assert cleaned.endswith(body)


@settings(max_examples=200)
@given(st.one_of(st.binary(max_size=300), st.lists(LINES, max_size=30).map(b"".join)))
def test_our_field_in_front_is_the_only_one_of_ours(message: bytes) -> None:
    """Any octets: with our field in front, it is whole, and no other bears our id."""
    field = build(ID, spf("fail", helo="x.example"))
    whole = field + remove_forged(message, ID).message
    top, *others = splitter.split(whole).header.fields
    assert top.raw == field
    claims = [found.claim for found in find_forged([(other.name, other.value) for other in others], ID)]
    assert Claim.OURS not in claims
    assert naive_ids(whole).count(ID) == naive_ids(field).count(ID)


def is_subsequence(part: bytes, whole: bytes) -> bool:
    octets = iter(whole)
    return all(octet in octets for octet in part)


@given(st.lists(st.tuples(st.sampled_from(["X", NAME, NAME.upper()]), st.sampled_from(OURS[:5] + KEPT[:5]))))
def test_messages_of_good_fields(fields: list[tuple[str, str]]) -> None:
    """Exactly the forged fields go; message and milter agree."""
    raw = [f"{name}: {value}\r\n".encode() for name, value in fields]
    forged = [name.lower() == NAME.lower() and value in OURS for name, value in fields]
    expected = b"".join(r for r, f in zip(raw, forged, strict=True) if not f)
    message, removed = remove_forged(b"A: b\r\n" + b"".join(raw) + b"\r\nbody", ID)
    assert message == b"A: b\r\n" + expected + b"\r\nbody"
    assert [f.index - 1 for f in reversed(removed) if f.index] == [i for i, f in enumerate(forged) if f]
    listed = find_forged(fields, ID)
    assert [(f.index, f.occurrence) for f in listed] == [((f.index or 0) - 1, f.occurrence) for f in removed]


@given(st.sampled_from([ID, "b\u00fccher.example", "auth id", 'a"b']), st.booleans())
def test_what_we_build_is_ours(authserv_id: str, smtputf8: bool) -> None:
    """A field that was written for an id is found to be that id's, whatever the id is."""
    if not smtputf8 and not authserv_id.isascii():
        authserv_id = authserv_id.encode("idna").decode()
    field = build(authserv_id, spf("pass", helo="x.example"), smtputf8=smtputf8)
    assert isinstance(parse_field(field), AuthenticationResults)
    assert remove_forged(field + b"A: b\r\n\r\n", authserv_id).message == b"A: b\r\n\r\n"


HOSTILE = {
    "fields": b"Authentication-Results: mx.example.net; none\r\n",
    "hidden fields": b"Authentication-Results: x; none\n",
    "words": b"mx ",
    "parts of the id": b"mx . ",
    "comments": b"(x) ",
    "open comments": b"(",
    "line ends": b"\r\n ",
    "bare line ends": b"\n\r",
    "names": b"Authentication-Results",
    "carriage returns": b"\r",
    "begun names": b"\nAuthentication\0\r-",
    "zeros": b"\0",
    "octets that may begin a line end": b"\xe2\xc2",
    "unicode": "\u00fc ".encode(),
    "quoted unicode": '"\u00fc" '.encode(),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_time_grows_no_faster_than_the_message(case: str) -> None:
    """Eight times the octets take about eight times as long; quadratic work would take 64 times."""

    def cost(octets: int) -> float:
        message = b"A: b\r\nAuthentication-Results: " + HOSTILE[case] * (octets // len(HOSTILE[case])) + b"\r\n\r\nbody"
        best = float("inf")
        for _ in range(3):
            begin = time.process_time()
            remove_forged(message, ID)
            best = min(best, time.process_time() - begin)
        return best

    assert cost(400_000) < 32 * cost(50_000) + 0.02


@pytest.mark.parametrize("unit", [b" ", b"\t ", b"\r\n ", b"x"])
def test_memory_is_a_small_multiple_of_the_message(unit: bytes) -> None:
    message = b"Authentication-Results: " + unit * (1_000_000 // len(unit)) + b"\r\n\r\nbody"
    tracemalloc.start()
    remove_forged(message, ID)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * len(message)


CLAIM = b"Authentication-Results: mx.example.net; a=b"


@pytest.mark.parametrize(
    "message",
    [
        # the CRLF of the empty line is the one in front of the field, for readers to whom a bare LF is data
        b"A: b\n\r\nAuthentication-Results: mx.example.net; dmarc=pass",
        # with the first field goes half of the empty line, and the header of those who read LF goes on
        b"A: b\n\r\n%s\rc\n%s\r\n\r\n" % (CLAIM, CLAIM),
        # with the line that continues nothing goes the CRLF by which the header ended
        b"From x\n\tx\r\n\r\nAuthentication-Results: mx.example.net; dmarc=pass\r\n\r\n",
        b"From x\n \r\n\r\n%s\r\r\xc2\x85%s\r\n" % (CLAIM, CLAIM),
    ],
)
def test_what_goes_uncovers_no_field_of_ours(message: bytes) -> None:
    """RFC 8601 section 5: no reader finds a field of ours in what is left, wherever its header ends."""
    cleaned, removed = remove_forged(message, ID)
    assert b"mx.example.net" not in cleaned
    assert removed
    assert remove_forged(cleaned, ID) == (cleaned, ())


def test_a_message_made_to_be_looked_at_without_end_keeps_no_such_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailauth.authres.forged._MAX_PASSES", 1)
    message = b"From x\n\tx\r\n\r\nAuthentication-Results: mx.example.net; dmarc=pass\r\n\r\nbody"
    assert b"Authentication-Results" not in remove_forged(message, ID).message
