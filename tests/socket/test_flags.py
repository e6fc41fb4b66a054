"""Every flag of send and recv, on streams and datagrams: the result or the errno that Linux gives; and what MSG_MORE
makes of several sends (tcp(7), udp(7))."""
from __future__ import annotations

import errno
import socket as std

import pytest

FLAGS = {name: int(getattr(std, name)) for name in dir(std) if name.startswith("MSG_")}
FLAGS |= {"none": 0, "MSG_ZEROCOPY": 0x4000000, "MSG_BATCH": 0x40000, "MSG_FASTOPEN": std.MSG_FASTOPEN}
EAGAIN, EINVAL = errno.EAGAIN, errno.EINVAL
UDP_CORK = 1  # <linux/udp.h>

# What differs from the rule beside it, by flag.
RECV_STREAM = {"MSG_OOB": EINVAL, "MSG_ERRQUEUE": EAGAIN}  # else b"abc"
RECV_DATAGRAM = {"MSG_ERRQUEUE": EAGAIN}  # else b"abc"
RECV_EMPTY_STREAM = {"MSG_OOB": EINVAL}  # else EAGAIN
RECV_FRESH_STREAM = {"MSG_OOB": EINVAL, "MSG_ERRQUEUE": EAGAIN}  # else ENOTCONN
SEND_STREAM = {"MSG_FASTOPEN": errno.EISCONN}  # else 3
SEND_DATAGRAM = {"MSG_OOB": errno.EOPNOTSUPP}  # else 3
SEND_FRESH_STREAM = {"MSG_FASTOPEN": EINVAL}  # else EPIPE
SEND_FRESH_DATAGRAM = {"MSG_OOB": errno.EOPNOTSUPP}  # else EDESTADDRREQ
STAYS = ("MSG_PEEK", "MSG_ERRQUEUE")  # received, it is there once more
flagged = pytest.mark.parametrize("flag", FLAGS)


def outcome(call, *args):
    """Return what a call gives, or its errno."""
    try:
        return call(*args)
    except OSError as error:
        return error.errno


def arrive(sock, net):
    """Wait until something can be read, and never again."""
    assert net.select.select([sock], [], [], 5)[0] == [sock]
    sock.setblocking(False)


@flagged
def test_recv_on_a_stream(pair, net, flag):
    client, server = pair
    client.sendall(b"abc")
    arrive(server, net)
    got = outcome(server.recv, 10, FLAGS[flag])
    want = RECV_STREAM.get(flag, b"abc")
    if flag == "MSG_TRUNC":  # the bytes are thrown away, and what stands there instead is anything
        assert len(got) == 3
    else:
        assert got == want
    if flag in (*STAYS, "MSG_OOB"):
        assert server.recv(10) == b"abc"
    assert outcome(server.recv, 10, FLAGS[flag]) == RECV_EMPTY_STREAM.get(flag, EAGAIN)


@flagged
def test_recv_on_a_datagram_socket(udp, net, flag):
    a, b = udp
    a.sendto(b"abc", b.getsockname())
    arrive(b, net)
    assert outcome(b.recv, 10, FLAGS[flag]) == RECV_DATAGRAM.get(flag, b"abc")
    if flag in STAYS:
        assert b.recv(10) == b"abc"
    assert outcome(b.recv, 10, FLAGS[flag]) == EAGAIN


@flagged
def test_send_on_a_stream(pair, net, flag):
    client, server = pair
    client.setblocking(False)
    want = SEND_STREAM.get(flag, 3)
    assert outcome(client.send, b"xyz", FLAGS[flag]) == want
    assert client.send(b"!") == 1  # after MSG_MORE it takes the rest along
    whole = {3: b"xyz!", errno.EISCONN: b"!"}[want] if flag != "MSG_OOB" else b"xy!"
    got = b""
    server.settimeout(5)
    while len(got) < len(whole):
        got += server.recv(10)
    assert got == whole


@flagged
def test_send_on_a_datagram_socket(udp, net, flag):
    a, b = udp
    a.connect(b.getsockname())
    want = SEND_DATAGRAM.get(flag, 3)
    assert outcome(a.send, b"xyz", FLAGS[flag]) == want
    a.send(b"!")
    b.settimeout(5)
    got = [b.recv(10)]
    if want == 3 and flag != "MSG_MORE":
        got.append(b.recv(10))
    assert got == ([b"xyz!"] if flag == "MSG_MORE" else [b"xyz", b"!"] if want == 3 else [b"!"])


@flagged
def test_flags_of_fresh_sockets(net, flag):
    bits = FLAGS[flag]
    with net.socket.socket() as stream, net.socket.socket(type=std.SOCK_DGRAM) as datagram:
        for sock in (stream, datagram):
            sock.setblocking(False)
        assert outcome(stream.recv, 1, bits) == RECV_FRESH_STREAM.get(flag, errno.ENOTCONN)
        assert outcome(stream.send, b"x", bits) == SEND_FRESH_STREAM.get(flag, errno.EPIPE)
        assert outcome(datagram.recv, 1, bits) == EAGAIN
        assert outcome(datagram.send, b"x", bits) == SEND_FRESH_DATAGRAM.get(flag, errno.EDESTADDRREQ)


