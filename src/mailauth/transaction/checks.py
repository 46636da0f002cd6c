"""`Transaction`: the facts of one SMTP transaction and the results of the checks made about it, each made once.

A new check is one `Check` value: its name, the plan that makes it, and how long its result holds. Restrictions name the
checks that they judge by and read the results; the report reads them as well. Nothing is decided here.
"""

# SECURITY: what is kept is bounded by the recipients that the server accepts in one transaction: results do not outlive
# the fact that they are about, or a client that says MAIL and RSET in turn would fill the memory.

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar, cast

from mailauth import arc, dmarc, iprev, spf
from mailauth.arc import ArcResult
from mailauth.dkim import Result as DkimResult
from mailauth.dkim import Signature, Verifier
from mailauth.dkim.body import BodyHash
from mailauth.dmarc import DmarcResult, Walk
from mailauth.greylist import Decision as GreylistDecision
from mailauth.iprev import IprevResult
from mailauth.mail import names
from mailauth.mail.addresses import addresses
from mailauth.mail.author import Author, AuthorReason, read_author
from mailauth.mail.header import Header
from mailauth.plan import Gather, Plan, run_all
from mailauth.rbl import Kind, Listing, Rule
from mailauth.spf import SpfResult
from mailauth.transaction.facts import Facts
from mailauth.transaction.policy import Policy

T = TypeVar("T")

Life: TypeAlias = Literal["session", "helo", "transaction"]
"""How long a result holds: as long as the client is there, until the next HELO, or for one transaction."""


@dataclass(frozen=True, slots=True, eq=False)
class Check(Generic[T]):
    """A check of a transaction, known by its identity: make it once, as a constant.

    `rules` are the lists it asks; `after` are the checks whose results it goes by, which are made before it.
    """

    name: str  # such as "spf-helo"; checks of different lists may have the same
    plan: Callable[[Transaction], Plan[T]] = field(repr=False)  # called once for each life of the result
    life: Life = "transaction"
    rules: tuple[Rule, ...] = ()
    after: tuple[Check[Any], ...] = ()


@dataclass
class Transaction(Facts):
    """One SMTP transaction. `policy` says how checks are made; `verifier` has read the message, once there is one.

    `greylisted` has the greylist's decision for each recipient that it was asked about.
    """

    policy: Policy = field(kw_only=True)
    verifier: Verifier | None = None
    chain: arc.Chain | None = None  # the ARC sets of the message (RFC 8617); None where it has none
    greylisted: dict[str, GreylistDecision] = field(default_factory=dict)
    _results: dict[Check[Any], Any] = field(default_factory=dict)
    _author: tuple[Header, Author] | None = None

    def __getitem__(self, check: Check[T]) -> T:
        """The result of a check that was made. Raises `KeyError` for another one."""
        return cast("T", self._results[check])

    def get(self, check: Check[T]) -> T | None:
        """The result of a check, None if it was not made."""
        return self._results.get(check)

    def __contains__(self, check: Check[Any]) -> bool:
        return check in self._results

    def results(self) -> Iterator[tuple[Check[Any], Any]]:
        """Each check that was made, in order, with its result."""
        return iter(self._results.items())

    def find(self, checks: Iterable[Check[Any]]) -> Plan[None]:
        """Make the checks that were not made yet, side by side: the time of the slowest, not the sum.

        Those that go by the results of others come in a second round.
        """
        wanted = list(dict.fromkeys(checks))
        later = [check for check in wanted if check.after and check not in self._results]
        first = [check for check in wanted if not check.after]
        first += [earlier for check in later for earlier in check.after if earlier not in first]
        for round_of in (first, later):
            missing = [check for check in round_of if check not in self._results]
            if len(missing) == 1:
                self._results[missing[0]] = yield from missing[0].plan(self)
            elif missing:
                results = yield Gather([check.plan(self) for check in missing])
                self._results.update(zip(missing, results, strict=True))

    @property
    def iprev(self) -> IprevResult | None:
        """The client's names in reverse DNS; None if they were not looked up. So are the others."""
        return self._results.get(IPREV)

    @property
    def spf(self) -> SpfResult | None:
        """SPF of MAIL FROM."""
        return self._results.get(SPF)

    @property
    def spf_helo(self) -> SpfResult | None:
        """SPF of the HELO name."""
        return self._results.get(SPF_HELO)

    @property
    def dkim(self) -> list[Signature] | None:
        """Every signature of the message."""
        return self._results.get(DKIM)

    @property
    def arc(self) -> ArcResult | None:
        """The chain of ARC sets."""
        return self._results.get(ARC)

    @property
    def dmarc(self) -> DmarcResult | None:
        """DMARC of the author's domain."""
        return self._results.get(DMARC)

    @property
    def listings(self) -> list[Listing]:
        """What every list said that was asked, about the client and about its names; each once."""
        found: dict[tuple[str, Rule], Listing] = {}
        for check, result in self._results.items():
            if check.rules:
                for listing in result.listings if isinstance(result, NameListings) else result:
                    found.setdefault((listing.subject, listing.rule), listing)
        return list(found.values())

    def forget(self, *lives: Life) -> None:
        """Drop the results whose life has ended."""
        self._results = {check: result for check, result in self._results.items() if check.life not in lives}

    def forget_transaction(self) -> None:
        """Drop all that belongs to one transaction; the client and its HELO name stay."""
        self.mail_from = self.recipient = self.message = self.verifier = self.chain = None
        self.recipients = []
        self.greylisted = {}
        self.forget("transaction")

    @property
    def author(self) -> Author | None:
        """The author that From names; None where no message was read."""
        header = None if self.verifier is None else self.verifier.header
        if header is None:
            return None
        if self._author is None or self._author[0] is not header:
            self._author = header, read_author(header)
        return self._author[1]

    def begin_message(self) -> Verifier:
        """The verifier to feed the message to, before the check of DKIM is made."""
        self.verifier = Verifier(now=self.now, policy=self.policy.dkim_policy, also=self._begin_chain)
        return self.verifier

    def _begin_chain(self, header: Header, bodies: dict[str, BodyHash]) -> None:
        """The header is complete; few messages have a chain."""
        if not header.octets_by_name.keys().isdisjoint(arc.FIELD_NAMES):
            self.chain = arc.Chain(now=self.now, policy=self.policy.dkim_policy)
            self.chain.begin(header, bodies)


