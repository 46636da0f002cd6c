"""Postfix's policy protocol (SMTPD_POLICY_README): octets to requests, actions to octets. No I/O.

A request is lines of ``name=value`` and an empty line; the reply is one line ``action=...`` and an empty line. A parser
is fed in any cut::

    parser = RequestParser()
    for request in parser.feed(octets):
        ... encode_action("DUNNO")
"""

# SECURITY: values hold what SMTP clients said (HELO, addresses). A request is bounded in octets and attributes; what
# goes back is one line of printable text, whatever is in it.

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mailauth import MailAuthError
from mailauth.mail.names import parse_ip
from mailauth.mail.text import printable
from mailauth.plan import IPAddress

MAX_REQUEST_OCTETS = 64 * 1024
MAX_ATTRIBUTES = 200
MAX_ACTION_CHARACTERS = 1100
"""Room for the text of a reply (1000 characters), and for a field on one line (998 octets)."""


class ProtocolError(MailAuthError):
    """What came is no policy request; the only answer is to close the connection (POSTFIX: it then tries once more)."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request: the attributes as they came, and the ones that matter as properties. Unknown ones are ignored."""

    attributes: Mapping[str, str]

    def get(self, name: str) -> str:
        """The value of an attribute, "" where it is missing."""
        return self.attributes.get(name, "")

    @property
    def state(self) -> str:
        """`protocol_state`: CONNECT, EHLO, HELO, MAIL, RCPT, DATA, END-OF-MESSAGE, VRFY, ETRN."""
        return self.get("protocol_state").upper()

    @property
    def ip(self) -> IPAddress | None:
        """The client's address; None where it is missing or none ("unknown")."""
        try:
            return parse_ip(self.get("client_address"))
        except ValueError:
            return None

    @property
    def helo(self) -> str:
        """The name in HELO or EHLO."""
        return self.get("helo_name")

    @property
    def sender(self) -> str:
        """The address of MAIL FROM; "" is the null sender."""
        return self.get("sender")

    @property
    def recipient(self) -> str:
        """The address of RCPT TO; "" behind RCPT where there are several."""
        return self.get("recipient")

    @property
    def instance(self) -> str:
        """The same for all requests of one delivery attempt."""
        return self.get("instance")

    @property
    def queue_id(self) -> str:
        """Known from the first accepted recipient on."""
        return self.get("queue_id")

    @property
    def authenticated(self) -> str | None:
        """The identity that SASL proved."""
        return self.get("sasl_username") or None


class RequestParser:
    """Takes octets in any cut, gives whole requests. Raises `ProtocolError` for what is none; it is then of no use."""

    def __init__(self) -> None:
        self._buffer = b""

    @property
    def idle(self) -> bool:
        """Whether no request has begun."""
        return not self._buffer

    def feed(self, data: bytes) -> Iterator[Request]:
        """The requests that these octets complete, those before something wrong included: go through all of them."""
        # What was looked at before is not looked at again, but for its last octets: an end may lie across the cut.
        start, seen = 0, max(0, len(self._buffer) - 2)
        data = self._buffer + data
        if data.find(b"\r", seen) >= 0:
            data = data[:seen] + data[seen:].replace(b"\r\n", b"\n")
        while (end := data.find(b"\n\n", max(start, seen))) >= 0:
            yield _request(data[start:end])
            start = end + 2
        self._buffer = data[start:]
        if self._buffer.startswith(b"\n"):
            raise ProtocolError("an empty request")
        if len(self._buffer) > MAX_REQUEST_OCTETS:
            raise ProtocolError(f"a request of more than {MAX_REQUEST_OCTETS} octets")


def _request(octets: bytes) -> Request:
    if len(octets) > MAX_REQUEST_OCTETS:
        raise ProtocolError(f"a request of more than {MAX_REQUEST_OCTETS} octets")
    if octets.count(b"\n") >= MAX_ATTRIBUTES:
        raise ProtocolError(f"more than {MAX_ATTRIBUTES} attributes")
    lines = octets.decode("utf-8", "surrogateescape").split("\n")
    try:
        # As all attributes at once, and not one by one: saves 7 us.
        attributes: dict[str, str] = dict([line.split("=", 1) for line in lines])
    except ValueError:
        raise ProtocolError("a line without name=value") from None
    if attributes.get("request") != "smtpd_access_policy":
        raise ProtocolError("not a request of smtpd_access_policy")
    return Request(attributes)


def encode_action(action: str) -> bytes:
    """The reply with this action, such as ``DUNNO`` or ``550 5.7.1 text``: one line, printable and short."""
    line = printable(" ".join(action.split()), MAX_ACTION_CHARACTERS)
    return f"action={line or 'DUNNO'}\n\n".encode()
