"""``mailauth policyd``, ``milter`` and ``serve`` as processes: signals, workers, systemd, standard input, metrics."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailauth.dkim import generate_key
from tests.servers import free_port
from tests.service.program import Program, ask, connect, request, serving

GREYLISTED = "DEFER_IF_PERMIT 4.7.1 Greylisted; please try again in 5 minutes or later"
POLICYD = """
domains = ["mailbox.test"]
[policyd]
listen = ["unix:{folder}/policyd.sock"]
[greylist]
store = "sqlite:///{folder}/greylist.db"
"""


@pytest.fixture
def policyd(tmp_path: Path) -> Iterator[Program]:
    with serving("policyd", tmp_path, POLICYD.format(folder=tmp_path)) as program:
        yield program


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
    finally:
        connection.close()


def closed(connection: socket.socket) -> bool:
    """Whether the other side has closed the connection; waits for it."""
    return connection.recv(1) == b""


# --- the end ---------------------------------------------------------------------------------------------------


def test_sigterm_closes_idle_connections_and_removes_the_socket(policyd: Program) -> None:
    with connect(policyd.folder / "policyd.sock") as connection:
        assert ask(connection) == GREYLISTED
        began = time.monotonic()
        assert policyd.stop() == 0
        assert closed(connection)
        assert time.monotonic() - began < 15  # not the 30 s of grace
    assert not (policyd.folder / "policyd.sock").exists()


def test_sigterm_answers_what_is_in_hand(policyd: Program) -> None:
    with connect(policyd.folder / "policyd.sock") as connection:
        octets = request()
        connection.sendall(octets[:40])
        time.sleep(0.2)  # it has begun to read
        policyd.signal(signal.SIGTERM)
        policyd.wait_for_log("ending")
        connection.sendall(octets[40:])
        assert connection.recv(4096) == f"action={GREYLISTED}\n\n".encode()
        assert closed(connection)
    assert policyd.wait() == 0


def test_what_does_not_end_is_cut_off_after_the_grace(tmp_path: Path) -> None:
    config = POLICYD.format(folder=tmp_path) + "[service]\ngrace = 0.2\n"
    with serving("policyd", tmp_path, config) as program, connect(tmp_path / "policyd.sock") as connection:
        connection.sendall(request()[:40])
        time.sleep(0.2)
        assert program.stop() == 0
        assert "cut off after 0.2 s: open connections: 1" in program.log
        assert "Traceback" not in program.log


# --- the configuration, read again -----------------------------------------------------------------------------


def test_sighup_takes_over_what_changed(policyd: Program) -> None:
    with connect(policyd.folder / "policyd.sock") as connection:
        assert ask(connection) == GREYLISTED
        config = POLICYD.format(folder=policyd.folder).replace("mailbox.test", "other.test")
        policyd.write(config)
        policyd.signal(signal.SIGHUP)
        policyd.wait_for_log("was read again")
        assert ask(connection, instance="second").startswith("554 5.7.1")
        assert ask(connection, recipient="bob@other.test", instance="third") == GREYLISTED


def test_sighup_with_a_bad_file_changes_nothing_and_says_why(policyd: Program) -> None:
    policyd.file.write_text('hostname = "mx.mailbox.test"\ndomans = []\n')
    policyd.signal(signal.SIGHUP)
    policyd.wait_for_log("the configuration stays as it was")
    assert "mailauth.toml:2: domans: unknown key; did you mean 'domains'?" in policyd.log
    with connect(policyd.folder / "policyd.sock") as connection:
        assert ask(connection) == GREYLISTED


def test_sighup_keeps_a_store_in_memory(tmp_path: Path) -> None:
    config = POLICYD.format(folder=tmp_path).replace(f"sqlite:///{tmp_path}/greylist.db", "memory:")
    config = config.replace("[greylist]", '[greylist]\ndelay = "1s"')
    with serving("policyd", tmp_path, config) as program, connect(tmp_path / "policyd.sock") as connection:
        assert ask(connection, instance="1").startswith("DEFER_IF_PERMIT 4.7.1")
        program.signal(signal.SIGHUP)
        program.wait_for_log("was read again")
        time.sleep(1.1)
        assert ask(connection, instance="2").startswith("PREPEND Received-SPF: pass")


def test_sighup_says_what_needs_a_restart(policyd: Program) -> None:
    policyd.write(
        POLICYD.format(folder=policyd.folder).replace("policyd.sock", "new.sock") + "[service]\nworkers = 3\n"
    )
    policyd.signal(signal.SIGHUP)
    policyd.wait_for_log("was read again")
    assert "[service] is only taken over by a restart" in policyd.log
    assert "a change of listen is only taken over by a restart" in policyd.log


def test_sighup_under_load_drops_nothing(policyd: Program) -> None:
    connections = [connect(policyd.folder / "policyd.sock") for _ in range(20)]
    for number in range(30):
        if number % 5 == 0:
            policyd.signal(signal.SIGHUP)
        for index, connection in enumerate(connections):
            connection.sendall(request(instance=f"{number}.{index}", recipient=f"r{number}.{index}@mailbox.test"))
        for connection in connections:
            assert connection.recv(4096).startswith(b"action=DEFER_IF_PERMIT")
    for connection in connections:
        connection.close()
    assert "Traceback" not in policyd.log


def test_reading_it_again_leaves_no_files_open(policyd: Program) -> None:
    assert policyd.process is not None
    files = Path(f"/proc/{policyd.process.pid}/fd")
    if not files.exists():
        pytest.skip("this system has no /proc")
    counts = []
    for number in range(1, 11):
        policyd.signal(signal.SIGHUP)
        policyd.wait_for_log("was read again", number)
        counts.append(len(list(files.iterdir())))
    assert counts[-1] <= counts[1]


# --- several processes -----------------------------------------------------------------------------------------


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[tuple[Program, int]]:
    port = free_port()
    config = POLICYD.format(folder=tmp_path) + f'[service]\nworkers = 2\nmetrics = "inet:127.0.0.1:{port}"\n'
    with serving("policyd", tmp_path, config) as program:
        yield program, port


def children(program: Program) -> set[int]:
    assert program.process is not None
    pid = program.process.pid
    return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def test_workers_share_the_socket_and_count_together(workers: tuple[Program, int]) -> None:
    program, port = workers
    connections = [connect(program.folder / "policyd.sock") for _ in range(16)]
    for index, connection in enumerate(connections):
        assert ask(connection, instance=str(index)) == GREYLISTED
    for _ in range(4):  # whichever worker answers
        text = get(port, "/metrics")[1]
        assert 'mailauth_events_total{event="defer_if_permit",service="policyd"} 16.0' in text
        assert 'mailauth_connections{service="policyd"} 16.0' in text
    for connection in connections:
        connection.close()
    assert program.stop() == 0
    assert "Traceback" not in program.log


def test_a_worker_that_dies_is_replaced(workers: tuple[Program, int]) -> None:
    program, _ = workers
    before = children(program)
    assert len(before) == 2
    os.kill(min(before), signal.SIGKILL)
    program.wait_for_log("ended by itself")
    end = time.monotonic() + 20
    while len(children(program) - before) < 1 and time.monotonic() < end:
        time.sleep(0.05)
    assert len(children(program)) == 2
    with connect(program.folder / "policyd.sock") as connection:
        assert ask(connection) == GREYLISTED
    assert program.stop() == 0


FORK_FAILS_ONCE = """\
import errno, os
fork, number = os.fork, 0
def limited():
    global number
    number += 1
    if number == 3:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork()
