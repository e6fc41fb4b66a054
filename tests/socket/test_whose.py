"""Whose a socket is: the stack's or the kernel's, decided late and by the address; threads and forks."""
from __future__ import annotations

from run import run

START = """
import errno, os, sys, gevent, greendpdk, _socket
from greendpdk import socket, _fds
stack = greendpdk.start(loopback="{}")
def kind(sock):
    raw = sock._sock
    if type(raw).__name__ != "RawSocket":
        return "kernel"
    return "both" if raw.end.c is not None and raw.end.k is not None else "stack"
def serve(listener, count=1):
    def one():
        for _ in range(count):
            sock, _ = listener.accept()
            sock.sendall(kind(sock).encode())
            sock.close()
    return gevent.spawn(one)
def ask(family_socket, address):
    sock = family_socket()
    sock.connect(address)
    data = sock.recv(100)
    sock.close()
    return data.decode()
"""
KERNEL, STACK = START.format("kernel"), START.format("stack")


def script(start: str, code: str) -> str:
    import textwrap

    return run(start + textwrap.dedent(code)).stdout


def test_loopback_is_the_kernel_s_unless_it_is_set():
    script(KERNEL, """
        listener = socket.create_server(("127.0.0.1", 0))
        assert kind(listener) == "kernel" and isinstance(listener, socket.socket)
        client = socket.create_connection(listener.getsockname())
        assert kind(client) == "kernel"
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
        server, _ = listener.accept()
        assert kind(server) == "kernel"
        client.sendall(b"x"); assert server.recv(1) == b"x"
        for s in (listener, client, server): s.close()
    """)


def test_options_of_a_socket_that_becomes_the_kernel_s_are_replayed():
    script(KERNEL, """
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77)
        sock.settimeout(3)
        sock.bind(("127.0.0.1", 0))
        assert kind(sock) == "kernel" and sock.gettimeout() == 3
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 77
        sock.close()
    """)


def test_the_number_stays_when_a_socket_becomes_the_kernel_s():
    script(KERNEL, """
        listener = socket.create_server(("127.0.0.1", 0))
        sock = socket.socket()
        fd = sock.fileno()
        other = sock.dup()
        sock.connect(listener.getsockname())
        assert sock.fileno() == fd and kind(sock) == "kernel"
        assert _socket.socket(fileno=os.dup(fd)).getpeername() == listener.getsockname()
        server, _ = listener.accept()
        other.sendall(b"by the dup")
        assert server.recv(100) == b"by the dup"
        sock.close(); other.close()
        assert server.recv(1) == b""
        server.close(); listener.close()
        assert not _fds._table and not _fds._inodes, _fds._table
    """)


def test_what_is_not_routed_is_the_kernel_s():
    script(KERNEL, """
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(("192.0.2.1", 9))
        assert kind(sock) == "kernel"
        sock.close()
        udp = socket.socket(type=socket.SOCK_DGRAM)
        peer = socket.socket(type=socket.SOCK_DGRAM)
        peer.bind(("127.0.0.1", 0))
        udp.sendto(b"x", peer.getsockname())
        data, sender = peer.recvfrom(10)
        assert data == b"x"
        peer.sendto(b"answer", sender)
        assert udp.recv(10) == b"answer"
        udp.close(); peer.close()
    """)


def test_a_wildcard_listener_serves_both():
    script(STACK, """
        for address in (("", 0), ("0.0.0.0", 0)):
            listener = socket.create_server(address)
            assert kind(listener) == "both"
            host, port = listener.getsockname()
            assert host == "0.0.0.0" and port
            serving = serve(listener, 2)
            gevent.sleep(0)
            assert ask(socket.socket, ("127.0.0.1", port)) == "stack"
            assert ask(gevent.socket.socket, ("127.0.0.1", port)) == "kernel"
            serving.get()
            listener.close()
            for make in (socket.socket, gevent.socket.socket):
                sock = make()
                assert sock.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED
                sock.close()
    """)


def test_a_wildcard_listener_in_a_gevent_server_serves_both():
    script(STACK, """
        from greendpdk import monkey
        monkey.patch_socket()
        from gevent.server import StreamServer
        server = StreamServer(("0.0.0.0", 0), lambda sock, address: sock.sendall(kind(sock).encode()))
        server.start()
        port = server.address[1]
        kernel = lambda: monkey.get_original("socket", "socket")()
        assert ask(socket.socket, ("127.0.0.1", port)) == "stack"
        import gevent.threadpool
        assert gevent.get_hub().threadpool.apply(ask, (kernel, ("127.0.0.1", port))) == "kernel"
        server.stop()
    """)