def test_fast_open_connects(listener, net):
    with net.socket.socket() as client:
        client.setblocking(False)
        assert outcome(client.sendto, b"x", std.MSG_FASTOPEN, listener.getsockname()) == errno.EINPROGRESS
        assert net.select.select([], [client], [], 5)[1] == [client]
        assert client.send(b"early") == 5
        with listener.accept()[0] as server:
            assert server.recv(10) == b"early"


def test_fast_open_that_may_wait_sends_as_well(stack):
    """As on Linux; gevent's own raises EINPROGRESS."""
    from greendpdk import socket

    with socket.socket() as listening, socket.socket() as client:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        assert client.sendto(b"early", std.MSG_FASTOPEN, listening.getsockname()) == 5
        with listening.accept()[0] as server:
            assert server.recv(10) == b"early"


def test_sends_with_more_make_one_datagram(udp):
    a, b = udp
    b.settimeout(5)
    a.sendto(b"one ", std.MSG_MORE, b.getsockname())
    assert a.send(b"two ", std.MSG_MORE) == 4
    assert a.sendto(b"three", 0, ("127.0.0.1", 9)) == 5  # where it goes was said
    a.sendto(b"next", b.getsockname())
    assert [b.recv(100), b.recv(100)] == [b"one two three", b"next"]


def test_empty_parts_make_an_empty_datagram(udp):
    a, b = udp
    b.settimeout(5)
    a.sendto(b"", std.MSG_MORE, b.getsockname())
    a.send(b"")
    a.sendto(b"next", b.getsockname())
    assert [b.recv(100), b.recv(100)] == [b"", b"next"]


def test_cork_holds_a_datagram_until_it_is_pulled(udp):
    a, b = udp
    b.settimeout(5)
    assert a.getsockopt(std.IPPROTO_UDP, UDP_CORK) == 0
    a.setsockopt(std.IPPROTO_UDP, UDP_CORK, 1)
    assert a.getsockopt(std.IPPROTO_UDP, UDP_CORK) == 1
    a.sendto(b"one ", b.getsockname())
    a.sendto(b"two", b.getsockname())
    a.setsockopt(std.IPPROTO_UDP, UDP_CORK, 0)
    a.sendto(b"three", b.getsockname())
    assert [b.recv(100), b.recv(100)] == [b"one two", b"three"]


def test_corked_datagram_that_gets_too_long_is_lost(udp):
    a, b = udp
    b.settimeout(5)
    a.sendto(bytes(40_000), std.MSG_MORE, b.getsockname())
    assert outcome(a.send, bytes(25_508), std.MSG_MORE) == errno.EMSGSIZE
    assert outcome(a.send, b"x") == errno.EDESTADDRREQ  # nothing waits, and nobody is connected
    a.sendto(bytes(40_000), std.MSG_MORE, b.getsockname())
    assert a.send(bytes(25_507)) == 25_507
    assert len(b.recv(70_000)) == 65_507


def test_corked_datagram_ends_with_its_socket(udp, net):
    _, b = udp
    b.settimeout(5)
    with net.socket.socket(type=std.SOCK_DGRAM) as sender:
        sender.sendto(b"never", std.MSG_MORE, b.getsockname())
    with net.socket.socket(type=std.SOCK_DGRAM) as sender:
        sender.sendto(b"sent", b.getsockname())
    assert b.recv(100) == b"sent"


def test_corked_datagram_leaves_a_shut_socket_all_the_same(udp):
    a, b = udp
    b.settimeout(5)
    a.connect(b.getsockname())
    a.send(b"one ", std.MSG_MORE)
    a.shutdown(std.SHUT_WR)
    assert a.send(b"two") == 3
    assert outcome(a.send, b"x") == errno.EPIPE
    assert b.recv(100) == b"one two"


def test_parts_of_a_datagram_come_to_what_ipv6_carries(net):
    """MSG_MORE: 65,527 bytes, 20 more than IPv4's."""
    make = net.socket.socket
    with make(net.socket.AF_INET6, net.socket.SOCK_DGRAM) as a, make(net.socket.AF_INET6, net.socket.SOCK_DGRAM) as b:
        b.bind(("::1", 0))
        a.connect(b.getsockname())
        a.send(bytes(40_000), 0x8000)
        assert a.send(bytes(25_527)) == 25_527
        assert len(b.recv(70_000)) == 65_527
        a.send(bytes(40_000), 0x8000)
        with pytest.raises(OSError) as caught:
            a.send(bytes(25_528))
        assert caught.value.errno == errno.EMSGSIZE
