"""The app of `greendpdk demo`, and its client: ordinary blocking Python that knows nothing of greendpdk.

Run by demo.py over the stack, and by itself (`python _demo_app.py serve HOST PORT`, `fetch URL`) over the kernel. With
Flask and requests where they are installed, else with the standard library's server and client.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from typing import Any


def server(host: str, port: int) -> tuple[str, Any]:
    """Return what serves GET /bytes/N, and the server, which listens."""
    if importlib.util.find_spec("flask") is None:
        return "http.server", _standard(host, port)
    from flask import Flask
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *_: object) -> None:
            pass

    app = Flask(__name__)

    @app.get("/bytes/<int:count>")
    def some_bytes(count: int) -> bytes:
        return bytes(count)

    return f"Flask {importlib.metadata.version('flask')}", make_server(host, port, app, True, request_handler=Quiet)


def _standard(host: str, port: int) -> Any:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            count = int(self.path.rpartition("/")[2])
            self.send_response(200)
            self.send_header("Content-Length", str(count))
            self.end_headers()
            self.wfile.write(bytes(count))

        def log_message(self, *_: object) -> None:
            pass

    return ThreadingHTTPServer((host, port), Handler)


def client() -> tuple[str, Any]:
    """Return what fetches, and a function that fetches a URL and returns the count of bytes."""
    if importlib.util.find_spec("requests") is None:
        import urllib.request

        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return "urllib", lambda url: len(opener.open(url, timeout=10).read())
    import requests

    session = requests.Session()
    session.trust_env = False
    return f"requests {importlib.metadata.version('requests')}", lambda url: len(session.get(url, timeout=10).content)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        name, serving = server(sys.argv[2], int(sys.argv[3]))
        print(name, flush=True)
        serving.serve_forever()
    else:
        name, fetch = client()
        print(name, fetch(sys.argv[2]), flush=True)
