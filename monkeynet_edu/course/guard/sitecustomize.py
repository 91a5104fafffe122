"""Loaded by every Python that a guarded run starts: no network, and nothing under MONKEYNET_GUARD is written.

File modes alone would not do: whoever runs tests as root may write everywhere.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

_CHANGES = {
    "os.mkdir",
    "os.rmdir",
    "os.remove",
    "os.rename",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "os.utime",
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_LOCAL = ("127.", "::1", "localhost")


def _deny_network(event: str, arguments: tuple[Any, ...]) -> None:
    host = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
    if isinstance(host, tuple):
        host = host[0]
    elif event != "socket.getaddrinfo":
        return  # a Unix socket is named by a path
    if host is not None and not str(host).startswith(_LOCAL):
        raise OSError(errno.ENETUNREACH, f"no network in this run: {host}")


def _deny_writing(event: str, arguments: tuple[Any, ...], protected: str) -> None:
    if event == "open":
        _, mode, flags = arguments
        if not (set(mode or "") & set("wax+") or (flags or 0) & _WRITING):
            return
    base = os.getcwd() if event in ("open", "os.truncate") else _folder(arguments[-1])
    for path in arguments[: 1 if event == "open" else 2]:
        if isinstance(path, str | bytes | os.PathLike):
            whole = os.path.abspath(os.path.join(base, os.fsdecode(path)))
            if whole == protected or whole.startswith(protected + os.sep):
                raise OSError(errno.EROFS, "the checkout is read-only in this run", whole)


def _folder(dir_fd: Any) -> str:
    """What a relative path is relative to: an open folder where one is given (`shutil.rmtree` works that way)."""
    if isinstance(dir_fd, int) and dir_fd >= 0:
        try:
            return os.readlink(f"/proc/self/fd/{dir_fd}")
        except OSError:
            return os.sep  # a system that does not tell: let it pass
    return os.getcwd()


def _install(protected: str) -> None:
    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
            _deny_network(event, arguments)
        elif event == "open" or event in _CHANGES:
            _deny_writing(event, arguments, protected)

    sys.addaudithook(hook)


if os.environ.get("MONKEYNET_GUARD"):
    _install(os.path.abspath(os.environ["MONKEYNET_GUARD"]))
