"""The services where something around them fails: files, signals, the disk under the log, too many connections."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import free_port
from tests.service.program import Program, ask, connect, request, serving
from tests.service.test_programs import GREYLISTED, POLICYD, children, get

SOURCES = str(Path(__file__).parents[2] / "src")


@pytest.fixture
def without_prometheus(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine on which the extra `metrics` is not installed."""
    (tmp_path / "lib/prometheus_client").mkdir(parents=True)
    (tmp_path / "lib/prometheus_client/__init__.py").write_text("raise ImportError\n")
    return {"PYTHONPATH": f"{tmp_path}/lib:{SOURCES}"}


@contextlib.contextmanager
def workers(folder: Path, service: str = "", environment: dict[str, str] | None = None) -> Iterator[Program]:
    program = Program("policyd", folder, POLICYD.format(folder=folder) + f"[service]\nworkers = 2\n{service}\n")
    try:
        program.start(environment=environment)
        yield program
    finally:
        program.kill()


def kill_workers(program: Program) -> None:
    """Kill all of them, and wait until others are in their places."""
    before = children(program)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 20
    while len(children(program) - before) < len(before):
        assert time.monotonic() < end, program.log
        time.sleep(0.05)


# --- several processes -----------------------------------------------------------------------------------------


def test_a_worker_that_is_replaced_has_the_file_that_was_read_last(tmp_path: Path) -> None:
    with workers(tmp_path) as program:
        changed = POLICYD.format(folder=tmp_path).replace("mailbox.test", "other.test")
        program.write(changed.replace("policyd.sock", "new.sock") + "[service]\nworkers = 5\n")
        program.signal(signal.SIGHUP)
        program.wait_for_log("was read again", 2)
        kill_workers(program)
        with connect(tmp_path / "policyd.sock") as connection:
            assert ask(connection).startswith("554 5.7.1")
            assert ask(connection, recipient="bob@other.test", instance="x") == GREYLISTED
        assert len(children(program)) == 2
        assert program.stop() == 0


def test_workers_are_replaced_without_prometheus(tmp_path: Path, without_prometheus: dict[str, str]) -> None:
    with workers(tmp_path, environment=without_prometheus) as program:
        kill_workers(program)
        with connect(tmp_path / "policyd.sock") as connection:
            assert ask(connection) == GREYLISTED
        assert program.stop() == 0
        assert "Traceback" not in program.log


@pytest.mark.parametrize("number", [1, 2])
def test_metrics_without_prometheus_are_a_mistake(
    tmp_path: Path, without_prometheus: dict[str, str], number: int
) -> None:
    config = f'[policyd]\nlisten = ["unix:{tmp_path}/p"]\n[service]\nmetrics = "inet:127.0.0.1:0"\nworkers = {number}\n'
    program = Program("policyd", tmp_path, config)
    environment = {**os.environ, **without_prometheus}
    done = subprocess.run(program.words(), capture_output=True, text=True, timeout=60, env=environment, check=False)
    words = "mailauth: service.metrics needs prometheus_client: pip install 'mailauth[metrics]'\n"
    assert (done.returncode, done.stderr) == (2, words)


def test_workers_go_on_with_the_counters_of_those_before(tmp_path: Path) -> None:
    """A file for each process that ever was would fill the disk where a worker dies again and again."""
    port = free_port()
    with workers(tmp_path, f'metrics = "inet:127.0.0.1:{port}"', {"TMPDIR": str(tmp_path)}) as program:
        (folder,) = tmp_path.glob("mailauth-metrics-*")
        for index in range(3):
            with connect(tmp_path / "policyd.sock") as connection:
                assert ask(connection, instance=str(index)) == GREYLISTED
                kill_workers(program)
        assert {file.stem.rpartition("_")[2] for file in folder.iterdir()} <= {"0", "1"}
        text = get(port, "/metrics")[1]
        assert 'mailauth_events_total{event="defer_if_permit",service="policyd"} 3.0' in text
        assert 'mailauth_connections{service="policyd"} 0.0' in text
        assert program.stop() == 0
        assert not folder.exists()


def test_metrics_are_there_while_a_worker_starts(tmp_path: Path) -> None:
    """A worker opens a file for its counters, and gives it a size then: who asks between finds it empty."""
    port = free_port()
    with workers(tmp_path, f'metrics = "inet:127.0.0.1:{port}"', {"TMPDIR": str(tmp_path)}) as program:
        (folder,) = tmp_path.glob("mailauth-metrics-*")
        for name in ("counter_2.db", "gauge_livesum_2.db"):
            (folder / name).touch()
        status, text = get(port, "/metrics")
        assert status == 200
        assert 'mailauth_connections{service="policyd"} 0.0' in text
        assert program.stop() == 0
        assert "Traceback" not in program.log


