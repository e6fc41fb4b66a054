"""Each test's network under --dpdk: the mark is applied and taken off, a failure gets its conditions and its packets.

Registered by pytest_plugin.py; calls testing/_network.py, _readable.py and _capture.py.

    setup     a fresh seed from the test's node id, packets recorded from here on; the network is perfect
    call      the marks' conditions hold: nearest wins, for each direction by itself
    after it  the network is perfect again; a failed test's report gets sections, and its packets a file
"""

from __future__ import annotations

import os
import re
import time
import zlib
from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from greendpdk import _capture, _stack
from greendpdk._conditions import Conditions, read
from greendpdk.testing import _readable
from greendpdk.testing._network import Counts, network

KEPT_BYTES = 8 << 20  # of a test's last packets
_LINES = 60  # of them shown in a report
_DRAIN_S = 0.05  # between two looks at what was captured; the engine keeps 4 MiB meanwhile
_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_WORKER = "PYTEST_XDIST_WORKER"  # in a worker's environment
_DAY_S = 86400.0
_NAME_MAX = 150  # of a file


class Recorder:
    """The last packets of the stack, as pcapng blocks."""

    def __init__(self, stack: _stack.Stack) -> None:
        self._stack = stack
        self._capture = _capture.of_running(stack)
        self._blocks: deque[bytes] = deque()
        self._bytes, self._rest, self._missing = 0, b"", 0
        self._timer = stack.poller.hub.loop.timer(_DRAIN_S, _DRAIN_S, ref=False)
        self._timer.start(self._drain)

    def clear(self) -> None:
        """Forget what was recorded up to now."""
        self._drain()
        self._blocks.clear()
        self._bytes, self._missing = 0, self._capture.counts()[1]

    def _drain(self) -> None:
        if self._stack.dead:  # stopped by a test
            return
        blocks, self._rest = _readable.split(self._rest + self._capture.read())
        self._blocks.extend(blocks)
        self._bytes += sum(map(len, blocks))
        while self._bytes > KEPT_BYTES:
            self._bytes -= len(self._blocks.popleft())

    def save(self, path: Path) -> str:
        """Write the file, and return what it holds as lines that begin with where; "": there is nothing."""
        self._drain()
        if not self._blocks or self._stack.dead:
            return ""
        names = {index - 1: name for index, name in self._interfaces()}
        self._capture.interfaces.update(self._interfaces())
        kept = f"in {path} (wireshark, tshark -r)"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._capture.header() + b"".join(self._blocks))
        except OSError as error:
            kept = f"could not be kept: {error}"
        shown = list(_readable.lines(list(self._blocks)[-_LINES:], names))
        missing = self._capture.counts()[1] - self._missing
        head = [f"{len(self._blocks)} frames {kept}"]
        head += [f"the last {_LINES} of them:"] if len(self._blocks) > _LINES else []
        head += [f"{missing} frames more came too fast to be kept"] if missing else []
        return "\n".join(head + shown)

    def _interfaces(self) -> Iterator[tuple[int, str]]:
        """Name the stack's interfaces; a peer may have come since the start."""
        known = {1: "lo"} | {port.ifindex: port.name for port in self._stack.ports}
        for index, _ in network.shapers():
            yield index, known.get(index, f"peer{index - max(known) - 1}")

    def stop(self) -> None:
        """Record no more."""
        self._timer.stop()
        self._timer.close()
        if not self._stack.dead:
            self._capture.stop()


class Watch:
    """The hooks around each test."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._recorder: Recorder | None = None
        if config.getoption("dpdk_capture") == "fail":
            self._recorder = Recorder(_stack.current())
        self._began = 0.0
        self._before: tuple[Counts, Counts] | None = None
        self._said = ""
        # Between tests a worker of pytest-xdist waits for a native thread, which gevent knows nothing of: without
        # this it would say that nobody can ever wake it. Within a test that is said as ever.
        self._hold = _stack.current().poller.hub.loop.timer(_DAY_S, _DAY_S) if _WORKER in os.environ else None
        if self._hold:
            self._hold.start(int)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, Any, Any]:
        """Let gevent see a test that waits for ever, in a worker too."""
        if not self._hold:
            return (yield)
        self._hold.stop()
        try:
            return (yield)
        finally:
            self._hold.start(int)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Begin with a perfect network, the test's own seed and no packet."""
        self._said = ""
        if not _usable():
            return
        network.clear()
        network.history.clear()
        network.seed = zlib.crc32(item.nodeid.encode())
        self._began, self._before = time.monotonic(), (network.totals("out"), network.totals("in"))
        if self._recorder:
            self._recorder.clear()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Let the marks' conditions hold while the test runs."""
        if _usable():
            for conditions in marked(item):
                network.apply(conditions)
        try:
            return (yield)
        finally:
            self._finish()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self) -> None:
        """Make the network perfect where no call did: after a fixture that has failed."""
        if _usable() and str(network) != "perfect":
            self._finish()

    def _finish(self) -> None:
        if _usable():
            self._said = self._report()
            network.clear()

    def _report(self) -> str:
        if not network.history or self._before is None:
            return ""
        events = [f"{at - self._began:+9.4f} {event}" for at, event in network.history]
        ways = zip(("out", "in"), self._before, strict=True)
        counts = [f"{name}: {network.totals(name) - before}" for name, before in ways]
        return "\n".join([*events, "; ".join(counts)])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Attach to a failure what the network did to it."""
        report = yield
        if report.failed and _usable():
            if self._said:
                report.sections.append(("network", self._said))
            if self._recorder and (text := self._recorder.save(self._path(item, report.when))):
                report.sections.append(("packets", text))
        return report

    def _path(self, item: pytest.Item, when: str) -> Path:
        name = _NAME.sub("_", item.nodeid)[-_NAME_MAX:].lstrip("_.")
        return self._folder() / (f"{name}.pcapng" if when == "call" else f"{name}.{when}.pcapng")

    def _folder(self) -> Path:
        chosen = self._config.getoption("dpdk_capture_dir")
        if chosen:
            return Path(self._config.invocation_params.dir, chosen)
        return Path(self._config._tmp_path_factory.getbasetemp(), "dpdk")  # type: ignore[attr-defined]

    def pytest_unconfigure(self) -> None:
        """End the recording before the stack ends."""
        if self._recorder:
            self._recorder.stop()


def _usable() -> bool:
    """Tell whether the stack still is the one that was started for the tests: a test may have stopped it."""
    stack = _stack.running()
    return stack is not None and not stack.dead and stack.shaped


def marked(item: pytest.Item) -> list[Conditions]:
    """Return what the marks say, the farthest first: for each direction the nearest mark that has it wins."""
    nearest: list[Conditions] = []
    open_ways = {True, False}
    for mark in item.iter_markers("network"):
        if not mark.kwargs:  # others' mark: it says that a test needs the internet
            continue
        wanted = read(mark.kwargs)
        if {way for way, has in ((True, wanted.out), (False, wanted.into)) if has} & open_ways:
            nearest.append(wanted)
            open_ways -= {way for way, has in ((True, wanted.out), (False, wanted.into)) if has}
    return nearest[::-1]
