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


def idle_share(seconds: float) -> float:
    """Do nothing for a while and return the share of a core that this cost."""
    begun, used = time.monotonic(), cpu_seconds()
    pause(seconds)
    return (cpu_seconds() - used) / (time.monotonic() - begun)


def serve_datagrams(sock: socket.socket, count: int) -> int:
    """Send so many datagrams back to whom they came from."""
    for _ in range(count):
        data, sender = sock.recvfrom(65536)
        sock.sendto(data, sender)
    return count


def shower(address: tuple[str, int], seconds: float) -> int:
    """Send datagrams for a while, in bursts; return how many."""
    sent, end = 0, time.monotonic() + seconds
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        while time.monotonic() < end:
            for _ in range(20):
                sock.sendto(b"drop", address)
            sent += 20
            time.sleep(0.001)
    return sent


def interrupted_calls(seconds: float) -> dict[str, int]:
    """Count the system calls, made from C, that a signal interrupts: in this thread and in a native one."""
    import ctypes
    import errno

    import gevent

    libc = ctypes.CDLL(None, use_errno=True)

    def wait() -> int:
        count, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            if libc.poll(None, 0, 20) < 0 and ctypes.get_errno() == errno.EINTR:
                count += 1
        return count

    native = gevent.get_hub().threadpool.spawn(wait)
    return {"this thread": wait(), "native thread": native.get()}


def run_child() -> tuple[int, str]:
    """Run another program, as an app may."""
    import subprocess

    done = subprocess.run(["echo", "from a child"], capture_output=True, text=True, check=False, timeout=10)
    return done.returncode, done.stdout


def answer_in_a_child(listener: socket.socket) -> int:
    """Fork; the child accepts one connection and answers. Return the child's status."""
    import os

    pid = os.fork()
    if pid == 0:
        try:
            sock, _ = listener.accept()
            sock.sendall(b"from the child")
            sock.close()
        finally:
            os._exit(0)
    return os.waitpid(pid, 0)[1]


def kernel_connections(pid: int) -> list[str]:
    """List the TCP connections that the kernel holds for a process: /proc's rows, listeners left out."""
    import os
    from pathlib import Path

    inodes = set()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        target = os.readlink(entry.path)
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    rows = [row.split() for table in ("tcp", "tcp6")
            for row in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]]
    return [f"{row[1]} {row[2]} {row[3]}" for row in rows if row[9] in inodes and row[3] != "0A"]


def accept_and_close(listener: socket.socket, count: int) -> int:
    """Accept, wait for the end of the stream, close; so many times."""
    for _ in range(count):
        sock, _ = listener.accept()
        with sock:
            assert sock.recv(1) == b""
    return count


def connect_and_close(address: tuple[str, int], count: int) -> int:
    """Connect and close, so many times."""
    for _ in range(count):
        socket.create_connection(address, 10).close()
    return count


def ask_datagrams(address: tuple[str, int], count: int) -> int:
    """Send a datagram, wait for the answer, so many times; return how many were right."""
    right = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        for number in range(count):
            sock.sendto(b"%d" % number, address)
            right += sock.recvfrom(100) == (b"%d" % number, address)
    return right


def restart() -> None:
    """Stop the stack and start it again."""
    import greendpdk

    greendpdk.stop()
    greendpdk.start()


def accept_and_receive(listener: socket.socket) -> tuple[int, str]:
    """Accept one connection and receive all of it, not fast, so that the sender is ahead."""
    sock, _ = listener.accept()
    with sock:
        time.sleep(0.5)
        return receive_stream(sock)


def leased() -> list[str]:
    """List the addresses that the stack has by DHCP."""
    import greendpdk

    stack = greendpdk.running()
    assert stack
    return [str(port.lease.address) for port in stack.ports if port.lease]


def first_port() -> tuple[list[str], int, tuple[str, ...]]:
    """Return the first port's addresses, its scope id, and the name servers that routers told of."""
    import greendpdk

    port = greendpdk.running().ports[0]
    return [str(own.ip) for own in port.addresses], port.scope_id, port.advertised_dns


def send_timed(sock: socket.socket, size: int, seed: int) -> str:
    """Send size bytes and the end of the stream; return the digest. Nothing else takes time meanwhile."""
    block = random.Random(seed).randbytes(BLOCK)
    digest = hashlib.sha256()
    for start in range(0, size, BLOCK):
        sock.sendall(memoryview(block)[: size - start])
    sock.shutdown(socket.SHUT_WR)
    for start in range(0, size, BLOCK):
        digest.update(memoryview(block)[: size - start])
    sock.recv(1)  # the other side has all of it
    return digest.hexdigest()


def receive_timed(sock: socket.socket) -> tuple[float, float, str]:
    """Receive all; return the seconds it took, the longest pause in it, and the digest, taken afterwards."""
    began = last = time.monotonic()
    parts, pause = [], 0.0
    while data := sock.recv(1 << 18):
        now = time.monotonic()
        pause, last = max(pause, now - last), now
        parts.append(data)
    took = last - began
    sock.shutdown(socket.SHUT_WR)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return took, pause, digest.hexdigest()
