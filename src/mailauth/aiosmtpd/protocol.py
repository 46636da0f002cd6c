"""`MailauthMixin` for aiosmtpd's `SMTP`, and `MailauthServer`, which has it.

What only aiosmtpd's protocol object can see or do: octets that wait before a reply is sent, reading a message in
bounded memory, clocks of a connection, counting. What is decided is the handler's.
"""

# SECURITY: the peer sends anything, slowly or fast, and without end. Per connection there are at most: one command
# line, one message of `data_size_limit` octets, `max_errors` refused commands, `max_junk_commands` that bring no
# message nearer, `timeout` seconds of silence, and `data` seconds for one message. Nothing that it sent is echoed but
# in one printable line.

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP, syntax

from mailauth.aiosmtpd.content import ContentReader
from mailauth.aiosmtpd.paths import parse_path
from mailauth.aiosmtpd.replies import reply_line
from mailauth.mail.text import printable

if TYPE_CHECKING:
    from mailauth.aiosmtpd.handler import MailauthHandler
    from mailauth.plan import IPAddress

_log = logging.getLogger("mailauth.aiosmtpd")
_log_of_aiosmtpd = logging.getLogger("mail.log")

MAX_COMMAND_OCTETS = 1000
"""RFC 5321 section 4.5.3.1.4 asks for 512, and extensions for more; one number is enough for all of them."""
BLOCK_OCTETS = 65536
LAST_WORDS_SECONDS = 5.0
"""For so long a closed connection waits for the client to read the last reply."""

# RFC 2920 section 3.1: these may stand anywhere in a group of commands; what is not here may only end one.
_MAY_BE_FOLLOWED = frozenset({"MAIL", "RCPT", "RSET"})
JUNK_COMMANDS = frozenset({"HELO", "EHLO", "NOOP", "RSET", "VRFY", "EXPN", "HELP"})
"""Commands that are answered as often as a client likes, and bring no message nearer."""

# The reply to a message is asked for at its end, and the next commands may follow it at once (ibid.).
_AFTER_CONTENT = "DATA"


def _printable(record: logging.LogRecord) -> bool:
    """A filter for the log of aiosmtpd, which shows an unknown command as it came, controls included."""
    if isinstance(record.args, tuple):
        record.args = tuple(printable(value) if isinstance(value, str) else value for value in record.args)
    return True


