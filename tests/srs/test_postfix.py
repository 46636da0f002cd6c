"""Two real Postfix: one forwards to the other, where SPF passes again; the bounce finds its way back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.postfix import Postfix
from tests.servers import free_port
from tests.service.program import ZONE, Program

pytestmark = pytest.mark.server

# Mail leaves the forwarder from an address of its own, which its SPF record names.
FORWARDER = "127.0.0.9"
CONFIG = """
domains = ["mailbox.test"]
[restrictions]
recipient = ["check_spf"]
[policyd]
listen = ["inet:127.0.0.1:{policyd}"]
[srs]
domain = "mailbox.test"
secrets = ["a secret of some length"]
listen = ["inet:127.0.0.1:{socketmap}"]
listen_forward = ["inet:127.0.0.1:{forward}"]
listen_reverse = ["inet:127.0.0.1:{reverse}"]
"""


class Site(NamedTuple):
    forwarder: Postfix
    second: Postfix


def ports(*names: str) -> dict[str, int]:
    found: dict[str, int] = {}
    while len(found) < len(names):
        port = free_port()
        if port not in found.values():
            found[names[len(found)]] = port
    return found


@pytest.fixture(scope="module", params=["socketmap", "tcp", "none"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    at = ports("policyd", "socketmap", "forward", "reverse")
    maps = {
        "socketmap": [f"socketmap:inet:127.0.0.1:{at['socketmap']}:{name}" for name in ("forward", "reverse")],
        "tcp": [f"tcp:127.0.0.1:{at['forward']}", f"tcp:127.0.0.1:{at['reverse']}"],
        "none": ["", ""],
    }[request.param]
    program = Program("policyd", tmp_path_factory.mktemp("srs"), CONFIG.format(**at))
    (program.folder / "zone").write_text(f'{ZONE}mailbox.test  TXT  "v=spf1 ip4:{FORWARDER} -all"\n')
    second = Postfix(
        settings={
            "myhostname": "mx.second.test",
            "virtual_mailbox_domains": "second.test",
            "smtpd_recipient_restrictions": f"check_policy_service inet:127.0.0.1:{at['policyd']}",
        }
    )
    forwarder = Postfix(
        settings={
            "smtp_bind_address": FORWARDER,
            "virtual_alias_maps": "inline:{bob@mailbox.test=bob@second.test}",
            "transport_maps": "inline:{ second.test=smtp:[127.0.0.1]:" + str(second.port) + " }",
            "sender_canonical_maps": maps[0],
            "sender_canonical_classes": "envelope_sender",
            "recipient_canonical_maps": maps[1],
            "recipient_canonical_classes": "envelope_recipient, header_recipient",
        }
    )
    try:
        program.start()
        with second, forwarder:
            yield Site(forwarder, second)
    finally:
        program.kill()


def send(postfix: Postfix, sender: str, recipient: str) -> None:
    with postfix.session(client="192.0.2.1") as client:
        client.sendmail(sender, [recipient], "From: ann@client.test\r\nSubject: Hello\r\n\r\nHello, Bob.\r\n")


def test_forwarded_mail_passes_spf_again_and_its_bounce_comes_back(
    site: Site, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if request.node.callspec.params["site"] == "none":
        # Without SRS the second server sees client.test's sender from an address that its record does not name.
        send(site.forwarder, "ann@client.test", "bob@mailbox.test")
        site.forwarder.wait_for_log(r"to=<bob@second\.test>.*status=bounced.*SPF")
        return
    send(site.forwarder, "ann@client.test", "bob@mailbox.test")
    [message] = site.second.messages(1)
    header = message.partition(b"\n\n")[0].decode()
    rewritten = header.partition("Return-Path: <")[2].partition(">")[0]
    assert rewritten.startswith("SRS0=")
    assert rewritten.endswith("=client.test=ann@mailbox.test")
    assert "Received-SPF: pass" in header
    assert "From: ann@client.test" in header  # what people see stays

    send(site.forwarder, "", rewritten)
    site.forwarder.wait_for_log(r"to=<ann@client\.test>, orig_to=<SRS0=[^>]+>")
    # Somebody else's guess is an address like any other of our own domain: it goes to nobody else.
    forged = rewritten.replace("=ann@", "=eve@")
    send(site.forwarder, "", forged)
    site.forwarder.wait_for_log(rf"to=<{forged.replace('+', '.')}>.*status=sent \(delivered to maildir\)")
    assert "to=<eve@client.test>" not in site.forwarder.log()
    # Our own senders are not rewritten.
    send(site.forwarder, "carol@mailbox.test", "bob@mailbox.test")
    assert b"Return-Path: <carol@mailbox.test>" in site.second.messages(2)[-1]
