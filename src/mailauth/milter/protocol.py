"""The milter protocol, versions 2 to 6: octets to typed events, typed replies to octets. No I/O, no clock, no policy.

A `Codec` is the filter's side of one connection::

    codec = Codec(Wanted(Actions.ADD_HEADERS))
    codec.feed(octets)                               # in any cut
    while (event := codec.next_event()) is not None:
        ...                                          # Connect, Mail, Header, Body, EndOfMessage, ..., or PeerError
        if codec.reply_due:
            octets = codec.send(AddHeader("X-Seen", "yes")) + codec.send(Accept())

Octets that make no sense end in a `PeerError` event, and nothing follows it. Replies that make no sense, that were not
negotiated or that come at the wrong moment are the caller's mistake: they raise `MilterError`.
"""

#   packet   = length command data          ; length: 32 bits, big-endian, counting the command
#   OPTNEG   = version actions options      ; 32 bits each; in the filter's answer *(stage macro-names NUL) may follow
#   CONNECT  = hostname NUL family [port address NUL]        ; family "U", "L", "4", "6"; port: 16 bits
#   MACRO    = command *(name NUL value NUL)
#   MAIL, RCPT = address NUL *(parameter NUL)
#   HEADER   = name NUL value NUL           ; folds are LF; a leading blank is eaten unless HDR_LEADSPC was negotiated
#
# SECURITY: the peer is our own mail server, but what it sends was chosen by its clients, and a port may be open to
# others. A packet has a bound, which is judged by its first four octets; no octet is kept longer than its packet.

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Any, TypeAlias

from mailauth import MailAuthError
from mailauth.mail.reply import Reply

MAX_VERSION = 6
MIN_VERSION = 2
MAX_PACKET_OCTETS = 1024 * 1024 + 64
"""The largest that can be negotiated (MDS_1M) and the names before it. Postfix sends whole fields of up to 102,400
octets (header_size_limit), and chunks of the body of 65,535."""
MAX_MACROS = 1000
"""In one packet; mail servers send a few dozen."""
MAX_CHUNK_OCTETS = 65_535
"""Of a new body, in one packet."""


class MilterError(MailAuthError, ValueError):
    """A reply that makes no sense, was not negotiated, or comes at the wrong moment."""


class Actions(IntFlag):
    """What a filter may do to a message (SMFIF_*)."""

    NONE = 0
    ADD_HEADERS = 0x01  # SMFIF_ADDHDRS: `AddHeader` and `InsertHeader`
    CHANGE_BODY = 0x02  # SMFIF_CHGBODY: `ReplaceBody`
    ADD_RECIPIENTS = 0x04  # SMFIF_ADDRCPT: `AddRecipient` without parameters
    DELETE_RECIPIENTS = 0x08  # SMFIF_DELRCPT: `DeleteRecipient`
    CHANGE_HEADERS = 0x10  # SMFIF_CHGHDRS: `ChangeHeader`
    QUARANTINE = 0x20  # SMFIF_QUARANTINE: `Quarantine`
    CHANGE_SENDER = 0x40  # SMFIF_CHGFROM: `ChangeSender`
    ADD_RECIPIENTS_WITH_PARAMETERS = 0x80  # SMFIF_ADDRCPT_PAR: `AddRecipient` with ESMTP parameters
    SET_MACROS = 0x100  # SMFIF_SETSYMLIST: name the macros that are wanted; the codec agrees to it by itself


