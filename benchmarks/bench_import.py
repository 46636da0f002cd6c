"""A whole Python process that imports what a check needs, and one that makes its first check as well.

The floor is a process that imports nothing. mailauth loads dnspython and cryptography when they are first needed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from benchmarks.dkimwork import DOMAIN, HEADER, RSA, SELECTOR, prose
from benchmarks.measure import FLOOR, Case, call, ours, package
from mailauth import sync

TITLE = "Import and first check"

ZONE = "from mailauth.resolvers import ZoneResolver\nzone = ZoneResolver({%r: [%r]})\n"
SPF = "v=spf1 ip4:192.0.2.0/24 -all"


def process(code: str, data: bytes = b"") -> None:
    """Run it; what it prints last must be "pass"."""
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=False)
    if done.returncode or done.stdout.strip() not in (b"", b"pass"):
        raise RuntimeError(f"{code}\n{done.stdout.decode()}\n{done.stderr.decode()}")


def cases() -> Iterator[Case]:
    body = prose(2_000)
    message = sync.sign_dkim(HEADER + body, RSA.pem, domain=DOMAIN, selector=SELECTOR) + HEADER + body
    key_name = (f"{SELECTOR}._domainkey.{DOMAIN}", "TXT")
    spf_peer = (
        "import spf\n"
        f"spf.DNSLookup = lambda name, kind, *_, **__: [((name, kind), ({SPF.encode()!r},))] if kind == 'TXT' else []\n"
        "print(spf.check2('192.0.2.1', 'ann@example.org', 'mx.example.org')[0])"
    )
    spf_ours = (
        "from mailauth.sync import check_spf\n"
        + ZONE % (("example.org", "TXT"), SPF)
        + "print(check_spf('192.0.2.1', mail_from='ann@example.org', helo='mx.example.org', resolver=zone).result)"
    )
    dkim_peer = (
        "import sys, dkim\n"
        f"good = dkim.verify(sys.stdin.buffer.read(), dnsfunc=lambda *_, **__: {RSA.record.encode()!r})\n"
        "print('pass' if good else 'fail')"
    )
    dkim_ours = (
        "import sys\nfrom mailauth.sync import verify_dkim\n"
        + ZONE % (key_name, RSA.record)
        + "print(verify_dkim(sys.stdin.buffer.read(), resolver=zone)[0].result)"
    )
    peers = [
        ("import, SPF", "from mailauth.sync import check_spf", "pyspf", "import spf", b""),
        ("import, DKIM", "from mailauth.sync import verify_dkim", "dkimpy", "import dkim", b""),
        ("import, DMARC", "from mailauth.sync import check_dmarc", "authheaders", "import authheaders", b""),
        ("import, Authentication-Results", "import mailauth.authres", "authres", "import authres", b""),
        ("first check, SPF", spf_ours, "pyspf", spf_peer, b""),
        ("first check, DKIM", dkim_ours, "dkimpy", dkim_peer, message),
    ]
    for name, own, peer, theirs, data in peers:
        contenders = [
            call(FLOOR, partial(process, "pass")),
            ours(partial(process, own, data)),
            call(peer, partial(process, theirs, data), package(peer)),
        ]
        yield Case(name, contenders, loops=1)
