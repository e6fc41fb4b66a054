"""A WSGI application on a port of its own, for a test: the fixture dpdk_serve.

Called by pytest_plugin.py; calls gevent's server where the stack runs, else the standard library's in a thread.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def serve_wsgi(app: Any, address: str) -> tuple[str, Callable[[], Any]]:
    """Serve app at a free port of address; return its URL and what ends it."""
    if "greendpdk._stack" in sys.modules and sys.modules["greendpdk._stack"].running():
        from greendpdk.socket import create_server
        from greendpdk.testing._peer import wsgi_server

        server, url = wsgi_server(create_server((address, 0)), app)
        return url, lambda: server.stop(timeout=1)
    return _plain(app, address)


def _plain(app: Any, address: str) -> tuple[str, Callable[[], Any]]:
    from socketserver import ThreadingMixIn
    from threading import Thread
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True

    class Quiet(WSGIRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = Server((address, 0), Quiet)
    server.set_app(app)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def stop() -> None:
        server.shutdown()
        thread.join()
        server.server_close()

    return f"http://{address}:{server.server_port}", stop