class Options(IntFlag):
    """Which events are sent, and which are answered (SMFIP_*).

    ``NO_REPLY_...``: the server sends that event, and waits for no answer to it.
    """

    NONE = 0
    NO_CONNECT = 0x01  # SMFIP_NOCONNECT: `Connect` is not sent
    NO_HELO = 0x02  # SMFIP_NOHELO: `Helo` is not sent
    NO_MAIL = 0x04  # SMFIP_NOMAIL: `Mail` is not sent
    NO_RCPT = 0x08  # SMFIP_NORCPT: `Rcpt` is not sent
    NO_BODY = 0x10  # SMFIP_NOBODY: `Body` is not sent
    NO_HEADERS = 0x20  # SMFIP_NOHDRS: `Header` is not sent
    NO_END_OF_HEADER = 0x40  # SMFIP_NOEOH: `EndOfHeader` is not sent
    NO_REPLY_HEADER = 0x80  # SMFIP_NR_HDR
    NO_UNKNOWN = 0x100  # SMFIP_NOUNKNOWN: `Unknown` is not sent
    NO_DATA = 0x200  # SMFIP_NODATA: `Data` is not sent
    SKIP = 0x400  # SMFIP_SKIP: the filter may answer `Skip` to a chunk of the body
    REJECTED_RCPT = 0x800  # SMFIP_RCPT_REJ: recipients that the server refuses are sent, too
    NO_REPLY_CONNECT = 0x1000  # SMFIP_NR_CONN
    NO_REPLY_HELO = 0x2000  # SMFIP_NR_HELO
    NO_REPLY_MAIL = 0x4000  # SMFIP_NR_MAIL
    NO_REPLY_RCPT = 0x8000  # SMFIP_NR_RCPT
    NO_REPLY_DATA = 0x10000  # SMFIP_NR_DATA
    NO_REPLY_UNKNOWN = 0x20000  # SMFIP_NR_UNKN
    NO_REPLY_END_OF_HEADER = 0x40000  # SMFIP_NR_EOH
    NO_REPLY_BODY = 0x80000  # SMFIP_NR_BODY
    LEADING_SPACE = 0x100000  # SMFIP_HDR_LEADSPC: header values come and go with the blank behind the colon
    MAX_DATA_256K = 0x10000000  # SMFIP_MDS_256K: packets with up to 256 KiB of data instead of 64
    MAX_DATA_1M = 0x20000000  # SMFIP_MDS_1M: packets with up to 1 MiB of data instead of 64 KiB


class Stage(IntEnum):
    """Where macros are sent (SMFIM_*)."""

    CONNECT = 0  # SMFIM_CONNECT; Postfix: milter_connect_macros
    HELO = 1  # SMFIM_HELO; Postfix: milter_helo_macros
    MAIL = 2  # SMFIM_ENVFROM; Postfix: milter_mail_macros
    RCPT = 3  # SMFIM_ENVRCPT; Postfix: milter_rcpt_macros
    DATA = 4  # SMFIM_DATA; Postfix: milter_data_macros
    END_OF_MESSAGE = 5  # SMFIM_EOM; Postfix: milter_end_of_data_macros
    END_OF_HEADER = 6  # SMFIM_EOH; Postfix: milter_end_of_header_macros


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the filter asks for; the codec agrees to no more than the server offers.

    `macros` names the macros wanted at each stage, ``{Stage.MAIL: "i {auth_authen}"}``, where the server can be asked.
    """

    actions: Actions = Actions.NONE
    options: Options = Options.NONE
    macros: Mapping[Stage, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for names in self.macros.values():
            _text("macro names", names)


# --- events -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Negotiate:
    """The server's offer, and what is agreed. `Codec.accept_offer` gives the answer."""

    version: int  # what the server offers, 2 or higher; `Codec.version` is what was agreed
    actions: Actions  # what the server lets a filter do
    options: Options  # what the server lets a filter choose


@dataclass(frozen=True, slots=True)
class Macros:
    """Macros for the event that follows, or would follow; names without braces. `stage` is None for UNKNOWN and such.

    Values are the server's text, decoded as UTF-8.
    """

    stage: Stage | None
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Connect:
    """A client. `family` is "4", "6", "L" (a local socket, `address` is its path) or "U" (unknown, no address)."""

    hostname: str  # the client's name from its PTR record; mail servers put its address in brackets where it has none
    family: str
    address: str = ""
    port: int = 0  # the client's; 0 where it is not known


@dataclass(frozen=True, slots=True)
class Helo:
    """HELO or EHLO."""

    name: str  # what the client calls itself: a domain name or an address literal