def _spf(tx: Transaction) -> Plan[SpfResult]:
    # RFC 7208 section 2.4: of postmaster@HELO for the null sender. Section 7.3: %{r} is our own name.
    policy = tx.policy
    return spf.check_host(
        tx.ip,
        helo=tx.helo,
        mail_from=tx.mail_from or "",
        receiver=policy.hostname,
        policy=policy.spf_policy,
        now=tx.now,
        trace=policy.trace,
    )


def _spf_helo(tx: Transaction) -> Plan[SpfResult]:
    # RFC 7208 section 2.3
    policy = tx.policy
    return spf.check_helo(
        tx.ip, tx.helo or "", receiver=policy.hostname, policy=policy.spf_policy, now=tx.now, trace=policy.trace
    )


def _dkim(tx: Transaction) -> Plan[list[Signature]]:
    verifier = tx.begin_message() if tx.verifier is None else tx.verifier
    return verifier.finish()


def _arc(tx: Transaction) -> Plan[ArcResult]:
    verifier = tx.begin_message() if tx.verifier is None else tx.verifier
    verifier.end_of_message()  # what DKIM's plan says as well, if there is one
    return arc.NO_CHAIN if tx.chain is None else (yield from tx.chain.finish())


def _author_walk(tx: Transaction) -> Plan[Walk | None]:
    # From is known before the keys are: the walk costs no round of its own.
    author = tx.author
    return None if author is None or author.domain is None else (yield from dmarc.walk(author.domain))


def _dmarc(tx: Transaction) -> Plan[DmarcResult]:
    author = tx.author or Author(AuthorReason.NO_FROM)
    return dmarc.check(
        author,
        spf=tx.spf,
        dkim=tx.dkim or (),
        arc=tx.arc,
        policy=tx.policy.dmarc_policy,
        walk=tx[AUTHOR_WALK],
    )


IPREV: Check[IprevResult] = Check("iprev", lambda tx: iprev.check(tx.ip), "session")
SPF: Check[SpfResult] = Check("spf", _spf)
SPF_HELO: Check[SpfResult] = Check("spf-helo", _spf_helo, "helo")


def _client_organization(tx: Transaction) -> Plan[str | None]:
    """The organizational domain of the client's confirmed name, by the tree walk (RFC 9989 section 4.10)."""
    name = tx[IPREV].name
    if name is None or not names.is_fqdn(name):
        return None
    return (yield from dmarc.walk(name)).organizational_domain


CLIENT_ORGANIZATION: Check[str | None] = Check("client-organization", _client_organization, "session", after=(IPREV,))
DKIM: Check[list[Signature]] = Check("dkim", _dkim)
AUTHOR_WALK: Check[Walk | None] = Check("author-walk", _author_walk)
ARC: Check[ArcResult] = Check("arc", _arc)
DMARC: Check[DmarcResult] = Check("dmarc", _dmarc, after=(DKIM, ARC, AUTHOR_WALK))


class Lists(NamedTuple):
    """Lists by what they are asked about: the client, the domains that signed, e-mail addresses."""

    client: tuple[Rule, ...]
    dkim: tuple[Rule, ...]
    email: tuple[Rule, ...]


