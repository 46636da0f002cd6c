# What belongs here: what is known of one client, one transaction, one message: the facts that the server told, and the
# results of the checks made so far, each made once. No verdicts (restrictions.py) and no output (report.py).
#
# SECURITY: helo, mail_from and recipients are the peer's. They are handed on to the protocols, which judge them; what
# is kept here is bounded by the number of recipients that the server accepts.
"""The evidence of one SMTP session: facts, and the results of checks, each made once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar, cast

from mailauth import domain
from mailauth.plan import IPAddress, Plan, run_all
from mailauth.steps import RunPlan, Steps

if TYPE_CHECKING:
    from mailauth.settings import Settings

T = TypeVar("T")


class Need(NamedTuple):
    """A check that somebody needs: the key under which its result is kept, and how to make the plan."""

    key: Hashable
    plan: Callable[[], Plan[Any]]


@dataclass
class Evidence:
    """Facts are None until the server told them; the null sender is ``""``.

    `now` is in seconds since the epoch, set by the driver at each phase. `recipient` is the one that is judged just
    now, `recipients` are those accepted so far. `authenticated` is the identity that SMTP AUTH proved.
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
    _results: dict[Hashable, Any] = field(default_factory=dict)

    def known(self, key: Hashable) -> bool:
        """Whether the check was made."""
        return key in self._results

    def result(self, key: Hashable, default: T | None = None) -> Any:
        """The result of a check that was made, else `default`."""
        return self._results.get(key, default)

    def record(self, key: Hashable, result: Any) -> None:
        """Keep the result of a check that was made elsewhere."""
        self._results[key] = result

    def forget(self, *keys: Hashable) -> None:
        """Drop results that the next transaction must not inherit."""
        for key in keys:
            self._results.pop(key, None)

    def keep(self, wanted: Callable[[Hashable], bool]) -> None:
        """Drop every result whose key is not `wanted`, so that a long session neither grows nor judges by old facts."""
        self._results = {key: result for key, result in self._results.items() if wanted(key)}

    def gather(self, needs: Iterable[Need]) -> Steps[None]:
        """Make the checks that were not made yet, side by side: the time of the slowest, not the sum."""
        missing = {need.key: need for need in needs if need.key not in self._results}
        if missing:
            results = yield RunPlan(run_all([need.plan() for need in missing.values()]))
            self._results.update(zip(missing, cast("list[Any]", results), strict=True))

    def sender_domain(self) -> str | None:
        """The domain of MAIL FROM as A-labels; None for the null sender and for what is no address."""
        return _domain_of(self.mail_from)

    def recipient_domain(self) -> str | None:
        """The domain of the current RCPT TO as A-labels; None for what is no address."""
        return _domain_of(self.recipient)


def _domain_of(address: str | None) -> str | None:
    mailbox = domain.split_address(address) if address else None
    return domain.to_ascii(mailbox.domain) if mailbox else None
