"""A forked child and the stack's sockets: the parent does for it what it asks for, and goes on undisturbed."""
from __future__ import annotations

from forked import script


def test_a_child_serves_the_connection_that_its_parent_accepted():
    script("""
        client, server = pair()
        def work():
            assert server.recv(100) == b"question"  # waits
            server.sendall(b"x" * 300_000)
            assert server.getpeername() == client.getsockname() and server.fileno() >= 0
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            assert server.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            server.shutdown(socket.SHUT_WR)
            server.close()
        pid = child(work)
        server.close()  # it is the child's now
        gevent.sleep(0.05)
        client.sendall(b"question")
        assert len(client.makefile("rb").read()) == 300_000
        ended(pid)
        client.close()
    """)


def test_a_connection_ends_with_its_last_process():
    script("""
        client, server = pair()
        pid = child(lambda: time.sleep(0.1))
        server.close()
        begun = time.monotonic()
        assert client.recv(1) == b"" and time.monotonic() - begun > 0.05
        ended(pid)
        client.close()
        client, server = pair()
        pid = child(lambda: [client.close(), server.close()])
        ended(pid)
        client.sendall(b"the parent's is open")
        assert server.recv(100) == b"the parent's is open"
        client.close(); server.close()
    """)


def test_workers_forked_beforehand_accept_by_turns():
    script("""
        def work():
            for _ in range(2):
                sock, address = listener.accept()
                assert select.select([sock], [], [], 5)[0] == [sock]
                sock.sendall(sock.recv(100) + b" %d" % os.getpid())
                sock.close()
        workers = [child(work) for _ in range(3)]
        served = []
        for _ in range(6):
            with socket.create_connection(listener.getsockname()) as client:
                client.sendall(b"hello")
                word, pid = client.makefile("rb").read().split()
                assert word == b"hello"
                served.append(int(pid))
        for worker in workers:
            assert served.count(worker) == 2
            ended(worker)
    """)


def test_datagrams_of_a_child_leave_by_the_parent():
    script("""
        with socket.socket(type=socket.SOCK_DGRAM) as a, socket.socket(type=socket.SOCK_DGRAM) as b:
            a.bind(("127.0.0.1", 0)); b.bind(("127.0.0.1", 0))
            def work():
                data, address = a.recvfrom(100)
                for length in (65508, 200_000, 1_000_000):  # the second fits through the pair, and not into the parent
                    try:
                        a.sendto(bytes(length), address)
                    except OSError as error:
                        assert error.errno == errno.EMSGSIZE
                    else:
                        raise AssertionError(length)
                a.sendto(data.upper(), address)
            pid = child(work)
            b.sendto(b"datagram", a.getsockname())
            assert b.recvfrom(100) == (b"DATAGRAM", a.getsockname())
            ended(pid)
    """)


def test_a_childs_child_has_the_sockets_too():
    script("""
        client, server = pair()
        def work():
            def again():
                server.sendall(b"grandchild")
            ended(child(again))
            server.sendall(b" child")
        ended(child(work))
        server.sendall(b" parent")
        server.close()
        assert client.makefile("rb").read() == b"grandchild child parent"
        client.close()
    """)


def test_other_greenlets_sleep_in_the_child():
    """As only the thread that forked goes on there: their copies would take what is the parent's."""
    script("""
        client, server = pair()
        waiting = gevent.spawn(client.recv, 100)
        gevent.sleep(0)
        def work():
            gevent.sleep(0.05)
            server.sendall(b"for the parent")
            gevent.sleep(0.05)
            assert not waiting.ready()
        pid = child(work)
        assert waiting.get(timeout=5) == b"for the parent"
        ended(pid)
        client.close(); server.close()
    """)


def test_a_child_goes_on_beside_an_older_one():
    script("""
        older = child(lambda: listener.accept()[0].close())
        gevent.sleep(0.01)
        ended(child(lambda: time.sleep(0.01)))  # with a loop of its own, which waits no more for the older one
        client = socket.create_connection(listener.getsockname())
        assert client.recv(1) == b""
        ended(older)
        client.close()
    """)