def test_a_wildcard_bind_is_in_use_if_either_half_is():
    script(STACK, """
        holder = gevent.socket.socket()
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        sock = socket.socket()
        try:
            sock.bind(("", port))
        except OSError as error:
            assert error.errno == errno.EADDRINUSE, error
        else:
            raise AssertionError("bound")
        sock.bind(("127.0.0.1", port))   # the stack's own half is free
        sock.close(); holder.close()
    """)


def test_a_wildcard_datagram_socket_hears_both():
    script(STACK, """
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.bind(("", 0))
        port = sock.getsockname()[1]
        mine, kernels = socket.socket(type=socket.SOCK_DGRAM), gevent.socket.socket(type=socket.SOCK_DGRAM)
        mine.sendto(b"stack", ("127.0.0.1", port))
        kernels.sendto(b"kernel", ("127.0.0.1", port))
        got = dict(sock.recvfrom(100) for _ in range(2))
        assert set(got) == {b"stack", b"kernel"}, got
        waiting = gevent.spawn(sock.recv, 100)
        gevent.sleep(0.01)
        kernels.sendto(b"wakes", ("127.0.0.1", port))
        assert waiting.get() == b"wakes"
        for s in (sock, mine, kernels): s.close()
    """)


def test_two_greenlets_on_a_wildcard_listener():
    script(STACK, """
        listener = socket.create_server(("", 0))
        port = listener.getsockname()[1]
        waiting = [gevent.spawn(listener.accept) for _ in range(2)]
        gevent.sleep(0.01)
        a, b = gevent.socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port))
        assert sorted(kind(w.get()[0]) for w in waiting) == ["kernel", "stack"]
        for w in waiting: w.get()[0].close()
        a.close(); b.close(); listener.close()
    """)


def test_another_thread_is_refused_at_once_and_may_use_the_kernel():
    out = script(STACK, """
        listener = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(listener.getsockname())
        def other():
            for attempt in (lambda: client.send(b"x"), lambda: client.recv(1), lambda: listener.accept(),
                            lambda: socket.create_connection(listener.getsockname())):
                try:
                    attempt()
                except RuntimeError as error:
                    print(error)
            a, b = socket.socketpair()
            a.sendall(b"x"); assert b.recv(1) == b"x"
            a.close(); b.close()
            return True
        assert gevent.get_hub().threadpool.apply(other)
        client.close(); listener.close()
    """)
    assert len([line for line in out.splitlines() if "native thread" in line]) == 4


def test_a_forked_child_has_dead_stack_sockets_and_live_kernel_sockets():
    script(STACK, """
        listener = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                gevent.reinit()
                for attempt in (lambda: client.send(b"x"), lambda: client.recv(1), lambda: listener.accept(),
                                lambda: client.getpeername()):
                    try:
                        attempt()
                    except OSError as error:
                        assert error.errno == errno.EBADF, error
                    else:
                        raise AssertionError("worked")
                inside = socket.create_server(("127.0.0.1", 0))
                assert kind(inside) == "kernel"
                out = socket.create_connection(inside.getsockname())
                got, _ = inside.accept()
                out.sendall(b"x"); assert got.recv(1) == b"x"
                gevent.sleep(0.05)
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        client.sendall(b"the parent goes on")
        assert server.recv(100) == b"the parent goes on"
        for s in (client, server, listener): s.close()
    """)


def test_a_child_that_exits_normally_sends_nothing():
    script(STACK, """
        listener = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        pid = os.fork()
        if pid == 0:
            sys.exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        gevent.sleep(0.02)
        client.sendall(b"still connected")
        assert server.recv(100) == b"still connected"
        for s in (client, server, listener): s.close()
    """)


def test_without_a_stack_the_error_says_what_to_do():
    done = run("""
        from greendpdk import socket
        try:
            socket.socket()
        except RuntimeError as error:
            print(error)
    """)
    assert "greendpdk.start()" in done.stdout


def test_stop_wakes_who_waits_and_sockets_are_ebadf_after_it():
    script(STACK, """
        listener = socket.create_server(("127.0.0.1", 0))
        waiting = gevent.spawn(listener.accept)
        gevent.sleep(0)
        greendpdk.stop()
        try:
            waiting.get(timeout=5)
        except OSError as error:
            assert error.errno == errno.EBADF
        try:
            listener.getsockname()
        except OSError as error:
            assert error.errno == errno.EBADF
        listener.close()
        greendpdk.start(loopback="stack")
        again = socket.create_server(("127.0.0.1", 0))
        again.close()
    """)


