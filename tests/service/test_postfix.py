"""Our services beside a real Postfix: what its clients see, and what happens while one of the parts is away."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import smtplib
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailauth.dkim import generate_key
from tests.dbservers import PostgresServer, RedisServer, Server, running_server
from tests.postfix import Postfix
from tests.servers import need
from tests.service.program import Program, serving

pytestmark = pytest.mark.server

POLICYD = """
domains = ["mailbox.test"]
{more}
[policyd]
listen = ["unix:{folder}/policyd.sock"]
fields = ["received-spf", "x-greylist"]
[service]
socket_group = "postfix"
[greylist]
store = "{store}"
delay = "1s"
"""
CHECKED = "reject_unauth_destination, check_policy_service unix:{folder}/policyd.sock"


def postfix(**settings: str) -> Postfix:
    """A Postfix that asks our policy service in its own folder."""
    made = Postfix(settings={"smtpd_policy_service_retry_delay": "1s"})
    made._settings["smtpd_recipient_restrictions"] = CHECKED.format(folder=made.folder)
    made._settings.update(settings)
    return made


@contextlib.contextmanager
def mx(tmp_path: Path, store: str = "", more: str = "") -> Iterator[tuple[Postfix, Program]]:
    """A Postfix, and the policy service beside it."""
    own = postfix()
    config = POLICYD.format(folder=own.folder, store=store or f"sqlite:///{tmp_path}/greylist.db", more=more)
    with own, serving("policyd", tmp_path, config) as program:
        yield own, program


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postfix, Program]]:
    lists = '[rbl]\nlists = ["bl.test"]\n'
    with mx(tmp_path_factory.mktemp("mx"), more=lists) as both:
        yield both


def swaks(mta: Postfix, sender: str, recipient: str = "", client: str = "192.0.2.1") -> tuple[int, str]:
    """Send a message as that client; swaks' exit status, and its reply to RCPT or to the message."""
    command = [need("swaks", "swaks"), "--server", f"127.0.0.1:{mta.port_of('smtp')}", "--timeout", "30"]
    command += ["--xclient-addr", client, "--xclient-name", "client.test", "--helo", "client.test"]
    command += ["--from", sender, "--to", recipient or mta.mailbox]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    replies = re.findall(r"^<[-*][-* ] +(\d{3} .*)$", done.stdout, re.MULTILINE)
    last = [reply for reply in replies if not reply.startswith("221")][-1]
    return done.returncode, last


# --- one server ------------------------------------------------------------------------------------------------


def test_greylisted_retried_and_accepted(one: tuple[Postfix, Program]) -> None:
    mta, program = one
    before = len(mta.messages())
    began = time.monotonic()
    status, reply = swaks(mta, "ann@client.test")
    assert status == 24, reply  # swaks: the recipient was not accepted
    assert reply.startswith(f"450 4.7.1 <{mta.mailbox}>: Recipient address rejected: Greylisted; please try again in")
    status, reply = swaks(mta, "ann@client.test")
    if time.monotonic() - began < 1:  # a busy machine may take longer than the delay
        assert status == 24, reply
    if status == 24:
        time.sleep(1.1)
        status, reply = swaks(mta, "ann@client.test")
    assert (status, reply[:3]) == (0, "250")
    message = mta.messages(before + 1)[-1].decode()
    assert re.search(r"^Received-SPF: pass ", message, re.MULTILINE)
    assert "action=defer" not in program.log
    assert re.search(
        r"defer greylist \(greylist-new\): client=192\.0\.2\.1 helo=<client\.test> from=<ann@client", program.log
    )


def test_an_spf_fail_is_rejected(one: tuple[Postfix, Program]) -> None:
    mta, _ = one
    reply = mta.rcpt(client="192.0.2.1", name="client.test", sender="ann@forged.test")
    assert (reply.code, reply.enhanced, reply.phase) == (550, "5.7.23", "RCPT")
    assert "forged.test" in reply.text


def test_a_listed_client_is_rejected(one: tuple[Postfix, Program]) -> None:
    mta, _ = one
    reply = mta.rcpt(client="192.0.2.9", name="client.test")
    assert (reply.code, reply.enhanced) == (554, "5.7.1")
    assert "bl.test" in reply.text


def test_our_own_clients_are_not_judged(one: tuple[Postfix, Program]) -> None:
    """Who proved an identity may send from anywhere, at once."""
    mta, _ = one
    assert mta.rcpt(client="192.0.2.9", sender="ann@forged.test", login="ann").code == 250


def test_several_recipients_are_judged_each(one: tuple[Postfix, Program]) -> None:
    mta, _ = one
    known, new = "known@mailbox.test", "new@mailbox.test"
    client = {"client": "192.0.2.1", "name": "client.test"}
    assert mta.rcpt(recipient=known, **client).code == 450
    time.sleep(1.1)
    with mta.session(**client) as smtp:
        assert smtp.docmd("MAIL FROM:<ann@client.test>")[0] == 250
        assert smtp.docmd(f"RCPT TO:<{known}>")[0] == 250
        assert smtp.docmd(f"RCPT TO:<{new}>")[0] == 450
        assert smtp.data(b"Subject: several\r\n\r\nbody\r\n")[0] == 250
    mta.wait_for_log(f"to=<{known}>.*status=sent")


