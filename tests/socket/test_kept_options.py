"""Options beside the well-known ones: what setsockopt takes, and what getsockopt then says, on the kernel and ours."""
from __future__ import annotations

import errno
import os
import struct
import time
from types import SimpleNamespace
from typing import Any

import pytest

SOL, IP, IPV6 = 1, 0, 41
STREAM, DGRAM = 1, 2
BOTH = (STREAM, DGRAM)
EINVAL, ENOPROTOOPT = errno.EINVAL, errno.ENOPROTOOPT

# level, name, types, at first, {set: then, or the errno of setsockopt}
TABLE = {
    "IP_PKTINFO": (IP, 8, BOTH, 0, {0: 0, 1: 1, 300: 1, b"\1": 1}),
    "IP_MTU_DISCOVER": (IP, 10, BOTH, 1, {0: 0, 3: 3, 6: EINVAL, -1: EINVAL}),
    "IP_RECVERR": (IP, 11, BOTH, 0, {0: 0, 2: 1}),
    "IP_RECVTTL": (IP, 12, BOTH, 0, {0: 0, 2: 1}),
    "IP_RECVTOS": (IP, 13, BOTH, 0, {0: 0, 2: 1}),
    "IP_TOS of a stream": (IP, 1, (STREAM,), 0, {1: 0, -1: 252, 300: 44}),
    "IP_TOS": (IP, 1, (DGRAM,), 0, {1: 1, -1: 255, 300: 44}),
    "IP_FREEBIND": (IP, 15, BOTH, 0, {0: 0, -1: 1, b"": EINVAL}),
    "IP_RECVORIGDSTADDR": (IP, 20, BOTH, 0, {0: 0, 2: 1}),
    "IP_MINTTL": (IP, 21, BOTH, 0, {0: 0, 2: 2, 256: EINVAL, -1: EINVAL}),
    "IP_BIND_ADDRESS_NO_PORT": (IP, 24, BOTH, 0, {0: 0, 2: 1}),
    "IP_MULTICAST_IF of a stream": (IP, 32, (STREAM,), 0, {0: EINVAL, 1: EINVAL}),
    "IP_MULTICAST_TTL of a stream": (IP, 33, (STREAM,), 1, {0: EINVAL, 1: EINVAL}),
    "IP_MULTICAST_LOOP": (IP, 34, BOTH, 1, {0: 0, 2: 1}),
    "IP_MULTICAST_ALL": (IP, 49, BOTH, 1, {0: 0, 1: 1, 2: EINVAL}),
    "IP_UNICAST_IF": (IP, 50, BOTH, 0, {0: 0, 300: errno.EADDRNOTAVAIL, b"x": EINVAL}),
    "IPV6_MULTICAST_IF of a stream": (IPV6, 17, (STREAM,), 0, {0: ENOPROTOOPT}),
    "IPV6_MULTICAST_HOPS of a stream": (IPV6, 18, (STREAM,), 1, {1: ENOPROTOOPT}),
    "IPV6_MULTICAST_LOOP": (IPV6, 19, BOTH, 1, {0: 0, 1: 1, 2: EINVAL}),
    "IPV6_MTU_DISCOVER": (IPV6, 23, BOTH, 1, {0: 0, 3: 3, 6: EINVAL, b"\1": EINVAL}),
    "IPV6_RECVERR": (IPV6, 25, BOTH, 0, {0: 0, 2: 1}),
    "IPV6_RECVPKTINFO": (IPV6, 49, BOTH, 0, {0: 0, 2: 1}),
    "IPV6_RECVHOPLIMIT": (IPV6, 51, BOTH, 0, {0: 0, 2: 1}),
    "IPV6_DONTFRAG": (IPV6, 62, BOTH, 0, {0: 0, 2: 1}),
    "IPV6_RECVTCLASS": (IPV6, 66, BOTH, 0, {0: 0, 2: 1}),
    "IPV6_AUTOFLOWLABEL": (IPV6, 70, BOTH, 1, {0: 0, 2: 1}),
    "IPV6_MINHOPCOUNT": (IPV6, 73, BOTH, 0, {0: 0, 2: 2, 256: EINVAL}),
    "IPV6_ORIGDSTADDR": (IPV6, 74, BOTH, 0, {0: 0, 2: 1}),
    "IPV6_UNICAST_IF": (IPV6, 76, BOTH, 0, {0: 0, 300: errno.EADDRNOTAVAIL}),
    "IPV6_FREEBIND": (IPV6, 78, BOTH, 0, {0: 0, 2: 1}),
    "SO_DONTROUTE": (SOL, 5, BOTH, 0, {0: 0, 2: 1}),
    "SO_NO_CHECK": (SOL, 11, BOTH, 0, {0: 0, 2: 1}),
    "SO_BSDCOMPAT": (SOL, 14, BOTH, 0, {0: 0, 2: 0}),
    "SO_TIMESTAMP": (SOL, 29, BOTH, 0, {0: 0, 2: 1, b"\1": EINVAL}),
    "SO_TIMESTAMPNS": (SOL, 35, BOTH, 0, {0: 0, 2: 1}),
    "SO_RXQ_OVFL": (SOL, 40, BOTH, 0, {0: 0, 2: 1}),
    "SO_BUSY_POLL": (SOL, 46, BOTH, 0, {0: 0, 2: 2, -1: EINVAL}),
    "SO_MAX_PACING_RATE": (SOL, 47, BOTH, -1, {0: 0, 300: 300, -1: -1, b"\1": EINVAL}),
    "SO_RCVBUF": (SOL, 8, (DGRAM,), 212992, {0: 2304, 5000: 10000}),
    "SO_SNDBUF": (SOL, 7, (DGRAM,), 212992, {0: 4608, 5000: 10000}),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_option_is_kept_and_shown(net: SimpleNamespace, name: str) -> None:
    level, option, types, at_first, cases = TABLE[name]
    for family in (net.socket.AF_INET, net.socket.AF_INET6) if level != IPV6 else (net.socket.AF_INET6,):
        for kind in types:
            if name == "IP_MULTICAST_ALL" and family != net.socket.AF_INET:
                continue  # Linux begins it with 0 there
            for value, then in cases.items():
                with net.socket.socket(family, kind) as sock:
                    assert sock.getsockopt(level, option) == at_first
                    try:
                        sock.setsockopt(level, option, value)
                    except OSError as error:
                        assert (value, error.errno) == (value, then)
                    else:
                        assert (value, sock.getsockopt(level, option)) == (value, then)


def test_options_of_ipv6_are_not_an_ipv4_socket_s(net: SimpleNamespace) -> None:
    for kind in BOTH:
        with net.socket.socket(type=kind) as sock:
            with pytest.raises(OSError) as caught:
                sock.setsockopt(IPV6, 49, 1)
            assert caught.value.errno == ENOPROTOOPT
            with pytest.raises(OSError) as caught:
                sock.getsockopt(IPV6, 49)
            assert caught.value.errno == errno.EOPNOTSUPP


# -- SO_RCVTIMEO, SO_SNDTIMEO ------------------------------------------------------------------------


@pytest.mark.parametrize("option", [20, 21])
def test_timeouts_are_kept_in_timeval(net: SimpleNamespace, sock: Any, option: int) -> None:
    assert sock.getsockopt(SOL, option, 16) == bytes(16)
    sock.setsockopt(SOL, option, struct.pack("ll", 3, 500000))
    assert sock.getsockopt(SOL, option, 16) == struct.pack("ll", 3, 500000)
    for value, number in ((b"x", EINVAL), (struct.pack("ll", 1, 1000000), errno.EDOM), (1, EINVAL)):
        with pytest.raises(OSError) as caught:
            sock.setsockopt(SOL, option, value)
        assert caught.value.errno == number
    sock.setsockopt(SOL, option, bytes(16))
    assert sock.getsockopt(SOL, option, 16) == bytes(16)


SOON = struct.pack("ll", 0, 20000)


@pytest.mark.parametrize("net", ["stack"], indirect=True)  # gevent's own never block in the kernel
def test_receive_of_a_blocking_socket_gives_up_as_the_option_says(
    net: SimpleNamespace, pair: tuple[Any, Any], udp: tuple[Any, Any], listener: Any
) -> None:
    for sock, call in ((pair[0], "recv"), (pair[0], "recvmsg"), (udp[0], "recvfrom"), (udp[0], "recv")):
        sock.setsockopt(SOL, 20, SOON)
        began = time.monotonic()
        with pytest.raises(BlockingIOError) as caught:
            getattr(sock, call)(10)
        assert caught.value.errno == errno.EAGAIN
        assert 0.015 < time.monotonic() - began < 5
    listener.setsockopt(SOL, 20, SOON)
    with pytest.raises(BlockingIOError):
        listener.accept()
    client = net.socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    with client, server, pytest.raises(BlockingIOError):
        server.recv(10)  # it takes the option over
    pair[0].settimeout(0.01)  # and with a timeout of its own the option is not asked
    with pytest.raises(TimeoutError):
        pair[0].recv(10)


@pytest.mark.parametrize("net", ["stack"], indirect=True)  # gevent's own never block in the kernel
def test_send_of_a_blocking_socket_gives_up_as_the_option_says(pair: tuple[Any, Any]) -> None:
    client, _ = pair
    client.setsockopt(SOL, 21, SOON)
    with pytest.raises(BlockingIOError):
        client.sendall(bytes(1 << 26))
    with pytest.raises(BlockingIOError):
        while True:
            client.send(bytes(1 << 16))


# -- ports and CPUs ----------------------------------------------------------------------------------


def test_bind_without_a_port_leaves_it_to_connect(net: SimpleNamespace, listener: Any) -> None:
    with net.socket.socket() as sock:
        sock.setsockopt(IP, 24, 1)
        sock.bind(("127.0.0.3", 0))
        assert sock.getsockname() == ("127.0.0.3", 0)
        sock.connect(listener.getsockname())
        assert sock.getsockname()[0] == "127.0.0.3"
        assert sock.getsockname()[1] > 0
        listener.accept()[0].close()


def test_port_range_bounds_what_is_chosen(net: SimpleNamespace) -> None:
    made = []
    for _ in range(4):
        sock = net.socket.socket(type=DGRAM)
        made.append(sock)
        sock.setsockopt(IP, 51, struct.pack("=HH", 40000, 40003))
        assert sock.getsockopt(IP, 51, 4) == struct.pack("=HH", 40000, 40003)
    for sock in made:
        try:
            sock.bind(("127.0.0.1", 0))
        except OSError as error:  # somebody else on this machine has one of them
            assert net.kind == "kernel" and error.errno == errno.EADDRINUSE
        else:
            assert 40000 <= sock.getsockname()[1] <= 40003
    with net.socket.socket(type=DGRAM) as sock:
        with pytest.raises(OSError) as caught:
            sock.setsockopt(IP, 51, struct.pack("=HH", 40003, 40000))
        assert caught.value.errno == EINVAL
    for sock in made:
        sock.close()


def test_cpu_is_told_of_a_connection_that_received(pair: tuple[Any, Any], sock: Any) -> None:
    assert sock.getsockopt(SOL, 49) == -1
    allowed = os.sched_getaffinity(0)
    try:
        for cpu in allowed:
            os.sched_setaffinity(0, {cpu})  # this thread polls the stack, and gives the kernel's loopback its packets
            pair[0].sendall(b"x")
            assert pair[1].recv(1) == b"x"
            assert pair[1].getsockopt(SOL, 49) == cpu
    finally:
        os.sched_setaffinity(0, allowed)


def test_mtu_of_a_connection_is_told(pair: tuple[Any, Any], sock: Any) -> None:
    assert pair[0].getsockopt(IP, 14) >= 1500
    with pytest.raises(OSError) as caught:
        sock.getsockopt(IP, 14)
    assert caught.value.errno == errno.ENOTCONN
