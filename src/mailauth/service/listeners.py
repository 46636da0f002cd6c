"""`Listeners`: the sockets of a service, made here or handed over by systemd."""

# SECURITY: a unix socket is never open to more than its mode says, not even between its making and the change of its
# mode. A file that is no socket, and a socket that somebody serves, are never taken away.

from __future__ import annotations

import contextlib
import errno
import grp
import os
import socket
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mailauth.config import ListenAddress, ServiceConfig, parse_listen

BACKLOG = 1024
"""Connections that may wait to be accepted; the kernel's own bound (net.core.somaxconn) holds as well."""
_FIRST_DESCRIPTOR = 3  # sd_listen_fds(3)


class Listeners:
    """The sockets of some listen addresses, by address. `close` closes them, and removes the unix sockets made here.

    `addresses` are in the notation of `mailauth.config.parse_listen`. Raises `ValueError` for a bad address, and for a
    name that systemd hands no socket over for; `OSError`, with words, where it cannot be listened.
    """

    def __init__(self, addresses: Iterable[str], config: ServiceConfig) -> None:
        self.sockets: dict[str, tuple[socket.socket, ...]] = {}
        self._made: list[tuple[str, int]] = []  # unix sockets: path and inode
        self._config = config
        activated = _activated(os.environ)
        try:
            for text in addresses:
                if text not in self.sockets:
                    self.sockets[text] = tuple(self._open(parse_listen(text), activated))
        except BaseException:
            self.close()
            raise
        finally:
            taken = {each for sockets in self.sockets.values() for each in sockets}
            for each in {each for sockets in activated.values() for each in sockets} - taken:
                each.close()

    def close(self) -> None:
        """Close the sockets. What somebody else put in the place of a unix socket meanwhile stays."""
        for sockets in self.sockets.values():
            for each in sockets:
                each.close()
        for path, inode in self._made:
            with contextlib.suppress(FileNotFoundError):  # somebody has removed it already
                if os.stat(path).st_ino == inode:
                    os.unlink(path)
        self._made = []

    def _open(self, address: ListenAddress, activated: Mapping[str, list[socket.socket]]) -> Iterable[socket.socket]:
        if address.kind == "systemd":
            if address.name not in activated:
                names = ", ".join(activated) or "none"
                raise ValueError(
                    f"systemd hands over no socket of the name {address.name!r} (FileDescriptorName=): {names}"
                )
            for each in activated[address.name]:
                if not each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    raise ValueError(f"the socket {address.name!r} of systemd does not listen: Accept=no is needed")
            return activated[address.name]
        if address.kind == "unix":
            return [self._unix(address.path)]
        return _inet(address)

    def _unix(self, path: str) -> socket.socket:
        mode, group = int(self._config.socket_mode, 8), self._group()
        _make_folder(Path(path).parent, group)
        _remove_stale(path)
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o777)  # nobody connects before owner and mode are right
        try:
            made.bind(path)
        except OSError as error:
            made.close()
            raise OSError(error.errno, f"cannot listen at unix:{path}: {error.strerror}") from None
        finally:
            os.umask(mask)
        self._made.append((path, os.stat(path).st_ino))
        try:
            if group is not None:
                os.chown(path, -1, group)
            os.chmod(path, mode)
        except OSError as error:
            made.close()
            words = f"cannot give unix:{path} to the group {self._config.socket_group}: {error.strerror}"
            raise OSError(error.errno, f"{words}; is this user a member of it?") from None
        made.listen(BACKLOG)
        return made

    def _group(self) -> int | None:
        name = self._config.socket_group
        if name is None:
            return None
        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            raise ValueError(f"service.socket_group: there is no group {name!r}") from None


def _make_folder(folder: Path, group: int | None) -> None:
    """The folder of a unix socket: made where it is missing, for this user and the group alone; else left as it is."""
    if folder.is_dir():
        return
    try:
        folder.mkdir(mode=0o700)
        folder.chmod(0o750)  # whatever the umask is
        if group is not None:
            os.chown(folder, -1, group)
    except OSError as error:
        raise OSError(error.errno, f"cannot make the folder {folder} of the socket: {error.strerror}") from None


def _remove_stale(path: str) -> None:
    """Take away the socket that an earlier process left behind. Raises `OSError` if it is anything else."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise OSError(error.errno, f"cannot listen at unix:{path}: {error.strerror}") from None
    if not stat.S_ISSOCK(found.st_mode):
        raise FileExistsError(f"cannot listen at unix:{path}: there is a file that is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.settimeout(1)
        try:
            trial.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except (BlockingIOError, TimeoutError):
            pass  # it has more connections waiting than it takes
        except OSError as error:
            raise OSError(error.errno, f"cannot listen at unix:{path}: {error.strerror}") from None
    raise FileExistsError(f"cannot listen at unix:{path}: another process serves it")


_NO_SUCH_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def _inet(address: ListenAddress) -> Iterable[socket.socket]:
    """A socket for each address of the host; without a host, one for all addresses, IPv6 and IPv4.

    A machine may have no IPv6 although the host has: the others of several addresses suffice.
    """
    where = f"inet:{'[' + address.host + ']' if ':' in address.host else address.host}:{address.port}"
    made: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        missing: OSError | None = None
        for family, kind, protocol, _, place in sorted(set(found)):
            try:
                made.append(_bound(socket.socket(family, kind, protocol), place))
            except OSError as error:
                if error.errno not in _NO_SUCH_FAMILY:
                    raise
                missing = error
        if missing is not None and not made:
            raise missing
        for each in made:
            each.listen(BACKLOG)
    except OSError as error:
        for each in made:
            each.close()
        raise OSError(error.errno, f"cannot listen at {where}: {error.strerror}") from None
    return made


def _bound(made: socket.socket, place: Any) -> socket.socket:
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if made.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(place)
    except OSError:
        made.close()
        raise
    return made


def _activated(environment: Mapping[str, str]) -> dict[str, list[socket.socket]]:
    """The sockets that systemd hands over, by their names (sd_listen_fds(3))."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return {}
    count = int(environment.get("LISTEN_FDS", "0"))
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    found: dict[str, list[socket.socket]] = {}
    for index in range(count):
        descriptor = _FIRST_DESCRIPTOR + index
        os.set_inheritable(descriptor, False)
        name = names[index] if index < len(names) and names[index] else "unknown"
        found.setdefault(name, []).append(socket.socket(fileno=descriptor))
    return found
