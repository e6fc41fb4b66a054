"""The loop's own calls on sockets, as cases of asyncio_cases.py."""
from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
from typing import Any

from asyncio_shared import BIG, LOCAL, case, contexts, ends, listener


@case
async def readers_and_writers_are_called_while_they_are_ready() -> None:
    loop = asyncio.get_running_loop()
    async with ends() as (client, server):
        read: asyncio.Queue[bytes] = asyncio.Queue()
        written = asyncio.Event()
        loop.add_reader(client, lambda: read.put_nowait(client.recv(1)))
        loop.add_writer(client.fileno(), written.set)
        await written.wait()
        assert loop.remove_writer(client) and not loop.remove_writer(client)
        server.send(b"ab")
        assert [await read.get(), await read.get()] == [b"a", b"b"]  # level-triggered
        loop.add_reader(client, lambda: read.put_nowait(b"another: " + client.recv(1)))
        server.send(b"c")
        assert await read.get() == b"another: c"
        assert loop.remove_reader(client) and not loop.remove_reader(client)
        server.send(b"d")
        assert await loop.sock_recv(client, 5) == b"d" and read.empty()


@case
async def a_full_socket_calls_its_writer_when_there_is_room() -> None:
    loop = asyncio.get_running_loop()

    async def read_on(sock: socket.socket) -> None:
        while True:
            await loop.sock_recv(sock, 1 << 20)

    async with ends() as (client, server):
        with contextlib.suppress(BlockingIOError):
            while True:
                client.send(BIG)
        room = asyncio.Event()
        loop.add_writer(client, room.set)
        await asyncio.sleep(0.01)
        assert not room.is_set()
        reading = loop.create_task(read_on(server))
        await room.wait()
        loop.remove_writer(client)
        reading.cancel()
        await asyncio.wait([reading])


@case
async def sock_calls_move_bytes() -> None:
    loop = asyncio.get_running_loop()
    async with ends() as (client, server):
        sending = loop.create_task(loop.sock_sendall(client, BIG))
        got, buffer = bytearray(), bytearray(65536)
        while len(got) < len(BIG):
            got += buffer[: await loop.sock_recv_into(server, buffer)]
        await sending
        assert got == BIG
        client.shutdown(socket.SHUT_WR)
        assert await loop.sock_recv(server, 1) == b""


@case
async def sock_calls_move_datagrams() -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(type=socket.SOCK_DGRAM) as a, socket.socket(type=socket.SOCK_DGRAM) as b:
        for sock in (a, b):
            sock.bind((LOCAL, 0))
            sock.setblocking(False)
        receiving = loop.create_task(loop.sock_recvfrom(b, 100))
        await asyncio.sleep(0)
        assert await loop.sock_sendto(a, b"one", b.getsockname()) == 3
        assert await receiving == (b"one", a.getsockname())
        await loop.sock_sendto(a, b"two", b.getsockname())
        buffer = bytearray(10)
        assert await loop.sock_recvfrom_into(b, buffer) == (3, a.getsockname())
        assert buffer[:3] == b"two"


@case
async def datagram_endpoints_answer_and_hear_of_errors() -> None:
    loop = asyncio.get_running_loop()

    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, address: Any) -> None:
            self.transport.sendto(data.upper(), address)

    class Client(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.got: asyncio.Queue[Any] = asyncio.Queue()

        def datagram_received(self, data: bytes, address: Any) -> None:
            self.got.put_nowait(data)

        def error_received(self, error: Exception) -> None:
            self.got.put_nowait(type(error))

    serving, _ = await loop.create_datagram_endpoint(Server, local_addr=(LOCAL, 0))
    address = serving.get_extra_info("sockname")
    asking, client = await loop.create_datagram_endpoint(Client, remote_addr=address)
    asking.sendto(b"x")
    assert await client.got.get() == b"X"
    serving.close()
    await asyncio.sleep(0)
    asking.sendto(b"y")
    assert await client.got.get() is ConnectionRefusedError
    asking.close()
    await asyncio.sleep(0)


@case
async def files_are_sent_by_socket_and_by_transport() -> None:
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryFile() as file:
        file.write(BIG)
        async with ends() as (client, server):
            sending = loop.create_task(loop.sock_sendfile(client, file, 1000, fallback=False))
            got = bytearray()
            while len(got) < len(BIG) - 1000:
                got += await loop.sock_recv(server, 1 << 20)
            assert await sending == len(got) and got == BIG[1000:]

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            file.seek(0)
            await loop.sendfile(writer.transport, file)
            await reader.read()
            writer.close()
            await writer.wait_closed()

        trusted, trusting = contexts()
        for theirs, ours in ((None, None), (trusted, trusting)):
            async with await asyncio.start_server(serve, LOCAL, 0, ssl=theirs) as serving:
                reader, writer = await asyncio.open_connection(*serving.sockets[0].getsockname(), ssl=ours)
                assert await reader.readexactly(len(BIG)) == BIG
                writer.close()
                await writer.wait_closed()


@case
async def cancelled_calls_leave_the_socket_as_it_was() -> None:
    loop = asyncio.get_running_loop()
    async with ends() as (client, server):
        for call in (loop.sock_recv(client, 10), loop.sock_recv_into(client, bytearray(10))):
            waiting = loop.create_task(call)
            await asyncio.sleep(0.001)
            assert not waiting.done()
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
        await loop.sock_sendall(server, b"nothing is lost")
        assert await loop.sock_recv(client, 100) == b"nothing is lost"
    with listener() as listening:
        listening.setblocking(False)
        accepting = loop.create_task(loop.sock_accept(listening))
        await asyncio.sleep(0.001)
        accepting.cancel()
        await asyncio.wait([accepting])
        with socket.create_connection(listening.getsockname()) as client:
            server, _ = await loop.sock_accept(listening)
            with server:
                client.send(b"x")
                assert await loop.sock_recv(server, 1) == b"x"


def full() -> tuple[socket.socket, socket.socket]:
    """Return a listener that answers no more, and who fills it."""
    listening = socket.create_server((LOCAL, 0), backlog=0)
    return listening, socket.create_connection(listening.getsockname())


@case
async def a_cancelled_connect_is_no_longer_waited_for_and_may_be_closed() -> None:
    loop = asyncio.get_running_loop()
    listening, waiting = full()
    with listening, waiting:
        with socket.socket() as sock:
            sock.setblocking(False)
            connecting = loop.create_task(loop.sock_connect(sock, listening.getsockname()))
            await asyncio.sleep(0.01)
            assert not connecting.done()
            connecting.cancel()
            await asyncio.wait([connecting])
            assert not loop.remove_writer(sock)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.open_connection(*listening.getsockname())
                raise AssertionError("connected")


@case
async def eyeballs_are_happy() -> None:
    """An address that does not answer is not waited for when another does; its socket is closed."""
    listening, waiting = full()
    loop = asyncio.get_running_loop()
    with listening, waiting, listener() as answering:
        kind = socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, ""
        deaf, good = ((*kind, each.getsockname()) for each in (listening, answering))

        async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
            return [deaf, good]

        loop.getaddrinfo = getaddrinfo  # type: ignore[method-assign]
        transport, _ = await loop.create_connection(asyncio.Protocol, "two", 80, happy_eyeballs_delay=0.01)
        assert transport.get_extra_info("peername") == answering.getsockname()
        transport.close()
        await asyncio.sleep(0)


@case
async def refused_connections_raise_so() -> None:
    with listener() as closed:
        address = closed.getsockname()
    try:
        await asyncio.open_connection(*address)
    except ConnectionRefusedError:
        return
    raise AssertionError("connected")
