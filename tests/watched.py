"""A process that runs a stack and 300 connections over its own loopback, to be looked into from outside.

Used by tests/dpdk/test_telemetry.py and tests/cli/. It has no port, and so needs no namespace: but EAL runs in it.
"""
from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from peer import ROOT

PROGRAM = """
import os, sys, time
from greendpdk import monkey
monkey.patch_all(vdev="none", loopback="stack", telemetry="on")
import socket, gevent, greendpdk
from greendpdk._native import ffi, lib
listener = socket.create_server(("127.0.0.1", 0), backlog=400)
held = [socket.create_connection(listener.getsockname()) for _ in range(300)]
held += [listener.accept()[0] for _ in held]
waiting = gevent.spawn(listener.accept)

def hold():
    end = time.monotonic() + 4
    print("held", flush=True)
    while time.monotonic() < end:
        pass

print(ffi.string(lib.gd_eal_runtime_dir()).decode(), flush=True)
for line in iter(lambda: gevent.get_hub().threadpool.apply(sys.stdin.readline), ""):
    word = line.strip()
    if word == "fork":
        if (child := os.fork()) == 0:
            sys.exit(0)
        os.waitpid(child, 0)
    elif word == "leave a child":
        if os.fork() == 0:
            time.sleep(2)
            os._exit(0)
    elif word == "hold":
        hold()
    elif word == "talk":
        for _ in range(100):
            held[0].sendall(bytes(100))
            gevent.sleep(0.02)
    elif word == "stop":
        greendpdk.stop()
    print("done", flush=True)
"""


class Watched:
    """The program, and questions to it."""

    def __init__(self) -> None:
        self.run = subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=ROOT, text=True, bufsize=1,
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.place = Path(self.line())

    def line(self) -> str:
        assert self.run.stdout is not None
        return self.run.stdout.readline().strip()

    def do(self, word: str) -> None:
        assert self.run.stdin is not None
        self.run.stdin.write(f"{word}\n")

    def ask(self, command: str) -> Any:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
            asking.settimeout(10)
            asking.connect(str(self.place / "dpdk_telemetry.v2"))
            asking.recv(4096)
            asking.send(command.encode())
            (answer,) = json.loads(asking.recv(1 << 16)).values()
            return answer

    def end(self) -> None:
        assert self.run.stdin is not None and self.run.stdout is not None
        self.run.stdin.close()
        assert self.run.wait(20) == 0
        self.run.stdout.close()
