"""Settings of the engine reach it: what an application sees of them."""
from __future__ import annotations

from run import run


def test_buffer_max_limits_so_rcvbuf_and_so_sndbuf():
    run("""
        import greendpdk
        from greendpdk import socket
        greendpdk.start(loopback="stack", buffer_max=2)
        with socket.socket() as sock:
            for name in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                sock.setsockopt(socket.SOL_SOCKET, name, 100 << 20)
                assert sock.getsockopt(socket.SOL_SOCKET, name) == 2 * (2 << 20)
        greendpdk.stop()
    """)


def test_buffer_cap_limits_what_all_sockets_hold():
    run("""
        import greendpdk
        from greendpdk import socket
        greendpdk.start(loopback="stack")
        held = 0
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
            accepted, _ = server.accept()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
            client.setblocking(False)
            try:
                while True:
                    held += client.send(bytes(65536))
            except BlockingIOError:
                pass
            accepted.close()
        assert held < 1 << 20, held
        greendpdk.stop()
    """, GREENDPDK_BUFFER_CAP="1")


def test_syn_cookies_always_are_in_each_handshake():
    for value, sent in (("always", True), ("full", False)):
        run(f"""
            import greendpdk
            from greendpdk import socket
            greendpdk.start(loopback="stack")
            with socket.create_server(("127.0.0.1", 0)) as server:
                with socket.create_connection(server.getsockname()):
                    server.accept()[0].close()
            found = [name for name, count in greendpdk.counters().items() if "syncookies" in name and count]
            assert bool(found) is {sent}, found
            greendpdk.stop()
        """, GREENDPDK_SYN_COOKIES=value)