class MailauthMixin(SMTP):
    """Put before `aiosmtpd.smtp.SMTP` (or a class of yours) in the bases of a server class. Needs a `MailauthHandler`.

    `talked_too_early` says that the client sent a command before it could have seen the reply that it had to wait for.
    """

    event_handler: MailauthHandler  # the one that the constructor was given
    extensions = ("PIPELINING",)
    """What EHLO says beside aiosmtpd's own: RFC 2920."""

    def __init__(self, handler: MailauthHandler, **arguments: Any) -> None:
        # aiosmtpd keeps one dictionary for all connections, clears it for each, and counts it up at each EHLO.
        self.command_size_limits = defaultdict(lambda: MAX_COMMAND_OCTETS)  # after EHLO, by command
        self.command_size_limit = MAX_COMMAND_OCTETS  # of a line without its line end, before EHLO
        self.talked_too_early = False
        self._errors = 0
        self._junk_commands = 0  # since the last message that was accepted
        self._counted_as: IPAddress | None = None
        self._counted = False
        _log_of_aiosmtpd.addFilter(_printable)  # once, however often it is said
        super().__init__(handler, **arguments)
        for command in JUNK_COMMANDS & self._smtp_methods.keys():
            method = self._smtp_methods[command]
            self._smtp_methods[command] = update_wrapper(partial(self._junk_command, method), method)

    # --- the connection ---------------------------------------------------------------------------------------

    async def _handle_client(self) -> None:
        if self._welcome():
            self.talked_too_early = self._waiting() > 0
            await super()._handle_client()
        else:
            self._close("421 4.7.0 Too many connections; please try again later")

    def _welcome(self) -> bool:
        """Count the connection. STARTTLS begins anew on the same one, which is counted already."""
        if self._counted:
            return True
        assert self.session is not None
        try:
            ip = self.event_handler.client_ip(self.session)
        except ValueError:
            ip = None  # the first command logs it
        self._counted, self._counted_as = True, ip
        exempt = ip is not None and self.event_handler.is_ours(ip)
        return self.event_handler.connections.enter(ip, exempt=exempt)

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is over."""
        if self._counted:
            self._counted = False
            self.event_handler.connections.leave(self._counted_as)
        super().connection_lost(error)

    def _timeout_cb(self) -> None:
        self._close("421 4.4.2 You were silent for too long")

    def _close(self, line: str) -> None:
        """Tell the client why (RFC 5321 section 3.8), and close; one that does not even read is cut off."""
        transport = self.transport
        if not isinstance(transport, asyncio.WriteTransport):
            return
        if transport.is_closing() or transport.get_write_buffer_size():
            transport.abort()
        else:
            transport.write(reply_line(line) + b"\r\n")
            transport.close()
            self._reset_timeout(LAST_WORDS_SECONDS)

    async def push(self, status: str | bytes) -> None:
        """Send one reply line, made safe; the client that collects refusals is sent away."""
        line = reply_line(status if isinstance(status, str) else status.decode("utf-8", "replace"), utf8=True)
        await super().push(line)
        if line[:1] in (b"4", b"5"):
            self._errors += 1
            if self._errors == self.event_handler.limits.max_errors:
                _log.info("%r: too many errors", self.session and self.session.peer)
                self._close("421 4.7.0 Too many errors")

    # --- early talkers ----------------------------------------------------------------------------------------

    def _waiting(self) -> int:
        """Octets that the client sent and nobody read. aiosmtpd itself looks into this buffer at STARTTLS."""
        return len(self._reader._buffer)  # type: ignore[attr-defined]

    def _unread(self, octets: bytes) -> None:
        self._reader._buffer[:0] = octets  # type: ignore[attr-defined]

    def _look_for_early_talk(self, command: str) -> None:
        assert self.session is not None
        allowed = self.session.extended_smtp and command in _MAY_BE_FOLLOWED
        if not allowed and self._waiting():
            self.talked_too_early = True

    async def _call_handler_hook(self, command: str, *arguments: Any) -> Any:
        if command != _AFTER_CONTENT:
            self._look_for_early_talk(command)
        # While it is us that the client waits for, its silence is not held against it. What the handler does has time
        # limits of its own.
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
        try:
            return await super()._call_handler_hook(command, *arguments)
        finally:
            if self.transport is not None:
                self._reset_timeout()

    # --- commands ---------------------------------------------------------------------------------------------

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        path = parse_path(arg)
        if path is None:
            return None, None
        return path.address or "<>", path.parameters

    async def _junk_command(self, method: Callable[[str | None], Awaitable[None]], arg: str | None) -> None:
        self._junk_commands += 1
        limit = self.event_handler.limits.max_junk_commands
        if self._junk_commands <= limit:
            await method(arg)
        elif self._junk_commands == limit + 1:  # what was sent with it may still come
            _log.info("%r: too many commands without a message", self.session and self.session.peer)
            self._close("421 4.7.0 Too many commands without a message")

    @syntax("AUTH <mechanism>")
    async def smtp_AUTH(self, arg: str) -> None:
        """RFC 4954 section 4: AUTH is refused within a transaction, which began as a stranger's."""
        if self.envelope is not None and self.envelope.mail_from is not None:
            await self.push("503 5.5.1 AUTH stands before MAIL")
            return
        await super().smtp_AUTH(arg)

    @syntax("VRFY <address>")
    async def smtp_VRFY(self, arg: str | None) -> None:
        """RFC 5321 section 3.5.3: neither confirmed nor denied, so that nobody can try out addresses."""
        await self.push("252 2.5.0 Cannot verify; send it, and see" if arg else "501 5.5.4 Syntax: VRFY <address>")

    @syntax("DATA")
    async def smtp_DATA(self, arg: str | None) -> None:
        """DATA: read the message in bounded memory, and ask the handler."""
        if await self.check_helo_needed() or await self.check_auth_needed("DATA"):
            return
        assert self.envelope is not None
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        if not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 Need RCPT first")
            return
        await asyncio.sleep(0)  # what came with the last packet is read by now
        self._look_for_early_talk("DATA")
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        content = await self._content()
        if content is not None:
            reply = await self._judge(content)
            if reply.startswith("2"):
                self._junk_commands = 0
            await self.push(reply)
        self._set_post_data_state()  # type: ignore[no-untyped-call]

    async def _judge(self, content: ContentReader) -> str:
        if content.too_large:
            # RFC 1870 section 6.3; RFC 3463 section 3.4: message too big for system.
            return f"552 5.3.4 Message too large: {content.octets} octets, and {self.data_size_limit} are the limit"
        assert self.envelope is not None
        self.envelope.content = self.envelope.original_content = content.content
        return str(await self._call_handler_hook("DATA"))

    async def _content(self) -> ContentReader | None:
        """The content up to the lone dot; None where the client took too long or is gone."""
        content = ContentReader(self.data_size_limit)
        try:
            async with asyncio.timeout(self.event_handler.limits.data):
                while (octets := await self._reader.read(BLOCK_OCTETS)) != b"":
                    self._reset_timeout()
                    rest = content.feed(octets)
                    if rest is not None:
                        self._unread(rest)
                        return content
        except TimeoutError:
            self._close("421 4.4.2 The message took too long")
        return None


class MailauthServer(MailauthMixin, SMTP):
    """aiosmtpd's `SMTP` with all of it; its arguments are those of `SMTP`, with a `MailauthHandler` as the handler."""
