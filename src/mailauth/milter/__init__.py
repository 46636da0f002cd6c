"""Milters: the protocol by which Postfix and Sendmail ask a filter about each message.

The mail server connects to the filter and tells it the SMTP session event by event: who connects, MAIL FROM, RCPT TO,
each header field, the body in chunks. The filter answers each event, and at the end of a message it may change it::

    class Tag(Milter):
        async def on_end_of_message(self, event):
            return [AddHeader("X-Seen", "yes"), Accept()]

    asyncio.run(MilterServer(Tag).serve("inet:127.0.0.1:8899"))

Read `protocol` (octets to events and replies to octets, without I/O), then `server` (an asyncio server for any
milter), then `filter` (the milter that verifies and signs).
"""

from __future__ import annotations

from mailauth.milter.protocol import (
    Abort,
    Accept,
    Actions,
    AddHeader,
    AddRecipient,
    Body,
    ChangeHeader,
    ChangeSender,
    Codec,
    Connect,
    ConnectionFailed,
    Continue,
    Data,
    DeleteRecipient,
    Discard,
    EndOfHeader,
    EndOfMessage,
    Event,
    Header,
    Helo,
    InsertHeader,
    Macros,
    Mail,
    MilterError,
    Negotiate,
    Options,
    PeerError,
    Progress,
    Quarantine,
    Quit,
    Rcpt,
    Refuse,
    Reject,
    ReplaceBody,
    Response,
    Shutdown,
    Skip,
    Stage,
    TempFail,
    Unknown,
    Wanted,
)
from mailauth.milter.server import Milter, MilterServer

__all__ = [
    "Abort",
    "Accept",
    "Actions",
    "AddHeader",
    "AddRecipient",
    "Body",
    "ChangeHeader",
    "ChangeSender",
    "Codec",
    "Connect",
    "ConnectionFailed",
    "Continue",
    "Data",
    "DeleteRecipient",
    "Discard",
    "EndOfHeader",
    "EndOfMessage",
    "Event",
    "Header",
    "Helo",
    "InsertHeader",
    "Macros",
    "Mail",
    "Milter",
    "MilterError",
    "MilterServer",
    "Negotiate",
    "Options",
    "PeerError",
    "Progress",
    "Quarantine",
    "Quit",
    "Rcpt",
    "Refuse",
    "Reject",
    "ReplaceBody",
    "Response",
    "Shutdown",
    "Skip",
    "Stage",
    "TempFail",
    "Unknown",
    "Wanted",
]