@dataclass(frozen=True, slots=True)
class Mail:
    """MAIL FROM. `address` is without angle brackets; ``""`` is the null sender."""

    address: str
    parameters: tuple[str, ...] = ()  # of ESMTP, such as "SIZE=1000" and "BODY=8BITMIME"


@dataclass(frozen=True, slots=True)
class Rcpt:
    """RCPT TO."""

    address: str  # without angle brackets
    parameters: tuple[str, ...] = ()  # of ESMTP, such as "NOTIFY=NEVER"


@dataclass(frozen=True, slots=True)
class Data:
    """DATA."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header field. `name` and `value` as they stand in the message, the colon between them; folds are LF.

    The value begins with its blank: where the server keeps that blank to itself, one is put there.
    """

    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class EndOfHeader:
    """The empty line."""


@dataclass(frozen=True, slots=True)
class Body:
    """A chunk of the body; line ends are CRLF."""

    chunk: bytes


@dataclass(frozen=True, slots=True)
class EndOfMessage:
    """The end of the message; now it may be changed. `chunk` is the last of the body, nearly always empty."""

    chunk: bytes = b""


@dataclass(frozen=True, slots=True)
class Unknown:
    """An SMTP command that the server does not know."""

    command: str  # the whole line


@dataclass(frozen=True, slots=True)
class Abort:
    """The message is given up; the session goes on."""


@dataclass(frozen=True, slots=True)
class Quit:
    """The session has ended. `reuse`: the connection serves another one (version 6)."""

    reuse: bool = False


@dataclass(frozen=True, slots=True)
class PeerError:
    """The server broke the milter protocol; the connection is of no more use. `reason` is a stable code."""

    reason: str  # "packet-length", "out-of-order", "not-negotiated", "unknown-command", "malformed" or "version"
    detail: str  # in words


Event: TypeAlias = (
    Negotiate
    | Macros
    | Connect
    | Helo
    | Mail
    | Rcpt
    | Data
    | Header
    | EndOfHeader
    | Body
    | EndOfMessage
    | Unknown
    | Abort
    | Quit
    | PeerError
)
"""What `Codec.next_event` returns."""


# --- replies ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Continue:
    """Go on with the next event; at the end of a message: accept it."""


@dataclass(frozen=True, slots=True)
class Accept:
    """Accept the message and send nothing more of it; at CONNECT and HELO the whole session."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse for good in the server's words: the message, at RCPT the recipient, at CONNECT and HELO the session."""


@dataclass(frozen=True, slots=True)
class TempFail:
    """Refuse for now in the server's words."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse in our own words, with a 4xx or 5xx reply."""

    reply: Reply  # with a code of 400 or more

    def __post_init__(self) -> None:
        if self.reply.code < 400:
            raise MilterError(f"a refusal has a 4xx or 5xx reply, not {self.reply.code}")


@dataclass(frozen=True, slots=True)
class Discard:
    """Accept the message and throw it away."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Enough of the body: go on with the end of the message."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """End the SMTP session with 421."""


@dataclass(frozen=True, slots=True)
class ConnectionFailed:
    """The filter has lost its own connection; the server does as if this one was lost."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Still at work: the server's timeout begins anew. The reply is still due."""


@dataclass(frozen=True, slots=True)
class AddHeader:
    """A field below all others. Folds are LF or CRLF; without a blank at the beginning of the value one is put there.

    So is it with `InsertHeader` and `ChangeHeader`.
    """

    name: str
    value: str | bytes


@dataclass(frozen=True, slots=True)
class InsertHeader:
    """A field at a place: 0 is on top, above the server's own Received."""

    index: int  # how many fields stand above it
    name: str
    value: str | bytes


@dataclass(frozen=True, slots=True)
class ChangeHeader:
    """Another value for the field of that name, counted from 1; an empty one deletes it.

    A deletion changes the count: delete from the last to the first.
    """

    index: int  # 1 is the topmost of that name
    name: str
    value: str | bytes = b""


