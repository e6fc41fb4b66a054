"""What the two ends do that is more than one call: plain blocking Python that knows of no stack.

Run by tests through Side.run, in the agents; calls only the standard library.
"""
from __future__ import annotations

import hashlib
import random
import socket
import threading
import time

BLOCK = 1 << 20


def pattern(seed: int) -> bytes:
    """Make a block that no shift or repetition of it equals."""
    return random.Random(seed).randbytes(BLOCK + 4099)


def send_stream(sock: socket.socket, size: int, seed: int) -> str:
    """Send size bytes, the pattern over and over, end the stream; return the digest."""
    digest, block, left = hashlib.sha256(), pattern(seed), size
    while left:
        part = memoryview(block)[:left]
        sock.sendall(part)
        digest.update(part)
        left -= len(part)
    sock.shutdown(socket.SHUT_WR)
    return digest.hexdigest()


def receive_stream(sock: socket.socket) -> tuple[int, str]:
    """Receive to the end of the stream; return the count of bytes and their digest."""
    digest, count = hashlib.sha256(), 0
    while data := sock.recv(1 << 18):
        digest.update(data)
        count += len(data)
    return count, digest.hexdigest()


def receive_exactly(sock: socket.socket, size: int) -> bytes:
    """Receive just so many bytes."""
    data = bytearray()
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise EOFError(f"{len(data)} of {size} bytes")
        data += part
    return bytes(data)


def fill(sock: socket.socket) -> int:
    """Send until nothing more goes out for half a second; return how much went."""
    sock.settimeout(0.5)
    sent = 0
    try:
        while True:
            sent += sock.send(bytes(65536))
    except TimeoutError:
        return sent
    finally:
        sock.settimeout(None)


def serve_echo(listener: socket.socket, connections: int) -> int:
    """Accept so many connections, hold all of them open, then echo a line on each."""
    accepted = [listener.accept()[0] for _ in range(connections)]

    def echo(sock: socket.socket) -> None:
        with sock:
            while data := sock.recv(4096):
                sock.sendall(data)

    threads = [threading.Thread(target=echo, args=(sock,)) for sock in accepted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(accepted)


def many_echoes(address: tuple[str, int], connections: int) -> int:
    """Open so many connections at once, then check an echo on each; return how many were right."""
    socks = [socket.create_connection(address, 20) for _ in range(connections)]
    right = 0
    for number, sock in enumerate(socks):
        sock.sendall(b"connection %d" % number)
    for number, sock in enumerate(socks):
        expected = b"connection %d" % number
        right += receive_exactly(sock, len(expected)) == expected
        sock.close()
    return right


def pause(seconds: float) -> None:
    """Do nothing, as an idle application."""
    time.sleep(seconds)


def cpu_seconds() -> float:
    """Return the CPU time that this process has used."""
    times = __import__("resource").getrusage(0)
    return float(times.ru_utime + times.ru_stime)
