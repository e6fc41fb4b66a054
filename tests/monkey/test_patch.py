"""patch_all: order, repetition, queries, warnings, the plugin, and what it starts."""
from __future__ import annotations

import pytest
from run import run

CHECK = """
import socket, ssl, select, os, _socket
import greendpdk, greendpdk.socket
from greendpdk import monkey
def ours():
    return socket.socket is greendpdk.socket.socket
"""


def test_patch_all_patches_and_starts_the_stack_once():
    run(CHECK + """
assert not monkey.is_patched() and greendpdk.running() is None
monkey.patch_all()
assert ours() and monkey.is_patched() and monkey.is_patched("ssl") and monkey.is_patched("socket", "socket")
assert not monkey.is_patched("socket", "getaddrinfo")
assert monkey.is_module_patched("threading") and monkey.is_object_patched("socket", "getaddrinfo")
stack = greendpdk.running()
assert stack is not None
monkey.patch_all()
assert greendpdk.running() is stack
assert issubclass(socket.socket, _socket.socket) is False
assert monkey.get_original("socket", "socket").__mro__[1] is _socket.socket
""")


def test_settings_go_to_the_stack():
    run(CHECK + """
monkey.patch_all(loopback="stack", poll="busy")
settings = greendpdk.running().settings
assert (settings.loopback, settings.poll) == ("stack", "busy")
""")


def test_uvloop_is_refused_with_the_reason():
    run(CHECK + """
monkey.patch_all()
try:
    import uvloop
except ImportError as error:
    assert error.name == "uvloop" and "asyncio's own loop" in str(error)
else:
    raise AssertionError("imported")
import asyncio
asyncio.run(asyncio.sleep(0))
""")


def test_uvloop_that_is_imported_already_is_warned_of():
    run(CHECK + """
import sys, types, warnings
sys.modules["uvloop"] = types.ModuleType("uvloop")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    monkey.patch_all()
assert [str(each.message) for each in caught if "uvloop" in str(each.message)]
""")


def test_a_wrong_setting_changes_nothing():
    run(CHECK + """
try:
    monkey.patch_all(loopback="elsewhere")
except ValueError as error:
    assert "loopback" in str(error) and "elsewhere" in str(error)
else:
    raise AssertionError("accepted")
assert not ours() and greendpdk.running() is None
""")


def test_after_gevent_s_own_patch():
    run("from gevent import monkey as first; first.patch_all()\n" + CHECK + """
monkey.patch_all(loopback="stack")
assert ours()
import gevent, ssl
assert ssl.SSLContext.__mro__[1] is monkey.get_original("ssl", "SSLContext")
ssl.create_default_context()
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
assert type(client._sock).__name__ == "RawSocket"
for sock in (client, server, listener):
    sock.close()
""")


def test_parts_are_patched_by_themselves():
    run(CHECK + """
monkey.patch_socket(); assert ours() and ssl.SSLContext is monkey.get_original("ssl", "SSLContext")
monkey.patch_ssl(); monkey.patch_select(); monkey.patch_os()
import greendpdk.ssl
assert ssl.SSLContext is greendpdk.ssl.SSLContext
assert all(monkey.is_patched(name) for name in ("socket", "ssl", "select", "os"))
assert greendpdk.running() is None
greendpdk.start()
socket.socket().close()
""")


def test_without_socket_nothing_is_started():
    run(CHECK + """
monkey.patch_all(socket=False, dns=False)
assert not ours() and greendpdk.running() is None and monkey.is_module_patched("threading")
""")


def test_a_module_that_was_imported_first_is_named():
    done = run("""
        import urllib3, requests
        from greendpdk import monkey
        monkey.patch_all()
    """)
    assert "MonkeyPatchWarning" in done.stderr and "urllib3" in done.stderr and "python -m greendpdk" in done.stderr


def test_nothing_is_warned_of_when_the_patch_comes_first():
    done = run("""
        from greendpdk import monkey
        monkey.patch_all()
        import requests, urllib3, flask
    """, PYTHONWARNINGS="error")
    assert done.stderr == ""


def test_os_close_gives_a_connection_back():
    run(CHECK + """
monkey.patch_all(loopback="stack")
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
fd = client.detach()
os.close(fd)
assert server.recv(1) == b""
try:
    os.close(fd)
except OSError as error:
    assert error.errno == 9
else:
    raise AssertionError("closed twice")
with open("/dev/null") as file:
    os.close(os.dup(file.fileno()))
server.close(); listener.close()
""")


def test_threads_are_greenlets_that_may_use_the_stack():
    run(CHECK + """
monkey.patch_all(loopback="stack")
import threading
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    sock, _ = listener.accept()
    sock.sendall(b"from a thread")
    sock.close()
thread = threading.Thread(target=serve)
thread.start()
client = socket.create_connection(listener.getsockname())
assert client.recv(100) == b"from a thread"
thread.join()
client.close(); listener.close()
""")


def test_subprocess_works_and_its_child_has_none_of_our_fds():
    run(CHECK + """
monkey.patch_all(loopback="stack")
import subprocess, sys
listener = socket.create_server(("127.0.0.1", 0))
fd = listener.fileno()
out = subprocess.run([sys.executable, "-c", f"import os; print(os.path.exists('/proc/self/fd/{fd}'))"],
                     capture_output=True, text=True, check=True)
assert out.stdout.strip() == "False", out.stdout
listener.close()
""")


@pytest.mark.parametrize("value, expected", [("1", "True"), ("0", "False"), ("", "False")])
def test_the_plugin_rides_along_only_when_it_is_asked_to(value, expected):
    done = run("""
        import gevent.events
        from greendpdk.monkey import _plugin
        gevent.events.subscribers.append(
            lambda event: isinstance(event, gevent.events.GeventWillPatchAllEvent) and _plugin.will_patch_all(event))
        import gevent.monkey
        gevent.monkey.patch_all()
        import socket, sys
        print(socket.socket.__module__ == "greendpdk.socket", "greendpdk._stack" in sys.modules)
        import ssl, select
        if "greendpdk._stack" in sys.modules:
            import greendpdk
            assert greendpdk.running() is not None and ssl.SSLSocket.__module__ == "greendpdk.ssl"
    """, GREENDPDK=value)
    assert done.stdout.split() == [expected, expected]
