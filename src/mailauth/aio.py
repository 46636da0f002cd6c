"""The asynchronous facade: `check_spf`, `verify_dkim`, `sign_dkim`, `check_dmarc`, `query_rbl`, ...

The facade for asyncio and trio. It has the names of mailauth.sync with the same arguments, a test compares them; what
is different is that results are awaited. No protocol logic; no event loop is touched at import.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from mailauth import arc, dkim, dmarc, iprev, rbl, spf
from mailauth.dmarc.reports import Published, ReportStore, Row
from mailauth.greylist import Action as GreylistAction
from mailauth.greylist import AsyncGreylist as _Greylist
from mailauth.greylist import AsyncStore, GreylistPolicy, SettingsSource
from mailauth.mail import names
from mailauth.mail.author import Author, read_author
from mailauth.mail.header import Splitter
from mailauth.mail.lines import MessageSource, blocks, message_source
from mailauth.plan import DEFAULT_TIME_LIMIT, AsyncResolver, IPAddress, Plan, run_async
from mailauth.plan.drivers import running_trio
from mailauth.stores import open_async_store
from mailauth.transaction.decision import Decision
from mailauth.transaction.message import AuthenticatorBase, add_row, authenticate, begin_message
from mailauth.transaction.report import Report
from mailauth.transaction.session import SessionBase

if TYPE_CHECKING:
    from mailauth.domain import DomainReport
    from mailauth.trust import AuthorVerdict, TrustPolicy

__all__ = [
    "Authenticator",
    "Greylist",
    "Session",
    "believe",
    "check_dmarc",
    "check_domain",
    "check_iprev",
    "check_spf",
    "explain_dkim",
    "query_rbl",
    "sign_dkim",
    "verify_arc",
    "verify_author",
    "verify_dkim",
]

T = TypeVar("T")

# Making one costs as much as a plain SPF check.
_SPF_POLICY, _DKIM_POLICY, _RBL_POLICY = spf.SpfPolicy(), dkim.DkimPolicy(), rbl.RblPolicy()
_DMARC_POLICY = dmarc.DmarcPolicy()

_default: list[AsyncResolver] = []


def default_resolver() -> AsyncResolver:
    """The system's DNS through dnspython with a cache, made on first use and shared by the process."""
    if not _default:
        from mailauth.resolvers import AsyncDnspythonResolver, CachingResolver

        _default.append(CachingResolver(AsyncDnspythonResolver()))
    return _default[0]


def _given(resolver: AsyncResolver | None) -> AsyncResolver:
    # Not "or": a resolver with an empty cache may well be false.
    return default_resolver() if resolver is None else resolver


async def check_spf(
    ip: str | IPAddress,
    *,
    helo: str | None = None,
    mail_from: str | None = None,
    receiver: str | None = None,
    policy: spf.SpfPolicy | None = None,
    now: float | None = None,
    trace: bool = False,
    resolver: AsyncResolver | None = None,
    time_limit: float | None = DEFAULT_TIME_LIMIT,
) -> spf.SpfResult:
    """Evaluate SPF (RFC 7208) for MAIL FROM; without a `mail_from`, for HELO.

    `mail_from` may be the null sender, ``""``: then the identity is postmaster@HELO (section 2.4). `receiver` is this
    server's name for the ``%{r}`` macro, `now` (seconds since the epoch) the time for ``%{t}``. `trace` keeps the tree
    of records, terms, questions and answers in the result.
    Raises `ValueError` if `ip` is no address.
    """
    policy = policy or _SPF_POLICY
    now = time.time() if now is None else now
    if mail_from is None:
        plan = spf.check_helo(ip, helo, receiver=receiver, policy=policy, now=now, trace=trace)
    else:
        plan = spf.check_host(
            ip, helo=helo, mail_from=mail_from, receiver=receiver, policy=policy, now=now, trace=trace
        )
    return await run_async(plan, _given(resolver), time_limit=time_limit)


