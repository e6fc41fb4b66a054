"""What the cases of asyncio's programs share (asyncio_cases.py): who connects, who echoes, who runs beside."""
from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

LOCAL = "127.0.0.1"
BIG = bytes(range(256)) * 4096
WAIT = 10
cases: dict[str, Callable[[], Any]] = {}


def case(function: Callable[[], Any]) -> Callable[[], Any]:
    """Make a case of it."""
    cases[function.__name__] = function
    return function


def listener() -> socket.socket:
    return socket.create_server((LOCAL, 0))


@contextlib.contextmanager
def beside(target: Callable[..., None], *args: Any) -> Iterator[None]:
    """Run something in a thread of its own meanwhile, and let its error be ours."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            target(*args)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(WAIT)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


def read_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


@contextlib.asynccontextmanager
async def ends() -> AsyncIterator[tuple[socket.socket, socket.socket]]:
    """Connect two sockets by the loop: (client, server)."""
    loop = asyncio.get_running_loop()
    client = socket.socket()
    client.setblocking(False)
    with client, listener() as listening:
        listening.setblocking(False)
        await loop.sock_connect(client, listening.getsockname())
        server, address = await loop.sock_accept(listening)
        with server:
            assert address == client.getsockname()
            yield client, server


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read())
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def ask(address: tuple[str, int], data: bytes, **options: Any) -> bytes:
    reader, writer = await asyncio.open_connection(*address, **options)
    writer.write(data)
    if writer.can_write_eof():
        writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make (server's, client's) TLS contexts that trust each other."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(*sys.argv[1:3])
    client.load_verify_locations(sys.argv[1])
    return server, client
