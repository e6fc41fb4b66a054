"""Streams, TLS, threads and signals beside a loop, as cases of asyncio_cases.py."""
from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

from asyncio_shared import BIG, LOCAL, WAIT, ask, beside, case, contexts, echo, ends, listener, read_all


@case
async def streams_work_beside_threads_that_block() -> None:
    """Each side of asyncio's with a blocking one, at the same time; and each with its own kind."""

    def serve_blocking(listening: socket.socket, count: int) -> None:
        for _ in range(count):
            server, _ = listening.accept()
            with server:
                server.sendall(read_all(server))

    def ask_blocking(address: tuple[str, int], count: int) -> None:
        for _ in range(count):
            with socket.create_connection(address) as client, beside(client.sendall, BIG[:100_000]):
                got = bytearray()
                while len(got) < 100_000:
                    got += client.recv(65536)
                    if len(got) == 0:
                        raise AssertionError("closed")
                assert got == BIG[:100_000]

    async def echo_some(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    with listener() as listening:
        async with await asyncio.start_server(echo_some, LOCAL, 0) as server:
            address = server.sockets[0].getsockname()
            with contextlib.ExitStack() as stack:
                threads = [
                    threading.Thread(target=serve_blocking, args=(listening, 4)),
                    *(threading.Thread(target=ask_blocking, args=(address, 3)) for _ in range(2)),
                ]
                for thread in threads:
                    thread.start()
                    stack.callback(thread.join, WAIT)
                asked = [ask(to, BIG[:50_000]) for to in [listening.getsockname(), address] * 4]
                assert await asyncio.gather(*asked) == [BIG[:50_000]] * 8
                while any(thread.is_alive() for thread in threads):
                    await asyncio.sleep(0.001)


@case
async def connections_become_tls() -> None:
    trusted, trusting = contexts()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go\n")
        await writer.drain()
        await writer.start_tls(trusted)
        writer.write(await reader.readline())
        writer.close()

    async with await asyncio.start_server(serve, LOCAL, 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"STARTTLS\n")
        assert await reader.readline() == b"go\n"
        await writer.start_tls(trusting, server_hostname="localhost")
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        writer.write(b"in secret\n")
        assert await reader.read() == b"in secret\n"
        writer.close()
        await writer.wait_closed()


@case
async def tls_with_a_stranger_is_refused() -> None:
    loop = asyncio.get_running_loop()
    trusted, _ = contexts()
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    async with await asyncio.start_server(echo, LOCAL, 0, ssl=trusted) as server:
        transport, protocol = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
        try:
            await loop.start_tls(transport, protocol, stranger, server_hostname="localhost")
        except ssl.SSLCertVerificationError:
            transport.close()
        else:
            raise AssertionError("trusted")
        await asyncio.sleep(0.01)  # for the server's end of it


# -- loops, threads and signals ---------------------------------------------------------------------


@case
def run_may_be_called_again() -> None:
    async def main() -> bytes:
        async with await asyncio.start_server(echo, LOCAL, 0) as server:
            return await ask(server.sockets[0].getsockname(), b"x")

    assert [asyncio.run(main()) for _ in range(3)] == [b"x"] * 3


@case
def a_thread_may_run_a_loop() -> None:
    got = []

    async def main() -> None:
        async with await asyncio.start_server(echo, LOCAL, 0) as server:
            address.append(server.sockets[0].getsockname())
            known.set()
            while not got:
                await asyncio.sleep(0.001)

    address: list[Any] = []
    known = threading.Event()
    with beside(asyncio.run, main()):
        assert known.wait(WAIT)
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # it is the other thread's
            with socket.create_connection(address[0]) as client:
                client.sendall(b"from a blocking thread")
                client.shutdown(socket.SHUT_WR)
                got.append(read_all(client))
    assert got == [b"from a blocking thread"]


@case
def two_threads_run_a_loop_each() -> None:
    """And what one of them does at its end is nothing to the other's generators."""
    hooks = sys.get_asyncgen_hooks()
    ready, over = threading.Event(), threading.Event()

    async def numbers() -> AsyncIterator[int]:
        for number in range(3):
            await asyncio.sleep(0.001)
            yield number

    async def short(address: Any) -> None:
        assert await ask(address, b"to the other loop") == b"to the other loop"
        async for _ in numbers():
            pass

    def run_short(address: Any) -> None:
        try:
            asyncio.run(short(address))
        finally:
            over.set()

    async def main() -> None:
        async with await asyncio.start_server(echo, LOCAL, 0) as server:
            generator = numbers()
            with beside(run_short, server.sockets[0].getsockname()):
                while not over.is_set():
                    await asyncio.sleep(0.001)
                    if not ready.is_set():
                        assert await generator.__anext__() == 0  # ours, begun while the other runs
                        ready.set()
            assert [number async for number in generator] == [1, 2]

    asyncio.run(main())
    assert sys.get_asyncgen_hooks() == hooks


@case
def a_call_that_blocks_in_a_coroutine_stops_no_other_loop() -> None:
    turns: list[int] = []

    async def other() -> None:
        while not over.is_set():
            await asyncio.sleep(0.001)
            turns.append(1)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with listener() as listening, beside(lambda: socket.create_connection(listening.getsockname()).close()):
            listening.accept()[0].close()  # blocks
        time.sleep(0.02)
        assert asyncio.get_running_loop() is loop and asyncio.current_task() is not None

    over = threading.Event()
    with beside(lambda: asyncio.run(other())):
        asyncio.run(main())
        over.set()
    assert len(turns) > 3


@case
async def an_executor_has_no_loop_of_its_own_and_may_block() -> None:
    loop = asyncio.get_running_loop()

    def work(address: Any) -> bytes:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            with socket.create_connection(address) as client:
                client.sendall(b"work")
                client.shutdown(socket.SHUT_WR)
                return read_all(client)
        raise AssertionError("a thread of an executor runs no loop")

    async with await asyncio.start_server(echo, LOCAL, 0) as server:
        address = server.sockets[0].getsockname()
        done = await asyncio.gather(*(loop.run_in_executor(None, work, address) for _ in range(3)))
        assert done == [b"work"] * 3
        assert await asyncio.to_thread(asyncio.run, ask(address, b"a loop in it")) == b"a loop in it"
        assert (await loop.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM))[0][2] == socket.IPPROTO_TCP