def test_an_ipv6_wildcard_listener_serves_ipv4_as_mapped_addresses():
    script(STACK, """
        listener = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        assert kind(listener) == "both"
        host, port, flow, scope = listener.getsockname()
        assert (host, flow, scope) == ("::", 0, 0)
        client = socket.create_connection(("127.0.0.1", port))
        server, address = listener.accept()
        assert kind(server) == "stack" and server.family == socket.AF_INET6
        assert address == ("::ffff:127.0.0.1", client.getsockname()[1], 0, 0) == server.getpeername()
        kernels = gevent.socket.create_connection(("::1", port))
        other, address = listener.accept()
        assert kind(other) == "kernel" and address[0] == "::1"
        for s in (client, server, kernels, other, listener): s.close()
    """)


def test_groups_on_the_kernel_s_interfaces_are_the_kernel_s():
    script(KERNEL, """
        import struct
        ip, group = socket.IPPROTO_IP, socket.inet_aton("239.1.2.3")
        local, nowhere = socket.inet_aton("127.0.0.1"), socket.inet_aton("10.9.8.7")
        member, sender = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
        member.setsockopt(ip, socket.IP_ADD_MEMBERSHIP, group + local)
        member.setsockopt(ip, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("239.1.2.4") + local)
        member.setsockopt(ip, socket.IP_DROP_MEMBERSHIP, socket.inet_aton("239.1.2.4") + local)
        for option, value in ((socket.IP_ADD_MEMBERSHIP, group + nowhere), (socket.IP_MULTICAST_IF, nowhere)):
            try:
                member.setsockopt(ip, option, value)
            except OSError as error:
                assert error.errno in (errno.ENODEV, errno.EADDRNOTAVAIL), error
            else:
                raise AssertionError("there is no such interface")
        member.bind(("", 0))
        assert kind(member) == "both"
        member.settimeout(5)
        sender.setsockopt(ip, socket.IP_MULTICAST_IF, local)
        sender.sendto(b"x", ("239.1.2.3", member.getsockname()[1]))
        assert member.recvfrom(10)[0] == b"x"
        member.close(); sender.close()
    """)


def test_groups_on_the_stack_s_interfaces_are_the_stack_s():
    script(STACK, """
        ip, group, local = socket.IPPROTO_IP, socket.inet_aton("239.1.2.3"), socket.inet_aton("127.0.0.1")
        member, sender = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
        member.setsockopt(ip, socket.IP_ADD_MEMBERSHIP, group + local)
        member.bind(("239.1.2.3", 0))
        assert kind(member) == "both" and member._sock.end.c is not None
        sender.setsockopt(ip, socket.IP_MULTICAST_IF, local)
        sender.sendto(b"x", ("239.1.2.3", member.getsockname()[1]))
        assert kind(sender) == "stack"
        member.settimeout(5)
        assert member.recvfrom(10)[0] == b"x"
        assert greendpdk.counters()["udp_out"] == 1
        member.close(); sender.close()
    """)


def test_options_that_are_set_again_and_again_are_kept_once():
    script(STACK, """
        import struct
        def kept(kind, *options):
            with socket.socket(type=kind) as sock:
                for option in (options * 2, options * 50):
                    for level, name, value in option:
                        sock.setsockopt(level, name, value)
                    count = len(sock._sock.end.options)
                return count
        tcp = socket.IPPROTO_TCP, socket.TCP_CORK
        assert kept(socket.SOCK_STREAM, (*tcp, 1), (*tcp, 0)) == 1
        groups = [socket.inet_aton(f"239.1.2.{number}") + socket.inet_aton("127.0.0.1") for number in (1, 2)]
        join, leave = socket.IP_ADD_MEMBERSHIP, socket.IP_DROP_MEMBERSHIP
        assert kept(socket.SOCK_DGRAM, *((0, name, group) for group in groups for name in (join, leave))) == 4
    """)
    script(KERNEL, """
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            group = socket.inet_aton("239.1.2.3") + socket.inet_aton("127.0.0.1")
            for name in (socket.IP_ADD_MEMBERSHIP, socket.IP_DROP_MEMBERSHIP, socket.IP_ADD_MEMBERSHIP):
                sock.setsockopt(socket.IPPROTO_IP, name, group)
            for value in (1, 0, 1):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, value)
            sock.connect(("127.0.0.1", 9))
            assert kind(sock) == "kernel" and sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST) == 1
            try:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
                raise AssertionError
            except OSError as error:
                assert error.errno == errno.EADDRINUSE, "joined already"
    """)
