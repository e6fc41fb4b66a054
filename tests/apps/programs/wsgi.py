"""A WSGI app that knows nothing of greendpdk, nor of any framework."""
import hashlib
from collections.abc import Callable, Iterable
from typing import Any

BIG = hashlib.shake_256(b"big").digest(3_000_000)


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    headers = [("Content-Type", "application/octet-stream")]
    if path == "/stream":
        start_response("200 OK", headers)
        return (BIG[start:start + 50_000] for start in range(0, len(BIG), 50_000))
    body = {"/": lambda: f"hello {environ['REMOTE_ADDR']}".encode(), "/big": lambda: BIG,
            "/echo": lambda: environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))}[path]()
    start_response("200 OK", [*headers, ("Content-Length", str(len(body)))])
    return [body]