@lru_cache(maxsize=256)
def lists_by_kind(rules: tuple[Rule, ...]) -> Lists:
    """The lists that are named together, in one option or one restriction, each where it belongs."""
    return Lists(
        tuple(rule for rule in rules if rule.kind not in (Kind.DKIM, Kind.EMAIL)),
        tuple(rule for rule in rules if rule.kind is Kind.DKIM),
        tuple(rule for rule in rules if rule.kind is Kind.EMAIL),
    )


@lru_cache(maxsize=256)
def client_listings(rules: tuple[Rule, ...]) -> Check[list[Listing]]:
    """The client on block lists. The same lists are the same check, whoever asks for it."""
    return Check("rbl", lambda tx: tx.policy.query_rbl(tx.ip, rules), "session", rules)


@lru_cache(maxsize=256)
def dkim_listings(rules: tuple[Rule, ...]) -> Check[list[Listing]]:
    """The domains of the signatures that pass, each on all lists."""

    def plan(tx: Transaction) -> Plan[list[Listing]]:
        passing = [each.domain for each in tx.dkim or () if each.result is DkimResult.PASS and each.domain]
        return _each(tx, passing, rules)

    return Check("rbl-dkim", plan, rules=rules, after=(DKIM,))


MAX_AUTHOR_ADDRESSES = 10
"""Of From and Reply-To; who writes more pays for no more questions."""


@lru_cache(maxsize=256)
def author_listings(rules: tuple[Rule, ...]) -> Check[list[Listing]]:
    """The addresses in From and Reply-To, each on all lists of e-mail addresses."""

    def plan(tx: Transaction) -> Plan[list[Listing]]:
        header = None if tx.verifier is None else tx.verifier.header
        fields = () if header is None else (*header.from_fields, *header.all("reply-to"))
        found = [str(mailbox) for each in fields[:MAX_AUTHOR_ADDRESSES] for mailbox in addresses(each.value) or ()]
        return _each(tx, found[:MAX_AUTHOR_ADDRESSES], rules)

    return Check("ebl-author", plan, rules=rules)


def _each(tx: Transaction, subjects: Iterable[str], rules: tuple[Rule, ...]) -> Plan[list[Listing]]:
    plans = [tx.policy.query_rbl(subject, rules) for subject in dict.fromkeys(subjects)]
    return [listing for listings in (yield from run_all(plans)) for listing in listings]


@lru_cache(maxsize=256)
def sender_listings(rules: tuple[Rule, ...]) -> Check[list[Listing]]:
    """The address of MAIL FROM on lists of e-mail addresses; of the null sender there is nothing to ask."""
    return Check("ebl-sender", lambda tx: _each(tx, [tx.mail_from] if tx.mail_from else [], rules), rules=rules)


NameOf: TypeAlias = Literal["sender", "helo", "client", "reverse_client"]
"""A name that lists of domains are asked about: the domain of MAIL FROM, of HELO, the confirmed or the unconfirmed
name of the client."""

_LIVES: dict[NameOf, Life] = {
    "sender": "transaction",
    "helo": "helo",
    "client": "session",
    "reverse_client": "session",
}


class NameListings(NamedTuple):
    """The name that was looked up, None where there is none, and what the lists said."""

    name: str | None
    listings: list[Listing]


@lru_cache(maxsize=256)
def name_listings(of: NameOf, rules: tuple[Rule, ...]) -> Check[NameListings]:
    """One of the peer's names on block lists of domains."""
    return Check(f"rhsbl-{of}", lambda tx: _rhsbl(tx, of, rules), _LIVES[of], rules)


def _rhsbl(tx: Transaction, of: NameOf, rules: tuple[Rule, ...]) -> Plan[NameListings]:
    if of in ("client", "reverse_client"):
        # Beside the check of reverse DNS itself this asks the same questions at the same moment, which the execution
        # asks once: the two names of the client need no round of their own.
        found = tx.iprev or (yield from iprev.check(tx.ip))
        candidates = found.confirmed if of == "client" else found.names
        name = next((name for name in candidates if names.is_hostname(name)), None)
    else:
        name = tx.sender_domain if of == "sender" else names.to_ascii(tx.helo or "")
    if name is None or not names.is_hostname(name):
        return NameListings(None, [])
    listings = yield from tx.policy.query_rbl(name, rules)
    return NameListings(name, listings)


def checks_for_report(tx: Transaction) -> list[Check[Any]]:
    """Each check that a report shows, as far as the facts are there."""
    checks: list[Check[Any]] = [IPREV]
    lists = lists_by_kind(tx.policy.rbl)
    if lists.client:
        checks.append(client_listings(lists.client))
    if tx.helo is not None:
        checks.append(SPF_HELO)
    if tx.mail_from is not None:
        checks.append(SPF)
        if lists.email:
            checks.append(sender_listings(lists.email))
    if tx.message is not None:
        checks += (DKIM, ARC, DMARC)
        if lists.dkim:
            checks.append(dkim_listings(lists.dkim))
        if lists.email:
            checks.append(author_listings(lists.email))
    return checks
