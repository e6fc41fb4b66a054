"""A second stack at the other end of a wire in memory, in this process and in real time: somebody to talk to.

Called by applications' tests and by pytest_plugin.py; calls the engine (gd_pipe_pair, gd_shaper_new) and loop.Poller:
one hub polls both stacks, so that the peer's sockets are the usual ones and its programs are greenlets.

    stack 198.19.0.1 ── shaper ── wire ── 198.19.0.2 peer

    with Peer() as peer:
        address = peer.serve(lambda sock: sock.sendall(sock.recv(100)))
        client = socket.create_connection(address)
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import ipaddress
import os
import socket as standard
import time
from collections.abc import Callable
from typing import Any

import gevent

from greendpdk import _config, _stack
from greendpdk._endpoint import Endpoint
from greendpdk._errors import check
from greendpdk._native import ffi, lib
from greendpdk._ports import packed
from greendpdk._raw import RawSocket
from greendpdk._wrapper import socket as Socket
from greendpdk.testing._network import network

MTU = 1500
NETWORK = "198.19.0.0/24"  # of RFC 2544's benchmarks, beside the tap's default 198.18.0.0/24
_MACS = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
_TICK_S = 0.001  # a frame that a timer of the other stack has sent waits for that, if both sleep
_GOODBYE_S, _LOOK_S = 1.0, 0.005  # what the stack has sent and the wire has lost is sent again, and then reset


class Task:
    """A function that runs at the peer, in a greenlet."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._outcome: tuple[Any, BaseException | None] = (None, None)
        self.greenlet = gevent.spawn(self._run, function, arguments)

    def _run(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        try:
            self._outcome = function(*arguments), None
        except Exception as error:  # it is raised where the result is asked for
            self._outcome = None, error

    def result(self, timeout: float | None = None) -> Any:
        """Wait for what the function returns, or raise what it raised; TimeoutError after so many seconds."""
        self.greenlet.join(timeout)
        if not self.greenlet.ready():
            raise TimeoutError(f"the peer's function still runs after {timeout} s")
        value, error = self._outcome
        if error is not None:
            raise error
        return value


class Peer:
    """The second stack: `address` is its own, `stack_address` that of the stack under test on the wire between them.

    Its sockets are used as any: peer.socket() makes one (IPv4; TCP or UDP). Bind to `address`, not to the wildcard,
    which the kernel shares. Closing it resets what is open at the stack under test.
    """

    def __init__(self, subnet: str = NETWORK, mtu: int = MTU) -> None:
        main = network.ready()
        hosts = ipaddress.IPv4Network(subnet)
        self.stack_address, self.address = str(hosts[1]), str(hosts[2])
        self._tasks: list[Task] = []
        self._servers: list[Any] = []
        self._main = main
        ends = ffi.new("struct gd_port *[2]")
        check(lib.gd_pipe_pair(mtu, *_MACS, ends, ends + 1))
        shaper = lib.gd_shaper_new(ends[0])
        if shaper == ffi.NULL:
            lib.gd_port_close(ends[0])
            lib.gd_port_close(ends[1])
            raise MemoryError
        self._ifindex = _attach(main.c, shaper, b"peer0", hosts, 1)
        self.stack = self._second(ends[1], hosts)
        network.attached(self._ifindex)
        atexit.register(self.close)
        _peers.append(self)

    def _second(self, end: Any, hosts: ipaddress.IPv4Network) -> _stack.Stack:
        from greendpdk.loop import Poller

        config, out = ffi.new("struct gd_config *"), ffi.new("struct gd_stack **")
        ffi.memmove(config.seed, os.urandom(len(config.seed)), len(config.seed))
        check(lib.gd_stack_new(config, lib.gd_live_now(), out))
        stack = _stack.Stack(out[0], _config.load({}, vdev="none", loopback="stack"))
        ifindex = _attach(stack.c, end, b"wire0", hosts, 2)
        everywhere, gateway = packed(ipaddress.IPv4Address(0)), packed(hosts[1])  # no address here is the kernel's
        check(lib.gd_stack_add_route(stack.c, everywhere, 0, gateway, ifindex))
        stack.poller = Poller(stack)  # of no device: the wire has no fd that would wake it, so the tick does
        stack.poller.start()
        self._tick = stack.poller.hub.loop.timer(_TICK_S, _TICK_S, ref=False)
        self._tick.start(int)
        return stack

    def socket(self, family: int = standard.AF_INET, type: int = standard.SOCK_STREAM, proto: int = 0) -> Socket:
        """Make a socket of the peer's."""
        if self.stack.dead:
            raise RuntimeError("this peer is closed")
        return Socket(fileno=RawSocket(Endpoint(self.stack, family, type, proto)))

    def create_server(self, port: int = 0, backlog: int = 128) -> Socket:
        """Make a listening socket at the peer's address; port 0: any that is free."""
        listener = self.socket()
        try:
            listener.bind((self.address, port))
            listener.listen(backlog)
        except BaseException:
            listener.close()
            raise
        return listener

    def create_connection(self, address: tuple[str, int], timeout: float | None = None) -> Socket:
        """Connect from the peer."""
        sock = self.socket()
        try:
            sock.settimeout(timeout)
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        return sock

    def run(self, function: Callable[..., Any], *arguments: Any) -> Task:
        """Run function(make_socket, *arguments) at the peer, in a greenlet; make_socket stands for socket.socket."""
        return Task(function, (self.socket, *arguments))

    def serve(self, handler: Callable[[Any], Any], port: int = 0) -> tuple[str, int]:
        """Accept connections until the peer is closed, and run handler(sock) in a greenlet for each; return where.

        The socket is closed when handler returns or raises.
        """
        listener = self.create_server(port)
        self._tasks.append(Task(_accept, (listener, handler)))
        host, bound = listener.getsockname()
        return host, bound

    def serve_wsgi(self, app: Any, port: int = 0) -> str:
        """Serve a WSGI application (Flask's and others) until the peer is closed; return its URL, without a slash."""
        server, url = wsgi_server(self.create_server(port), app)
        self._servers.append(server)
        return url

    def counters(self) -> dict[str, int]:
        """Return the peer's engine counters that are not zero."""
        return {name: value for name, value in self.stack.counters().items() if value}

    def close(self) -> None:
        """End the peer: its connections are reset, its functions killed, the wire removed. Closing twice is legal."""
        if self.stack.dead:
            return
        for server in self._servers:
            server.stop(timeout=0)
        gevent.killall([task.greenlet for task in self._tasks])
        stack, main = self.stack, self._main
        lib.gd_stack_abort_all(stack.c, errno.ECONNRESET)
        end = time.monotonic() + _GOODBYE_S
        while not main.dead:
            lib.gd_stack_poll(stack.c, lib.gd_live_now())
            main.poller.poll()
            if not lib.gd_stack_unsent(main.c) or time.monotonic() > end:
                break
            gevent.sleep(_LOOK_S)
        stack.poller.stop()
        self._tick.stop()
        self._tick.close()
        stack.dead = True
        lib.gd_stack_free(stack.c)
        stack.c = ffi.NULL
        if not main.dead:
            check(lib.gd_stack_detach(main.c, self._ifindex))
        atexit.unregister(self.close)
        with contextlib.suppress(ValueError):
            _peers.remove(self)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()


def wsgi_server(listener: Any, app: Any) -> tuple[Any, str]:
    """Serve a WSGI application on a listener, in greenlets of this process; return the server and its URL."""
    from gevent.pywsgi import WSGIServer

    host, port = listener.getsockname()[:2]
    server = WSGIServer(listener, app, log=None)
    server.start()
    return server, f"http://{host}:{port}"


def _attach(stack: Any, port: Any, name: bytes, hosts: ipaddress.IPv4Network, number: int) -> int:
    """Give a stack its end of the wire, and the other end's MAC, as a host has it after the first packet."""
    ifindex = check(lib.gd_stack_attach(stack, port, name))
    check(lib.gd_stack_add_address(stack, ifindex, packed(hosts[number]), hosts.prefixlen), f"the peer's {hosts}")
    other = 3 - number
    check(lib.gd_stack_set_neighbour(stack, ifindex, packed(hosts[other]), _MACS[other - 1]))
    return int(ifindex)


def _accept(listener: Any, handler: Callable[[Any], Any]) -> None:
    with listener:
        while True:
            sock, _ = listener.accept()
            gevent.spawn(_handle, sock, handler)


def _handle(sock: Any, handler: Callable[[Any], Any]) -> None:
    with sock, contextlib.suppress(OSError):  # the other side is gone: a server goes on
        handler(sock)


_peers: list[Peer] = []


def _after_fork_in_child() -> None:
    for peer in _peers:
        peer.stack.dead = True


os.register_at_fork(after_in_child=_after_fork_in_child)
