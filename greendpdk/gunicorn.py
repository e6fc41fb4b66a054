"""A gunicorn worker with a port of its own: gunicorn -k greendpdk.gunicorn.Worker -b 198.18.0.2:8000 app:app

Called by gunicorn, which is imported here and nowhere else; calls monkey.patch_all.

gunicorn binds in the master and forks. A stack does not outlive a fork: its memory and the queues of its port are one
process's. So the master binds what is the kernel's alone (UNIX sockets, the loopback, sockets of systemd), and

    master   Later(198.18.0.2:8000) in place of a listener ──fork──►
    worker   takes a slot, which its death gives back ──► starts the stack, {worker} in its settings filled in with
             the slot's number ──► Later becomes a listener ──► on as gunicorn's gevent worker

There are as many slots as ports: one, or `workers` if GREENDPDK_VDEV or GREENDPDK_PCI says {worker}, which may stand
in an address to listen on as well. A worker that is started while another has the port yet (SIGHUP) waits until that
one has answered its last request.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import tempfile
import time
from socket import SOCK_STREAM
from typing import Any

import gevent.socket
from gunicorn import sock
from gunicorn.arbiter import Arbiter
from gunicorn.workers.ggevent import GeventWorker

from greendpdk import _config, _stack

_PATTERN = "{worker}"
_WAIT = 0.02  # seconds between two looks for a slot
_bind = sock.create_sockets  # gunicorn's own
# Slot n is a record lock on byte n: a process's, not inherited, gone with it however it dies. The file has no name.
_slots = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the master and its workers live)


class Later:
    """An address to listen on, which the master passes on to its workers where others find a socket."""

    def __init__(self, address: tuple[Any, ...], conf: Any, log: Any) -> None:
        self.address, self.conf, self.log = address, conf, log

    def __str__(self) -> str:
        scheme = "https" if self.conf.is_ssl else "http"
        host = f"[{self.address[0]}]" if ":" in self.address[0] else self.address[0]
        return f"{scheme}://{host}:{self.address[1]} (in the worker)"

    def open(self, slot: int) -> Any:
        """Bind and listen, in the worker; where there are several, the kernel's side of a wildcard is all of theirs."""
        address = (self.address[0].replace(_PATTERN, str(slot)), *self.address[1:])
        conf = _With(self.conf, reuse_port=self.conf.reuse_port or self.conf.workers > 1)
        return sock._sock_type(address)(address, conf, self.log)

    def getsockname(self) -> tuple[Any, ...]:
        """Return the address; nothing is bound to it here."""
        return self.address

    def get_backlog(self) -> int:
        """Return 0: what waits does so in the worker."""
        return 0

    def close(self) -> None:
        """Do nothing: there is nothing to close here."""

    def fileno(self) -> int:
        """End this process: it was forked by SIGUSR2 to become a second master, and asks for the fd to hand down."""
        self.log.error("SIGUSR2 is refused: a listener of greendpdk cannot be handed to another master; use SIGHUP")
        os._exit(1)  # an exception would make gunicorn stop the first master's workers from here


class _With:
    """gunicorn's configuration with something else in it."""

    def __init__(self, conf: Any, **changed: Any) -> None:
        self.conf = conf
        self.__dict__.update(changed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.conf, name)


def create_sockets(conf: Any, log: Any, fds: Any = None) -> list[Any]:
    """Bind as gunicorn does; but what may be the stack's waits for the worker."""
    if fds or not issubclass(conf.worker_class, Worker):
        return _bind(conf, log, fds)  # type: ignore[no-any-return]
    kernel = [address for address in conf.address if not _is_workers(address)]
    listeners = _bind(_With(conf, address=kernel), log) if kernel else []
    return listeners + [Later(address, conf, log) for address in conf.address if _is_workers(address)]


def _is_workers(address: Any) -> bool:
    """Tell whether only the worker can know whose this address is."""
    if not isinstance(address, tuple):
        return False
    return os.environ.get("GREENDPDK_LOOPBACK") == "stack" or not (
        address[0] in ("localhost", "::1") or address[0].startswith("127.")
    )


def _fill(slot: int) -> dict[str, str]:
    """Return our settings in the environment, with the slot's number in them."""
    ours = {name: value for name, value in os.environ.items() if name.startswith("GREENDPDK_")}
    return {name: value.replace(_PATTERN, str(slot)) for name, value in ours.items()}


def _ports(workers: int) -> int:
    """Return how many workers can have a port at a time."""
    devices = os.environ.get("GREENDPDK_VDEV", "") + os.environ.get("GREENDPDK_PCI", "")
    return workers if _PATTERN in devices else 1


class Worker(GeventWorker):  # type: ignore[misc]
    """gunicorn's gevent worker, over a stack that is started in it."""

    sockets: list[Any]

    @classmethod
    def setup(cls) -> None:
        """Be chosen by gunicorn, in the master."""
        if _stack.running() is not None:
            raise RuntimeError("greendpdk runs in gunicorn's master, where it is of no use: a stack does not outlive a "
                               "fork. Start gunicorn itself, without `python -m greendpdk`")
        sock.create_sockets = create_sockets

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse what cannot be, in the master, before a worker is forked."""
        if cfg.workers > _ports(cfg.workers):
            raise RuntimeError(
                f"{cfg.workers} workers cannot share one port: each process has a stack of its own. Give each its "
                f"device and address, as in GREENDPDK_VDEV='net_tap{_PATTERN}' GREENDPDK_ADDRESS='198.18.{_PATTERN}"
                ".2/24', or run one worker: it serves as many connections as a gevent worker does"
            )
        try:
            _config.load(_fill(0))
        except ValueError as error:
            raise RuntimeError(str(error)) from None

    def patch(self) -> None:
        """Start the stack and listen on it."""
        from greendpdk import monkey

        slot = self._take_slot()
        os.environ |= _fill(slot)
        try:
            monkey.patch_all()
        except (ImportError, OSError, ValueError, RuntimeError) as error:  # nothing of the app has been imported yet
            self.log.error("greendpdk: %s", error)
            sys.exit(Arbiter.WORKER_BOOT_ERROR)  # the master ends with it, as it would for each worker
        given, self.sockets = self.sockets, []
        super().patch()  # with none: gunicorn 22 and older would let ours be collected
        listeners = [each.open(slot) if isinstance(each, Later) else each for each in given]
        self.sockets = [gevent.socket.socket(each.FAMILY, SOCK_STREAM, fileno=each.sock.detach()) for each in listeners]

    def _take_slot(self) -> int:
        """Return the first slot that no worker has; wait for one."""
        for ends in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(ends, signal.SIG_DFL)  # the master's handlers would only take note, and this may take long
        ports, told = _ports(self.cfg.workers), False
        while True:
            for slot in range(ports):
                try:
                    fcntl.lockf(_slots, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)
                except OSError:
                    continue
                return slot
            if not told:
                told = True
                self.log.info("Waiting for a port: %d of %d are other workers' (pid: %s)", ports, ports, self.pid)
            self.notify()
            time.sleep(_WAIT)
