"""Run a program that forks, patched, over the stack's loopback."""
from __future__ import annotations

import textwrap

from run import run

START = """
from greendpdk import monkey
monkey.patch_all(loopback="stack")
import errno, gevent, greendpdk, os, select, socket, sys, time
listener = socket.create_server(("127.0.0.1", 0))
def pair():
    client = socket.create_connection(listener.getsockname())
    return client, listener.accept()[0]
def child(work):
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        os._exit(status)
def ended(pid):
    assert os.waitpid(pid, 0) == (pid, 0)
"""


def script(code: str) -> str:
    done = run(START + textwrap.dedent(code) + "\nlistener.close()\n")
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout
