"""Prometheus metrics of the running stack: counters, sockets by state, ports, buffers and the loop's time.

Called by _stack.py (the setting `metrics`), by applications (collector()); calls the engine's counters and, from the
extra greendpdk[prometheus], prometheus_client. With an application's own registry and /metrics:

    prometheus_client.REGISTRY.register(greendpdk.metrics.collector())

Names follow Prometheus' conventions: greendpdk_tcp_retransmits_total. What each counts is said by its help text, which
is that of core/util/stats.def. docs/grafana/greendpdk.json is a dashboard of them.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

from gevent.monkey import get_original

from greendpdk import __version__, _device, _stack
from greendpdk._accounting import loop_times
from greendpdk._errors import error
from greendpdk._native import ffi, lib
from greendpdk._telemetry import STATES

SECONDS = 3.0  # that another thread waits for the loop
_PORT_HELP = {
    "packets": "frames that the port has taken in or out", "bytes": "bytes of them",
    "missed": "frames lost as the ring was full", "errors": "frames that the device found wrong, or could not send",
    "no_buffer": "frames lost as no packet buffer was free",
}  # fmt: skip
_WAYS = {"rx": "receive", "tx": "transmit"}


def collector() -> Any:
    """Return a collector for prometheus_client's registries; it tells of the stack that runs when it is asked.

    ModuleNotFoundError: prometheus_client is not installed (pip install 'greendpdk[prometheus]').
    """
    _need()
    return _Collector()


def _need() -> Any:
    try:
        import prometheus_client
    except ImportError:
        raise ModuleNotFoundError(
            "metrics need prometheus_client: python -m pip install 'greendpdk[prometheus]'", name="prometheus_client"
        ) from None
    return prometheus_client


class _Collector:
    def describe(self) -> list[Any]:
        """Name nothing beforehand: a registry would collect at once otherwise, maybe before there is a stack."""
        return []

    def collect(self) -> Iterator[Any]:
        """Yield every metric; none while no stack runs."""
        stack = _stack.running()
        if stack is not None and not stack.dead:
            yield from _in_loop(stack, lambda: list(_families(stack)))


def _in_loop(stack: _stack.Stack, look: Callable[[], list[Any]]) -> list[Any]:
    """Do it in the stack's thread: an exporter may run in another."""
    if get_original("_thread", "get_ident")() == stack.thread:
        return look()
    done, found = get_original("_thread", "allocate_lock")(), []
    done.acquire()

    def answer() -> None:
        try:
            if not stack.dead:
                found.extend(look())
        finally:
            done.release()

    stack.poller.hub.loop.run_callback_threadsafe(answer)
    if not done.acquire(timeout=SECONDS):
        raise TimeoutError(f"something has held the stack's loop for {SECONDS:.0f} s")
    return found


def _families(stack: _stack.Stack) -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    counters = stack.counters()
    for index in range(lib.gd_stack_counter_count()):
        name = ffi.string(lib.gd_stack_counter_name(index)).decode()
        text = ffi.string(lib.gd_stack_counter_help(index)).decode()
        yield CounterMetricFamily(f"greendpdk_{name}", text, value=counters[name])
    yield GaugeMetricFamily("greendpdk_buffer_bytes", "bytes of socket buffers in use", value=counters["buffer_bytes"])
    yield _sockets(stack, GaugeMetricFamily("greendpdk_sockets", "sockets by protocol and state",
                                            labels=("protocol", "state")))  # fmt: skip
    yield from _ports(stack, CounterMetricFamily)
    times = loop_times(stack)
    seconds = CounterMetricFamily("greendpdk_loop_seconds", "what the loop has done with its time: busy with packets "
                                  "and handlers, spinning, asleep", labels=("activity",))  # fmt: skip
    for activity in ("busy", "spinning", "asleep"):
        seconds.add_metric((activity,), times[f"{activity}_ns"] / 1e9)
    yield seconds
    for name, text in (("turns", "turns of the loop"), ("polls", "looks at the ports"),
                       ("events", "events handed to sockets"), ("frames", "frames received")):  # fmt: skip
        yield CounterMetricFamily(f"greendpdk_loop_{name}", text, value=times[name])
    build = GaugeMetricFamily("greendpdk_build_info", "1, with the versions as labels", labels=("version", "dpdk"))
    dpdk = ffi.string(lib.gd_eal_version()).decode() if lib.GD_HAVE_DPDK else "none"
    build.add_metric((__version__, dpdk), 1)
    yield build


def _sockets(stack: _stack.Stack, family: Any) -> Any:
    counts = ffi.new("uint32_t[16]")
    lib.gd_stack_states(stack.c, counts)
    family.add_metric(("udp", ""), counts[0])
    for number, state in enumerate(STATES):
        if state:
            family.add_metric(("tcp", state), counts[number])
    return family


def _ports(stack: _stack.Stack, family: Any) -> Iterator[Any]:
    statistics = {port.name: _device.statistics(port.c) for port in stack.ports}
    for name in next(iter(statistics.values()), {}):
        way, _, what = name.partition("_")
        metric = family(f"greendpdk_port_{_WAYS[way]}_{what}", _PORT_HELP[what], labels=("port",))
        for port, values in statistics.items():
            metric.add_metric((port,), values[name])
        yield metric


class Server:
    """What the setting `metrics` starts: /metrics on a socket of the kernel's, in the stack's loop."""

    def __init__(self, address: str, port: int) -> None:
        client = _need()
        from gevent import socket as gevent_socket
        from gevent.pywsgi import WSGIServer

        registry = client.CollectorRegistry()
        registry.register(collector())
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        made = get_original("socket", "socket")(family, socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((address, port))
            made.listen(8)
        except OSError as failed:
            made.close()
            raise error(failed.errno or 0, f"metrics cannot be served at {address}, port {port}") from None
        self.port: int = made.getsockname()[1]
        listener = gevent_socket.socket(family, socket.SOCK_STREAM, fileno=made.detach())
        self._server = WSGIServer(listener, client.make_wsgi_app(registry), log=None, error_log=None)
        self._server.start()
        # It is no work of the program's: hub.join() and gevent.wait() end without it.
        self._server._watcher.ref = False

    def leave(self) -> None:
        """Close a forked child's copy of the listener: it would take connections that are the parent's."""
        self._server.close()

    def stop(self) -> None:
        """Close the listener."""
        self._server.stop(timeout=0)
