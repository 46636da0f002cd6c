"""For the tests of mail software: a DNS, keys, a clock and messages under control, with this library as the reference.

::

    def test_a_forged_sender_is_refused(mailauth_zone, my_server):
        mailauth_zone.domain("example.org", spf="v=spf1 ip4:192.0.2.1 -all", dmarc="v=DMARC1; p=reject")
        message = mailauth_zone.sign(make_message("ann@example.org"))
        with mailauth_zone.serve() as dns:
            assert my_server(nameserver=dns).receive(message, ip="192.0.2.1") == 250
        mailauth_zone.assert_authenticated(message, ip="192.0.2.1", spf="pass", dkim="pass", dmarc="pass")

The fixtures (`plugin`) are there for pytest as soon as mailauth is installed. Reading order: zone.py (domains and what
they publish), dnsserver.py (a real server on loopback), messages.py, assertions.py, clock.py, strategies.py
(hypothesis; extra `testing`). `zone_text` writes the DNS of a real run, for replay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mailauth.resolvers import zone_text
    from mailauth.testing.assertions import assert_authenticated
    from mailauth.testing.clock import Clock
    from mailauth.testing.dnsserver import (
        DnsServer,
        Fault,
        ScriptedServer,
        ZoneServer,
        delay,
        drop,
        empty,
        forge,
        garbage,
        giant,
        loop,
        no_tcp,
        rcode,
        truncate,
        twice,
        wrong_zone,
    )
    from mailauth.testing.messages import make_message, sign_message
    from mailauth.testing.zone import Zone, signing_key

__all__ = [
    "Clock",
    "DnsServer",
    "Fault",
    "ScriptedServer",
    "Zone",
    "ZoneServer",
    "assert_authenticated",
    "delay",
    "drop",
    "empty",
    "forge",
    "garbage",
    "giant",
    "loop",
    "make_message",
    "no_tcp",
    "rcode",
    "sign_message",
    "signing_key",
    "truncate",
    "twice",
    "wrong_zone",
    "zone_text",
]

# Each name is imported when it is first used: pytest imports this package, for its fixtures, in every run.
_HOME = {
    "Clock": "mailauth.testing.clock",
    "Zone": "mailauth.testing.zone",
    "assert_authenticated": "mailauth.testing.assertions",
    "make_message": "mailauth.testing.messages",
    "sign_message": "mailauth.testing.messages",
    "signing_key": "mailauth.testing.zone",
    "zone_text": "mailauth.resolvers",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME.get(name, "mailauth.testing.dnsserver")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
