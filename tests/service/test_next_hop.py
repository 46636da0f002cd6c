"""Signed here, verified at the next server: what Postfix does to a message between our signature and the receiver."""

from __future__ import annotations

import os
import re
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from email import message_from_bytes

import pytest

from mailauth.dkim import load_key
from tests.postfix import Postfix
from tests.servers import need
from tests.service.program import serving

pytestmark = pytest.mark.server

KEY = load_key(b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="))  # RFC 8463 section A.1
SIGN = """
networks = ["127.0.0.0/8"]
[[signing]]
senders = ["example.org"]
selector = "rsa"
key = "key.pem"
[milter]
listen_sign = ["unix:{folder}/sign.sock"]
[service]
socket_group = "postfix"
"""
VERIFY = '[milter]\nlisten_verify = ["unix:{folder}/verify.sock"]\n[service]\nsocket_group = "postfix"\n'


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postfix, Postfix]]:
    """A server that signs and sends on, and the one that receives and verifies."""
    here, there = tmp_path_factory.mktemp("sender"), tmp_path_factory.mktemp("receiver")
    (here / "key.pem").write_bytes(KEY.pem())
    receiver = Postfix()
    receiver._settings |= {"smtpd_milters": f"unix:{receiver.folder}/verify.sock"}
    sender = Postfix()
    sender._settings |= {
        "smtpd_milters": f"unix:{sender.folder}/sign.sock",
        "non_smtpd_milters": f"unix:{sender.folder}/sign.sock",
        "milter_default_action": "tempfail",
        "virtual_mailbox_domains": "",
        "relay_domains": "mailbox.test",
        "relay_transport": f"smtp:[127.0.0.1]:{receiver.port}",
        "disable_dns_lookups": "yes",
        "pickup_service_name": "pickup",
    }
    sender._services = "pickup unix n - n 60 1 pickup\n"
    with (
        receiver,
        serving("milter", there, VERIFY.format(folder=receiver.folder)),
        sender,
        serving("milter", here, SIGN.format(folder=sender.folder)),
    ):
        yield sender, receiver


def verdicts(chain: tuple[Postfix, Postfix], subject: str) -> list[str]:
    """The results of DKIM in the message of that subject, as the receiver delivered it."""
    _, receiver = chain
    count = 1
    while True:
        delivered = receiver.messages(count)
        for octets in delivered:
            message = message_from_bytes(octets)
            if message["Subject"] == subject:
                (field,) = message.get_all("Authentication-Results") or [""]
                return re.findall(r"dkim=(\w+)", field)
        count = len(delivered) + 1


@pytest.mark.parametrize(
    ("subject", "fields", "body"),
    [
        ("plain", "", "body\r\n"),
        (
            "8bit",
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n",
            "Grüße\r\n",
        ),
        ("folded", "Cc: a@mailbox.test,\r\n\tb@mailbox.test\r\nX-A:  two  \r\n", "a  b \r\n\r\n\r\n"),
        ("bcc", "Bcc: secret@mailbox.test\r\n", "body\r\n"),
        ("dots", "", ".\r\n..\r\nFrom x\r\n.a\r\n"),
        ("999", "", "x" * 990 + "\r\n"),
        ("empty", "", ""),
    ],
)
def test_a_relayed_message_verifies(chain: tuple[Postfix, Postfix], subject: str, fields: str, body: str) -> None:
    sender, receiver = chain
    text = f"From: ann@example.org\r\nTo: bob@mailbox.test\r\nSubject: {subject}\r\n{fields}\r\n{body}"
    with sender.session(client="127.0.0.1", login="ann@example.org") as smtp:
        smtp.sendmail("ann@example.org", [receiver.mailbox], text.encode())
    assert verdicts(chain, subject) == ["pass"]


def test_mail_of_the_sendmail_command_is_signed(chain: tuple[Postfix, Postfix]) -> None:
    """Programs on the machine: non_smtpd_milters, line ends of Unix, no Date and no Message-ID."""
    sender, _ = chain
    command = [need("sendmail", "postfix"), "-i", "-f", "ann@example.org", "bob@mailbox.test"]
    text = b"From: ann@example.org\nTo: bob@mailbox.test\nSubject: local\n\nbody\n.\nmore\n"
    environment = {**os.environ, "MAIL_CONFIG": f"{sender.folder}/etc"}
    subprocess.run(command, input=text, env=environment, check=True, timeout=60)
    assert verdicts(chain, "local") == ["pass"]


def test_what_is_changed_on_the_way_fails(chain: tuple[Postfix, Postfix]) -> None:
    """The control: the receiver's pass is no matter of course."""
    sender, receiver = chain
    text = "From: ann@example.org\r\nTo: bob@mailbox.test\r\nSubject: source\r\n\r\nbody\r\n"
    with sender.session(client="127.0.0.1", login="ann@example.org") as smtp:
        smtp.sendmail("ann@example.org", [receiver.mailbox], text.encode())
    verdicts(chain, "source")
    (signed,) = [octets for octets in receiver.messages() if b"\nSubject: source\n" in octets]
    signature = signed[signed.index(b"DKIM-Signature:") :].replace(b"source", b"changed")
    with receiver.session() as smtp:
        smtp.sendmail("ann@example.org", [receiver.mailbox], signature.replace(b"\n", b"\r\n"))
    assert verdicts(chain, "changed") == ["fail"]
