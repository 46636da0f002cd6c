"""The policy protocol: any cut, any order, bounds, and one line back (SMTPD_POLICY_README)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.policyd import ProtocolError, RequestParser, encode_action
from mailauth.policyd.protocol import MAX_ATTRIBUTES, MAX_REQUEST_OCTETS

REQUEST = b"""request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
helo_name=some.domain.tld
queue_id=8045F2AB23
sender=foo@bar.tld
recipient=bar@foo.tld
recipient_count=0
client_address=1.2.3.4
client_name=another.domain.tld
reverse_client_name=another.domain.tld
instance=123.456.7
sasl_method=
sasl_username=
size=12345

"""


def test_a_request() -> None:
    (request,) = RequestParser().feed(REQUEST)
    assert (request.state, str(request.ip), request.helo) == ("RCPT", "1.2.3.4", "some.domain.tld")
    assert (request.sender, request.recipient) == ("foo@bar.tld", "bar@foo.tld")
    assert (request.instance, request.queue_id, request.authenticated) == ("123.456.7", "8045F2AB23", None)
    assert request.get("size") == "12345"
    assert request.get("nothing") == ""


@given(st.lists(st.integers(0, 3 * len(REQUEST)), max_size=12), st.permutations(REQUEST.splitlines()[:-1]))
def test_any_cut_and_any_order(cuts: list[int], lines: list[bytes]) -> None:
    """Requests in any cut, their attributes in any order, are the same requests."""
    stream = (b"\n".join(lines) + b"\nnew_attribute=x=y\n\n") * 3
    parser, requests, start = RequestParser(), [], 0
    for cut in [*sorted(cuts), len(stream)]:
        requests += parser.feed(stream[start:cut])
        start = max(start, cut)
    assert len(requests) == 3
    assert {request.recipient for request in requests} == {"bar@foo.tld"}
    assert requests[0].get("new_attribute") == "x=y"
    assert parser.idle


@pytest.mark.parametrize(
    "octets",
    [
        b"\n",
        b"protocol_state=RCPT\n\n",
        b"request=junk\n\n",
        b"request=smtpd_access_policy\nnonsense\n\n",
        b"=x\n\n",
        b"\xff\xfe=x\n\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"request=smtpd_access_policy\n\n\n",
        b"a=" + b"x" * MAX_REQUEST_OCTETS,
        b"a=x\n" * (MAX_REQUEST_OCTETS // 4 + 1),
        b"a=" + b"x" * MAX_REQUEST_OCTETS + b"\n\n",
        b"".join(b"a%d=x\n" % number for number in range(MAX_ATTRIBUTES + 1)) + b"\n",
    ],
)
def test_anything_else_is_an_error(octets: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(RequestParser().feed(octets))


def test_line_ends_of_hand_made_requests() -> None:
    stream = REQUEST.replace(b"\n", b"\r\n") * 2
    parser, requests = RequestParser(), []
    for octet in stream:
        requests += parser.feed(bytes([octet]))
    assert [request.instance for request in requests] == ["123.456.7"] * 2
    assert parser.idle


def test_many_requests_at_once_and_the_ones_before_a_mistake() -> None:
    requests = RequestParser().feed(REQUEST * 100 + b"nonsense\n\n" + REQUEST)
    assert len([next(requests) for _ in range(100)]) == 100
    with pytest.raises(ProtocolError):
        next(requests)


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_any_octets_are_requests_or_an_error(pieces: list[bytes]) -> None:
    """Any octets are requests or a `ProtocolError`, within the bounds."""
    parser = RequestParser()
    try:
        for piece in pieces:
            for request in parser.feed(piece):
                assert request.ip is None or request.ip.version in (4, 6)
    except ProtocolError:
        pass


def test_a_long_request_is_not_kept() -> None:
    parser = RequestParser()
    for _ in range(MAX_REQUEST_OCTETS // 1000):
        list(parser.feed(b"x" * 1000))
    with pytest.raises(ProtocolError):
        list(parser.feed(b"x" * 1000))


@pytest.mark.parametrize(
    ("action", "line"),
    [
        ("DUNNO", b"action=DUNNO\n\n"),
        ("550 5.7.1 no\r\naction=OK\n\n", b"action=550 5.7.1 no action=OK\n\n"),
        ("", b"action=DUNNO\n\n"),
        ("PREPEND X: \x00y", b"action=PREPEND X: ?y\n\n"),
        ("550 b\u00fccher", "action=550 b\u00fccher\n\n".encode()),
    ],
)
def test_the_reply_is_one_line(action: str, line: bytes) -> None:
    assert encode_action(action) == line


@given(st.text(max_size=2000))
def test_any_action_is_one_line(action: str) -> None:
    """Any action is one line of printable text."""
    line = encode_action(action)
    assert line.startswith(b"action=")
    assert line.endswith(b"\n\n")
    assert line.count(b"\n") == 2
    assert len(line) < 4000