async def verify_dkim(
    message: MessageSource,
    *,
    policy: dkim.DkimPolicy | None = None,
    now: float | None = None,
    resolver: AsyncResolver | None = None,
    time_limit: float | None = DEFAULT_TIME_LIMIT,
) -> list[dkim.Signature]:
    """Verify every DKIM-Signature of a message (RFC 6376), top first; an empty list where there is none.

    `message` is the whole message: octets, or a binary file that is read in blocks. `now` is in seconds since the
    epoch.
    """
    verifier = dkim.Verifier(now=time.time() if now is None else now, policy=policy or _DKIM_POLICY)
    await _read(message, verifier.feed)
    return await run_async(verifier.finish(), _given(resolver), time_limit=time_limit)


async def explain_dkim(
    message: MessageSource,
    *,
    policy: dkim.DkimPolicy | None = None,
    limits: dkim.ExplainLimits | None = None,
    now: float | None = None,
    resolver: AsyncResolver | None = None,
    time_limit: float | None = DEFAULT_TIME_LIMIT,
) -> list[dkim.Explanation]:
    """Verify, and say of each signature that does not pass which half was altered, how, and what would make it pass.

    `message`, `policy` and `now` are those of `verify_dkim`. `time_limit` is for the DNS; `limits` bound the search,
    which takes a second or two where nothing explains what came, and runs in a thread.
    """
    explainer = dkim.Explainer(
        now=time.time() if now is None else now,
        policy=policy or _DKIM_POLICY,
        limits=limits or dkim.ExplainLimits(),
        clock=time.monotonic,
        worker=in_thread,
    )
    await _read(message, explainer.feed)
    return await run_async(explainer.finish(), _given(resolver), time_limit=time_limit)


AT_ONCE = 256 * 1024
"""Octets that are read and hashed without leaving the event loop: about a millisecond's work, less than a thread
takes to begin on a busy machine. Larger messages go through a thread in pieces of this size."""


async def _read(message: MessageSource, feed: Callable[[bytes], object]) -> None:
    """Feed the whole message, without blocking the event loop for long; between pieces it can be cancelled."""
    message = message_source(message)
    if isinstance(message, bytes) and len(message) <= AT_ONCE:
        feed(message)
        return
    pieces = _pieces(message) if isinstance(message, bytes) else blocks(message, AT_ONCE)

    def step() -> bool:
        piece = next(pieces, None)
        if piece is not None:
            feed(piece)
        return piece is not None

    while await in_thread(step):
        pass


def _pieces(message: bytes) -> Iterator[bytes]:
    return (message[start : start + AT_ONCE] for start in range(0, len(message), AT_ONCE))


async def in_thread(function: Callable[[], T]) -> T:
    """Call the function in a worker thread, under asyncio or trio. Cancellation waits for it."""
    if running_trio():
        import trio

        return await trio.to_thread.run_sync(function)
    import asyncio

    return await asyncio.to_thread(function)


async def verify_arc(
    message: MessageSource,
    *,
    policy: dkim.DkimPolicy | None = None,
    now: float | None = None,
    resolver: AsyncResolver | None = None,
    time_limit: float | None = DEFAULT_TIME_LIMIT,
) -> arc.ArcResult:
    """Verify the chain of ARC sets of a message (RFC 8617); "none" where nobody sealed it.

    `policy` says which keys are accepted, as for DKIM; `now` is in seconds since the epoch.
    """
    verifier = arc.Verifier(now=time.time() if now is None else now, policy=policy or _DKIM_POLICY)
    await _read(message, verifier.feed)
    return await run_async(verifier.finish(), _given(resolver), time_limit=time_limit)


async def sign_dkim(
    message: MessageSource,
    key: Any,
    *,
    domain: str | None = None,
    selector: str | None = None,
    options: dkim.SigningOptions | None = None,
    **settings: Any,
) -> bytes:
    """Sign a message (RFC 6376 section 5); return the DKIM-Signature fields to put in front of it.

    `key` is a private key (PEM, DER, an Ed25519 seed, a `cryptography` key) or any `mailauth.dkim.Signer`, with
    the `domain` and `selector` of its public half; or one or several `mailauth.dkim.SigningKey`, which carry their own.
    How to sign is said by `options`, or by the fields of `mailauth.dkim.SigningOptions` as further arguments. Raises
    `mailauth.dkim.SigningError` for a message that cannot be signed, `ValueError` and `TypeError` for wrong parameters.
    """
    signer = dkim.MessageSigner(key, domain=domain, selector=selector, options=options, **settings)
    await _read(message, signer.feed)
    return await signer.finish_async()


