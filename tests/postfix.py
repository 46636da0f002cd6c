"""A private Postfix: real answers to compare ours with.

It runs beside whatever the machine has: own configuration, queue, data, log and mailbox folders, a free port on
127.0.0.1, and a resolv.conf of its own (bind-mounted in a mount namespace of its own, so it needs root and
``unshare``; elsewhere the test is skipped, in CI it fails). Use::

    from tests.postfix import Postfix, free_nameserver

    @pytest.fixture(scope="module")
    def mta():
        nameserver = free_nameserver()                      # a loopback address with port 53 free
        with my_dns_server(nameserver), Postfix(
            nameserver,
            {"smtpd_recipient_restrictions": "reject_rbl_client bl.example=127.0.0.2, permit"},
        ) as mta:
            yield mta

    @pytest.mark.server
    def test_listed(mta):
        reply = mta.rcpt(client="192.0.2.1", name="mx.example.org", helo="mx.example.org",
                         sender="ann@example.org", recipient=mta.mailbox)
        assert reply.code == 554 and "bl.example" in reply.text

* ``settings`` are lines of main.cf and override the defaults below; ``services`` are more lines of master.cf, with
  ``{port}`` style fields filled from ``ports`` (``Postfix.port_of(name)`` gives a free port for each name).
* ``mta.session(client=..., name=..., helo=...)`` is an `smtplib.SMTP` after XCLIENT and EHLO, for tests that go
  through the phases themselves; ``mta.rcpt(...)`` does CONNECT to RCPT and gives the first refusal or the last reply.
* With ``smtpd_upstream_proxy_protocol = haproxy`` in the settings, ``mta.proxied(address, mta.port)`` is a connection
  from that address for which Postfix asks the DNS for the client's name itself, which it does not do after XCLIENT.
* ``mta.classes({"case1": "reject_rbl_client ...", ...})`` makes settings so that ``case1@<domain>`` is judged by that
  restriction: dozens of cases with one start.
* ``mta.log()`` is the text logged so far; ``mta.wait_for_log(pattern)`` waits for a line.
* ``mta.messages()`` are the messages delivered; ``mta.mailbox`` is an address that takes mail.

127.0.0.1 is not trusted (mynetworks is 127.0.0.2/32), no delay after errors, no rate limits, no TLS.

A private Postfix for tests, and the SMTP client that talks to it as any client address it likes. No test, and no
expectation about verdicts.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import smtplib
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.servers import free_port, missing, need, wait_for_tcp

DAEMONS = Path("/usr/lib/postfix/sbin")
DOMAIN = "mailbox.test"

_QUEUES = (
    "active",
    "bounce",
    "corrupt",
    "defer",
    "deferred",
    "flush",
    "hold",
    "incoming",
    "private",
    "saved",
    "trace",
)

_MASTER = """\
127.0.0.1:{smtp} inet n - n - - smtpd
rewrite   unix  -  -  n  -     -  trivial-rewrite
cleanup   unix  n  -  n  -     0  cleanup
qmgr      unix  n  -  n  300   1  qmgr
bounce    unix  -  -  n  -     0  bounce
defer     unix  -  -  n  -     0  bounce
trace     unix  -  -  n  -     0  bounce
flush     unix  n  -  n  1000? 0  flush
proxymap  unix  -  -  n  -     -  proxymap
error     unix  -  -  n  -     -  error
retry     unix  -  -  n  -     -  error
discard   unix  -  -  n  -     -  discard
virtual   unix  -  n  n  -     -  virtual
smtp      unix  -  -  n  -     -  smtp
lmtp      unix  -  -  n  -     -  lmtp
anvil     unix  -  -  n  -     1  anvil
scache    unix  -  -  n  -     1  scache
postlog   unix-dgram n - n -   1  postlogd
"""

# What a screening test adds: pass these lines as `services`, with "screen" as the name of the port. It takes a
# PROXY line (see `proxied`), so that each connection may have a client address of its own.
POSTSCREEN = """\
127.0.0.1:{screen} inet n - n - 1 postscreen
smtpd     pass  -  -  n  -     -  smtpd
dnsblog   unix  -  -  n  -     0  dnsblog
tlsproxy  unix  -  -  n  -     0  tlsproxy
"""


class Reply(NamedTuple):
    """An SMTP reply; `phase` is the command that it answers."""

    code: int
    text: str
    phase: str

    @property
    def enhanced(self) -> str:
        """The enhanced status code (RFC 3463), or an empty string."""
        found = re.match(r"[245]\.\d{1,3}\.\d{1,3}(?= )", self.text)
        return found.group() if found else ""


def free_nameserver() -> str:
    """A loopback address on which port 53 is free for UDP and TCP: resolv.conf knows no other port."""
    if os.geteuid():
        missing("port 53 and a private resolv.conf need root")
    for number in range(1, 250):
        address = f"127.53.{os.getpid() % 250}.{number}"
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind((address, 53))
        except OSError:
            continue
        return address
    raise RuntimeError("port 53 is taken on every loopback address")


class Postfix:
    """A running Postfix, as a context manager. See the module's docstring."""

    domain = DOMAIN
    mailbox = f"ann@{DOMAIN}"

    def __init__(
        self, nameserver: str | None = None, settings: Mapping[str, str] | None = None, services: str = ""
    ) -> None:
        if os.geteuid():
            missing("a private Postfix needs root")
        self._master = need(str(DAEMONS / "master"), "postfix")
        self._unshare = need("unshare", "util-linux")
        self._nameserver = nameserver or "127.0.0.1"
        self._settings = dict(settings or {})
        self._services = services
        self._ports: dict[str, int] = {}
        # Not below pytest's own folder: that one is closed to the user "postfix".
        self.folder = Path(tempfile.mkdtemp(prefix="private-postfix-"))
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def classes(restrictions: Mapping[str, str]) -> dict[str, str]:
        """Settings by which ``NAME@mailbox.test`` is judged by the restrictions of that name: many cases at once."""
        table = ", ".join(f"{{{name}@{DOMAIN}={name}}}" for name in restrictions)
        return {
            **restrictions,
            "smtpd_restriction_classes": ", ".join(restrictions),
            "smtpd_recipient_restrictions": f"check_recipient_access inline:{{{table}}}, permit",
        }

    @property
    def port(self) -> int:
        """The port of the plain SMTP server."""
        return self.port_of("smtp")

    def port_of(self, name: str) -> int:
        """The port that stands for ``{name}`` in master.cf, chosen when first named."""
        while name not in self._ports:
            port = free_port()
            # It is not taken before Postfix starts, so the same one may be offered again.
            if port not in self._ports.values():
                self._ports[name] = port
        return self._ports[name]

    def __enter__(self) -> Postfix:
        try:
            self._write()
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        # A mount namespace of its own: the machine's /etc/resolv.conf stays as it is.
        script = 'mount --bind "$0/resolv.conf" /etc/resolv.conf && exec "$1" -c "$0/etc" -d'
        with (self.folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [self._unshare, "-m", "sh", "-c", script, str(self.folder), self._master],
                env={**os.environ, "MAIL_CONFIG": str(self.folder / "etc")},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        for port in self._ports.values():
            try:
                wait_for_tcp(port)
            except pytest.fail.Exception as failure:
                output = (self.folder / "output").read_text(errors="replace")
                pytest.fail(f"{failure}\n{output}\n{self.log()}")

    def _write(self) -> None:
        user = pwd.getpwnam("postfix")
        self.folder.chmod(0o755)
        for name in ("etc", "queue", "queue/pid"):
            (self.folder / name).mkdir()
        # `postfix check` would make these, and sleep two seconds.
        for name in ("data", "mail", *(f"queue/{queue}" for queue in _QUEUES)):
            self._folder_of(name, user.pw_uid, -1, 0o700)
        postdrop = grp.getgrnam("postdrop").gr_gid
        self._folder_of("queue/public", user.pw_uid, postdrop, 0o710)
        self._folder_of("queue/maildrop", user.pw_uid, postdrop, 0o730)
        (self.folder / "resolv.conf").write_text(f"nameserver {self._nameserver}\noptions timeout:2 attempts:2\n")
        fields = set(re.findall(r"\{(\w+)\}", _MASTER + self._services))
        ports = {name: self.port_of(name) for name in fields}
        (self.folder / "etc/master.cf").write_text((_MASTER + self._services).format_map(ports))
        main = self.folder / "etc/main.cf"
        lines = {**self._defaults(user.pw_uid, user.pw_gid), **self._settings}
        main.write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
        # Postfix sleeps for two seconds while main.cf is brand-new.
        an_instant_ago = time.time() - 10
        os.utime(main, (an_instant_ago, an_instant_ago))

    def _folder_of(self, name: str, uid: int, gid: int, mode: int) -> None:
        path = self.folder / name
        path.mkdir()
        os.chown(path, uid, gid)
        path.chmod(mode)

    def _defaults(self, uid: int, gid: int) -> dict[str, str]:
        return {
            "compatibility_level": "3.6",
            "queue_directory": f"{self.folder}/queue",
            "data_directory": f"{self.folder}/data",
            "meta_directory": "/etc/postfix",
            "command_directory": "/usr/sbin",
            "daemon_directory": str(DAEMONS),
            "mail_owner": "postfix",
            "setgid_group": "postdrop",
            "multi_instance_name": f"postfix-{self.folder.name}",
            "maillog_file": f"{self.folder}/log",
            "maillog_file_prefixes": str(self.folder),
            "myhostname": "mx.mailbox.test",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "all",  # or XCLIENT refuses IPv6 addresses
            "mynetworks": "127.0.0.2/32",  # or 127.0.0.1 would be trusted
            "mydestination": "",
            "local_recipient_maps": "",
            "alias_maps": "",
            "alias_database": "",
            "virtual_mailbox_domains": DOMAIN,
            "virtual_mailbox_base": f"{self.folder}/mail",
            "virtual_mailbox_maps": "static:inbox/",
            "virtual_minimum_uid": "1",
            "virtual_uid_maps": f"static:{uid}",
            "virtual_gid_maps": f"static:{gid}",
            "default_transport": "error:no mail leaves this test",
            "relay_transport": "error:no mail leaves this test",
            "smtpd_authorized_xclient_hosts": "127.0.0.0/8",
            "smtpd_client_event_limit_exceptions": "127.0.0.0/8, 0.0.0.0/0, [::]/0",
            "smtpd_error_sleep_time": "0",
            "smtpd_soft_error_limit": "1000",
            "smtpd_hard_error_limit": "10000",
            "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
            "smtpd_delay_reject": "yes",
            "smtputf8_enable": "yes",
        }

    # --- as a client ---------------------------------------------------------------------------------------

    def session(self, **client: str) -> smtplib.SMTP:
        """A session after XCLIENT and EHLO, in which Postfix sees that client. Close it, or use it in ``with``.

        `client` is its address and `helo` what it says; `name` is its confirmed name, ``[UNAVAILABLE]`` (the default)
        when it has none, ``[TEMPUNAVAIL]`` after a DNS failure; `reverse_name` is the unconfirmed one (as `name` when
        not given); `login` is the identity that it proved, `port` the name of the port. A session is good for one
        client. A client that is refused so early is a `RuntimeError`.
        """
        smtp, refusal = self._introduce(**client)
        if refusal is not None:
            smtp.close()
            raise RuntimeError(f"the client was refused at once: {refusal}")
        return smtp

    def rcpt(self, *, sender: str = "ann@client.test", recipient: str | None = None, **client: str) -> Reply:
        """CONNECT to RCPT of a client (as for `session`): the first refusal, or the reply to RCPT."""
        smtp, refusal = self._introduce(**client)
        with smtp:
            if refusal is not None:
                return refusal
            reply = _reply(smtp.docmd(f"MAIL FROM:<{sender}>"), "MAIL")
            if reply.code == 250:
                reply = _reply(smtp.docmd(f"RCPT TO:<{recipient or self.mailbox}>"), "RCPT")
            return reply

    def _introduce(
        self,
        client: str = "192.0.2.1",
        name: str = "[UNAVAILABLE]",
        reverse_name: str | None = None,
        helo: str = "client.test",
        login: str = "",
        port: str = "smtp",
    ) -> tuple[smtplib.SMTP, Reply | None]:
        smtp = smtplib.SMTP("127.0.0.1", self.port_of(port), local_hostname="localhost", timeout=60)
        smtp.ehlo("localhost")
        address = f"IPV6:{client}" if ":" in client else client
        reply = _reply(
            smtp.docmd(
                "XCLIENT",
                f"ADDR={address} NAME={name} REVERSE_NAME={reverse_name or name}{f' LOGIN={login}' if login else ''}",
            ),
            "CONNECT",
        )
        if reply.code == 220:
            reply = _reply(smtp.ehlo(helo), "HELO")
        return smtp, None if reply.code == 250 else reply

    def proxied(self, client: str, port: int) -> socket.socket:
        """A connection that begins with the PROXY line (haproxy, version 1) of that client, nothing read yet."""
        family, here = ("TCP6", "::1") if ":" in client else ("TCP4", "127.0.0.1")
        connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        connection.sendall(f"PROXY {family} {client} {here} 40000 {port}\r\n".encode())
        return connection

    # --- what it did ---------------------------------------------------------------------------------------

    def log(self) -> str:
        """All that was logged so far."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_for_log(self, pattern: str, seconds: float = 20.0) -> re.Match[str]:
        """Wait until a line matches the regular expression; fail the test if none does."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = re.search(pattern, self.log())
            if found:
                return found
            time.sleep(0.05)
        pytest.fail(f"no log line matches {pattern!r} after {seconds} s:\n{self.log()}")

    def messages(self, count: int = 0, seconds: float = 20.0) -> list[bytes]:
        """The messages delivered so far, in order of arrival; waits until there are at least `count`."""
        end = time.monotonic() + seconds
        inbox = self.folder / "mail/inbox/new"
        while True:
            files = sorted(inbox.iterdir(), key=lambda path: path.stat().st_mtime_ns) if inbox.is_dir() else []
            if len(files) >= count:
                return [path.read_bytes() for path in files]
            if time.monotonic() > end:
                pytest.fail(f"{len(files)} of {count} messages were delivered after {seconds} s:\n{self.log()}")
            time.sleep(0.05)


def _reply(reply: tuple[int, bytes], phase: str) -> Reply:
    return Reply(reply[0], reply[1].decode("utf-8", "replace"), phase)