def test_the_counters_of_workers_are_not_cleaned_away(tmp_path: Path) -> None:
    """systemd-tmpfiles leaves a directory alone that is locked (tmpfiles.d(5)), however old its files are."""
    with workers(tmp_path, f'metrics = "inet:127.0.0.1:{free_port()}"', {"TMPDIR": str(tmp_path)}):
        (folder,) = tmp_path.glob("mailauth-metrics-*")
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)


def test_where_no_worker_can_start_any_more_the_service_ends(tmp_path: Path) -> None:
    """What they read at their start has gone. As long as one of them runs, the service goes on."""
    with workers(tmp_path) as program:
        (tmp_path / "zone").unlink()
        first, second = children(program)
        os.kill(first, signal.SIGKILL)
        program.wait_for_log("a worker cannot serve: .*zone", 2)
        with connect(tmp_path / "policyd.sock") as connection:
            assert ask(connection) == GREYLISTED
        os.kill(second, signal.SIGKILL)
        assert program.wait(60) == 1
        assert "no worker can serve" in program.log


def test_workers_log_each_mistake(tmp_path: Path) -> None:
    with workers(tmp_path) as program:
        program.file.write_text('hostname = "mx.mailbox.test"\nfirst = 1\nsecond = 2\n')
        program.signal(signal.SIGHUP)
        program.wait_for_log("the configuration stays as it was")
        assert "mailauth.toml:2: first: unknown key" in program.log
        assert "error mailauth.toml:3: second: unknown key".replace("mailauth", f"{tmp_path}/mailauth") in program.log


def test_while_workers_end_nobody_waits_in_vain(tmp_path: Path) -> None:
    with workers(tmp_path) as program, connect(tmp_path / "policyd.sock") as connection:
        connection.sendall(request()[:40])
        time.sleep(0.2)
        program.signal(signal.SIGTERM)
        program.wait_for_log("ending", 2)
        with pytest.raises((FileNotFoundError, ConnectionRefusedError)):
            connect(tmp_path / "policyd.sock")
        connection.sendall(request()[40:])
        assert connection.recv(4096) == f"action={GREYLISTED}\n\n".encode()
        assert program.wait() == 0


def test_workers_end_once_however_often_they_are_told(tmp_path: Path) -> None:
    with workers(tmp_path) as program, connect(tmp_path / "policyd.sock") as connection:
        connection.sendall(request()[:40])
        time.sleep(0.2)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            program.signal(number)
            time.sleep(0.05)
        program.wait_for_log("ending", 2)
        connection.sendall(request()[40:])
        assert connection.recv(4096) == f"action={GREYLISTED}\n\n".encode()
        assert program.wait() == 0
        assert "Traceback" not in program.log


def test_a_file_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    with serving("policyd", tmp_path, POLICYD.format(folder=tmp_path)) as program:
        program.file.unlink()
        program.signal(signal.SIGHUP)
        program.wait_for_log(f"stays as it was: cannot read {program.file}: No such file or directory\n")
        with connect(tmp_path / "policyd.sock") as connection:
            assert ask(connection) == GREYLISTED


# --- signals ---------------------------------------------------------------------------------------------------