async def check_dmarc(
    author_domain: str | None = None,
    *,
    message: MessageSource | None = None,
    spf: spf.SpfResult | None = None,
    dkim: Sequence[dkim.Signature] = (),
    arc: arc.ArcResult | None = None,
    policy: dmarc.DmarcPolicy | None = None,
    resolver: AsyncResolver | None = None,
    time_limit: float | None = DEFAULT_TIME_LIMIT,
) -> dmarc.DmarcResult:
    """Evaluate DMARC (RFC 9989) for the author's domain, from results of SPF and DKIM that were found before.

    `author_domain` is the domain in From; or give the `message` (octets or a binary file), whose From is read. `spf` is
    the result for MAIL FROM, `dkim` every signature, `arc` the chain (for the policy's `trusted_sealers`). What decides
    the result, each identifier and each question that was asked stand in it. Raises `TypeError` unless exactly one of
    `author_domain` and `message` is given.
    """
    if (author_domain is None) is (message is None):
        raise TypeError("give either the author's domain or the message")
    author: str | Author
    if message is not None:
        splitter = Splitter()
        await _read(message, splitter.feed)
        author = read_author(splitter.finish())
    else:
        assert author_domain is not None
        author = author_domain
    plan = dmarc.check(author, spf=spf, dkim=dkim, arc=arc, policy=policy or _DMARC_POLICY)
    return await run_async(plan, _given(resolver), time_limit=time_limit)


async def verify_author(
    message: MessageSource,
    *,
    policy: TrustPolicy | None = None,
    dkim_policy: dkim.DkimPolicy | None = None,
    now: float | None = None,
    resolver: AsyncResolver | None = None,
    time_limit: float | None = DEFAULT_TIME_LIMIT,
) -> AuthorVerdict:
    """Who wrote the message, by DKIM and DMARC of the message itself, as it lies in a mailbox; see `mailauth.trust`.

    SPF counts only where the `policy` names our `hosts`, whose Received field then says who the client was. `now` is
    when the message came in (seconds since the epoch): later its signatures may have expired.
    """
    from mailauth import trust  # loaded when first used

    verifier = trust.AuthorVerifier(
        now=time.time() if now is None else now,
        policy=policy or trust.TrustPolicy(),
        dkim_policy=dkim_policy or _DKIM_POLICY,
    )
    await _read(message, verifier.feed)
    return await run_async(verifier.finish(), _given(resolver), time_limit=time_limit)


async def believe(
    message: MessageSource,
    authserv_ids: str | Iterable[str] = (),
    *,
    policy: TrustPolicy | None = None,
    resolver: AsyncResolver | None = None,
    time_limit: float | None = DEFAULT_TIME_LIMIT,
) -> AuthorVerdict:
    """Who wrote the message, by the Authentication-Results fields of one's own server; see `mailauth.trust.believe`.

    Without a `resolver` nothing is asked, and what passed must be of the author's very domain; with one, relaxed
    alignment counts (RFC 9989 section 4.4.1). Raises `ValueError` for ids that cannot be ones.
    """
    from mailauth import trust  # loaded when first used

    splitter = Splitter()
    await _read(message, splitter.feed)
    header = splitter.finish()
    if resolver is None:
        return trust.believe(header, authserv_ids, policy=policy or trust.TrustPolicy())
    plan = trust.believe_relaxed(header, authserv_ids, policy=policy or trust.TrustPolicy())
    return await run_async(plan, resolver, time_limit=time_limit)


async def query_rbl(
    subject: str | IPAddress,
    zones: Iterable[str | rbl.Rule],
    *,
    policy: rbl.RblPolicy | None = None,
    resolver: AsyncResolver | None = None,
    time_limit: float | None = DEFAULT_TIME_LIMIT,
) -> list[rbl.Listing]:
    """Ask block lists (RFC 5782) about an address or a domain, all at once: one result for each zone, in order.

    `zones` are in Postfix's notation: ``zone=127.0.0.[2..11]*3``. Raises `ValueError` for a zone that cannot be read.
    """
    plan = rbl.query(subject, zones, policy=policy or _RBL_POLICY)
    return await run_async(plan, _given(resolver), time_limit=time_limit)


