"""A Flask app that knows nothing of greendpdk."""
import hashlib
from collections.abc import Iterator

from flask import Flask, Response, request

app = Flask(__name__)
BIG = hashlib.shake_256(b"big").digest(3_000_000)


@app.get("/")
def index() -> str:
    return f"hello {request.remote_addr}"


@app.get("/big")
def big() -> Response:
    return Response(BIG, mimetype="application/octet-stream")


@app.get("/stream")
def stream() -> Response:
    def parts() -> Iterator[bytes]:
        for start in range(0, len(BIG), 50_000):
            yield BIG[start:start + 50_000]

    return Response(parts(), mimetype="application/octet-stream")


@app.post("/echo")
def echo() -> bytes:
    return request.get_data()
