"""What socket.socket is in Python: names, types, errors, audit events, the end of an object; the calls are elsewhere.

Where gevent's own class does otherwise than CPython's, the kernel's side here is CPython's socket module, unpatched.
"""
from __future__ import annotations

import copy
import errno
import gc
import os
import pickle
import socket as plain
import sys
import warnings
import weakref
from types import SimpleNamespace
from typing import Any

import pytest


@pytest.fixture(params=["cpython", "stack"])
def lib(request: pytest.FixtureRequest) -> SimpleNamespace:
    """Give the socket module of CPython, or ours."""
    if request.param == "cpython":
        return SimpleNamespace(kind="cpython", socket=plain)
    request.getfixturevalue("stack")
    from greendpdk import socket

    return SimpleNamespace(kind="stack", socket=socket)


@pytest.fixture
def fresh(lib: SimpleNamespace) -> Any:
    with lib.socket.socket() as made:
        yield made


@pytest.fixture
def ours(stack: Any) -> Any:
    from greendpdk import socket

    return socket


def test_every_name_of_the_module_is_there(ours):
    assert {name for name in plain.__all__ if not hasattr(ours, name)} == set()


def test_every_name_of_the_class_is_there(ours):
    names = {name for name in dir(plain.socket) if not name.startswith("__")}
    assert names - set(dir(ours.socket)) == {"sendmsg_afalg"}  # AF_ALG: kernel sockets made by _socket have it


def test_constants_are_cpythons(ours):
    constants = [name for name in dir(plain) if name.isupper()]
    assert len(constants) > 300
    assert [name for name in constants if getattr(ours, name) != getattr(plain, name)] == []


def test_family_and_type_are_enums_without_flags(lib):
    with lib.socket.socket(type=plain.SOCK_STREAM | plain.SOCK_NONBLOCK | plain.SOCK_CLOEXEC) as made:
        assert made.type is plain.SOCK_STREAM and repr(made.type) == "<SocketKind.SOCK_STREAM: 1>"
        assert made.family is plain.AF_INET and made.proto == 0


def test_sock_nonblock_at_creation_means_no_timeout_and_not_blocking(lib):
    with lib.socket.socket(type=plain.SOCK_STREAM | plain.SOCK_NONBLOCK) as made:
        assert made.gettimeout() == 0.0 and not made.getblocking()
        with pytest.raises(BlockingIOError):
            made.bind(("127.0.0.1", 0)), made.listen(), made.accept()


def test_the_default_timeout_is_for_new_sockets_and_accepted_ones(lib):
    lib.socket.setdefaulttimeout(7.5)
    try:
        with lib.socket.create_server(("127.0.0.1", 0)) as server, lib.socket.socket() as client:
            assert client.gettimeout() == 7.5
            client.connect(server.getsockname())
            with server.accept()[0] as accepted:
                assert accepted.gettimeout() == 7.5
    finally:
        lib.socket.setdefaulttimeout(None)


def test_an_accepted_socket_does_not_take_the_listeners_timeout(lib):
    with lib.socket.create_server(("127.0.0.1", 0)) as server, lib.socket.socket() as client:
        server.settimeout(5)
        client.connect(server.getsockname())
        with server.accept()[0] as accepted:
            assert accepted.gettimeout() is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, None), (0, 0.0), (3, 3.0), (0.5, 0.5), (True, 1.0)],
)
def test_settimeout_takes_numbers(fresh, value, expected):
    fresh.settimeout(value)
    assert fresh.gettimeout() == expected and fresh.getblocking() is (expected != 0.0)


@pytest.mark.parametrize("value", [-1, -0.5, float("nan"), float("inf"), 1e30, "1", b"", [], object()])
def test_settimeout_refuses_the_rest_as_cpython_does(stack, ours, value):
    with plain.socket() as theirs, ours.socket() as own:
        errors = []
        for made in (theirs, own):
            with pytest.raises((TypeError, ValueError, OverflowError)) as caught:
                made.settimeout(value)
            errors.append(caught.type)
        assert errors[0] is errors[1]


def test_instances_have_no_dict_but_can_be_referred_to_weakly(fresh):
    with pytest.raises(AttributeError):
        fresh.something = 1
    assert weakref.ref(fresh)() is fresh


def test_a_subclass_may_have_attributes_and_is_kept_by_dup(lib):
    class Named(lib.socket.socket):
        name = ""

        def send(self, data: bytes, flags: int = 0) -> int:
            return super().send(data.upper(), flags)

    with lib.socket.create_server(("127.0.0.1", 0)) as server, Named() as client:
        client.name = "one"
        client.connect(server.getsockname())
        with server.accept()[0] as accepted, client.dup() as other:
            assert type(other) is Named and other.name == "" and type(accepted) is lib.socket.socket
            client.send(b"a")
            other.send(b"b")
            assert accepted.recv(2, plain.MSG_WAITALL) == b"AB"


