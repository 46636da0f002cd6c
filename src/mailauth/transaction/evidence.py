# What belongs here: what is known of one client, one transaction, one message: the facts that the server told, and the
# results of the checks made so far, each made once. No verdicts (restrictions/) and no output (report.py).
#
# SECURITY: helo, mail_from and recipients are the peer's. They are handed on to the protocols, which judge them. What
# is kept is bounded by the recipients that the server accepts in one transaction: results do not outlive the fact that
# they are about, or a client that says MAIL and RSET in turn would fill the memory.
"""The evidence of one SMTP session: facts, and the results of checks, each made once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple, TypeAlias, TypeVar

from mailauth.mail import names
from mailauth.plan import IPAddress, Plan, run_all
from mailauth.transaction.steps import Effect, RunPlan, Steps

if TYPE_CHECKING:
    from mailauth.dkim import Verifier
    from mailauth.transaction.policy import Settings

T = TypeVar("T")

Life: TypeAlias = Literal["session", "helo", "transaction"]
"""How long a result holds: as long as the client is there, until the next HELO, or for one transaction."""


class Need(NamedTuple):
    """A check that somebody needs: the key of its result, how to make the plan, and how long the result holds.

    `before` is an effect that must be performed before the plan is made (reading the message).
    """

    key: Hashable
    plan: Callable[[], Plan[Any]]
    life: Life = "transaction"
    before: Callable[[], Effect] | None = None


@dataclass
class Evidence:
    """Facts are None until the server told them; the null sender is ``""``. Addresses are without angle brackets.

    `now` is in seconds since the epoch, set by the driver at each phase. `recipient` is the one that is judged just
    now, `recipients` are those accepted so far. `authenticated` is the identity that SMTP AUTH proved. `pipelined`:
    the client talked before its turn, at any time in this session.
    """

    ip: IPAddress
    settings: Settings
    now: float = 0.0
    helo: str | None = None
    mail_from: str | None = None
    recipient: str | None = None
    recipients: list[str] = field(default_factory=list)
    authenticated: str | None = None
    pipelined: bool = False
    message: bytes | BinaryIO | None = None
    verifier: Verifier | None = None
    _results: dict[Hashable, tuple[Life, Any]] = field(default_factory=dict)

    def known(self, key: Hashable) -> bool:
        """Whether the check was made."""
        return key in self._results

    def result(self, key: Hashable, default: T | None = None) -> Any:
        """The result of a check that was made, else `default`."""
        return self._results[key][1] if key in self._results else default

    def results(self) -> Iterator[tuple[Hashable, Any]]:
        """The key and the result of each check that was made, in order."""
        return ((key, result) for key, (_, result) in self._results.items())

    def record(self, key: Hashable, result: Any, life: Life = "transaction") -> None:
        """Keep the result of a check."""
        self._results[key] = life, result

    def forget(self, *lives: Life) -> None:
        """Drop the results whose life has ended."""
        self._results = {key: kept for key, kept in self._results.items() if kept[0] not in lives}

    def forget_transaction(self) -> None:
        """Drop all that belongs to one transaction; the client and its HELO name stay."""
        self.mail_from = self.recipient = self.message = self.verifier = None
        self.recipients = []
        self.forget("transaction")

    def gather(self, needs: Iterable[Need]) -> Steps[None]:
        """Make the checks that were not made yet, side by side: the time of the slowest, not the sum."""
        missing = {need.key: need for need in needs if need.key not in self._results}
        if not missing:
            return
        for need in missing.values():
            if need.before is not None:
                yield need.before()
        results = yield RunPlan(run_all([need.plan() for need in missing.values()]))
        for need, result in zip(missing.values(), results, strict=True):
            self.record(need.key, result, need.life)

    def sender_domain(self) -> str | None:
        """The domain of MAIL FROM as A-labels; None for the null sender and for what is no address."""
        return _domain_of(self.mail_from)

    def recipient_domain(self) -> str | None:
        """The domain of the current RCPT TO as A-labels; None for what is no address."""
        return _domain_of(self.recipient)


def _domain_of(address: str | None) -> str | None:
    mailbox = names.split_address(address) if address else None
    return names.to_ascii(mailbox.domain) if mailbox else None


def bare_address(address: str) -> str:
    """The address of a MAIL or RCPT command without its angle brackets. Raises `TypeError` for what is no text."""
    address = text_of("an address", address).strip()
    return address[1:-1] if address.startswith("<") and address.endswith(">") else address


def text_of(what: str, value: str) -> str:
    """The value, which must be text. Raises `TypeError`."""
    if not isinstance(value, str):
        raise TypeError(f"{what} is text, not {type(value).__name__}")
    return value
