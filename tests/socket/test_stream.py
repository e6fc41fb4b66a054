"""Bytes of a connection: what is sent arrives, in order, with Linux's ends and errors."""
from __future__ import annotations

import errno
import io
import os
import socket as std
import struct
import tempfile
import time

import gevent
import pytest


def test_bytes_arrive_in_both_directions(pair):
    client, server = pair
    client.sendall(b"ping")
    assert server.recv(100) == b"ping"
    assert server.send(b"pong") == 4
    assert client.recv(100) == b"pong"


def test_recv_takes_no_more_than_it_is_asked_for(pair):
    client, server = pair
    client.sendall(b"abcdef")
    assert [server.recv(2), server.recv(2), server.recv(10)] == [b"ab", b"cd", b"ef"]


def test_megabytes_arrive_byte_exact(pair):
    client, server = pair
    data = os.urandom(1 << 20) * 8
    sender = gevent.spawn(client.sendall, data)
    got = bytearray()
    while len(got) < len(data):
        got += server.recv(100_000)
    sender.get()
    assert got == data


def test_sendall_takes_any_buffer(pair):
    client, server = pair
    client.sendall(bytearray(b"one"))
    client.sendall(memoryview(b"two"))
    client.sendall(memoryview(struct.pack("2H", 1, 2)).cast("H"))
    with server.makefile("rb") as stream:
        assert stream.read(10) == b"onetwo" + struct.pack("2H", 1, 2)
    client.sendall(b"")


def test_recv_into_writes_at_the_start_and_returns_the_count(pair):
    client, server = pair
    client.sendall(b"abc")
    buffer = bytearray(b"......")
    assert server.recv_into(buffer) == 3
    assert buffer == b"abc..."
    client.sendall(b"defg")
    assert server.recv_into(memoryview(buffer)[4:], 2) == 2
    assert buffer == b"abc.de"


def test_recv_of_nothing_returns_nothing(pair):
    client, server = pair
    client.sendall(b"x")
    assert server.recv(0) == b""
    assert server.recv(1) == b"x"


def test_peek_leaves_the_bytes(pair):
    client, server = pair
    client.sendall(b"abc")
    assert server.recv(2, std.MSG_PEEK) == b"ab"
    assert server.recv(10) == b"abc"


def test_waitall_waits_for_all(pair, net):
    client, server = pair
    reader = gevent.spawn(server.recv, 6, std.MSG_WAITALL)
    client.sendall(b"abc")
    gevent.sleep(0.01)
    assert not reader.ready()
    client.sendall(b"def")
    assert reader.get() == b"abcdef"


def test_waitall_returns_less_at_the_end(pair):
    client, server = pair
    client.sendall(b"abc")
    client.close()
    assert server.recv(6, std.MSG_WAITALL) == b"abc"


def test_nonblocking_recv_raises_eagain(pair):
    _, server = pair
    server.setblocking(False)
    with pytest.raises(BlockingIOError) as caught:
        server.recv(1)
    assert caught.value.errno == errno.EAGAIN


def test_nonblocking_send_raises_eagain_when_the_buffers_are_full(pair):
    client, server = pair
    client.setblocking(False)
    sent = 0
    with pytest.raises(BlockingIOError):
        for _ in range(10_000):
            sent += client.send(bytes(65536))
            gevent.sleep(0)
    got = 0
    while got < sent:
        got += len(server.recv(1 << 20))
    assert got == sent


def test_dontwait_does_not_wait(pair, net):
    with pytest.raises(BlockingIOError):
        pair[1].recv(1, std.MSG_DONTWAIT)


def test_recv_times_out(pair):
    _, server = pair
    server.settimeout(0.02)
    with pytest.raises(TimeoutError, match="timed out"):
        server.recv(1)


@pytest.mark.parametrize("net", ["stack"], indirect=True)  # gevent's own send what there is room for
@pytest.mark.parametrize("call", [
    lambda s, data: s.send(data), lambda s, data: s.sendmsg([b"", data[:9], data[9:]]),
    lambda s, data: s.sendto(data, s.getpeername()),
])  # fmt: skip
def test_a_blocking_send_returns_when_all_is_sent(pair, call):
    client, server = pair
    data = bytes(range(256)) * 40_000
    got = gevent.spawn(server.makefile("rb").read, len(data))
    assert call(client, data) == len(data)
    assert got.get() == data