def test_new_sockets_of_a_child_are_the_kernels():
    script("""
        def work():
            with socket.create_server(("127.0.0.1", 0)) as server:
                with socket.create_connection(server.getsockname()) as client:
                    client.sendall(b"kernel")
                    with server.accept()[0] as accepted:
                        assert accepted.recv(10) == b"kernel"
        before = greendpdk.counters()["tcp_in"]
        ended(child(work))
        assert greendpdk.counters()["tcp_in"] == before
    """)


def test_a_child_that_outlives_its_parent_is_told():
    out = script("""
        client, server = pair()
        sys.stdout.flush()
        def work():
            gevent.sleep(0.3)
            try:
                server.recv(1)
            except OSError as error:
                print(error, flush=True)
        child(work)
        client.close(); server.close()
    """)
    assert "[Errno 9]" in out and "the parent" in out


def test_forking_servers():
    script("""
        import socketserver, threading
        class Lines(socketserver.StreamRequestHandler):
            def handle(self):
                self.wfile.write(b"%d %s" % (os.getpid(), self.rfile.readline().upper()))
        class Datagrams(socketserver.BaseRequestHandler):
            def handle(self):
                self.request[1].sendto(self.request[0].upper(), self.client_address)
        streams = socketserver.ForkingTCPServer(("127.0.0.1", 0), Lines)
        datagrams = socketserver.ForkingUDPServer(("127.0.0.1", 0), Datagrams)
        threads = [threading.Thread(target=one.serve_forever, args=(0.02,)) for one in (streams, datagrams)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            with socket.create_connection(streams.server_address) as client:
                client.sendall(b"hello\\n")
                pid, word = client.makefile("rb").read().split()
                assert word == b"HELLO" and int(pid) != os.getpid()
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.sendto(b"hello", datagrams.server_address)
            assert client.recv(10) == b"HELLO"
        for one in (streams, datagrams):
            one.shutdown()
            one.server_close()
        for thread in threads:
            thread.join()
    """)


def test_cgi_scripts_of_http_server():
    script("""
        import http.server, pathlib, tempfile, threading, urllib.request
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            os.chdir(folder)
            os.mkdir("cgi-bin")
            program = pathlib.Path("cgi-bin/upper.py")
            program.write_text(f'''#!{sys.executable}
        import os, sys
        print("Content-Type: text/plain\\\\n", flush=True)
        print(sys.stdin.read(int(os.environ.get("CONTENT_LENGTH") or 0)).upper(), end="")
        '''.replace("\\n        ", "\\n"))
            program.chmod(0o755)
            class Handler(http.server.CGIHTTPRequestHandler):
                def log_message(self, *args):
                    pass
            import pwd
            http.server.nobody_uid = lambda: os.getuid()
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            threading.Thread(target=server.serve_forever, args=(0.02,)).start()
            url = f"http://127.0.0.1:{server.server_port}/cgi-bin/upper.py"
            for size in (10, 50_000):
                with urllib.request.urlopen(url, data=b"x" * size) as answer:
                    assert answer.read() == b"X" * size
            server.shutdown()
            server.server_close()
            os.chdir("/")
    """)


def test_multiprocessing_beside_the_stack():
    script("""
        client, server = pair()
        import multiprocessing
        for method in ("fork", "spawn", "forkserver"):
            process = multiprocessing.get_context(method).Process(target=time.sleep, args=(0.01,))
            process.start()
            process.join()
            assert process.exitcode == 0, method
        client.sendall(b"x")
        assert server.recv(1) == b"x"
        client.close(); server.close()
    """)


def test_a_first_child_that_ends_before_its_parent_looks_is_waited_for():
    script("""
        sleep = gevent.monkey.get_original("time", "sleep")
        os.register_at_fork(after_in_parent=lambda: sleep(0.1))
        with gevent.Timeout(5):
            ended(child(lambda: None))
    """)


def test_closing_wakes_all_who_wait_though_a_child_has_the_socket():
    script("""
        client, server = pair()
        held, holding = os.pipe()
        pid = child(lambda: os.read(held, 1))
        def wait():
            try:
                return server.recv(1)
            except OSError as error:
                return error.errno
        waiting = [gevent.spawn(wait) for _ in range(2)]
        gevent.sleep(0.01)
        server.close()
        with gevent.Timeout(5):
            assert [one.get() for one in waiting] == [errno.EBADF] * 2
        os.write(holding, b"x")
        ended(pid)
        client.close()
    """)
