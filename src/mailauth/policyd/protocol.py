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
from ipaddress import ip_address

from mailauth import MailAuthError
from mailauth.mail.text import printable
from mailauth.plan import IPAddress

MAX_REQUEST_OCTETS = 64 * 1024
MAX_ATTRIBUTES = 200
MAX_ACTION_CHARACTERS = 900
"""Of a reply: an SMTP reply line has 512 octets, a header line 998; Postfix reads 2048 at a time."""


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
            return ip_address(self.get("client_address"))
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
        self._attributes: dict[str, str] = {}
        self._octets = 0

    @property
    def idle(self) -> bool:
        """Whether no request has begun."""
        return not self._buffer and not self._attributes

    def feed(self, data: bytes) -> Iterator[Request]:
        """The requests that these octets complete, those before something wrong included: go through all of them."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._octets += len(line) + 1
            if line and line != b"\r":
                self._attribute(line)
                continue
            if self._attributes.get("request") != "smtpd_access_policy":
                raise ProtocolError("not a request of smtpd_access_policy")
            request, self._attributes, self._octets = Request(self._attributes), {}, 0
            yield request
        if self._octets + len(self._buffer) > MAX_REQUEST_OCTETS:
            raise ProtocolError(f"a request of more than {MAX_REQUEST_OCTETS} octets")

    def _attribute(self, line: bytes) -> None:
        name, equals, value = line.rstrip(b"\r").partition(b"=")
        if not equals or not name or not name.isascii():
            raise ProtocolError("a line without name=value")
        if len(self._attributes) >= MAX_ATTRIBUTES:
            raise ProtocolError(f"more than {MAX_ATTRIBUTES} attributes")
        self._attributes[name.decode("ascii").strip()] = value.decode("utf-8", "surrogateescape")


def encode_action(action: str) -> bytes:
    """The reply with this action, such as ``DUNNO`` or ``550 5.7.1 text``: one line, printable and short."""
    line = printable(" ".join(action.split()), MAX_ACTION_CHARACTERS)
    return f"action={line or 'DUNNO'}\n\n".encode()