@pytest.mark.parametrize("do", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_socket_is_neither_pickled_nor_copied(fresh, do):
    with pytest.raises(TypeError, match="^cannot pickle 'socket' object$"):
        do(fresh)


def test_one_left_open_is_warned_of_and_closed(lib):
    server = lib.socket.create_server(("127.0.0.1", 0))
    client = lib.socket.create_connection(server.getsockname())
    with server, server.accept()[0] as accepted:
        text = repr(client)
        with pytest.warns(ResourceWarning) as caught:
            del client
            gc.collect()
        assert [str(warning.message) for warning in caught] == [f"unclosed {text}"]
        assert accepted.recv(1) == b""


def test_one_left_open_is_closed_where_warnings_are_errors(lib, monkeypatch):
    said = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: said.append(str(what.exc_value)))
    server = lib.socket.create_server(("127.0.0.1", 0))
    client = lib.socket.create_connection(server.getsockname())
    with server, server.accept()[0] as accepted, warnings.catch_warnings():
        warnings.simplefilter("error")
        text = repr(client)
        del client
        gc.collect()
        assert said == [f"unclosed {text}"]
        assert accepted.recv(1) == b""


def test_one_whose_constructor_failed_is_no_trouble(lib):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(OSError, match=r"Protocol not supported|Socket type not supported|not supported"):
            lib.socket.socket(plain.AF_INET, plain.SOCK_STREAM, plain.IPPROTO_UDP)
        gc.collect()


