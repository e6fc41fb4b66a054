"""One end of a test's wire, as the test sees it: calls that happen in another process.

Used by the fixtures; starts agent.py in a namespace. `side.create_server(...)` and the like return
`Remote` sockets, whose methods run over there; `begin` starts a call that blocks and returns a Future.
"""
from __future__ import annotations

import contextlib
import inspect
import io
import itertools
import os
import pickle
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from netns import Namespace, end

PATIENCE = 60.0  # seconds; a call that takes longer is a hang
ROOT = Path(__file__).parent.parent


class Remote:
    """A socket in a Side's process."""

    def __init__(self, side: Side, key: int) -> None:
        self.side, self.key = side, key

    def begin(self, name: str, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start a method that may block."""
        return self.side.request(self, name, *args, **kwargs)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **kwargs: self.begin(name, *args, **kwargs).result(PATIENCE)


class Side:
    """A process that owns one end: kind "stack" runs over greendpdk, "kernel" and "gevent" over Linux."""

    def __init__(self, net: Namespace, kind: str, address: str, /, **settings: str) -> None:
        self.net, self.kind, self.address = net, kind, address
        self.futures: dict[int, Future[Any]] = {}
        self.numbers = itertools.count()
        self.lock = threading.Lock()
        self.log = net.resources.enter_context(tempfile.TemporaryFile("w+"))  # noqa: SIM115 (net closes it)
        ours, theirs = socket.socketpair()
        self.control = net.resources.enter_context(ours)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GREENDPDK_")}
        environment |= {f"GREENDPDK_{name.upper()}": value for name, value in settings.items()}
        environment["PYTHONPATH"] = str(ROOT)
        with theirs:
            self.process = net.popen(
                [sys.executable, str(ROOT / "tests/agent.py"), kind, str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdout=self.log, stderr=subprocess.STDOUT, env=environment)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.pid = int(self.call("os", "getpid"))

    def request(self, target: Any, name: str, *args: Any, **kwargs: Any) -> Future[Any]:
        """Send one request; the Future holds what the call over there returned or raised."""
        future: Future[Any] = Future()
        number = next(self.numbers)
        buffer = io.BytesIO()
        dumper = pickle.Pickler(buffer)
        dumper.persistent_id = lambda value: (  # type: ignore[method-assign, assignment]
            value.key if isinstance(value, Remote) else None)
        dumper.dump((number, target, name, args, kwargs))
        self.futures[number] = future
        with self.lock, contextlib.suppress(OSError):  # _read reports that the process is gone
            self.control.sendall(struct.pack("!I", buffer.tell()) + buffer.getvalue())
        if not self.reader.is_alive():
            self._fail()
        return future

    def call(self, target: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a module's function by name, over there."""
        return self.request(target, name, *args, **kwargs).result(PATIENCE)

    def begin(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        """Start a function of a test's file, over there."""
        return self.request(inspect.getfile(function), function.__qualname__, *args, **kwargs)

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a function of a test's file to its end, over there."""
        return self.begin(function, *args, **kwargs).result(PATIENCE)

    def socket(self, kind: int = socket.SOCK_STREAM) -> Remote:
        """Make an IPv4 socket."""
        made: Remote = self.call("socket", "socket", socket.AF_INET, kind)
        return made

    def listen(self, port: int = 0, backlog: int = 128) -> Remote:
        """Make a listener on this side's address."""
        made: Remote = self.call("socket", "create_server", (self.address, port), backlog=backlog)
        return made

    def connect(self, address: tuple[str, int], timeout: float | None = 10) -> Remote:
        """Connect to the other side."""
        made: Remote = self.call("socket", "create_connection", address, timeout)
        made.settimeout(None)
        return made

    def close(self, grace: float = 5.0) -> int:
        """End the process as a program ends, and return its status."""
        self.control.shutdown(socket.SHUT_WR)
        try:
            status = self.process.wait(grace)
        except subprocess.TimeoutExpired:
            status = end(self.process, 1.0)
        self.reader.join()
        return status

    def output(self) -> str:
        """Return what the process has printed."""
        self.log.seek(0)
        return self.log.read()

    def _read(self) -> None:
        with self.control.makefile("rb") as answers, contextlib.suppress(OSError):
            while head := answers.read(4):
                loader = pickle.Unpickler(io.BytesIO(answers.read(*struct.unpack("!I", head))))
                loader.persistent_load = (  # type: ignore[method-assign, assignment]
                    lambda key: Remote(self, key))
                number, fine, value = loader.load()
                future = self.futures.pop(number)
                future.set_result(value) if fine else future.set_exception(value)
        self._fail()

    def _fail(self) -> None:
        while self.futures:
            with contextlib.suppress(KeyError):
                _, future = self.futures.popitem()
                future.set_exception(EOFError(f"the {self.kind} process is gone:\n{self.output()}"))