async def check_domain(
    domain: str,
    *,
    selectors: Sequence[str] = (),
    clients: Sequence[str | IPAddress] = (),
    lists: Iterable[str | rbl.Rule] = (),
    guess: bool = True,
    message: MessageSource | None = None,
    helo: str | None = None,
    mail_from: str | None = None,
    bimi_selector: str = "default",
    rbl_policy: rbl.RblPolicy | None = None,
    now: float | None = None,
    resolver: AsyncResolver | None = None,
    time_limit: float | None = DEFAULT_TIME_LIMIT,
) -> DomainReport:
    """Check a domain: MX, reverse names, lists, SPF, DKIM keys, DMARC, TLS-RPT, MTA-STS and BIMI records.

    `selectors` are those of its DKIM keys; with `guess`, usual ones are tried as well. `clients` are the addresses that
    send its mail. `lists` are asked about the domain, the clients and the hosts that take its mail. A `message`, sent
    by the first of the clients with `helo` and `mail_from`, is checked for what the large providers demand of senders.
    `now` is in seconds since the epoch. Raises `ValueError` for a bad domain, selector, address or list, and for a
    message without a client.
    """
    from mailauth import domain as check  # loaded when first used

    asked = check.DomainQuery(
        domain,
        selectors=selectors,
        clients=clients,
        lists=lists,
        guess=guess,
        bimi_selector=bimi_selector,
        helo=helo,
        mail_from=mail_from,
        rbl_policy=rbl_policy or _RBL_POLICY,
        now=time.time() if now is None else now,
    )
    if message is not None:
        await _read(message, asked.begin_message().feed)
    return await run_async(check.check(asked), _given(resolver), time_limit=time_limit)


async def check_iprev(
    ip: str | IPAddress,
    *,
    resolver: AsyncResolver | None = None,
    time_limit: float | None = DEFAULT_TIME_LIMIT,
) -> iprev.IprevResult:
    """Look up the names of an address and whether they lead back to it (RFC 8601 section 3, "iprev").

    Raises `ValueError` if `ip` is no address.
    """
    return await run_async(iprev.check(ip), _given(resolver), time_limit=time_limit)


