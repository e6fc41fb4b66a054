"""Reach a server by a C extension that opens its sockets itself: NAME HOST PORT."""
import json
import sys
from collections.abc import Callable

name, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])


def psycopg2() -> object:
    import psycopg2

    words = {"user": "app", "password": "secret", "dbname": "postgres", "connect_timeout": 10}
    connection = psycopg2.connect(host=host, port=port, **words)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 6 * 7")
        answer = cursor.fetchone()[0]
    connection.close()
    return answer


def pycurl() -> object:
    import io

    import pycurl

    body, curl = io.BytesIO(), pycurl.Curl()
    curl.setopt(pycurl.URL, f"http://{host}:{port}/big")
    curl.setopt(pycurl.WRITEDATA, body)
    curl.perform()
    curl.close()
    return len(body.getvalue())


def grpc() -> object:
    import grpc

    with grpc.insecure_channel(f"{host}:{port}") as channel:
        return channel.unary_unary("/echo/Upper")(b"hello", timeout=10).decode()


CLIENTS: list[Callable[[], object]] = [psycopg2, pycurl, grpc]
print(json.dumps(next(each for each in CLIENTS if each.__name__ == name)()))
