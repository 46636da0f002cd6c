"""Real database servers, started and stopped by the tests.

Private Redis and PostgreSQL servers for tests and benchmarks, each on a free port, with its data in a folder of its
own. They can be stopped, killed, frozen and started again.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.servers import free_port, missing, need, wait_for_tcp


class Server:
    """A server process that can be started again on the same port with the same data."""

    url: str
    last_signal = signal.SIGTERM
    """Ends it when its data is not needed any more."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.folder)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        wait_for_tcp(self.port)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT in good order (for both servers), SIGKILL as a crash."""
        if self.process is not None:
            self.thaw()
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    def freeze(self) -> None:
        """Stop it answering while its port stays open."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, how: signal.Signals) -> None:
        assert self.process is not None
        for pid in [self.process.pid, *_children(self.process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)


def _children(pid: int) -> list[int]:
    """All processes below one; the servers' own workers."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *_children(child)]
    return found


def _wait_until_gone(pids: list[int], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    for pid in pids:
        while _runs(pid):
            assert time.monotonic() < end, f"process {pid} does not end"
            time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        # The state stands behind the name, which may hold anything; a zombie waits for its parent only.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False


class RedisServer(Server):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.program = need("redis-server", "redis-server")
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        settings = {"port": self.port, "bind": "127.0.0.1", "dir": self.folder, "save": "", "appendonly": "yes"}
        return [self.program, *(word for key, value in settings.items() for word in (f"--{key}", str(value)))]


class PostgresServer(Server):
    """PostgreSQL refuses to run as root; then it runs as the user that its Debian package has made."""

    last_signal = signal.SIGQUIT  # at once, without a checkpoint

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.programs = _postgres_programs()
        self.data = folder / "data"
        self.as_user: list[str] = []
        if os.geteuid() == 0:
            self._become_postgres()
        make = [self.programs / "initdb", "--no-sync", "--auth=trust", "--username=mailauth", "--locale=C.UTF-8"]
        done = subprocess.run(
            [*self.as_user, *map(str, make), str(self.data)], capture_output=True, text=True, cwd=folder, check=False
        )
        assert done.returncode == 0, done.stderr
        self.url = f"postgresql://mailauth@127.0.0.1:{self.port}/postgres"

    def _become_postgres(self) -> None:
        setpriv = need("setpriv", "util-linux")
        try:
            user = pwd.getpwnam("postgres")
        except KeyError:
            missing("there is no user postgres (Debian: apt-get install postgresql)")
            raise
        self.as_user = [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        os.chown(self.folder, user.pw_uid, user.pw_gid)

    def command(self) -> list[str]:
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}"]
        options = [word for setting in settings for word in ("-c", setting)]
        return [*self.as_user, str(self.programs / "postgres"), "-D", str(self.data), *options]

    def wait_until_ready(self) -> None:
        super().wait_until_ready()
        ask = [str(self.programs / "pg_isready"), "--quiet", "--host=127.0.0.1", f"--port={self.port}"]
        end = time.monotonic() + 30
        while subprocess.run(ask, check=False).returncode:
            assert self.process is not None
            running = self.process.poll() is None and time.monotonic() < end
            assert running, (self.folder / "server.log").read_text()
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        workers = _children(self.process.pid) if self.process is not None else []
        super().stop(how)
        if how == signal.SIGKILL:
            # A killed postmaster leaves its lock file, and workers that hold its shared memory for a while.
            for pid in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            _wait_until_gone(workers)
            (self.data / "postmaster.pid").unlink(missing_ok=True)


def _postgres_programs() -> Path:
    """Debian keeps the server's programs out of the way, one folder for each major version."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if places:
        return places[-1].parent
    return Path(need("postgres", "postgresql")).parent


@contextlib.contextmanager
def running_server(kind: type[Server]) -> Iterator[Server]:
    """A server in a folder of its own, until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="mailauth-"))
    folder.chmod(0o755)
    server: Server | None = None
    try:
        server = kind(folder)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop(server.last_signal)
        shutil.rmtree(folder, ignore_errors=True)
