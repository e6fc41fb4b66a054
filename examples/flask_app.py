"""A Flask app. It knows nothing of greendpdk; serve it over DPDK, as root, with either of

    python -m greendpdk -m flask --app examples/flask_app run --host 198.18.0.2 --port 8080
    python -m greendpdk examples/flask_app.py 198.18.0.2 8080

and fetch http://198.18.0.2:8080/ from another terminal.
"""
import sys
from collections.abc import Iterator

from flask import Flask, Response, request

app = Flask(__name__)


@app.get("/")
def hello() -> str:
    return f"Hello {request.remote_addr}, from Flask.\n"


@app.get("/bytes/<int:count>")
def some_bytes(count: int) -> Response:
    def parts() -> Iterator[bytes]:
        for start in range(0, count, 65536):
            yield bytes(min(65536, count - start))

    return Response(parts(), mimetype="application/octet-stream")


if __name__ == "__main__":
    from gevent.pywsgi import WSGIServer

    host, port = sys.argv[1:]
    WSGIServer((host, int(port)), app).serve_forever()