CLOSED: list[tuple[str, tuple[Any, ...]]] = [
    ("accept", ()), ("bind", (("127.0.0.1", 0),)), ("connect", (("127.0.0.1", 1),)), ("connect_ex",
    (("127.0.0.1", 1),)),
    ("dup", ()), ("get_inheritable", ()), ("getpeername", ()), ("getsockname", ()), ("getsockopt", (1, 3)),
    ("listen", ()), ("recv", (1,)), ("recv_into", (bytearray(1),)), ("recvfrom", (1,)), ("recvfrom_into",
    (bytearray(1),)),
    ("recvmsg", (1,)), ("recvmsg_into", ([bytearray(1)],)), ("send", (b"x",)), ("sendall", (b"x",)), ("sendmsg",
    ([b"x"],)),
    ("sendto", (b"x", ("127.0.0.1", 1))), ("set_inheritable", (True,)), ("setblocking", (False,)),
    ("setsockopt", (1, 2, 1)), ("settimeout", (1,)), ("shutdown", (0,)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args"), CLOSED, ids=[name for name, _ in CLOSED])
def test_every_method_of_a_closed_socket_says_ebadf(fresh, name, args):
    fresh.close()
    if name == "connect_ex":
        assert fresh.connect_ex(*args) == errno.EBADF
        return
    with pytest.raises(OSError) as caught:
        getattr(fresh, name)(*args)
    assert caught.value.errno == errno.EBADF


def test_what_a_closed_socket_still_tells(fresh):
    fresh.settimeout(2)
    fresh.close()
    fresh.close()
    assert fresh.fileno() == -1 and fresh.detach() == -1
    assert (fresh.family, fresh.type, fresh.proto) == (plain.AF_INET, plain.SOCK_STREAM, 0)
    assert fresh.gettimeout() == 2.0 and fresh.getblocking()
    assert "[closed] fd=-1, family=2, type=1, proto=0>" in repr(fresh)


BIG = 2**80
WRONG: list[tuple[str, tuple[Any, ...]]] = [
    ("accept", (1,)), ("bind", ()), ("bind", ("127.0.0.1",)), ("bind", (("127.0.0.1",),)), ("bind", ((1, 2),)),
    ("bind", (("127.0.0.1", "80"),)), ("bind", (("127.0.0.1", -1),)), ("bind", (("127.0.0.1", 65536),)),
    ("bind", (("127.0.0.1", 1.5),)), ("bind", (("a\0b", 1),)), ("bind", (["127.0.0.1", 0],)),
    ("connect", ("127.0.0.1",)), ("connect", (("127.0.0.1", 65536),)), ("connect", (None,)), ("connect",
    (("127.0.0.1", BIG),)),
    ("connect_ex", (("127.0.0.1", 70000),)), ("connect_ex", (b"",)), ("connect_ex", ()),
    ("getsockopt", ()), ("getsockopt", (1,)), ("getsockopt", ("a", 1)), ("getsockopt", (1, 2, 4096)), ("getsockopt",
    (1, 2, -1)),
    ("listen", ("a",)), ("listen", (1.5,)), ("listen", (BIG,)), ("listen", (1, 2)),
    ("recv", ()), ("recv", ("a",)), ("recv", (-1,)), ("recv", (1.5,)), ("recv", (1, "a")), ("recv", (1, BIG)),
    ("recv", (BIG,)),
    ("recv_into", ()), ("recv_into", (b"const",)), ("recv_into", (5,)), ("recv_into", (bytearray(2), -1)),
    ("recv_into", (bytearray(2), 3)), ("recv_into", (bytearray(2), "a")), ("recv_into", ("text",)),
    ("recvfrom", ()), ("recvfrom", ("a",)), ("recvfrom", (-1,)), ("recvfrom_into", (b"const",)),
    ("recvfrom_into", (bytearray(2), 3)), ("recvfrom_into", (bytearray(2), -1)),
    ("send", ()), ("send", ("text",)), ("send", (5,)), ("send", (b"x", "a")), ("send", (b"x", BIG)), ("send", (None,)),
    ("sendall", ()), ("sendall", ("text",)), ("sendall", (5,)), ("sendall", (b"x", "a")),
    ("sendto", ()), ("sendto", (b"x",)), ("sendto", ("text", ("127.0.0.1", 1))), ("sendto", (b"x", 0, None)),
    ("sendto", (b"x", "a", ("127.0.0.1", 1))), ("sendto", (b"x", ("127.0.0.1", 65536))), ("sendto", (b"x", 0, 1, 2)),
    ("setblocking", ()), ("setsockopt", ()), ("setsockopt", (1, 2)), ("setsockopt", (1, 2, "a")), ("setsockopt",
    (1, 2, None)),
    ("setsockopt", (1, 2, BIG)), ("setsockopt", (1, 2, b"", 1)), ("settimeout", ()),
    ("shutdown", ()), ("shutdown", ("a",)), ("shutdown", (BIG,)), ("shutdown", (9,)), ("shutdown", (0,)),
    ("makefile", ("x",)), ("makefile", ("r", 0)), ("getpeername", ()), ("getpeername", (1,)), ("getsockname", (1,)),
]  # fmt: skip


@pytest.mark.parametrize("kind", [plain.SOCK_STREAM, plain.SOCK_DGRAM], ids=["stream", "dgram"])
@pytest.mark.parametrize(("name", "args"), WRONG, ids=[f"{name}{index}" for index, (name, _) in enumerate(WRONG)])
def test_what_a_method_refuses_it_refuses_with_cpythons_class(stack, ours, name, args, kind):
    errors: list[Any] = []
    for module in (plain, ours):
        with module.socket(type=kind | plain.SOCK_NONBLOCK) as made:
            try:
                getattr(made, name)(*args)
            except Exception as error:
                errors.append((type(error), getattr(error, "errno", None)))
            else:
                errors.append(None)
    assert errors[0] == errors[1]


MAKING: list[tuple[Any, ...]] = [
    ("x",), (1.5,), (2, "x"), (2, 1, "x"), (2, 1, -5), (2, 9), (99,), (BIG,), (2, 1, 17), (2, 2, 6), (2, 1, 0, -1),
    (2, 1, 0, -7),
    (2, 1, 0, "x"), (2, 1, 0, 1.5), (-1, -1, -1, 900000), (2, 1, 0, 900000),
]  # fmt: skip


@pytest.mark.parametrize("args", MAKING, ids=repr)
def test_the_constructor_refuses_with_cpythons_class(stack, ours, args):
    errors: list[Any] = []
    for make in (plain.socket, ours.socket):
        try:
            make(*args).close()
        except Exception as error:
            errors.append((type(error), getattr(error, "errno", None)))
        else:
            errors.append(None)
    assert errors[0] == errors[1] is not None


_heard: list[list[tuple[str, tuple[Any, ...]]]] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _heard and event.startswith("socket."):
        _heard[-1].append((event, args))


@pytest.fixture
def heard() -> Any:
    """Listen to the audit events of sockets; a hook cannot be taken out, so there is one for all tests."""
    if not hasattr(_hook, "added"):
        sys.addaudithook(_hook)
        _hook.added = True  # type: ignore[attr-defined]
    _heard.append([])
    yield _heard[-1]
    _heard.clear()


def test_audit_events_are_cpythons(lib, heard):
    with lib.socket.socket(plain.AF_INET, plain.SOCK_STREAM) as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        name = server.getsockname()
        with lib.socket.socket() as client:
            client.connect(name)
            accepted, _ = server.accept()
            with accepted:
                client.sendall(b"x")
            assert client.connect_ex(name) == errno.EISCONN
    with lib.socket.socket(type=plain.SOCK_DGRAM) as sender:
        sender.sendto(b"x", 0, name)
        sender.sendmsg([b"x"], [], 0, name)
    assert heard == [
        ("socket.__new__", (server, 2, 1, 0)), ("socket.bind", (server, ("127.0.0.1", 0))),
        ("socket.__new__", (client, 2, 1, 0)), ("socket.connect", (client, name)),
        ("socket.__new__", (accepted, 2, 1, 0)), ("socket.connect", (client, name)),
        ("socket.__new__", (sender, 2, 2, 0)), ("socket.sendto", (sender, name)), ("socket.sendmsg", (sender, name)),
    ]  # fmt: skip


@pytest.mark.parametrize("timeout", [None, 5, 0])
def test_connecting_a_connected_socket_is_eisconn(lib, timeout):
    with lib.socket.create_server(("127.0.0.1", 0)) as server, lib.socket.socket() as client:
        client.connect(server.getsockname())
        client.settimeout(timeout)
        assert client.connect_ex(server.getsockname()) == errno.EISCONN
        with pytest.raises(OSError) as caught:
            client.connect(server.getsockname())
        assert caught.value.errno == errno.EISCONN


def test_o_nonblock_is_shown_as_the_timeout_has_it(stack, ours):
    from fcntl import F_GETFL, F_SETFL

    from greendpdk.fcntl import fcntl
    from greendpdk.monkey import _os

    with ours.socket() as made:
        for timeout in (None, 0, 2, None):
            made.settimeout(timeout)
            assert bool(fcntl(made, F_GETFL) & os.O_NONBLOCK) is (timeout is not None)
            assert _os.get_blocking(made.fileno()) is (timeout is None)
        fcntl(made, F_SETFL, os.O_NONBLOCK)
        assert fcntl(made.fileno(), F_GETFL) & os.O_NONBLOCK and not os.get_blocking(made.fileno())
        _os.set_blocking(made.fileno(), True)
        assert _os.get_blocking(made.fileno()) and not os.get_blocking(made.fileno())  # the stand-in never blocks


def test_a_number_gives_the_same_connection_and_what_it_is(lib):
    with lib.socket.create_server(("127.0.0.1", 0)) as server, lib.socket.socket() as client:
        client.connect(server.getsockname())
        accepted, _ = server.accept()
        with lib.socket.socket(fileno=accepted.detach()) as again:
            assert (again.family, again.type) == (plain.AF_INET, plain.SOCK_STREAM)
            assert again.getpeername() == client.getsockname() and accepted.fileno() == -1
            client.send(b"there")
            assert again.recv(9) == b"there"
            with lib.socket.fromfd(again.fileno(), plain.AF_INET, plain.SOCK_STREAM) as third:
                assert third.fileno() != again.fileno() and third.getpeername() == client.getsockname()


def test_a_number_is_what_the_caller_says_that_it_is(lib):
    fd = lib.socket.socket().detach()
    with lib.socket.socket(43, 13331, 7, fileno=fd) as odd:
        assert (odd.family, odd.type, odd.proto) == (43, 13331, 7)


def test_detach_leaves_the_connection_to_the_number(lib):
    with lib.socket.create_server(("127.0.0.1", 0)) as server, lib.socket.socket() as client:
        client.connect(server.getsockname())
        accepted, _ = server.accept()
        fd = accepted.detach()
        accepted.close()
        client.send(b"still")
        lib.socket.socket(fileno=fd).detach()
        with lib.socket.socket(fileno=fd) as again:
            assert again.recv(9) == b"still"


def test_inheritable_is_off_and_can_be_set(fresh):
    assert fresh.get_inheritable() is False and os.get_inheritable(fresh.fileno()) is False
    fresh.set_inheritable(True)
    assert fresh.get_inheritable() is True and os.get_inheritable(fresh.fileno()) is True


def test_one_port_can_have_listeners_of_its_own_by_reuse_port(lib):
    with lib.socket.create_server(("127.0.0.1", 0), reuse_port=True) as first:
        with lib.socket.create_server(first.getsockname(), reuse_port=True) as second:
            assert first.getsockname() == second.getsockname()
        with pytest.raises(OSError) as caught:
            lib.socket.create_server(first.getsockname())
        assert caught.value.errno == errno.EADDRINUSE and "while attempting to bind" in str(caught.value)


def test_a_dual_stack_server_is_asked_for_by_its_family(lib):
    assert lib.socket.has_dualstack_ipv6() is True
    with pytest.raises(ValueError, match="requires AF_INET6"):
        lib.socket.create_server(("127.0.0.1", 0), dualstack_ipv6=True)
    with lib.socket.create_server(("::1", 0), family=plain.AF_INET6) as six:
        assert six.getsockopt(plain.IPPROTO_IPV6, plain.IPV6_V6ONLY) == 1