class Greylist(_Greylist):
    """Greylisting (RFC 6647) over a store; the store may be given by its URL, such as ``sqlite:greylist.db``.

    The other arguments are those of `mailauth.greylist.AsyncGreylist`. Raises `ValueError`
    for a URL that names no store.
    """

    def __init__(
        self,
        store: AsyncStore | str,
        *,
        policy: GreylistPolicy | None = None,
        settings: SettingsSource | None = None,
        on_error: str | GreylistAction = GreylistAction.ACCEPT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        opened = open_async_store(store) if isinstance(store, str) else store
        super().__init__(opened, policy=policy, settings=settings, on_error=on_error, clock=clock)


class Authenticator(AuthenticatorBase[AsyncResolver, Greylist]):
    """Authenticates mail: whole messages by `check`, SMTP dialogues by `session`. One serves a whole process.

    Safe to share between tasks.

    `hostname` is this server's name: the receiver of RFC 7208 and, unless another `authserv_id` is given, the name of
    RFC 8601 under which results are written (section 2.5: one for all servers of a site). `rbl` are the block
    lists to ask, `rbl_monitor` a `mailauth.rbl.Monitor`, which leaves out those that are out of service: the report
    has them as "out-of-service". `greylist` is a `Greylist`. `restrictions` say what is rejected or deferred; without
    them, clients that authenticated are let through, listed clients and an SPF fail rejected, an SPF temperror
    deferred, and the rest is greylisted. `delay_reject` keeps what is found early until RCPT, as Postfix does. `trace`
    keeps the whole SPF evaluation in the report. `spf_policy`, `dkim_policy`, `dmarc_policy`
    and `rbl_policy` say how checks are made; `dmarc_reports` is a store (`mailauth.stores.open_report_store`) that adds
    up DMARC results for aggregate reports.

    `resolver` is the system's, cached, where none is given; `time_limit` (seconds) holds for the DNS of each phase or
    whole check; `clock` gives seconds since the epoch. Raises `ValueError` or `TypeError` for arguments that make no
    sense.
    """

    async def check(
        self,
        message: MessageSource,
        *,
        ip: str | IPAddress,
        helo: str | None = None,
        mail_from: str | None = None,
        rcpt_to: str | Sequence[str] = (),
        authenticated: str | None = None,
        now: float | None = None,
        id: str = "",
    ) -> Report:
        """Authenticate a whole message: reverse DNS, block lists, SPF and DKIM side by side, then the decision.

        `message` is octets or a binary file, read to its end. `helo` and `mail_from` are None where they are not known;
        the null sender is ``""``. `rcpt_to` is one recipient or several; each is judged. `authenticated` is the
        identity that SMTP AUTH proved. `now` (seconds since the epoch) is the clock's where it is not given. `id` is
        the caller's own name for the message, such as a queue id; it stands in the log. Raises `ValueError` if `ip` is
        no address, `TypeError` for anything that is not text or no message, and what reading the file raises.
        """
        tx = begin_message(
            self.policy,
            message,
            ip,
            helo=helo,
            mail_from=mail_from,
            rcpt_to=rcpt_to,
            authenticated=authenticated,
            now=self.clock() if now is None else now,
            id=id,
        )
        await _read(message, tx.begin_message().feed)
        return await self.run(authenticate(tx, self.restrictions))

    def _adder(self, store: ReportStore) -> Callable[..., Any]:
        async def add(day: int, published: Published, row: Row) -> None:
            await in_thread(partial(add_row, store, day, published, row))

        return add

    def session(self, ip: str | IPAddress, *, authenticated: str | None = None, id: str = "") -> Session:
        """A new SMTP session of the client at `ip`; it waits for nothing. Raises `ValueError` if `ip` is no address.

        `id` is the caller's own name for the session, and stands in the log.
        """
        return Session(self, names.parse_ip(ip), authenticated, id)

    async def run(self, plan: Plan[T]) -> T:
        """Run a plan with the authenticator's resolver and time limit."""
        return await run_async(plan, _given(self.resolver), time_limit=self.time_limit)


class Session(SessionBase):
    """One SMTP session, phase by phase; from `Authenticator.session`. Not for several tasks at once.

    Each phase returns a `Decision`: permit, reject or defer with its SMTP reply, or nothing to say. `PhaseError` is
    raised where the phases come out of order.
    """

    def __init__(self, authenticator: Authenticator, ip: IPAddress, authenticated: str | None, id: str) -> None:
        super().__init__(authenticator.policy, authenticator.restrictions, ip, authenticated, id)
        self._authenticator = authenticator

    async def _run(self, plan: Plan[Decision], now: float | None) -> Decision:
        self.transaction.now = self._authenticator.clock() if now is None else now
        return await self._authenticator.run(plan)

    async def connect(self, *, now: float | None = None) -> Decision:
        """The client has connected: judge the list of the client before anything is said. It may be left out."""
        return await self._run(self._dialogue.connect(), now)

    async def helo(self, name: str, *, now: float | None = None) -> Decision:
        """The client said HELO or EHLO with `name`, as it came."""
        return await self._run(self._dialogue.helo(name), now)

    async def mail(self, address: str, *, now: float | None = None) -> Decision:
        """The client said MAIL FROM; ``""`` is the null sender."""
        return await self._run(self._dialogue.mail(address), now)

    async def rcpt(self, address: str, *, now: float | None = None) -> Decision:
        """The client said RCPT TO; call it for each recipient."""
        return await self._run(self._dialogue.rcpt(address), now)

    async def data(self, message: MessageSource, *, now: float | None = None) -> Decision:
        """The client sent the message."""
        wanted = self._dialogue.begin_data(message)
        self.transaction.now = self._authenticator.clock() if now is None else now
        if wanted:
            await _read(message, self.transaction.begin_message().feed)
        return await self._run(self._dialogue.data(), now)