def test_many_messages_in_one_session_each_get_one_field(one: tuple[Postfix, Program]) -> None:
    mta, _ = one
    client = {"client": "192.0.2.1", "name": "client.test"}
    assert mta.rcpt(sender="many@client.test", **client).code == 450
    time.sleep(1.1)
    before = len(mta.messages())
    with mta.session(**client) as smtp:
        for number in range(10):
            smtp.sendmail("many@client.test", [mta.mailbox], f"Subject: {number}\r\n\r\nbody\r\n".encode())
    for message in mta.messages(before + 10)[before:]:
        assert message.count(b"\nReceived-SPF: ") + message.startswith(b"Received-SPF: ") == 1


def test_an_internationalized_sender(one: tuple[Postfix, Program]) -> None:
    mta, _ = one
    with mta.session(client="192.0.2.1", name="client.test") as smtp:
        smtp.sock.sendall("MAIL FROM:<jörg@forged.test> SMTPUTF8\r\n".encode())
        assert smtp.getreply()[0] == 250
        code, text = smtp.docmd(f"RCPT TO:<{mta.mailbox}>")
        assert (code, text[:6]) == (550, b"5.7.23")


# --- the service is away ---------------------------------------------------------------------------------------


def test_without_the_service_nothing_is_accepted_and_afterwards_all_goes_on(tmp_path: Path) -> None:
    with mx(tmp_path) as (mta, program):
        client = {"client": "192.0.2.1", "name": "client.test"}
        assert mta.rcpt(**client).code == 450
        program.kill()
        reply = mta.rcpt(**client)
        assert (reply.code, reply.enhanced) == (451, "4.3.5")  # Postfix's own
        program.start()
        time.sleep(1.1)
        with mta.session(**client) as smtp:
            smtp.sendmail("ann@client.test", [mta.mailbox], b"Subject: after\r\n\r\nbody\r\n")
        assert len(mta.messages(1)) == 1


def test_reading_the_configuration_again_under_load_drops_nothing(tmp_path: Path) -> None:
    with mx(tmp_path) as (mta, program):
        client = {"client": "192.0.2.1", "name": "client.test"}
        mta.rcpt(**client)
        time.sleep(1.1)
        failed: list[object] = []

        def send(number: int) -> None:
            try:
                with mta.session(**client) as smtp:
                    for index in range(10):
                        text = f"Subject: {number}.{index}\r\n\r\nbody\r\n".encode()
                        smtp.sendmail("ann@client.test", [mta.mailbox], text)
            except (smtplib.SMTPException, OSError) as error:
                failed.append(error)

        threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for number in range(1, 6):
            program.signal(signal.SIGHUP)
            program.wait_for_log("was read again", number)
        for thread in threads:
            thread.join(60)
        assert not failed
        assert len(mta.messages(40)) == 40
        assert "Traceback" not in program.log


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_in_the_midst_of_a_message(tmp_path: Path, workers: int) -> None:
    """It is verified and accepted, and the service ends; what comes afterwards is deferred by Postfix."""
    mta = postfix(milter_default_action="tempfail", smtpd_recipient_restrictions="reject_unauth_destination")
    mta._settings["smtpd_milters"] = f"unix:{mta.folder}/milter.sock"
    config = f'[milter]\nlisten = ["unix:{mta.folder}/milter.sock"]\n'
    config += f'[service]\nsocket_group = "postfix"\nworkers = {workers}\n'
    with mta, serving("milter", tmp_path, config) as program, mta.session(client="192.0.2.1") as smtp:
        smtp.mail("ann@client.test")
        smtp.rcpt(mta.mailbox)
        smtp.docmd("DATA")
        smtp.sock.sendall(b"From: ann@client.test\r\n\r\n" + 20_000 * b"line\r\n")
        time.sleep(0.3)  # Postfix has handed over some of it
        program.signal(signal.SIGTERM)
        program.wait_for_log("ending", workers)
        smtp.sock.sendall(20_000 * b"line\r\n" + b".\r\n")
        assert smtp.getreply()[0] == 250
        assert program.wait() == 0
        with pytest.raises(smtplib.SMTPResponseException) as refused:
            smtp.sendmail("ann@client.test", [mta.mailbox], b"From: ann@client.test\r\n\r\nnext\r\n")
        assert refused.value.smtp_code == 451
        (message,) = mta.messages(1)
        assert b"Authentication-Results: mx.mailbox.test;" in message


