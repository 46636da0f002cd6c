"""Sockets: who may connect, what is taken away, and what is said where one cannot be had."""

from __future__ import annotations

import grp
import os
import socket
import stat
from pathlib import Path

import pytest

from mailauth.config import ServiceConfig, parse_listen
from mailauth.service import Listeners

GROUP = grp.getgrgid(os.getgid()).gr_name


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("inet:127.0.0.1:10040", ("inet", "127.0.0.1", 10040, "", "")),
        ("inet:[2001:db8::1]:25", ("inet", "2001:db8::1", 25, "", "")),
        ("inet::10040", ("inet", "", 10040, "", "")),
        ("inet:localhost:0", ("inet", "localhost", 0, "", "")),
        ("unix:/run/mailauth/policyd.sock", ("unix", "", 0, "/run/mailauth/policyd.sock", "")),
        ("systemd:policyd", ("systemd", "", 0, "", "policyd")),
    ],
)
def test_addresses(text: str, address: tuple[object, ...]) -> None:
    assert parse_listen(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:25",
        "inet:127.0.0.1",
        "inet:127.0.0.1:65536",
        "inet:a b:25",
        "inet:127.0.0.1:x",
        "unix:relative",
        "unix:",
        "unix:/a\0b",
        "unix:/" + 107 * "a",
        "systemd:",
        "systemd:a:b",
        "local:/run/x",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError):
        parse_listen(text)


def unix(path: Path, **config: str) -> Listeners:
    return Listeners([f"unix:{path}"], ServiceConfig(**config))  # type: ignore[arg-type]


def test_a_unix_socket_has_its_mode_and_group_and_goes_away(tmp_path: Path) -> None:
    path = tmp_path / "run/policyd.sock"
    listeners = unix(path, socket_mode="0620", socket_group=GROUP)
    found = path.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o620, os.getgid())
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    listeners.close()
    assert not path.exists()


def test_the_folder_is_open_to_the_group_whatever_the_umask(tmp_path: Path) -> None:
    mask = os.umask(0o077)
    try:
        unix(tmp_path / "run/s", socket_group=GROUP).close()
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o750


def test_a_folder_that_exists_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    unix(tmp_path / "s").close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o711


def test_a_socket_that_nobody_serves_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "s"))
    listeners = unix(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s"))
    listeners.close()


def test_a_socket_that_is_served_stays(tmp_path: Path) -> None:
    first = unix(tmp_path / "s")
    with pytest.raises(FileExistsError, match="another process serves it"):
        unix(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s"))
    first.close()


def test_a_socket_whose_server_is_busy_stays(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(str(tmp_path / "s"))
        busy.listen(0)
        waiting.connect(str(tmp_path / "s"))
        with pytest.raises(FileExistsError, match="another process serves it"):
            unix(tmp_path / "s")
    assert (tmp_path / "s").exists()


def test_a_file_stays(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")
    with pytest.raises(FileExistsError, match="a file that is no socket"):
        unix(tmp_path / "s")
    assert (tmp_path / "s").read_text() == "precious"


def test_a_socket_that_another_process_put_there_meanwhile_stays(tmp_path: Path) -> None:
    first = unix(tmp_path / "s")
    (tmp_path / "s").rename(tmp_path / "old")
    second = unix(tmp_path / "s")
    first.close()
    assert (tmp_path / "s").exists()
    second.close()


def test_what_cannot_be_had_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no group 'no-such-group'"):
        unix(tmp_path / "s", socket_group="no-such-group")
    with pytest.raises(OSError, match=r"cannot make the folder .*/a/b"):
        unix(tmp_path / "a/b/s")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen at inet:127.0.0.1:{port}: Address already in use"):
            Listeners([f"inet:127.0.0.1:{port}"], ServiceConfig())
    with pytest.raises(OSError, match=r"cannot listen at inet:\[2001:db8::1\]:0"):
        Listeners(["inet:[2001:db8::1]:0"], ServiceConfig())
    with pytest.raises(ValueError, match=r"no socket of the name 'x'.*none"):
        Listeners(["systemd:x"], ServiceConfig())


def test_a_machine_without_ipv6_listens_at_the_other_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """ "localhost" has both families, and without a host getaddrinfo gives both, whatever the kernel has."""
    found = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 0, 0, 0)),  # not of this machine
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: found)
    listeners = Listeners(["inet::0"], ServiceConfig())
    (only,) = listeners.sockets["inet::0"]
    assert only.getsockname()[0] == "127.0.0.1"
    listeners.close()


def test_a_socket_of_systemd_must_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept=yes in a unit hands over a connection."""
    ours, theirs = socket.socketpair()
    monkeypatch.setattr("mailauth.service.listeners._FIRST_DESCRIPTOR", theirs.detach())
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_FDNAMES", "policyd")
    with ours, pytest.raises(ValueError, match="does not listen: Accept=no"):
        Listeners(["systemd:policyd"], ServiceConfig())


def test_nothing_stays_open_where_one_of_several_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        Listeners([f"unix:{tmp_path}/s", "systemd:x"], ServiceConfig())
    assert not (tmp_path / "s").exists()


def test_a_host_name_is_all_its_addresses() -> None:
    listeners = Listeners(["inet:localhost:0"], ServiceConfig())
    families = {each.family for each in listeners.sockets["inet:localhost:0"]}
    listeners.close()
    assert socket.AF_INET in families
