"""Which of CPython's and gevent's test modules run here, how long each may take, and what is left out of them.

Read by run.py and child.py. CPython's are those that open an AF_INET or AF_INET6 socket, or wait for one; those that
need the Internet (test_urllibnet, test_smtpnet, ...) are not among them.
"""
from __future__ import annotations

from fnmatch import fnmatchcase

CPYTHON = (
    "test_asynchat", "test_asyncore", "test_docxmlrpc", "test_epoll", "test_exception_hierarchy", "test_ftplib",
    "test_httplib", "test_httpservers", "test_imaplib", "test_logging", "test_nntplib", "test_os", "test_poll",
    "test_poplib", "test_pydoc", "test_robotparser", "test_select", "test_selectors", "test_signal", "test_smtpd",
    "test_smtplib", "test_socket", "test_socketserver", "test_ssl", "test_stat", "test_support", "test_telnetlib",
    "test_timeout", "test_urllib", "test_urllib2", "test_urllib2_localnet", "test_urllib_response", "test_wsgiref",
    "test_xmlrpc", "test_asyncio.test_base_events", "test_asyncio.test_buffered_proto", "test_asyncio.test_events",
    "test_asyncio.test_selector_events", "test_asyncio.test_sendfile", "test_asyncio.test_server",
    "test_asyncio.test_sock_lowlevel", "test_asyncio.test_ssl", "test_asyncio.test_sslproto",
    "test_asyncio.test_streams", "test_asyncio.test_unix_events", "test_multiprocessing_fork",
    "test_multiprocessing_spawn", "test_multiprocessing_forkserver",
)

GEVENT = (
    "test__socket", "test__socket_close", "test__socket_dns", "test__socket_errors", "test__socket_ex",
    "test__socket_send_memoryview", "test__socket_timeout", "test__socketpair", "test__ssl", "test__pywsgi",
    "test__server", "test__server_pywsgi", "test__select", "test__selectors", "test__greenio", "test__makefile_ref",
    "test__close_backend_fd", "test__backdoor", "test__monkey_select", "test__monkey_selectors",
    "test__resolver_dnspython", "test__api_timeout", "test__hub", "test__os", "test__refcount", "test__systemerror",
    "test__iwait",
)

# Modules of which only some tests are about sockets.
ONLY = {
    "test_multiprocessing_*": ("*Listener*", "*Picklin*", "*RemoteManager*", "*ManagerRestart*", "TestWait.*"),
    "test_os": ("TestSendfile.*", "*Socket*", "TestInvalidFD.*", "FDInheritanceTests.*", "BlockingTests.*"),
    "test_pydoc": ("PydocServerTest.*", "PydocUrlHandlerTest.*"),
    "test_signal": ("Wakeup*",),
    "test_logging": ("*Socket*", "*Datagram*", "*SysLog*", "*HTTP*", "*SMTP*", "*test_listen*"),
}

LEFT_OUT = {
    "test_timeout": ("TCPTimeoutTestCase.testConnectTimeout",),  # it asks a host in the Internet
    "test_socket": ("ThreadedVSOCKSocketStreamTest.testStream",),  # hangs where the hypervisor has no vsock
}

# Resources, as in regrtest's -u, that a module asks for although what is run of it can do without.
RESOURCES = {"test_socketserver": ["network"], "test_timeout": ["network"]}

SECONDS = 240  # for a module; what it has not run by then counts as failed
SECONDS_OF = {"test_socket": 400, "test_ssl": 400}
TEST_SECONDS = 30  # for one test: then it is killed and named, and the module goes on without it
ONE_TEST_SECONDS = {"test_socket": 70}  # its server thread waits for 60 s before it gives up

# Modules of some seconds in all, run by make test too.
QUICK = ("test_asynchat", "test_poplib", "test_telnetlib", "test_urllib2_localnet")


def wanted(module: str, name: str) -> bool:
    """Tell whether a test of a module is to be run."""
    for pattern, names in ONLY.items():
        if fnmatchcase(module, pattern) and not any(fnmatchcase(name, one) for one in names):
            return False
    return name not in LEFT_OUT.get(module, ())


def full(module: str) -> str:
    """Give the name under which a module is imported."""
    return f"gevent.tests.{module}" if module.startswith("test__") else f"test.{module}"
