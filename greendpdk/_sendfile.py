"""sendfile(2) into a socket of the stack: os.sendfile by fd, socket.sendfile by object.

Called by monkey/_os.py and _blocking.py; calls _transfer.py for the stack's sockets, the kernel for its own. Into
the stack a file is read piece by piece, by offset as the kernel does, so the file's position stays.
"""

from __future__ import annotations

import errno
import io
import os
import socket
from typing import Any

from greendpdk._endpoint import Endpoint
from greendpdk._raw import RawSocket

_PIECE = 1 << 18  # read at once: what a send buffer has room for, on a path that has grown it
_AT_ONCE = 1 << 30  # CPython's socket.sendfile asks for no more in one call
_kernel_sendfile = os.sendfile


def into_fd(end: Endpoint, out_fd: int, in_fd: int, offset: int | None, count: int) -> int:
    """Do os.sendfile: send what there is room for; BlockingIOError if there is none, whatever the socket's timeout."""
    raw = RawSocket(end, out_fd)
    try:
        if count < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        start = _position(in_fd) if offset is None else offset
        sent = _copy(raw, in_fd, start, count)
        if sent is None:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        if offset is None:
            os.lseek(in_fd, start + sent, os.SEEK_SET)
        return sent
    finally:
        raw.detach()  # the number is the caller's


def _position(in_fd: int) -> int:
    try:
        return os.lseek(in_fd, 0, os.SEEK_CUR)
    except OSError as error:
        if error.errno != errno.ESPIPE:
            raise
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL)) from None  # a pipe or a socket; at an offset: ESPIPE


def by_the_kernel_or_by_send(sock: Any, file: Any, offset: int, count: int | None) -> int:
    """Do socket.sendfile: as sendfile(2), or where that does not go (TLS, no real file) by reading and sending."""
    try:
        return sock._sendfile_use_sendfile(file, offset, count)  # type: ignore[no-any-return]
    except socket._GiveupOnSendfile:  # type: ignore[attr-defined]
        return sock._sendfile_use_send(file, offset, count)  # type: ignore[no-any-return]


def into_socket(sock: Any, file: Any, offset: int, count: int | None) -> int:
    """Do socket.sendfile as CPython does where there is sendfile(2): wait as long as the socket's timeout says."""
    sock._check_sendfile_params(file, offset, count)
    if getattr(sock, "_sslobj", None) is not None:
        raise _giving_up(ValueError("TLS encrypts what it sends"))
    try:
        in_fd = file.fileno()
        size = os.fstat(in_fd).st_size
    except (AttributeError, io.UnsupportedOperation, OSError) as error:
        raise _giving_up(error) from error
    if not size:
        return 0
    if sock.gettimeout() == 0:
        raise ValueError("non-blocking sockets are not supported")
    total = 0
    try:
        while count is None or total < count:
            left = _AT_ONCE if count is None else min(count - total, _AT_ONCE)
            try:
                sent = sock._retry(True, 0, _attempt, sock, in_fd, offset + total, left)
            except TimeoutError:
                raise
            except OSError as error:
                if total:
                    raise
                raise _giving_up(error) from error  # not a file to be read by offset
            if not sent:
                break
            total += sent
        return total
    finally:
        if total and hasattr(file, "seek"):
            file.seek(offset + total)


def _giving_up(error: Exception) -> Exception:
    """Make what tells socket.sendfile, and CPython's tests, to read and send instead."""
    return socket._GiveupOnSendfile(error)  # type: ignore[attr-defined,no-any-return]


def _attempt(sock: Any, in_fd: int, offset: int, count: int) -> int | None:
    raw = sock._sock
    if raw.__class__ is RawSocket:
        return _copy(raw, in_fd, offset, count)
    try:
        return _kernel_sendfile(raw.fileno(), in_fd, offset, count)
    except BlockingIOError:
        return None


def _copy(raw: RawSocket, in_fd: int, offset: int, count: int) -> int | None:
    """Send from the file as much as goes at once; None if nothing does for now."""
    total = 0
    while total < count:
        piece = os.pread(in_fd, min(count - total, _PIECE), offset + total)
        if not piece:
            break
        sent = raw.try_send(piece)
        if sent is None:
            return total or None
        total += sent
        if sent < len(piece):
            break
    return total