@dataclass(frozen=True, slots=True)
class ReplaceBody:
    """A new body, with CRLF line ends. Several in a row are one body."""

    body: bytes


@dataclass(frozen=True, slots=True)
class AddRecipient:
    """One more recipient, perhaps with ESMTP parameters."""

    address: str
    parameters: str = ""  # such as "NOTIFY=NEVER"; needs `Actions.ADD_RECIPIENTS_WITH_PARAMETERS`


@dataclass(frozen=True, slots=True)
class DeleteRecipient:
    """A recipient less."""

    address: str


@dataclass(frozen=True, slots=True)
class ChangeSender:
    """Another MAIL FROM, perhaps with ESMTP parameters."""

    address: str
    parameters: str = ""  # such as "RET=HDRS"; "" for none


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Keep the message (Postfix: in the hold queue); the reason is for the log."""

    reason: str


Response: TypeAlias = (
    Continue
    | Accept
    | Reject
    | TempFail
    | Refuse
    | Discard
    | Skip
    | Shutdown
    | ConnectionFailed
    | Progress
    | AddHeader
    | InsertHeader
    | ChangeHeader
    | ReplaceBody
    | AddRecipient
    | DeleteRecipient
    | ChangeSender
    | Quarantine
)
"""What `Codec.send` takes: the answer to an event, or a change of the message before it."""

_FINAL: Mapping[type, bytes] = {
    Continue: b"c",
    Accept: b"a",
    Reject: b"r",
    TempFail: b"t",
    Discard: b"d",
    Skip: b"s",
    Shutdown: b"4",
    ConnectionFailed: b"f",
}


# --- the codec ----------------------------------------------------------------------------------------------


class _BadPacketError(Exception):
    """Within the codec: why the peer's packet cannot be read."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


_STAGE_OF: Mapping[bytes, Stage] = {
    b"C": Stage.CONNECT,
    b"H": Stage.HELO,
    b"M": Stage.MAIL,
    b"R": Stage.RCPT,
    b"T": Stage.DATA,
    b"E": Stage.END_OF_MESSAGE,
    b"N": Stage.END_OF_HEADER,
}
# The order of one message, and the option by which an event gets no reply. Any event may be missing, since the filter
# may decline it.
_ORDER: Mapping[bytes, int] = {b"C": 1, b"H": 2, b"M": 3, b"R": 4, b"T": 5, b"L": 6, b"N": 7, b"B": 8, b"E": 9}
_NO_REPLY: Mapping[bytes, Options] = {
    b"C": Options.NO_REPLY_CONNECT,
    b"H": Options.NO_REPLY_HELO,
    b"M": Options.NO_REPLY_MAIL,
    b"R": Options.NO_REPLY_RCPT,
    b"T": Options.NO_REPLY_DATA,
    b"L": Options.NO_REPLY_HEADER,
    b"N": Options.NO_REPLY_END_OF_HEADER,
    b"B": Options.NO_REPLY_BODY,
    b"U": Options.NO_REPLY_UNKNOWN,
    b"E": Options.NONE,
}
_IN_SESSION, _IN_MESSAGE = 2, 3