@pytest.mark.parametrize("net", ["stack"], indirect=True)
@pytest.mark.parametrize("call", [lambda s, data: s.send(data), lambda s, data: s.sendmsg([data])])
def test_a_blocking_send_that_is_reset_tells_what_was_sent_then_why(pair, call):
    client, server = pair
    sending = gevent.spawn(call, client, bytes(1 << 25))
    gevent.sleep(0)
    server.setsockopt(std.SOL_SOCKET, std.SO_LINGER, struct.pack("ii", 1, 0))
    server.close()
    assert 0 < sending.get() < 1 << 25
    with pytest.raises(ConnectionResetError):
        client.send(b"x")


def test_sendall_times_out_when_the_peer_stops_reading(pair):
    client, _ = pair
    client.settimeout(0.05)
    with pytest.raises(TimeoutError, match="timed out"):
        client.sendall(bytes(64 << 20))


def test_close_of_the_peer_is_the_end_of_the_stream(pair):
    client, server = pair
    client.sendall(b"last")
    client.close()
    assert server.recv(100) == b"last"
    assert server.recv(100) == b""
    assert server.recv(100) == b""


def test_half_close_lets_the_other_half_go_on(pair):
    client, server = pair
    client.sendall(b"request")
    client.shutdown(std.SHUT_WR)
    assert server.recv(100) == b"request"
    assert server.recv(100) == b""
    server.sendall(b"answer")
    server.close()
    assert client.recv(100) == b"answer"
    assert client.recv(100) == b""


def test_send_after_shutdown_is_epipe(pair):
    client, _ = pair
    client.shutdown(std.SHUT_WR)
    with pytest.raises(BrokenPipeError) as caught:
        client.send(b"x")
    assert caught.value.errno == errno.EPIPE


def test_first_send_after_the_peer_closed_succeeds_then_reset(pair):
    client, server = pair
    server.close()
    assert client.recv(1) == b""
    assert client.send(b"goes out") == 8
    gevent.sleep(0.02)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        client.send(b"fails")
        client.send(b"fails at the latest")


