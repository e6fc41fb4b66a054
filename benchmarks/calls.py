"""Measure single calls: greendpdk over its own loopback, gevent on the kernel's, and another checkout of greendpdk.

No network and no privilege. Each measure runs in a fresh process of each side, by turns, in CPU time of the process,
the kernel's share included; the least of all samples is printed, which a loaded machine leaves alone. Calls only the
standard library, after the patch.

    .venv/bin/python benchmarks/calls.py [--against ../checkout] [--rounds 3] [word of a measure ...]
"""
from __future__ import annotations

import argparse
import json
import select
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

SMALL, BIG, ROOM, CALLS = b"x" * 64, bytes(1 << 20), bytearray(64), 500
Wait = Callable[[], object]
PATCH = {
    "stack": "import greendpdk.monkey as monkey; monkey.patch_all(vdev='none', loopback='stack')",
    "gevent": "import gevent.monkey as monkey; monkey.patch_all()",
}


def pair() -> tuple[socket.socket, socket.socket]:
    """Connect two sockets of this process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        a = socket.create_connection(listener.getsockname())
        b, _ = listener.accept()
    for sock in (a, b):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return a, b


def datagrams() -> tuple[socket.socket, socket.socket]:
    """Make two bound sockets."""
    a, b = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
    a.bind(("127.0.0.1", 0))
    b.bind(("127.0.0.1", 0))
    return a, b


def spawn(run: Callable[[], object]) -> None:
    """Begin a greenlet: `threading` is patched."""
    threading.Thread(target=run, daemon=True).start()


def drain(sock: socket.socket, count: int) -> None:
    """Receive so many bytes."""
    while count:
        count -= len(sock.recv(count))


def repeat(call: Wait, before: Wait = int, after: Wait = int, times: int = CALLS) -> Iterator[float]:
    """Yield seconds a call, for ever."""
    while True:
        before()
        begun = time.process_time()
        for _ in range(times):
            call()
        took = time.process_time() - begun
        after()
        yield took / times


def receiving(call: Callable[[socket.socket], object]) -> Iterator[float]:
    """Take 64 bytes that are there."""
    a, b = pair()

    def fill() -> None:
        a.sendall(SMALL * CALLS)
        while len(b.recv(CALLS * len(SMALL), socket.MSG_PEEK)) < CALLS * len(SMALL):
            time.sleep(0)

    return repeat(lambda: call(b), fill)


def sending(name: str) -> Iterator[float]:
    """Give 64 bytes to a buffer with room."""
    a, b = pair()
    send = getattr(a, name)
    return repeat(lambda: send(SMALL), after=lambda: drain(b, CALLS * len(SMALL)))


def there_and_taken() -> Iterator[float]:
    """Send and receive in one greenlet."""
    a, b = pair()
    return repeat(lambda: (a.send(SMALL), b.recv(64)))


def round_trip(timeout: float | None) -> Iterator[float]:
    """Ask another greenlet and have its answer."""
    a, b = pair()
    a.settimeout(timeout)

    def serve() -> None:
        while data := b.recv(4096):
            b.sendall(data)

    spawn(serve)
    return repeat(lambda: (a.sendall(SMALL), a.recv(4096)))


def bulk() -> Iterator[float]:
    """Send 1 MB to another greenlet, and hear that it has come."""
    a, b = pair()

    def serve() -> None:
        room, left = bytearray(1 << 18), len(BIG)
        while got := b.recv_into(room):
            left -= got
            if not left:
                left = len(BIG)
                b.sendall(b"!")

    spawn(serve)
    return repeat(lambda: (a.sendall(BIG), a.recv(1)), times=5)


def datagram() -> Iterator[float]:
    """Send one and receive it in one greenlet."""
    a, b = datagrams()
    to = b.getsockname()
    return repeat(lambda: (a.sendto(SMALL, to), b.recvfrom(64)))


def connection() -> Iterator[float]:
    """Connect to another greenlet, which accepts; close both ends."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)

    def serve() -> None:
        while True:
            sock, _ = listener.accept()
            sock.recv(1)
            sock.close()

    spawn(serve)
    return repeat(lambda: socket.create_connection(listener.getsockname(), 5).close(), times=50)


def of_select(socks: list[socket.socket], timeout: float) -> Wait:
    """Wait by select.select()."""
    return lambda: select.select(socks, [], [], timeout)


def of_poll(socks: list[socket.socket], timeout: float) -> Wait:
    """Wait by select.poll()."""
    poller = select.poll()
    for sock in socks:
        poller.register(sock, select.POLLIN)
    return lambda: poller.poll(timeout * 1000)


