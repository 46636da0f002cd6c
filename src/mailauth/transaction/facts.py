"""The facts of one SMTP transaction, as the server learns them: who sends what to whom. No results, no decisions."""

# SECURITY: helo, mail_from and recipients are the peer's. They are handed on to the protocols, which judge them.

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO, Literal, TypeAlias

from mailauth.mail import names
from mailauth.plan import IPAddress

Fact: TypeAlias = Literal["helo", "mail_from", "recipient", "message"]
"""A fact that a restriction may judge by, and that becomes known in the course of the dialogue."""


@dataclass
class Facts:
    """Facts are None until the server knows them; the null sender is ``""``. Addresses are without angle brackets.

    `now` is in seconds since the epoch, set at each phase. `recipient` is the one that is judged just now,
    `recipients` are those accepted so far. `authenticated` is the identity that SMTP AUTH proved. `pipelined`: the
    client talked before its turn, at any time in this session. `id` is the caller's own name for the session or
    message, such as a queue id; it stands in the log.
    """

    ip: IPAddress
    now: float = 0.0
    helo: str | None = None
    mail_from: str | None = None
    recipient: str | None = None
    recipients: list[str] = field(default_factory=list)
    authenticated: str | None = None
    pipelined: bool = False
    message: bytes | BinaryIO | None = None
    id: str = ""

    @property
    def known(self) -> set[Fact]:
        """The facts that are known by now."""
        known: set[Fact] = set()
        if self.helo is not None:
            known.add("helo")
        if self.mail_from is not None:
            known.add("mail_from")
        if self.recipient is not None:
            known.add("recipient")
        if self.message is not None:
            known.add("message")
        return known

    @property
    def sender_domain(self) -> str | None:
        """The domain of MAIL FROM as A-labels; None for the null sender and for anything that is not an address."""
        return _domain_of(self.mail_from)

    @property
    def recipient_domain(self) -> str | None:
        """The domain of the current RCPT TO as A-labels; None for anything that is not an address."""
        return _domain_of(self.recipient)


def _domain_of(address: str | None) -> str | None:
    mailbox = names.split_address(address) if address else None
    return names.to_ascii(mailbox.domain) if mailbox else None


def bare_address(address: str) -> str:
    """The address of a MAIL or RCPT command without its angle brackets.

    Raises `TypeError` for anything that is not text.
    """
    address = text_of("an address", address).strip()
    return address[1:-1] if address.startswith("<") and address.endswith(">") else address


def text_of(what: str, value: str) -> str:
    """The value, which must be text. Raises `TypeError`."""
    if not isinstance(value, str):
        raise TypeError(f"{what} is text, not {type(value).__name__}")
    return value