def test_linger_zero_resets(pair):
    client, server = pair
    client.setsockopt(std.SOL_SOCKET, std.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    with pytest.raises(ConnectionResetError) as caught:
        server.recv(1)
    assert caught.value.errno == errno.ECONNRESET


def linger(sock, seconds):
    sock.setsockopt(std.SOL_SOCKET, std.SO_LINGER, struct.pack("ii", 1, seconds))


def test_linger_returns_when_the_fin_is_acknowledged(pair):
    client, server = pair
    linger(client, 5)
    client.sendall(b"all of it")
    with gevent.Timeout(2):
        client.close()
    assert server.recv(100) == b"all of it"
    assert server.recv(1) == b""


def test_linger_waits_its_time_for_a_peer_that_does_not_read(stack):
    from greendpdk import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    linger(client, 1)
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            client.send(bytes(1 << 20))
    begun = time.monotonic()
    client.close()
    assert 0.9 <= time.monotonic() - begun < 3
    server.close()


def test_close_with_unread_data_resets(pair):
    client, server = pair
    client.sendall(b"never read")
    gevent.socket.wait_read(server.fileno())
    server.close()
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_shutdown_of_an_unconnected_socket_is_enotconn(sock):
    with pytest.raises(OSError) as caught:
        sock.shutdown(std.SHUT_RDWR)
    assert caught.value.errno == errno.ENOTCONN


def test_recv_of_an_unconnected_socket_is_enotconn(sock):
    with pytest.raises(OSError) as caught:
        sock.recv(1)
    assert caught.value.errno == errno.ENOTCONN


def test_send_of_an_unconnected_socket_is_epipe(sock):
    with pytest.raises(OSError) as caught:
        sock.send(b"x")
    assert caught.value.errno == errno.EPIPE


def test_recv_wakes_when_this_side_shuts_down(pair, net):
    reader = gevent.spawn(pair[1].recv, 1)
    gevent.sleep(0)
    pair[1].shutdown(std.SHUT_RD)
    assert reader.get() == b""


def test_makefile_reads_lines_and_writes(pair):
    client, server = pair
    with client.makefile("rw", newline="\n") as text, server.makefile("rwb") as binary:
        text.write("GET /\nHost: x\n")
        text.flush()
        assert binary.readline() == b"GET /\n"
        assert binary.readline() == b"Host: x\n"
        binary.write(b"ok\n")
        binary.flush()
        assert text.readline() == "ok\n"


def test_makefile_keeps_the_connection_open_until_it_is_closed(pair):
    client, server = pair
    stream = client.makefile("rb")
    client.close()
    server.sendall(b"still here")
    assert stream.read(10) == b"still here"
    stream.close()
    assert server.recv(1) == b""


def test_unbuffered_makefile_is_a_socket_io(pair):
    client, server = pair
    with server.makefile("rb", buffering=0) as stream:
        assert isinstance(stream, std.SocketIO) and isinstance(stream, io.RawIOBase)
        client.sendall(b"abc")
        assert stream.read(10) == b"abc"


def test_sendfile_sends_the_file(pair):
    client, server = pair
    with tempfile.TemporaryFile() as file:
        file.write(b"0123456789")
        file.flush()
        assert client.sendfile(file, 2, 5) == 5
    assert server.recv(100) == b"23456"


def test_sendmsg_and_recvmsg_take_several_buffers(pair):
    client, server = pair
    assert client.sendmsg([b"ab", bytearray(b"cd")]) == 4
    data, ancillary, flags, address = server.recvmsg(100)
    assert (data, ancillary, address) == (b"abcd", [], None)
    client.sendall(b"efgh")
    first, second = bytearray(3), bytearray(3)
    assert server.recvmsg_into([first, second])[0] == 4
    assert (first, second) == (b"efg", b"h\0\0")


def test_recvfrom_of_a_stream_has_no_address(pair):
    client, server = pair
    client.sendall(b"abc")
    assert server.recvfrom(10) == (b"abc", None)
    client.sendall(b"def")
    buffer = bytearray(10)
    assert server.recvfrom_into(buffer) == (3, None)


@pytest.mark.parametrize("call, error, text", [
    (lambda s: s.recv(-1), ValueError, "negative buffersize in recv"),
    (lambda s: s.recv_into(bytearray(2), 3), ValueError, "buffer too small for requested bytes"),
    (lambda s: s.recv_into(b"constant"), TypeError, "read-write bytes-like object, not bytes"),
    (lambda s: s.send("text"), TypeError, "a bytes-like object is required, not 'str'"),
    (lambda s: s.sendto(b"x"), TypeError, r"sendto\(\) takes 2 or 3 arguments \(1 given\)"),
])  # fmt: skip
def test_wrong_arguments_raise_what_cpython_raises(pair, call, error, text):
    with pytest.raises(error, match=text):
        call(pair[0])


def test_a_thousand_small_messages_keep_their_order(pair):
    client, server = pair
    for number in range(1000):
        client.sendall(struct.pack("!I", number))
    with server.makefile("rb") as stream:
        got = stream.read(4000)
    assert list(struct.unpack("!1000I", got)) == list(range(1000))


def test_a_greenlet_that_never_blocks_does_not_stop_the_network(pair):
    client, server = pair
    client.setsockopt(std.IPPROTO_TCP, std.TCP_NODELAY, 1)
    client.setblocking(False)
    server.setblocking(False)
    got = 0
    for _ in range(3000):  # no switch to the hub in here
        client.send(b"x")
        try:
            got += len(server.recv(100))
        except BlockingIOError:
            continue
    assert got > 2000


@pytest.mark.usefixtures("stack")
def test_an_interrupt_in_the_midst_of_sendall_is_what_it_raises(monkeypatch):
    from greendpdk import _raw, socket
    from greendpdk._transfer import readable

    kept = []

    def try_send(self, data, flags=0):
        kept.append(readable(data))  # as the frame of a real one does, in the traceback
        if len(data) == 100:
            return 10
        raise KeyboardInterrupt

    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        monkeypatch.setattr(_raw.RawSocket, "try_send", try_send)
        with pytest.raises(KeyboardInterrupt):
            client.sendall(bytearray(100))
        monkeypatch.undo()
        kept.clear()
