"""The program at one end of a test's wire: does as peer.py bids, with plain blocking sockets.

Run as `agent.py stack|gevent|kernel FD`; FD is a control socket. `stack` and `gevent` patch first, so that the
very same lines run over DPDK, or on gevent's kernel sockets (benchmarks/). Each request has a thread
(patched: a greenlet) of its own and may block.

    request   (number, target, name, args, kwargs)    target: an object, a module, or a file's path
    answer    (number, True, value) or (number, False, exception)

Sockets never cross: a persistent id stands for them in the pickles.
"""
from __future__ import annotations

import io
import pickle
import struct
import sys
from typing import Any


class Agent:
    """Keeps the sockets that the test holds, and answers requests."""

    def __init__(self, control: Any) -> None:
        self.control = control
        self.objects: dict[int, Any] = {}
        self.modules: dict[str, Any] = {}

    def serve(self) -> None:
        """Take requests until the test closes the control socket."""
        import threading

        self.sending = threading.Lock()
        with self.control.makefile("rb") as requests:
            while head := requests.read(4):
                body = requests.read(*struct.unpack("!I", head))
                threading.Thread(target=self.answer, args=(body,), daemon=True).start()

    def answer(self, body: bytes) -> None:
        loader = pickle.Unpickler(io.BytesIO(body))
        loader.persistent_load = self.objects.__getitem__  # type: ignore[method-assign, assignment]
        number, target, name, args, kwargs = loader.load()
        try:
            value = getattr(self.resolve(target), name)(*args, **kwargs)
            reply = self.dump((number, True, value))
        except Exception as error:
            reply = self.dump((number, False, error))
        with self.sending:
            self.control.sendall(struct.pack("!I", len(reply)) + reply)

    def resolve(self, target: Any) -> Any:
        """Find what a request is for: an object that we keep, a module, or a test's file."""
        import importlib
        import importlib.util

        if not isinstance(target, str):
            return target
        if target not in self.modules:
            if target.endswith(".py"):
                spec = importlib.util.spec_from_file_location(f"_agent_{len(self.modules)}", target)
                assert spec and spec.loader
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
            else:
                module = importlib.import_module(target)
            self.modules[target] = module
        return self.modules[target]

    def keep(self, value: Any) -> int | None:
        import socket

        if not isinstance(value, socket.socket):
            return None
        self.objects[id(value)] = value
        return id(value)

    def dump(self, value: Any) -> bytes:
        buffer = io.BytesIO()
        dumper = pickle.Pickler(buffer)
        dumper.persistent_id = self.keep  # type: ignore[method-assign, assignment]
        dumper.dump(value)
        return buffer.getvalue()


def main() -> None:
    """Patch if told so, then serve."""
    if sys.argv[1] == "stack":
        from greendpdk import monkey

        monkey.patch_all()
    elif sys.argv[1] == "gevent":
        import gevent.monkey

        gevent.monkey.patch_all()
    import socket

    Agent(socket.socket(fileno=int(sys.argv[2]))).serve()


if __name__ == "__main__":
    main()