os.fork = limited
"""


def test_where_no_process_is_free_the_others_go_on(tmp_path: Path) -> None:
    """fork(2) fails with EAGAIN for the one that would take a dead worker's place: it is tried again."""
    (tmp_path / "sitecustomize.py").write_text(FORK_FAILS_ONCE)
    program = Program("policyd", tmp_path, POLICYD.format(folder=tmp_path) + "[service]\nworkers = 2\n")
    try:
        program.start(environment={"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2] / 'src'}"})
        os.kill(min(children(program)), signal.SIGKILL)
        program.wait_for_log("a worker cannot be started: Resource temporarily unavailable")
        with connect(tmp_path / "policyd.sock") as connection:
            assert ask(connection) == GREYLISTED
        end = time.monotonic() + 20
        while len(children(program)) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        assert len(children(program)) == 2
        assert program.stop() == 0
        assert "Traceback" not in program.log
    finally:
        program.kill()


def test_workers_end_with_their_watcher(workers: tuple[Program, int]) -> None:
    program, _ = workers
    before = children(program)
    program.kill()
    end = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in before) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in before)


def test_workers_read_a_good_file_again_and_never_a_bad_one(workers: tuple[Program, int]) -> None:
    program, _ = workers
    good = program.file.read_text()
    program.file.write_text("[nonsense")
    program.signal(signal.SIGHUP)
    program.wait_for_log("the configuration stays as it was")
    assert "was read again" not in program.log
    program.file.write_text(good)
    program.signal(signal.SIGHUP)
    program.wait_for_log("was read again", 2)


