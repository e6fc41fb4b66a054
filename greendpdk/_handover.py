"""Sockets on their way to another process: the kernel can carry a number, and not what the stack has behind it.

Called by _blocking.py (sendmsg), _making.py and socket.py (a number that comes in), _fds.py (the name of a stand-in);
calls the kernel (_libc.py). Without this the other process would hold one end of a socketpair that never says anything.

    sent, over AF_UNIX (send_fds, multiprocessing)        refused where it is sent
    inherited (WERKZEUG_SERVER_FD, LISTEN_FDS, pass_fds)  refused where it is taken up: a stand-in has a name
"""

from __future__ import annotations

import _socket
import errno
from array import array
from collections.abc import Iterable
from typing import Any

from greendpdk import _libc

_NAME = b"\0greendpdk/"  # in the abstract namespace (unix(7)), then the pid and the inode
_INT = array("i").itemsize
_RIGHTS = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS)
_ADVICE = "open it in the process that uses it, or let the process that has it pass on the bytes"


def name(pid: int, inode: int) -> bytes:
    """Make the address that a stand-in is bound to."""
    return _NAME + b"%d/%d" % (pid, inode)


def refuse_to_send(ancdata: Iterable[Any]) -> list[Any]:
    """Return the control messages of a sendmsg; OSError (EOPNOTSUPP) if there is a number of ours among them."""
    from greendpdk import _fds

    messages = list(ancdata)
    for message in messages:
        try:
            level, kind, data = message
        except (TypeError, ValueError):
            continue  # the kernel's sendmsg() says what is wrong with it
        if (level, kind) == _RIGHTS:
            raw = bytes(memoryview(data))
            for fd in array("i", raw[: len(raw) // _INT * _INT]):
                end = _fds.endpoint(fd)
                if end is not None and end.c is not None:
                    raise _error(f"fd {fd} is a socket of greendpdk's stack, which lives in this process: {_ADVICE}")
    return messages


def refuse_to_receive(fd: int) -> None:
    """Raise OSError (EOPNOTSUPP) if a number that is not ours stands for a socket of another process's stack."""
    bound = _libc.unix_name(fd)
    if bound.startswith(_NAME):
        pid = bound[len(_NAME) :].partition(b"/")[0].decode()
        raise _error(f"fd {fd} stands for a socket of greendpdk's stack in process {pid}, and can only be used there: "
                     f"{_ADVICE}")  # fmt: skip


def _error(text: str) -> OSError:
    return OSError(errno.EOPNOTSUPP, text)