def test_behind_spawn() -> None:
    """A process of ours for each of Postfix's own, as the example of master.cf has it."""
    folder = Path(tempfile.mkdtemp(prefix="mailauth-spawn-"))  # open to the user "nobody"
    path = f"PYTHONPATH={Path(__file__).parents[2] / 'src'}:{sysconfig.get_paths()['purelib']}"
    words = ["-m", "mailauth", "policyd", "--once", "--config", f"{folder}/mailauth.toml"]
    as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "env", path]
    try:
        folder.chmod(0o755)
        Program("policyd", folder, 'domains = ["mailbox.test"]\n[policyd]\nlisten = []\n')
        for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
            started = subprocess.run([*as_nobody, python, *words], stdin=subprocess.DEVNULL, check=False)
            if not started.returncode:
                break
        else:
            pytest.skip("the user nobody cannot start this Python")
        line = f"mailauth unix - n n - 0 spawn\n  user=nobody argv=env {path} {python} {' '.join(words)}\n"
        checked = "reject_unauth_destination, check_policy_service unix:private/mailauth"
        settings = {"smtpd_recipient_restrictions": checked, "mailauth_time_limit": "3600"}
        with Postfix(settings=settings, services=line) as mta:
            client = {"client": "192.0.2.1", "name": "client.test"}
            assert mta.rcpt(sender="ann@forged.test", **client).enhanced == "5.7.23"
            with mta.session(**client) as smtp:
                for number in range(2):
                    text = f"Subject: {number}\r\n\r\nbody\r\n".encode()
                    smtp.sendmail("ann@client.test", [mta.mailbox], text)
            for message in mta.messages(2):
                assert b"Received-SPF: pass" in message
    finally:
        shutil.rmtree(folder)


# --- several MX hosts ------------------------------------------------------------------------------------------


@pytest.fixture(params=[PostgresServer, RedisServer])
def store(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running_server(request.param) as server:
        yield server


def test_two_servers_share_a_store(store: Server, tmp_path: Path) -> None:
    """Deferred at one, accepted at the other; with the store away mail flows on, and nothing is deferred twice."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    client = {"client": "192.0.2.1", "name": "client.test"}
    with mx(tmp_path / "a", store.url) as (first, _), mx(tmp_path / "b", store.url) as (second, log):
        assert first.rcpt(**client).code == 450
        time.sleep(1.1)
        assert second.rcpt(**client).code == 250
        # One more is deferred; then the store crashes, and comes back, while mail arrives without a pause.
        assert first.rcpt(sender="new@client.test", **client).code == 450
        time.sleep(1.1)
        codes: list[int] = []
        stop = threading.Event()

        def load() -> None:
            while not stop.is_set():
                codes.append(second.rcpt(**client).code)

        thread = threading.Thread(target=load)
        thread.start()
        try:
            store.stop(signal.SIGKILL)
            # Not even a new triplet is deferred while nobody can know it: greylist.on_error is "accept".
            assert second.rcpt(sender="other@client.test", **client).code == 250
            assert second.rcpt(sender="new@client.test", **client).code == 250
            store.start()
            end = time.monotonic() + 20
            while first.rcpt(sender=f"probe{time.monotonic_ns()}@client.test", **client).code != 450:
                assert time.monotonic() < end, "greylisting does not come back"
                time.sleep(0.2)
        finally:
            stop.set()
            thread.join(60)
        assert second.rcpt(sender="new@client.test", **client).code == 250  # deferred before; known still
        assert codes
        assert set(codes) == {250}
        assert "greylist" in log.log


# --- both services, as the documentation has it ----------------------------------------------------------------


def test_policy_service_and_milter_in_one_process(tmp_path: Path) -> None:
    """Mail from outside: Received-SPF of one, Authentication-Results of the other. Our own: signed, nothing else."""
    (tmp_path / "key.pem").write_bytes(generate_key("ed25519").pem())
    mta = postfix()
    mta._settings |= {"smtpd_milters": f"unix:{mta.folder}/milter.sock", "milter_default_action": "tempfail"}
    signing = '[[signing]]\nsenders = ["example.org"]\nselector = "rsa"\nkey = "key.pem"\n'
    milter = f'[milter]\nlisten = ["unix:{mta.folder}/milter.sock"]\n'
    config = POLICYD.format(folder=mta.folder, store="memory:", more=f'networks = ["192.0.2.200"]\n{signing}{milter}')
    with mta, serving("serve", tmp_path, config):
        assert mta.rcpt(name="client.test").code == 450
        time.sleep(1.1)
        text = "From: {0}\r\nTo: bob@mailbox.test\r\nSubject: x\r\nDate: Mon, 2 Nov 2026 10:00:00 +0000\r\n\r\nbody\r\n"
        with mta.session(client="192.0.2.1", name="client.test") as smtp:
            smtp.sendmail("ann@client.test", [mta.mailbox], text.format("ann@client.test").encode())
        (inbound,) = mta.messages(1)
        assert b"Received-SPF: pass" in inbound
        assert re.search(rb"Authentication-Results: mx\.mailbox\.test;[^;]*(;[^;]*)*spf=pass", inbound)
        with mta.session(client="192.0.2.200") as smtp:
            smtp.sendmail("ann@example.org", [mta.mailbox], text.format("ann@example.org").encode())
        outbound = mta.messages(2)[-1]
        assert outbound.count(b"DKIM-Signature: ") == 1
        assert b"Authentication-Results" not in outbound
        assert b"Received-SPF" not in outbound