# --- systemd and spawn -----------------------------------------------------------------------------------------


def test_sockets_and_notifications_of_systemd(tmp_path: Path) -> None:
    program = Program("serve", tmp_path, 'domains = ["mailbox.test"]\n[policyd]\nlisten = ["systemd:policy"]\n')
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
    ):
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        # As systemd does it: the socket is descriptor 3, and the environment names the process that it is meant for.
        become = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid())"
        prefix = [sys.executable, "-c", f"{become}; os.execv(sys.argv[2], sys.argv[2:])", str(listening.fileno())]
        environment = {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "policy", "NOTIFY_SOCKET": str(tmp_path / "notify")}
        try:
            program.start(prefix, environment, pass_fds=(listening.fileno(),))
            assert manager.recv(1000) == b"READY=1\nSTATUS=policyd at systemd:policy"
            with socket.create_connection(listening.getsockname(), timeout=20) as connection:
                assert ask(connection).startswith("PREPEND Received-SPF: pass")
            program.signal(signal.SIGHUP)
            assert manager.recv(1000).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert manager.recv(1000).startswith(b"READY=1")
            program.signal(signal.SIGTERM)
            assert manager.recv(1000) == b"STOPPING=1"
            assert program.wait() == 0
        finally:
            program.kill()


def test_once_serves_standard_input(tmp_path: Path) -> None:
    program = Program("policyd", tmp_path, POLICYD.format(folder=tmp_path))
    asked = request() + request(instance="x", sender="ann@forged.test")
    done = subprocess.run(program.words("--once"), input=asked, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    first, second, rest = done.stdout.decode().split("\n\n")
    assert first == f"action={GREYLISTED}"
    assert second.startswith("action=550 5.7.23")
    assert rest == ""


@pytest.mark.parametrize("config", [POLICYD, "[nonsense"])
def test_once_serves_a_connection(tmp_path: Path, config: str) -> None:
    """spawn(8) makes the connection of Postfix's smtpd standard error, too: nothing but replies may go there."""
    program = Program("policyd", tmp_path, config.replace("{folder}", str(tmp_path)))
    ours, theirs = socket.socketpair()
    with ours, subprocess.Popen(program.words("--once"), stdin=theirs, stdout=theirs, stderr=theirs) as run:
        theirs.close()
        ours.settimeout(30)
        if config == POLICYD:
            assert ask(ours) == GREYLISTED
            assert ask(ours) == GREYLISTED
            ours.shutdown(socket.SHUT_WR)
        assert closed(ours)
        assert run.wait(20) == (0 if config == POLICYD else 2)


def test_once_logs_to_syslog_where_standard_error_is_the_connection(tmp_path: Path) -> None:
    program = Program("policyd", tmp_path, POLICYD.format(folder=tmp_path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(str(tmp_path / "syslog"))
        syslog.settimeout(20)
        code = "import sys, mailauth.service.logs as l, mailauth.cli; l.SYSLOG = sys.argv.pop(1); mailauth.cli.main()"
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-c", code, str(tmp_path / "syslog"), *program.words("--once")[3:]]
        with ours, subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as run:
            theirs.close()
            ours.settimeout(30)
            assert ask(ours) == GREYLISTED
            mail_info = 2 * 8 + 6  # RFC 5424 section 6.2.1
            assert syslog.recv(4096).startswith(f"<{mail_info}>mailauth/policyd[{run.pid}]: defer greylist".encode())
            ours.shutdown(socket.SHUT_WR)
            assert run.wait(20) == 0


# --- metrics and health ----------------------------------------------------------------------------------------


def test_metrics_and_health(tmp_path: Path) -> None:
    port = free_port()
    config = POLICYD.format(folder=tmp_path) + f'[service]\nmetrics = "inet:127.0.0.1:{port}"\nlog = "json"\n'
    with serving("policyd", tmp_path, config) as program:
        status, text = get(port, "/metrics")
        assert status == 200
        assert 'mailauth_connections{service="policyd"} 0.0' in text
        assert "process_resident_memory_bytes" in text
        with connect(tmp_path / "policyd.sock") as connection:
            ask(connection)
            ask(connection, sender="ann@forged.test", instance="x")
            text = get(port, "/metrics")[1]
            assert 'mailauth_events_total{event="defer_if_permit",service="policyd"} 1.0' in text
            assert 'mailauth_events_total{event="550",service="policyd"} 1.0' in text
            assert 'mailauth_connections{service="policyd"} 1.0' in text
            status, text = get(port, "/health")
            assert (status, json.loads(text)["status"]) == (200, "ok")
            assert get(port, "/")[0] == 404
            # In the midst of a request it does not end yet, and says so.
            connection.sendall(request()[:30])
            time.sleep(0.2)
            program.signal(signal.SIGTERM)
            program.wait_for_log("ending")
            status, text = get(port, "/health")
            assert (status, json.loads(text)["status"]) == (503, "stopping")
        assert program.wait() == 0
        lines = [json.loads(line) for line in program.log.splitlines()]
        (refused,) = [line for line in lines if line.get("action") == "reject"]
        assert refused["client"] == "192.0.2.1"
        assert (refused["sender"], refused["recipient"]) == ("ann@forged.test", "bob@mailbox.test")
        assert (refused["restriction"], refused["reason"]) == ("check_spf", "spf-fail")


def test_a_client_that_says_nothing_holds_nobody_up(tmp_path: Path) -> None:
    port = free_port()
    config = POLICYD.format(folder=tmp_path) + f'[service]\nmetrics = "inet:127.0.0.1:{port}"\n'
    with serving("policyd", tmp_path, config), socket.create_connection(("127.0.0.1", port)):
        assert get(port, "/health")[0] == 200


# --- the milter, and both --------------------------------------------------------------------------------------


def test_the_milter_serves_a_socket_for_each_mode(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(generate_key("ed25519").pem())
    config = f"""
[[signing]]
senders = ["example.org"]
selector = "rsa"
key = "key.pem"
[policyd]
listen = ["unix:{tmp_path}/p"]
[milter]
listen_verify = ["unix:{tmp_path}/v"]
listen_sign = ["unix:{tmp_path}/s"]
"""
    with serving("serve", tmp_path, config) as program:
        for name in "vs":
            with connect(tmp_path / name) as connection:
                connection.sendall(bytes.fromhex("0000000d 4f 00000006 000001ff 001fffff"))
                assert connection.recv(4096)[4:5] == b"O"
        with connect(tmp_path / "p") as connection:
            assert ask(connection).startswith("PREPEND Received-SPF: pass")
        assert program.stop() == 0
        assert "milter-verify at unix:" in program.log
        assert "milter-sign at unix:" in program.log


# --- mistakes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "config", "words"),
    [
        ("milter", "", "nothing to serve: set milter.listen, milter.listen_verify or milter.listen_sign"),
        ("serve", "", "nothing to serve: set policyd.listen or srs.listen or milter.listen"),
        ("policyd", "networks = 5", "mailauth.toml:2: networks: expected a list of: network"),
        ("policyd", '[policyd]\nlisten = ["x"]', "'x': expected inet:HOST:PORT, unix:/PATH, or systemd:NAME"),
        ("policyd", '[policyd]\nlisten = ["systemd:x"]', "systemd hands over no socket of the name 'x'"),
        ("policyd", '[policyd]\nlisten = ["unix:/dev/null"]', "there is a file that is no socket"),
        ("policyd", '[policyd]\nwhitelist_clients = ["gone"]', "cannot read "),
        ("policyd", '[service]\nsocket_mode = "rw"', "'rw' is no mode of a socket"),
        ("policyd", '[service]\nsocket_group = "no-such-group"', "there is no group 'no-such-group'"),
        ("policyd", '[service]\nworkers = 2\n[greylist]\nstore = "memory:"', "each worker would have a memory: of its"),
        ("milter", '[milter]\nlisten_sign = ["inet::0"]', "nothing signs: set [[signing]] or signing_table"),
        ("milter", "[milter]", "it listens nowhere"),
        (
            "serve",
            '[policyd]\nfields = ["authentication-results"]\n[milter]\nlisten = ["inet::0"]',
            "the milter would take it for forged",
        ),
    ],
)
def test_mistakes_are_one_line_and_status_2(tmp_path: Path, command: str, config: str, words: str) -> None:
    program = Program(command, tmp_path, config)
    done = subprocess.run(program.words(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mailauth", "policyd", "--config", str(tmp_path / "gone.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        f"mailauth: cannot read {tmp_path}/gone.toml: No such file or directory\n",
    )