def test_sighup_during_the_start_is_obeyed_afterwards(tmp_path: Path) -> None:
    """Its zone comes through a pipe, so that it is seen when it has begun to read its configuration."""
    program = Program("policyd", tmp_path, POLICYD.format(folder=tmp_path))
    zone = tmp_path / "zone"
    text = zone.read_bytes()
    zone.unlink()
    os.mkfifo(zone)
    ended = threading.Event()

    def write(first: bool) -> None:
        while not ended.is_set():
            time.sleep(0.05)  # so that the reader sees the end
            try:
                pipe = os.open(zone, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                continue  # nobody reads yet
            if first:
                assert program.process is not None
                program.signal(signal.SIGHUP)
                first = False
            os.write(pipe, text)
            os.close(pipe)

    thread = threading.Thread(target=write, args=(True,))
    try:
        thread.start()
        program.start()
        program.wait_for_log("was read again")
        assert program.stop() == 0
    finally:
        program.kill()
        ended.set()
        thread.join(20)


def test_ending_is_the_last_that_the_manager_hears(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        program = Program("policyd", tmp_path, POLICYD.format(folder=tmp_path))
        try:
            program.start(environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
            assert manager.recv(1000).startswith(b"READY=1")
            program.file.unlink()
            os.mkfifo(program.file)  # whoever reads it waits
            program.signal(signal.SIGHUP)
            assert manager.recv(1000).startswith(b"RELOADING=1")
            program.signal(signal.SIGTERM)
            assert manager.recv(1000) == b"STOPPING=1"
            program.signal(signal.SIGHUP)
            program.file.write_text("")
            assert program.wait() == 0
            manager.settimeout(0)
            with pytest.raises(BlockingIOError):
                manager.recv(1000)
        finally:
            program.kill()


# --- the log ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("redirections", ["2>/dev/full", "2>&-", "<&- >&- 2>&-"])
def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path, redirections: str) -> None:
    program = Program("policyd", tmp_path, POLICYD.format(folder=tmp_path))
    command = ["sh", "-c", f'exec "$@" {redirections}', "sh", *program.words()]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": SOURCES}) as process:
        try:
            end = time.monotonic() + 20
            while True:
                assert time.monotonic() < end
                assert process.poll() is None
                try:
                    connection = connect(tmp_path / "policyd.sock")
                    break
                except OSError:
                    time.sleep(0.02)
            with connection:
                for number in range(100):
                    assert ask(connection, instance=str(number)) == GREYLISTED
                    process.send_signal(signal.SIGHUP)
            process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()


def test_once_with_standard_error_closed(tmp_path: Path) -> None:
    program = Program("policyd", tmp_path, POLICYD.format(folder=tmp_path))
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", *program.words("--once")]
    done = subprocess.run(command, input=request(), stdout=subprocess.PIPE, timeout=60, check=False)
    assert (done.returncode, done.stdout.decode()) == (0, f"action={GREYLISTED}\n\n")


def test_once_needs_no_socket_and_takes_files(tmp_path: Path) -> None:
    program = Program("policyd", tmp_path, "[policyd]\nlisten = []\n")
    (tmp_path / "requests").write_bytes(2 * request())
    with (tmp_path / "requests").open("rb") as requests, (tmp_path / "replies").open("wb") as replies:
        done = subprocess.run(program.words("--once"), stdin=requests, stdout=replies, timeout=60, check=False)
    assert done.returncode == 0
    first, second, rest = (tmp_path / "replies").read_text().split("\n\n")
    assert (first[:28], second, rest) == ("action=PREPEND Received-SPF:", "action=DUNNO", "")


# --- connections -----------------------------------------------------------------------------------------------


def test_more_connections_than_files(tmp_path: Path) -> None:
    """Those that are there are served, the others let go; questions to the DNS and stores find files, too."""
    program = Program("policyd", tmp_path, POLICYD.format(folder=tmp_path))
    with contextlib.ExitStack() as opened:
        opened.callback(program.kill)
        program.start(["sh", "-c", 'ulimit -n 64; exec "$@"', "sh"])
        path = tmp_path / "policyd.sock"
        first = opened.enter_context(connect(path))
        assert ask(first) == GREYLISTED
        for _ in range(150):
            opened.enter_context(connect(path))
        program.wait_for_log("policyd: connections are refused: 32 are open, and this process may open 64 files")
        last = opened.enter_context(connect(path))
        with pytest.raises((AssertionError, ConnectionError)):
            ask(last)
        assert ask(first, instance="second", sender="ben@client.test") == GREYLISTED
        assert program.log.count("\n") < 10
        assert "Traceback" not in program.log


def test_after_too_many_connections_all_is_as_before(tmp_path: Path) -> None:
    program = Program("policyd", tmp_path, POLICYD.format(folder=tmp_path))
    try:
        program.start(["sh", "-c", 'ulimit -n 64; exec "$@"', "sh"])
        many = [connect(tmp_path / "policyd.sock") for _ in range(100)]
        program.wait_for_log("connections are refused")
        for each in many:
            each.close()
        end = time.monotonic() + 20
        while True:
            try:
                with connect(tmp_path / "policyd.sock") as connection:
                    assert ask(connection) == GREYLISTED
                break
            except (AssertionError, ConnectionError):
                assert time.monotonic() < end
                time.sleep(0.05)
        assert program.stop() == 0
    finally:
        program.kill()


def test_a_socket_is_for_one_service(tmp_path: Path) -> None:
    twice = f"unix:{tmp_path}/s"
    config = f'[policyd]\nlisten = ["{twice}"]\n[milter]\nlisten = ["inet::0"]\nlisten_verify = ["{twice}"]\n'
    program = Program("serve", tmp_path, config)
    done = subprocess.run(program.words(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith(
        f"mailauth.toml:6: milter.listen_verify[0]: {twice} is named twice: each list needs sockets of its own\n"
    )
