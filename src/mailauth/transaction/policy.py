"""`Policy`: what an `Authenticator` goes by, read only once it is made, so that threads may share it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mailauth.dkim import DkimPolicy
from mailauth.dmarc import DmarcPolicy
from mailauth.mail import names
from mailauth.plan import IPAddress, Plan
from mailauth.rbl import Listing, Monitor, RblPolicy, Rule, query
from mailauth.spf import SpfPolicy


@dataclass(frozen=True, slots=True)
class Policy:
    """What one `Authenticator` goes by. Raises `ValueError` for an invalid `hostname` or `authserv_id`.

    `authserv_id` is the name under which results are written, the `hostname` where none is given: RFC 8601 section 2.5
    would have it be the same on all servers of a site. `greylist` is the function that decides about one delivery
    attempt, None where nothing is greylisted; `rbl_monitor` leaves out lists that are out of service; `dmarc_reports`
    is the function that adds a result up for reports.
    """

    hostname: str
    rbl: tuple[Rule, ...] = ()
    rbl_monitor: Monitor | None = None
    greylist: Callable[..., Any] | None = None
    delay_reject: bool = True
    trace: bool = False
    spf_policy: SpfPolicy = field(default_factory=SpfPolicy)
    dkim_policy: DkimPolicy = field(default_factory=DkimPolicy)
    rbl_policy: RblPolicy = field(default_factory=RblPolicy)
    dmarc_reports: Callable[..., Any] | None = None
    dmarc_policy: DmarcPolicy = field(default_factory=DmarcPolicy)
    authserv_id: str = ""

    def __post_init__(self) -> None:
        name = names.to_ascii(self.hostname)
        if name is None or not names.is_hostname(name):
            raise ValueError(f"hostname is the name of this server, used as authserv-id: {self.hostname!r}")
        if self.authserv_id:
            from mailauth import authres  # loaded when first used

            authres.build(self.authserv_id)  # raises for what cannot be one
        # Readers compare ids as they stand: none of ours is written with a final dot.
        object.__setattr__(self, "authserv_id", (self.authserv_id or self.hostname).removesuffix("."))

    @property
    def own_ids(self) -> tuple[str, str]:
        """The authserv-ids that no field from outside may bear (RFC 8601 section 5).

        The host's own name is one, too: readers may go by it still, and it is a name within the site (section 2.5).
        """
        return (self.authserv_id, self.hostname)

    def query_rbl(self, subject: str | IPAddress, rules: tuple[Rule, ...]) -> Plan[list[Listing]]:
        """A plan that asks lists, through the monitor where there is one."""
        ask = query if self.rbl_monitor is None else self.rbl_monitor.query
        return ask(subject, rules, policy=self.rbl_policy)
