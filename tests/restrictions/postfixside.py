"""Runs the cases of the table through Postfix: one Postfix, one SMTP service for each configuration.

A case's dialogue with a real Postfix, as octets over a socket, each case with the lists of restrictions of its own.
No expectation about verdicts.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable

from tests.postfix import Postfix
from tests.restrictions.table import LISTS, Case, Spoken

# The settings of the table's Postfix: ours has the same networks and domains (table.py).
SETTINGS = {
    "myhostname": "mx.mailbox.test",
    "mydestination": "mx.mailbox.test",
    "mynetworks": "192.0.2.64/28, [2001:db8:0:1::]/64",
    "relay_domains": "relayed.test, .below.test",
    "parent_domain_matches_subdomains": "",
    "smtpd_upstream_proxy_protocol": "haproxy",
    "smtpd_helo_required": "no",
    "smtpd_relay_restrictions": "check_client_access static:permit, reject",
    "smtpd_recipient_restrictions": "permit",
    "smtpd_reject_unlisted_recipient": "no",
    "append_dot_mydomain": "no",
}


def configuration(case: Case) -> tuple[str, ...]:
    """What stands behind ``smtpd`` in master.cf for this case."""
    options = [f"smtpd_{phase}_restrictions = {', '.join(case.restrictions.get(phase, ()))}" for phase in LISTS]
    options[LISTS.index("recipient")] += ", permit" if case.restrictions.get("recipient") else "permit"
    options.append(f"smtpd_delay_reject = {'yes' if case.delay_reject else 'no'}")
    return tuple(options)


class PostfixSide:
    """A Postfix with one service for each configuration of the cases."""

    def __init__(self, cases: Iterable[Case], nameserver: str) -> None:
        self._names: dict[tuple[str, ...], str] = {}
        for case in cases:
            self._names.setdefault(configuration(case), f"case{len(self._names)}")
        services = "".join(_service(name, options) for options, name in self._names.items())
        self._postfix = Postfix(nameserver, SETTINGS, services)

    def __enter__(self) -> PostfixSide:
        self._postfix.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._postfix.__exit__()

    def log(self) -> str:
        """What Postfix logged."""
        return self._postfix.log()

    def run(self, case: Case) -> list[Spoken]:
        """Every reply of the dialogue, up to the first refusal."""
        port = self._postfix.port_of(self._names[configuration(case)])
        with self._postfix.proxied(case.client, port) as connection:
            return _Dialogue(connection, case).hold()


def _service(name: str, options: tuple[str, ...]) -> str:
    lines = "".join(f"    -o {{{{ {option} }}}}\n" for option in options)
    return f"127.0.0.1:{{{name}}} inet n - n - - smtpd\n{lines}"


class _Dialogue:
    """One SMTP session. What the case names as pipelined is sent in one write with the command before it."""

    def __init__(self, connection: socket.socket, case: Case) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")
        self._case = case

    def hold(self) -> list[Spoken]:
        replies = [self._read("CONNECT")]
        commands = list(self._commands())
        while commands and not replies[-1].refused:
            phase, command = commands.pop(0)
            octets = command
            if phase == self._case.pipelined and commands:
                octets += commands[0][1]
                commands[0] = (commands[0][0], b"")
            self._connection.sendall(octets)
            replies.append(self._read(phase))
        self._connection.sendall(b"QUIT\r\n")
        return replies

    def _commands(self) -> Iterable[tuple[str, bytes]]:
        case = self._case
        if case.helo is not None:
            yield "HELO", b"EHLO " + case.helo.encode() + b"\r\n"
        utf8 = "" if case.sender.isascii() and case.recipient.isascii() else " SMTPUTF8"
        yield "MAIL", f"MAIL FROM:<{case.sender}>{utf8}\r\n".encode()
        yield "RCPT", f"RCPT TO:<{case.recipient}>\r\n".encode()
        if case.restrictions.get("data") or case.pipelined:
            yield "DATA", b"DATA\r\n"

    def _read(self, phase: str) -> Spoken:
        while True:
            line = self._file.readline().decode("utf-8", "replace").rstrip()
            if not line:
                return Spoken(phase, 421, "", "the connection was closed")
            if line[3:4] != "-":
                break
        enhanced = re.match(r"[245]\.\d{1,3}\.\d{1,3}(?= )", line[4:])
        return Spoken(phase, int(line[:3]), enhanced.group() if enhanced else "", line[4:])