def of_selector(socks: list[socket.socket], timeout: float) -> Wait:
    """Wait by the default selector: epoll, where there is one."""
    selector = selectors.DefaultSelector()
    for sock in socks:
        selector.register(sock, selectors.EVENT_READ)
    return lambda: selector.select(timeout)


def looking(way: Callable[[list[socket.socket], float], Wait], count: int, ready: bool) -> Iterator[float]:
    """Look at many sockets of which one or none is ready."""
    pairs = [pair() for _ in range(count)]
    if ready:
        pairs[0][0].send(SMALL)
        time.sleep(0.01)
    samples = repeat(way([b for _, b in pairs], 5 if ready else 0), times=max(5, CALLS // count))
    return (sample for sample in samples if pairs)  # which are open as long


def waking(way: Callable[[list[socket.socket], float], Wait], count: int) -> Iterator[float]:
    """Wait for one of many, take what came, and ask for more."""
    pairs = [pair() for _ in range(count)]
    wait = way([b for _, b in pairs], 5)
    a, b = pairs[0]

    def serve() -> None:
        while a.recv(1):
            a.send(SMALL)

    spawn(serve)
    b.send(b"1")
    samples = repeat(lambda: (wait(), b.recv(64), b.send(b"1")), times=100)
    return (sample for sample in samples if pairs)


MEASURES: dict[str, Callable[[], Iterator[float]]] = {
    "recv": lambda: receiving(lambda sock: sock.recv(64)),
    "recv_into": lambda: receiving(lambda sock: sock.recv_into(ROOM)),
    "send": lambda: sending("send"),
    "sendall": lambda: sending("sendall"),
    "send and recv": there_and_taken,
    "round trip": lambda: round_trip(None),
    "round trip, with a timeout": lambda: round_trip(5),
    "bulk, 1 MB": bulk,
    "sendto and recvfrom": datagram,
    "socket and close": lambda: repeat(lambda: socket.socket().close()),
    "connect, accept and close": connection,
} | {
    f"{name} of {count}, {what}": (lambda make=make, way=way, count=count: make(way, count))
    for name, way in (("select", of_select), ("poll", of_poll), ("selector", of_selector))
    for count in (1, 100)
    for what, make in {
        "one ready": lambda way, count: looking(way, count, True),
        "none ready": lambda way, count: looking(way, count, False),
        "woken by one": waking,
    }.items()
}  # fmt: skip


def sample(title: str, seconds: float) -> float:
    """Return the least seconds a call of one measure, here."""
    samples = MEASURES[title]()
    next(samples)
    least, end = next(samples), time.monotonic() + seconds
    while time.monotonic() < end:
        least = min(least, next(samples))
    return least


def ask(tree: Path, kind: str, title: str, seconds: float) -> float:
    """Run one measure in a process of its own."""
    here = Path(__file__).parent
    code = (f"{PATCH[kind]}; import json, os, sys; sys.path.insert(0, {str(here)!r}); import calls; "
            f"print(json.dumps(calls.sample({title!r}, {seconds})), flush=True); os._exit(0)")  # fmt: skip
    python = tree / ".venv/bin/python"
    done = subprocess.run([str(python), "-c", code], cwd=tree, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{title} on {kind} of {tree}: {done.stderr}")
    return float(json.loads(done.stdout))


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="microseconds a call, beside gevent on kernel sockets")
    parser.add_argument("words", nargs="*", help="measures whose name has one of these; else all")
    parser.add_argument("--against", type=Path, help="another checkout that is built")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.2, help="of each measurement")
    options = parser.parse_args()
    here = Path(__file__).parent.parent
    sides = {"greendpdk": (here, "stack"), "gevent": (here, "gevent")}
    if options.against:
        sides["against"] = (options.against.resolve(), "stack")
    print(f"Python {sys.version.split()[0]}; microseconds of CPU a call, least of {options.rounds} rounds\n")
    print(f"{'':28}" + "".join(f"{name:>12}" for name in sides) + "".join(f"   to {name}" for name in [*sides][1:]))
    for title in MEASURES:
        if options.words and not any(word in title for word in options.words):
            continue
        found = {name: float("inf") for name in sides}
        for _ in range(options.rounds):
            for name, (tree, kind) in sides.items():
                found[name] = min(found[name], ask(tree, kind, title, options.seconds) * 1e6)
        ratios = [f"{found['greendpdk'] / found[name]:.2f}".rjust(len(name) + 6) for name in [*sides][1:]]
        print(f"{title:28}" + "".join(f"{value:12.2f}" for value in found.values()) + "".join(ratios), flush=True)


if __name__ == "__main__":
    main()
