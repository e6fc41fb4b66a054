"""SO_BINDTODEVICE: the name of a port or of the loopback, on the kernel's sockets and on ours; whose it is then."""
from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import Any

import pytest
from test_whose import KERNEL, STACK, script

SOL, DEVICE = 1, 25


def test_socket_is_bound_to_the_loopback_by_name(net: SimpleNamespace, listener: Any) -> None:
    with net.socket.socket() as sock:
        assert sock.getsockopt(SOL, DEVICE, 16) == b""
        sock.setsockopt(SOL, DEVICE, b"lo\0")
        assert sock.getsockopt(SOL, DEVICE, 16) == b"lo\0"
        sock.connect(listener.getsockname())
        assert listener.accept()[0].close() is None
        sock.setsockopt(SOL, DEVICE, b"")
        assert sock.getsockopt(SOL, DEVICE, 16) == b""


def test_unknown_device_is_refused(net: SimpleNamespace, sock: Any) -> None:
    with pytest.raises(OSError) as caught:
        sock.setsockopt(SOL, DEVICE, b"no-such-device")
    assert caught.value.errno == errno.ENODEV


def test_wildcard_bound_to_a_device_of_the_stack_is_the_stack_s_alone() -> None:
    script(STACK, """
        for kind_of in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            sock = socket.socket(type=kind_of)
            sock.setsockopt(socket.SOL_SOCKET, 25, b"lo")
            sock.bind(("0.0.0.0", 0))
            assert kind(sock) == "stack"
            sock.close()
            late = socket.socket(type=kind_of)
            late.bind(("0.0.0.0", 0))
            assert kind(late) == "both"
            late.setsockopt(socket.SOL_SOCKET, 25, b"lo")
            assert kind(late) == "stack"
            late.close()
            far = socket.socket(type=socket.SOCK_DGRAM)
            far.setsockopt(socket.SOL_SOCKET, 25, b"lo")
            far.setsockopt(socket.SOL_SOCKET, 25, b"")
            far.bind(("0.0.0.0", 0))
            assert kind(far) == "both"
            far.close()
    """)


def test_device_of_the_kernel_makes_the_socket_the_kernel_s() -> None:
    script(KERNEL, """
        for kind_of in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            sock = socket.socket(type=kind_of)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.SOL_SOCKET, 25, b"lo")
            assert sock.getsockopt(socket.SOL_SOCKET, 25, 16) == b"lo\\0"
            sock.bind(("0.0.0.0", 0))
            assert kind(sock) == "kernel"
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            sock.close()
        sock = socket.socket()
        try:
            sock.setsockopt(socket.SOL_SOCKET, 25, b"no-such")
        except OSError as error:
            assert error.errno == errno.ENODEV
        assert kind(sock) == "stack"
        sock.close()
    """)
