"""A user's own tests. The same file runs in three ways:

    pytest examples/pytest_project                  on kernel sockets
    pytest --dpdk=memory examples/pytest_project    on greendpdk's own loopback: no device, no privilege
    pytest --dpdk examples/pytest_project           over net_tap, the kernel being the other side
"""
import socket
import threading
from collections.abc import Iterator

import pytest


def family_of(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@pytest.fixture
def greeter(dpdk_address: str) -> Iterator[tuple[str, int]]:
    """A service under test: greets whom it is told."""
    with socket.create_server((dpdk_address, 0), family=family_of(dpdk_address)) as listener:
        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.sendall(b"hello " + sock.recv(100))

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[:2]
        thread.join()


def greet(socket_class, address):
    with socket_class(family_of(address[0])) as sock:
        sock.connect(address)
        sock.sendall(b"world")
        return sock.recv(100)


def test_greeting(greeter, request):
    if request.config.getoption("dpdk") == "tap":
        dpdk_kernel = request.getfixturevalue("dpdk_kernel")
        assert dpdk_kernel(greet, greeter).result(10) == b"hello world"
    else:
        assert greet(socket.socket, greeter) == b"hello world"


def test_kernel_side_is_a_client(greeter, dpdk_kernel):
    assert dpdk_kernel(greet, greeter).result(10) == b"hello world"
