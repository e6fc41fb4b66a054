"""Audit hooks (sys.addaudithook) see each call of the socket module once, with the arguments of the caller.

The same calls run in plain CPython and, patched, over the stack: by the system's resolver, and by a name server.
"""
from __future__ import annotations

import json
from typing import Any

import pytest
from run import ROOT, run

CALLS = """
import json, os, sys
told, quiet = [], set()  # what was seen of each call; greenlets of the test's own server

def label(value):
    if isinstance(value, tuple):
        return [label(one) for one in value]
    if hasattr(value, "recv"):
        return "its own" if value is asked else "another"
    return "a port" if value in ports else value

def hook(event, args):
    if not event.startswith("socket.") or here is None or (quiet and getcurrent() in quiet):
        return
    if event == "socket.__new__" and not isinstance(args[0], socket.socket):
        return  # of the kernel's half: docs/compat.md
    here.append([event, label(args)])

# SERVER
here, asked, ports = None, None, set()
NAME = os.environ["AUDIT_NAME"]
STREAM, DGRAM, SIX = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.AF_INET6
sys.addaudithook(hook)

def call(function, *args, **options):
    global here, asked
    here, asked = [], getattr(function, "__self__", None)
    try:
        result = function(*args, **options)
    except (OSError, TypeError) as error:
        result = error
    line, here = here, None
    told.append([getattr(function, "__name__", ""), line])
    return result

a = call(socket.socket)
call(socket.socket, socket.AF_INET, STREAM | socket.SOCK_CLOEXEC).close()
call(socket.socket, 2, 1, 6).close()
call(a.bind, ("127.0.0.1", 0))
call(a.listen)
ports.add(a.getsockname()[1])
b = call(socket.socket)
call(b.bind, ("", 0))
ports.add(b.getsockname()[1])
call(b.bind, ("127.0.0.1", 0))  # bound already
six = call(socket.socket, SIX, STREAM)
call(six.bind, ("::", 0, 0, 0))
ports.add(six.getsockname()[1])
six.close()
byname = socket.socket()
call(byname.bind, (NAME, 0))
ports.add(byname.getsockname()[1])
byname.close()
for connect in ("connect", "connect_ex"):
    for host in ("127.0.0.1", NAME):
        with socket.socket() as c:
            call(getattr(c, connect), (host, a.getsockname()[1]))
            ports.add(c.getsockname()[1])
            accepted, _ = call(a.accept)
            call(c.sendall, b"x")
            call(accepted.recv, 1)
            call(getattr(c, connect), (host, a.getsockname()[1]))  # EISCONN
            call(accepted.dup).close()
            call(socket.fromfd, accepted.fileno(), socket.AF_INET, STREAM).close()
            accepted.close()
for host in ("127.0.0.1", NAME):
    with socket.socket(type=DGRAM) as d:
        target = (host, a.getsockname()[1])
        call(d.sendto, b"x", target)
        call(d.sendto, b"x", 0, target)
        call(d.sendmsg, [b"x"], [], 0, target)
        call(d.connect, target)
        call(d.sendmsg, [b"x"])
        call(d.send, b"x")
b.close()
for arguments in ((None, 80), (NAME, 80), (NAME, "http", 2, 1), (NAME, None, 0, 0, 17), (NAME.encode(), b"80"),
                  ("127.0.0.1", 80), ("::1", 80), ("", 80), ("127.0.0.1", "no-service")):
    call(socket.getaddrinfo, *arguments)
for flags in (socket.AI_CANONNAME, socket.AI_NUMERICSERV, socket.AI_ADDRCONFIG, socket.AI_V4MAPPED, socket.AI_PASSIVE):
    call(socket.getaddrinfo, NAME, "80", SIX if flags == socket.AI_V4MAPPED else 0, STREAM, 0, flags)
    call(socket.getaddrinfo, "127.0.0.1", 80, 0, STREAM, 0, flags)
for host in (NAME, NAME.encode(), "127.0.0.1", "", "<broadcast>"):
    call(socket.gethostbyname, host)
    call(socket.gethostbyname_ex, host)
for host in ("127.0.0.1", "::1", NAME):
    call(socket.gethostbyaddr, host)
call(socket.getfqdn, "127.0.0.1")
for flags in (0, socket.NI_NUMERICHOST, socket.NI_NOFQDN, socket.NI_NAMEREQD, socket.NI_NUMERICSERV):
    call(socket.getnameinfo, ("127.0.0.1", 80), flags)
    call(socket.getnameinfo, ("::1", 80, 0, 0), flags)
for name in ("gethostname", "getfqdn", "has_dualstack_ipv6", "if_nameindex", "getdefaulttimeout"):
    call(getattr(socket, name))
for protocol in ((), ("tcp",)):
    call(socket.getservbyname, "http", *protocol)
    call(socket.getservbyport, 80, *protocol)
for function, *arguments in ((socket.socket, "x"), (b.bind, "x"), (b.connect, 5), (socket.gethostbyname, 5),
                             (socket.gethostbyaddr, 5), (socket.gethostbyname_ex, None), (socket.getaddrinfo, 5, 80),
                             (socket.getaddrinfo, "127.0.0.1", 1.5)):
    call(function, *arguments)
with call(socket.create_server, ("127.0.0.1", 0)) as server:
    ports.add(server.getsockname()[1])
    call(socket.create_connection, server.getsockname()).close()
    call(server.accept)[0].close()
    call(socket.create_connection, (NAME, server.getsockname()[1]), 5, ("127.0.0.1", 0)).close()
told[-1][1] = told[-1][1][:1] + told[-1][1][-3:]  # localhost may have ::1 too, where nobody listens
a.close()
print(json.dumps(told, default=str))
"""
PATCHED = """
from greendpdk import monkey
monkey.patch_all(loopback="stack", dns={dns})
import socket
from gevent import getcurrent
"""
SERVER = f"""
sys.path.insert(0, {str(ROOT / "tests" / "socket")!r})
from name_server import NameServer
server = NameServer(socket, zone={{("name.test", "A"): ["127.0.0.1"]}})
quiet.update(server.serving)
"""


def events(code: str, name: str) -> list[Any]:
    """Run the calls; return [call, [event, arguments], ...] of each."""
    return list(json.loads(run(code, AUDIT_NAME=name).stdout.replace(name, "NAME")))


@pytest.fixture(scope="module")
def cpythons() -> list[Any]:
    """Have it from the socket module itself."""
    return events("import socket\n" + CALLS, "localhost")


def test_by_the_system_s_resolver(cpythons):
    assert events(PATCHED.format(dns=()) + CALLS, "localhost") == cpythons


def test_by_a_name_server(cpythons):
    code = PATCHED.format(dns=("127.0.0.53",)) + CALLS.replace("# SERVER", SERVER)
    assert events(code, "name.test") == cpythons


def test_a_bind_in_the_kernel_is_told_of_once():
    run("""
        import sys
        from greendpdk import monkey
        monkey.patch_all(loopback="kernel")
        import socket
        told = []
        sys.addaudithook(lambda *call: told.append(call) if call[0] == "socket.bind" else None)
        with socket.socket() as one, socket.socket(type=socket.SOCK_DGRAM) as two:
            one.bind(("127.0.0.1", 0))
            two.bind(("", 0))
            assert told == [("socket.bind", (one, ("127.0.0.1", 0))), ("socket.bind", (two, ("", 0)))], told
    """)