class Codec:
    """The filter's side of one connection.

    `reply_due` says whether the last event waits for a reply; `version`, `actions` and `options` are what was agreed.
    `failed` is the `PeerError` that ended it.
    """

    version = 0
    actions = Actions.NONE
    options = Options.NONE
    failed: PeerError | None = None

    def __init__(self, wanted: Wanted | None = None, *, max_packet: int = MAX_PACKET_OCTETS) -> None:
        self.wanted = wanted or Wanted()
        self._max = max_packet
        self._buffer = bytearray()
        self._held: tuple[Event, bytes] | None = None  # an event behind the `Abort` that nobody sent
        self._place = 0  # in _ORDER
        self._due: bytes | None = None  # the command that waits for a reply
        self._offer: Negotiate | None = None
        self._unanswered: frozenset[bytes] = frozenset()  # commands that get no reply
        self._eaten = b" "  # the blank that the server keeps to itself

    @property
    def reply_due(self) -> bool:
        """Whether the server waits for a reply to the last event."""
        return self._due is not None

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take octets from the connection. After a `PeerError` they are dropped."""
        if self.failed is None:
            self._buffer += data

    def next_event(self) -> Event | None:
        """The next event; None if more octets are needed."""
        if self._held is not None:
            (event, command), self._held = self._held, None
            self._arrived(command)
            return event
        if self.failed is not None or len(self._buffer) < 4:
            return None
        length = int.from_bytes(self._buffer[:4], "big")
        try:
            if not 1 <= length <= self._max:
                raise _BadPacketError("packet-length", f"a packet of {length} octets")
            if self._due is not None and len(self._buffer) > 4 and self._buffer[4] not in b"DAQK":
                raise _BadPacketError("out-of-order", "an event before the last one was answered")
            if len(self._buffer) < length + 4:
                return None
            command, data = bytes(self._buffer[4:5]), bytes(memoryview(self._buffer)[5 : length + 4])
            del self._buffer[: length + 4]
            return self._event(command, data)
        except _BadPacketError as error:
            self.failed = PeerError(error.reason, str(error))
            self._buffer.clear()
            self._due = None
            return self.failed

    def _event(self, command: bytes, data: bytes) -> Event:
        if command == b"O":
            return self._offered(data)
        if not self.version:
            raise _BadPacketError("not-negotiated", "the first packet is no option negotiation")
        if command in b"AQK":
            self._due, self._place = None, _IN_SESSION if command == b"A" else 0
            return Abort() if command == b"A" else Quit(command == b"K")
        parse = _PARSERS.get(command)
        if parse is None:
            raise _BadPacketError("unknown-command", f"the command {command!r}")
        event = parse(data)
        if isinstance(event, Macros):
            if self._place >= _IN_MESSAGE and event.stage in (Stage.CONNECT, Stage.HELO, Stage.MAIL):
                self._place, self._held = _IN_SESSION, (event, command)
                return Abort()
            return event
        if isinstance(event, Header) and self._eaten:
            event = Header(event.name, b" " + event.value)
        place = _ORDER.get(command, self._place)
        if place > _IN_MESSAGE and place < self._place:
            raise _BadPacketError("out-of-order", f"the command {command!r} in the wrong place of a message")
        if self._place >= _IN_MESSAGE >= place and command != b"U":
            self._held = event, command
            return Abort()  # a message that was begun anew without a word
        self._arrived(command)
        return event

    def _arrived(self, command: bytes) -> None:
        if command == b"D":
            return
        self._place = _IN_SESSION if command == b"E" else _ORDER.get(command, self._place)
        self._due = None if command in self._unanswered else command

    def _offered(self, data: bytes) -> Negotiate:
        if self._place:
            raise _BadPacketError("out-of-order", "an option negotiation within a session")
        if len(data) < 12:
            raise _BadPacketError("malformed", "an option negotiation of fewer than 12 octets")
        version, actions, options = struct.unpack_from(">III", data)
        if version < MIN_VERSION:
            raise _BadPacketError("version", f"version {version} of the protocol")
        self._place, self._due = 0, b"O"
        self._offer = Negotiate(version, Actions(actions), Options(options))
        self.version = min(version, MAX_VERSION)
        self.actions = self._offer.actions & self.wanted.actions
        self.options = self._offer.options & self.wanted.options
        self._unanswered = frozenset(command for command, option in _NO_REPLY.items() if option & self.options)
        self._eaten = b"" if Options.LEADING_SPACE in self.options else b" "
        return self._offer

    def accept_offer(self) -> bytes:
        """The answer to `Negotiate`: what is wanted, as far as it was offered.

        Raises `MilterError` where nothing was offered.
        """
        if self._due != b"O" or self._offer is None:
            raise MilterError("there is no offer to answer")
        data = struct.pack(">III", self.version, self.actions, self.options)
        if self.wanted.macros and self._offer.actions & Actions.SET_MACROS:
            self.actions |= Actions.SET_MACROS
            data = struct.pack(">III", self.version, self.actions, self.options)
            for stage, names in self.wanted.macros.items():
                data += struct.pack(">I", stage) + names.encode("utf-8") + b"\0"
        self._due = None
        return _packet(b"O", data)

    def send(self, reply: Response) -> bytes:
        """The octets of a reply. Raises `MilterError` for one that cannot be sent now."""
        if self._due is None or self._due == b"O":
            raise MilterError(f"no event waits for {type(reply).__name__}")
        final = _FINAL.get(type(reply))
        if final is not None:
            if isinstance(reply, Skip) and (self._due != b"B" or not self.options & Options.SKIP):
                raise MilterError("Skip answers a chunk of the body, where it was negotiated")
            if isinstance(reply, Accept | Reject | TempFail | Discard) and self._due != b"R":
                self._place = min(self._place, _IN_SESSION)
            self._due = None
            return _packet(final)
        if isinstance(reply, Refuse):
            self._place = self._place if self._due == b"R" else min(self._place, _IN_SESSION)
            self._due = None
            # "%" is doubled, since the server takes the text for a format.
            return _packet(b"y", "\r\n".join(reply.reply.lines()).replace("%", "%%").encode("ascii") + b"\0")
        if isinstance(reply, Progress):
            return _packet(b"p")
        if self._due != b"E":
            raise MilterError(f"{type(reply).__name__} comes at the end of a message only")
        encode, action = _CHANGES[type(reply)]
        if isinstance(reply, AddRecipient) and reply.parameters:
            action = Actions.ADD_RECIPIENTS_WITH_PARAMETERS
        if not self.actions & action:
            raise MilterError(f"{type(reply).__name__} was not negotiated ({action.name})")
        return encode(reply, self)

    def header_value(self, value: str | bytes) -> bytes:
        """A value as this server wants it. Raises `MilterError` for one that would be more than one field."""
        octets = value.encode("utf-8") if isinstance(value, str) else bytes(value)
        octets = octets.replace(b"\r\n", b"\n").removesuffix(b"\n")
        if b"\0" in octets or b"\r" in octets or any(line[:1] not in (b" ", b"\t") for line in octets.split(b"\n")[1:]):
            raise MilterError("a field ends within its value: NUL, a bare CR, or a line that begins without a blank")
        if self.options & Options.LEADING_SPACE:
            return octets if octets[:1] in (b" ", b"\t", b"\n", b"") else b" " + octets
        return octets.removeprefix(b" ")


def _packet(command: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data) + 1) + command + data


# --- reading ------------------------------------------------------------------------------------------------


def _strings(data: bytes, least: int, most: int | None = None) -> list[bytes]:
    """The NUL-terminated strings that the data consists of."""
    if data[-1:] != b"\0":
        raise _BadPacketError("malformed", "a string without its NUL")
    strings = data[:-1].split(b"\0")
    if len(strings) < least or (most is not None and len(strings) > most):
        raise _BadPacketError("malformed", f"{len(strings)} strings in a packet")
    return strings


def _decoded(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")


def _read_macros(data: bytes) -> Macros:
    if not data:
        raise _BadPacketError("malformed", "macros for no command")
    strings = _strings(data[1:], 1) if data[1:] else []
    if len(strings) % 2 or len(strings) > 2 * MAX_MACROS:
        raise _BadPacketError("malformed", "a macro without its value, or too many")
    names = [_decoded(name) for name in strings[::2]]
    names = [name[1:-1] if name.startswith("{") and name.endswith("}") else name for name in names]
    return Macros(_STAGE_OF.get(data[:1]), dict(zip(names, map(_decoded, strings[1::2]), strict=True)))


def _read_connect(data: bytes) -> Connect:
    host, nul, rest = data.partition(b"\0")
    family = rest[:1]
    if not nul or family not in (b"U", b"L", b"4", b"6"):
        raise _BadPacketError("malformed", "a connection of no known family")
    if family == b"U":
        return Connect(_decoded(host), "U")
    address = _decoded(_strings(rest[3:], 1, 1)[0])
    if family == b"6":
        address = address.removeprefix("IPv6:")
    return Connect(_decoded(host), family.decode(), address, int.from_bytes(rest[1:3], "big"))


def _read_path(data: bytes) -> tuple[str, tuple[str, ...]]:
    address, *parameters = map(_decoded, _strings(data, 1))
    return address.removeprefix("<").removesuffix(">"), tuple(parameters)


def _read_header(data: bytes) -> Header:
    name, value = _strings(data, 2, 2)
    return Header(name, value)


_PARSERS: Mapping[bytes, Callable[[bytes], Event]] = {
    b"D": _read_macros,
    b"C": _read_connect,
    b"H": lambda data: Helo(_decoded(_strings(data, 1, 1)[0])),
    b"M": lambda data: Mail(*_read_path(data)),
    b"R": lambda data: Rcpt(*_read_path(data)),
    b"T": lambda data: Data(),
    b"L": _read_header,
    b"N": lambda data: EndOfHeader(),
    b"B": Body,
    b"E": EndOfMessage,
    b"U": lambda data: Unknown(_decoded(data.rstrip(b"\0"))),
}


# --- writing ------------------------------------------------------------------------------------------------


def _text(what: str, text: str) -> bytes:
    if any(character in text for character in "\0\r\n"):
        raise MilterError(f"{what} is one line")
    return text.encode("utf-8") + b"\0"


def _field_name(name: str) -> bytes:
    if not name or not all("!" <= character <= "~" and character != ":" for character in name):
        raise MilterError(f"{name!r} is no field name")
    return name.encode("ascii") + b"\0"


def _index(index: int) -> bytes:
    if not 0 <= index < 2**31:
        raise MilterError(f"{index} is no place of a header field")
    return struct.pack(">I", index)


def _write_header(reply: Any, codec: Codec) -> bytes:
    data = _field_name(reply.name) + codec.header_value(reply.value) + b"\0"
    match reply:
        case AddHeader():
            return _packet(b"h", data)
        case InsertHeader(index=index):
            return _packet(b"i", _index(index) + data)
    if reply.index < 1:
        raise MilterError("fields of a name are counted from 1")
    return _packet(b"m", _index(reply.index) + data)


def _write_body(reply: ReplaceBody, codec: Codec) -> bytes:
    starts = range(0, len(reply.body), MAX_CHUNK_OCTETS) or [0]
    return b"".join(_packet(b"b", reply.body[start : start + MAX_CHUNK_OCTETS]) for start in starts)


def _write_path(command: bytes, reply: Any) -> bytes:
    parameters = getattr(reply, "parameters", "")
    path = _text("an address", f"<{reply.address.removeprefix('<').removesuffix('>')}>")
    return _packet(command, path + (_text("parameters", parameters) if parameters else b""))


_CHANGES: Mapping[type, tuple[Callable[[Any, Codec], bytes], Actions]] = {
    AddHeader: (_write_header, Actions.ADD_HEADERS),
    InsertHeader: (_write_header, Actions.ADD_HEADERS),
    ChangeHeader: (_write_header, Actions.CHANGE_HEADERS),
    ReplaceBody: (_write_body, Actions.CHANGE_BODY),
    AddRecipient: (
        lambda reply, codec: _write_path(b"2" if reply.parameters else b"+", reply),
        Actions.ADD_RECIPIENTS,
    ),
    DeleteRecipient: (lambda reply, codec: _write_path(b"-", reply), Actions.DELETE_RECIPIENTS),
    ChangeSender: (lambda reply, codec: _write_path(b"e", reply), Actions.CHANGE_SENDER),
    Quarantine: (lambda reply, codec: _packet(b"q", _text("a reason", reply.reason)), Actions.QUARANTINE),
}
