"""The standard selectors and asyncio on the patched select module."""
from __future__ import annotations

import textwrap

from run import run

START = """
from greendpdk import monkey
monkey.patch_all(loopback="stack")
import gevent, socket
"""


def script(code: str) -> None:
    run(START + textwrap.dedent(code))


def test_the_standard_selectors_are_there_and_wait_for_stack_sockets():
    script("""
        import selectors
        assert selectors.DefaultSelector is selectors.EpollSelector
        for kind in (selectors.EpollSelector, selectors.PollSelector, selectors.SelectSelector):
            with kind() as selector, socket.create_server(("127.0.0.1", 0)) as listener:
                selector.register(listener, selectors.EVENT_READ)
                assert selector.select(0) == []
                with socket.create_connection(listener.getsockname()):
                    assert [key.fileobj for key, _ in selector.select(5)] == [listener]
                    listener.accept()[0].close()
    """)


def test_asyncio_serves_beside_other_greenlets():
    script("""
        import asyncio
        beats = []
        def beat():
            while True:
                gevent.sleep(0.001)
                beats.append(1)
        heart = gevent.spawn(beat)
        async def main():
            loop = asyncio.get_running_loop()
            listener = socket.create_server(("127.0.0.1", 0))
            listener.setblocking(False)
            client = socket.socket()
            client.setblocking(False)
            await loop.sock_connect(client, listener.getsockname())
            server, _ = await loop.sock_accept(listener)
            await loop.sock_sendall(client, b"x" * 100_000)
            got = 0
            while got < 100_000:
                got += len(await loop.sock_recv(server, 65536))
            import tempfile
            with tempfile.TemporaryFile() as file:
                file.write(b"y" * 300_000)
                assert await loop.sock_sendfile(client, file, 100_000) == 200_000
            seen = asyncio.Event()
            loop.add_reader(server, seen.set)
            await seen.wait()
            loop.remove_reader(server)
            got = 0
            while got < 200_000:
                got += len(await loop.sock_recv(server, 65536))
            for sock in (client, server, listener):
                sock.close()
            import sys
            child = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(6 * 7)", stdout=-1)
            assert (await child.communicate())[0] == b"42\\n"
        asyncio.run(main())
        assert len(beats) > 5
        heart.kill()
    """)


def test_the_last_end_of_a_pipe_that_is_closed_ends_the_reader():
    """gevent puts os.close() off to the end of a turn of the loop, for which nothing else may come."""
    script("""
        import os, select
        reading, writing = os.pipe()
        with gevent.Timeout(10), select.epoll() as ep:
            ep.register(reading, select.EPOLLIN)
            assert ep.poll(0) == []
            os.close(writing)
            assert ep.poll() == [(reading, select.EPOLLHUP)]
        os.close(reading)
    """)
