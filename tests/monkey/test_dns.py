"""Names go over the stack when name servers are set, and not otherwise."""
from __future__ import annotations

from run import run


def test_names_are_asked_for_over_the_stack_s_udp():
    run("""
        from greendpdk import monkey
        monkey.patch_all(loopback="stack", dns="127.0.0.1")
        import socket, struct, gevent
        from greendpdk import _stack

        def serve():
            while True:
                query, client = server.recvfrom(512)
                kind = query[12:].split(b"\\0", 1)[1][:2]
                question = query[12:12 + query[12:].index(0) + 5]
                asked.append(question)
                answers = RECORD if kind == b"\\0\\1" else b""
                header = query[:2] + b"\\x81\\x80\\0\\1" + struct.pack("!HHH", 1 if answers else 0, 0, 0)
                server.sendto(header + question + answers, client)

        RECORD = b"\\xc0\\x0c\\0\\1\\0\\1" + struct.pack("!IH", 60, 4) + bytes([127, 0, 0, 9])
        asked = []
        server = socket.socket(type=socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", 53))
        serving = gevent.spawn(serve)
        found = socket.getaddrinfo("name.test", 80, socket.AF_INET, socket.SOCK_STREAM)
        assert [entry[4] for entry in found] == [("127.0.0.9", 80)], found
        assert socket.gethostbyname("name.test") == "127.0.0.9"
        assert asked and _stack.current().counters()["udp_in"] > 0
        assert socket.gethostbyname("127.0.0.1") == "127.0.0.1"
        serving.kill()
        server.close()
    """)


def test_without_name_servers_the_system_resolves():
    run("""
        from greendpdk import monkey
        monkey.patch_all()
        import gevent, socket, sys
        from types import SimpleNamespace
        system = gevent.get_hub().resolver.system
        assert type(system).__module__ == "gevent.resolver.thread"
        asked, threads = [], system.pool
        system.pool = SimpleNamespace(apply=lambda *call: asked.append(call) or threads.apply(*call))
        assert socket.gethostbyname("localhost") == "127.0.0.1" and asked
        assert "dns.message" not in sys.modules
        assert ("127.0.0.1", 80) in [entry[4] for entry in socket.getaddrinfo("localhost", 80)]
    """)


def test_names_stay_the_c_library_s_if_dns_is_not_to_be_patched():
    run("""
        from greendpdk import monkey
        monkey.patch_all(dns=False)
        import gevent, _socket, socket
        assert type(gevent.get_hub().resolver).__module__ == "gevent.resolver.thread"
        assert socket.getaddrinfo.__module__ == "socket" and socket.gethostbyname is _socket.gethostbyname
    """)


def test_a_program_that_starts_the_stack_itself_asks_over_it_too():
    run("""
        import greendpdk, gevent
        from greendpdk import dns, socket
        greendpdk.start(dns="127.0.0.1", loopback="stack")
        assert isinstance(gevent.get_hub().resolver, dns.Resolver)
        try:
            socket.getaddrinfo("name.test", 80)   # nobody listens there: refused, and over
        except socket.gaierror as error:
            assert error.errno == socket.EAI_AGAIN
        greendpdk.stop()
        assert socket.gethostbyname("localhost") == "127.0.0.1"
    """)


def test_dnspython_missing_is_said_with_a_command():
    done = run("""
        import sys
        class Absent:
            def find_spec(self, name, *rest):
                if name.partition(".")[0] == "dns":
                    raise ModuleNotFoundError("No module named 'dns'", name="dns")
        sys.meta_path.insert(0, Absent())
        from greendpdk import monkey
        monkey.patch_all(dns="127.0.0.1")
    """, check=False)
    assert done.returncode and "python -m pip install dnspython" in done.stderr