@case
def coroutines_are_sent_to_another_threads_loop() -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def main() -> bytes:
        assert asyncio.get_running_loop() is loop
        async with await asyncio.start_server(echo, LOCAL, 0) as server:
            return await ask(server.sockets[0].getsockname(), b"x")

    assert asyncio.run_coroutine_threadsafe(main(), loop).result(WAIT) == b"x"
    loop.call_soon_threadsafe(loop.stop)
    thread.join(WAIT)
    loop.close()


@case
async def signals_call_their_handlers_while_the_loop_waits() -> None:
    loop = asyncio.get_running_loop()
    seen: asyncio.Queue[str] = asyncio.Queue()
    loop.add_signal_handler(signal.SIGUSR1, seen.put_nowait, "usr1")
    async with ends() as (client, server):
        waiting = loop.create_task(loop.sock_recv(client, 1))
        with beside(os.kill, os.getpid(), signal.SIGUSR1):
            assert await seen.get() == "usr1"
        os.kill(os.getpid(), signal.SIGUSR1)
        assert await seen.get() == "usr1" and not waiting.done()
        assert loop.remove_signal_handler(signal.SIGUSR1) and not loop.remove_signal_handler(signal.SIGUSR1)
        server.send(b"x")
        assert await waiting == b"x"
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


@case
def ctrl_c_cancels_the_main_task() -> None:
    done = []

    async def main() -> None:
        async with ends() as (client, _):
            os.kill(os.getpid(), signal.SIGINT)
            try:
                await asyncio.get_running_loop().sock_recv(client, 1)
            finally:
                done.append("cleaned up")

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        assert done == ["cleaned up"]
        return
    raise AssertionError("not interrupted")
