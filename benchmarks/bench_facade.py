"""The facade beside its parts: what a function or a whole check costs over the plans that it runs. DNS in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks.common import seconds_per_call, table
from mailauth import dkim, iprev, rbl, spf, sync
from mailauth.dkim import generate_key, record_text
from mailauth.plan import run
from mailauth.resolvers import ZoneResolver
from mailauth.restrictions import Restrictions, check_dkim, check_spf, reject_rbl, reject_unknown_client_hostname

IP, HELO, SENDER, RECIPIENT = "192.0.2.1", "mx.example.org", "ann@example.org", "bob@mailbox.test"
HOSTNAME = "mx.mailbox.test"
ZONES = ["bl.example", "zen.example=127.0.0.[2..11]"]
NOW = 1_800_000_000.0

_KEY = generate_key()
_TEXT = b"From: Ann <ann@example.org>\r\nTo: bob@mailbox.test\r\nSubject: Hello\r\n\r\n" + b"Hello, Bob.\r\n" * 150
_MESSAGE = sync.sign_dkim(_TEXT, _KEY, domain="example.org", selector="s1", now=NOW) + _TEXT

_ZONE = ZoneResolver(
    {
        ("1.2.0.192.in-addr.arpa", "PTR"): ["mx.example.org"],
        ("mx.example.org", "A"): [IP],
        ("mx.example.org", "TXT"): ["v=spf1 a -all"],
        ("example.org", "TXT"): ["v=spf1 ip4:192.0.2.0/24 -all"],
        ("s1._domainkey.example.org", "TXT"): [record_text(_KEY.public())],
    }
)


def _parts() -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Of each function: the facade's, and its plan, run plainly. The policies are made before, as a caller would."""
    spf_policy, dkim_policy, rbl_policy = spf.SpfPolicy(), dkim.DkimPolicy(), rbl.RblPolicy()

    def plain_spf() -> object:
        return run(spf.check_host(IP, helo=HELO, mail_from=SENDER, policy=spf_policy, now=NOW), _ZONE)

    def plain_helo() -> object:
        return run(spf.check_helo(IP, HELO, policy=spf_policy, now=NOW), _ZONE)

    def plain_dkim() -> object:
        return run(dkim.verify(_MESSAGE, now=NOW, policy=dkim_policy), _ZONE)

    def plain_rbl() -> object:
        return run(rbl.query(IP, ZONES, policy=rbl_policy), _ZONE)

    def plain_iprev() -> object:
        return run(iprev.check(IP), _ZONE)

    facade = partial(sync.check_spf, IP, helo=HELO, now=NOW, resolver=_ZONE)
    return {
        "check_spf": (partial(facade, mail_from=SENDER), plain_spf),
        "check_spf, HELO": (facade, plain_helo),
        "verify_dkim": (partial(sync.verify_dkim, _MESSAGE, now=NOW, resolver=_ZONE), plain_dkim),
        "query_rbl, two lists": (partial(sync.query_rbl, IP, ZONES, resolver=_ZONE), plain_rbl),
        "check_iprev": (partial(sync.check_iprev, IP, resolver=_ZONE), plain_iprev),
    }


def _wholes() -> dict[str, Callable[[], object]]:
    """A whole message, and a session with the restrictions that make the same checks; both with their field."""
    arguments = {"rbl": ZONES, "resolver": _ZONE, "clock": lambda: NOW}
    auth = sync.Authenticator(HOSTNAME, **arguments)  # type: ignore[arg-type]
    judging = sync.Authenticator(
        HOSTNAME,
        restrictions=Restrictions(
            client=[reject_rbl()],
            helo=[check_spf(identity="helo")],
            recipient=[check_spf(), reject_unknown_client_hostname()],
            data=[check_dkim()],
        ),
        **arguments,  # type: ignore[arg-type]
    )

    def check() -> bytes:
        report = auth.check(_MESSAGE, ip=IP, helo=HELO, mail_from=SENDER, rcpt_to=RECIPIENT)
        return report.authentication_results

    def session() -> bytes:
        ours = judging.session(IP)
        ours.connect()
        ours.helo(HELO)
        ours.mail(SENDER)
        ours.rcpt(RECIPIENT)
        ours.data(_MESSAGE)
        return ours.report().authentication_results

    assert check().count(b"=pass") == session().count(b"=pass") == 4
    return {"Authenticator.check and its field": check, "session, five phases, and its field": session}


def main() -> None:
    parts, wholes = _parts(), _wholes()
    contenders = {
        f"{name}: {side}": function for name, pair in parts.items() for side, function in zip("fp", pair, strict=True)
    }
    seconds = seconds_per_call({**contenders, **wholes})
    total = sum(seconds[f"{name}: p"] for name in parts)
    pairs = [(name, seconds[f"{name}: f"], seconds[f"{name}: p"]) for name in parts]
    pairs += [(name, seconds[name], total) for name in wholes]
    rows = [[name, f"{ours * 1e6:.1f}", f"{plans * 1e6:.1f}", f"{ours / plans:.2f}"] for name, ours, plans in pairs]
    table("The facade and its parts, us", ["", "facade", "plans", "ratio"], rows)


if __name__ == "__main__":
    main()
