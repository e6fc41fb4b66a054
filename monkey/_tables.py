"""What is replaced, by whom: data for _patch.py, proved by tests/monkey/test_tables.py.

OURS: standard module -> (our module, the names of it that are ours). Everything else that gevent replaces is
gevent's. GEVENT: gevent module -> (our module, {its name: our name}); swapped in before gevent patches, so that
gevent's own servers, ssl and monkey patch make our sockets.
"""

_OS = (
    "close", "dup", "dup2", "fdopen", "get_blocking", "read", "readv", "sendfile", "set_blocking", "write", "writev",
)  # fmt: skip

OURS: dict[str, tuple[str, tuple[str, ...]]] = {
    "socket": ("greendpdk.socket", (
        "SocketType", "close", "create_connection", "dup", "fromfd", "if_indextoname", "if_nameindex",
        "if_nametoindex", "socket", "socketpair",
    )),
    "ssl": ("greendpdk.ssl", ("SSLContext", "SSLSocket", "get_server_certificate", "wrap_socket")),
    "select": ("greendpdk.select", ("epoll", "poll", "select")),
    "fcntl": ("greendpdk.fcntl", ("fcntl", "ioctl")),
    "subprocess": ("greendpdk.subprocess", ("Popen",)),
    "signal": ("greendpdk.signal", ("getsignal", "signal")),
    "os": ("greendpdk.monkey._os", _OS),
}

_SOCKET = {name: name for name in ("SocketType", "create_connection", "fromfd", "socket", "socketpair")}

GEVENT: dict[str, tuple[str, dict[str, str]]] = {
    "gevent.socket": ("greendpdk.socket", _SOCKET),
    "gevent._socket3": ("greendpdk.socket", _SOCKET),
    "gevent.select": ("greendpdk.select", {"poll": "poll", "select": "select"}),
    "gevent.subprocess": ("greendpdk.subprocess", {name: name for name in ("Popen", "fork_and_watch")}),
    "gevent.server": ("greendpdk.socket", {"GeventSocket": "socket"}),
    "gevent.ssl": ("greendpdk.ssl", {name: name for name in OURS["ssl"][1]}),
}

# The names of gevent.monkey.patch_all that choose a part; everything else given to ours is a setting.
PARTS = (
    "socket", "dns", "time", "select", "thread", "os", "ssl", "subprocess", "sys", "aggressive", "Event",
    "builtins", "signal", "queue", "contextvars",
)  # fmt: skip

# Standard names that a module imported too early may have taken with it; a copy of one goes past the stack.
CAPTURED = {
    "socket": ("create_connection", "socket"),
    "ssl": ("SSLContext", "SSLSocket"),
    "select": ("epoll", "poll", "select"),
}
