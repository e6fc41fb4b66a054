"""Unmodified programs over the stack's own loopback: servers and clients in one process."""
from __future__ import annotations

import sys
from pathlib import Path

from run import run

sys.path.insert(0, str(Path(__file__).parents[1] / "socket"))

START = """
from greendpdk import monkey
monkey.patch_all(loopback="stack")
import socket, ssl, threading, gevent
from greendpdk import _stack
def through_the_stack():
    return _stack.current().counters()["tcp_in"]
def app(environ, start_response):
    body = environ["wsgi.input"].read() or b"hello"
    start_response("200 OK", [("Content-Length", str(len(body))), ("Content-Type", "text/plain")])
    return [body]
"""


def script(code: str) -> str:
    import textwrap

    return run(START + textwrap.dedent(code)).stdout


def test_pywsgi_with_http_client_urllib_urllib3_and_requests():
    script("""
        from gevent.pywsgi import WSGIServer
        server = WSGIServer(("127.0.0.1", 0), app, log=None)
        server.start()
        url = f"http://127.0.0.1:{server.server_port}/"
        before = through_the_stack()
        import http.client, urllib.request, urllib3, requests
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
        for _ in range(3):
            connection.request("POST", "/", body=b"x" * 100_000)
            assert connection.getresponse().read() == b"x" * 100_000
        connection.close()
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == b"hello"
        with urllib3.PoolManager() as pool:
            for _ in range(5):
                assert pool.request("GET", url).data == b"hello"
            assert pool.connection_from_url(url).num_connections == 1
        with requests.Session() as session:
            assert [session.get(url, timeout=5).text for _ in range(3)] == ["hello"] * 3
            with session.post(url, data=b"y" * 300_000, stream=True) as answer:
                assert b"".join(answer.iter_content(1000)) == b"y" * 300_000
        assert through_the_stack() > before
        server.stop()
    """)


def test_https_with_requests_and_http_client():
    from certificate import certificate

    cert, key = certificate()
    script(f"""
        cert, key = {cert!r}, {key!r}
        from gevent.pywsgi import WSGIServer
        server = WSGIServer(("127.0.0.1", 0), app, log=None, certfile=cert, keyfile=key)
        server.start()
        import http.client, requests
        with requests.Session() as session:
            session.trust_env, session.verify = False, cert
            url = f"https://127.0.0.1:{{server.server_port}}/"
            assert [session.get(url, timeout=5).text for _ in range(3)] == ["hello"] * 3
            assert session.post(url, data=b"z" * 500_000).content == b"z" * 500_000
        context = ssl.create_default_context(cafile=cert)
        client = http.client.HTTPSConnection("localhost", server.server_port, context=context)
        client.request("GET", "/")
        assert client.getresponse().read() == b"hello"
        client.close()
        server.stop()
    """)


def test_flask_under_werkzeug():
    script("""
        import flask, requests, logging
        logging.getLogger("werkzeug").disabled = True
        site = flask.Flask("site")
        @site.get("/<name>")
        def greet(name):
            return f"hello {name}"
        from werkzeug.serving import make_server
        server = make_server("127.0.0.1", 0, site, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/you"
        answers = [gevent.spawn(requests.get, url) for _ in range(10)]
        assert [answer.get().text for answer in answers] == ["hello you"] * 10
        server.shutdown()
        thread.join()
        server.server_close()
    """)


def test_http_server_and_socketserver_with_threads():
    script("""
        import http.server, socketserver, urllib.request
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"served")
            def log_message(self, *args):
                pass
        class Echo(socketserver.StreamRequestHandler):
            def handle(self):
                self.wfile.write(self.rfile.readline().upper())
        class EchoDatagrams(socketserver.BaseRequestHandler):
            def handle(self):
                self.request[1].sendto(self.request[0].upper(), self.client_address)
        servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler),
                   socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo),
                   socketserver.ThreadingUDPServer(("127.0.0.1", 0), EchoDatagrams)]
        threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in servers]
        for thread in threads:
            thread.start()
        with urllib.request.urlopen(f"http://127.0.0.1:{servers[0].server_port}/") as answer:
            assert answer.read() == b"served"
        with socket.create_connection(servers[1].server_address) as client:
            client.sendall(b"line\\n")
            assert client.recv(100) == b"LINE\\n"
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.sendto(b"datagram", servers[2].server_address)
            assert client.recv(100) == b"DATAGRAM"
        for server, thread in zip(servers, threads):
            server.shutdown()
            thread.join()
            server.server_close()
    """)


def test_asyncio_streams():
    script("""
        import asyncio
        async def main():
            async def serve(reader, writer):
                writer.write((await reader.readline()).upper())
                await writer.drain()
                writer.close()
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"async\\n")
            assert await reader.readline() == b"ASYNC\\n"
            assert await reader.read() == b""
            writer.close()
            server.close()
            await server.wait_closed()
        before = through_the_stack()
        asyncio.run(main())
        assert through_the_stack() > before
    """)


def test_selectors_of_every_kind_serve_an_echo():
    script("""
        import selectors
        for kind in (selectors.DefaultSelector, selectors.PollSelector, selectors.SelectSelector):
            with kind() as selector, socket.create_server(("127.0.0.1", 0)) as listener:
                listener.setblocking(False)
                selector.register(listener, selectors.EVENT_READ)
                client = socket.create_connection(listener.getsockname())
                client.sendall(b"ping")
                echoed = False
                while not echoed:
                    for key, _ in selector.select(5):
                        if key.fileobj is listener:
                            server, _ = listener.accept()
                            selector.register(server, selectors.EVENT_READ)
                        else:
                            key.fileobj.sendall(key.fileobj.recv(100))
                            echoed = True
                assert client.recv(100) == b"ping"
                selector.unregister(server)
                server.close()
                client.close()
    """)


def test_a_server_on_every_address_and_a_kernel_client_beside_ours():
    script("""
        from gevent.pywsgi import WSGIServer
        server = WSGIServer(("0.0.0.0", 0), app, log=None)
        server.start()
        import urllib.request, subprocess, sys
        url = f"http://127.0.0.1:{server.server_port}/"
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == b"hello"
        before = _stack.current().counters()["tcp_passive_opens"]
        out = subprocess.run([sys.executable, "-c",
                              f"import urllib.request; print(urllib.request.urlopen('{url}').read().decode())"],
                             capture_output=True, text=True, check=True)
        assert out.stdout.strip() == "hello" and _stack.current().counters()["tcp_passive_opens"] == before
        server.stop()
    """)
