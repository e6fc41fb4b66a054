"""What the two ends of a benchmark do: plain blocking Python, the same lines on every stack.

Run by bench.py through tests/agent.py, which has patched or not; calls only the standard library.
"""
from __future__ import annotations

import socket
import ssl
import threading
import time

ECHO = b"x" * 64
CHUNK = 1 << 18


def serve(listener: socket.socket, certificate: str) -> None:
    """Accept for ever; the first byte of a connection says what it is for. The certificate's file has its key too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=_serve_one, args=(sock, context), daemon=True).start()


def _serve_one(sock: socket.socket, context: ssl.SSLContext) -> None:
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wish = sock.recv(1)
        if wish == b"e":
            while data := sock.recv(4096):
                sock.sendall(data)
        elif wish == b"s":
            _send_until_closed(sock)
        elif wish == b"t":
            with context.wrap_socket(sock, server_side=True) as secure:
                _receive(secure)
                secure.unwrap()
        else:
            _receive(sock)
            sock.sendall(b"!")


def _send_until_closed(sock: socket.socket) -> None:
    data = bytes(CHUNK)
    try:
        while True:
            sock.sendall(data)
    except ConnectionError:
        return


def _receive(sock: socket.socket) -> int:
    room, count = bytearray(CHUNK), 0
    while got := sock.recv_into(room):
        count += got
    return count


def _connect(address: tuple[str, int], wish: bytes) -> socket.socket:
    sock = socket.create_connection(address, 10)
    sock.settimeout(None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(wish)
    return sock


def echo(address: tuple[str, int], connections: int, seconds: float) -> float:
    """Return round trips a second of 64 bytes, each connection having one under way at any time."""
    socks = [_connect(address, b"e") for _ in range(connections)]
    counts = [0] * connections
    end = time.perf_counter() + seconds

    def ask(number: int) -> None:
        sock = socks[number]
        while time.perf_counter() < end:
            sock.sendall(ECHO)
            left = len(ECHO)
            while left:
                left -= len(sock.recv(left))
            counts[number] += 1

    begun = time.perf_counter()
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begun
    for sock in socks:
        sock.close()
    return sum(counts) / took


def upload(address: tuple[str, int], seconds: float) -> float:
    """Return bytes a second sent, from the first to the peer's word that it has had the last."""
    data, count = bytes(CHUNK), 0
    with _connect(address, b"r") as sock:
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            sock.sendall(data)
            count += len(data)
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1)
        return count / (time.perf_counter() - begun)


def download(address: tuple[str, int], seconds: float) -> float:
    """Return bytes a second received."""
    room, count = bytearray(CHUNK), 0
    with _connect(address, b"s") as sock:
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            count += sock.recv_into(room)
        return count / (time.perf_counter() - begun)


def upload_secret(address: tuple[str, int], seconds: float) -> float:
    """Return bytes a second sent by TLS, from the first to the peer's close_notify."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    data, count = bytes(CHUNK), 0
    with context.wrap_socket(_connect(address, b"t")) as sock:
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            sock.sendall(data)
            count += len(data)
        sock.unwrap()
        return count / (time.perf_counter() - begun)
