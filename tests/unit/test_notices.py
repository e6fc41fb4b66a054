"""What a stack says through logging: warnings once of each kind, with what to do; its life at INFO."""
from __future__ import annotations

import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from greendpdk import _accounting, _notices, _places
from greendpdk._native import ffi, lib


@pytest.fixture
def stack() -> Iterator[Any]:
    """Make an engine behind what Notices asks of a stack, with counters that the test moves."""
    out = ffi.new("struct gd_stack **")
    assert lib.gd_stack_new(ffi.new("struct gd_config *"), 1, out) == 0
    counted = {lib_name(index): 0 for index in range(lib.gd_stack_counter_count())}
    settings = SimpleNamespace(poll="adaptive", lcore=None)
    made = SimpleNamespace(c=out[0], ports=[], settings=settings, counted=counted, counters=lambda: dict(counted))
    yield made
    lib.gd_stack_free(made.c)


def lib_name(index: int) -> str:
    return str(ffi.string(lib.gd_stack_counter_name(index)).decode())


@pytest.fixture
def notices(stack: Any) -> Iterator[_notices.Notices]:
    """Return its eyes."""
    made = _notices.Notices(stack, gevent.get_hub())
    yield made
    made.stop()


@pytest.mark.parametrize("counter, says", [
    ("eth_drop_no_frame", "7 packets were not sent"), ("tcp_drop_memory", "7 times the cap of all socket buffers"),
    ("eth_drop_queue_full", "7 packets were dropped, as the device takes no more"),
    ("tcp_orphans_refused", "7 closed connections"), ("arp_conflict", "7 times another host claimed an address"),
])  # fmt: skip
def test_what_is_lost_is_warned_of_once(stack: Any, notices: Any, caplog: Any, counter: str, says: str) -> None:
    notices.look()
    assert caplog.records == []
    for _ in range(2):
        stack.counted[counter] += 7
        notices.look()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and says in record.getMessage() and record.name.startswith("greendpdk.")


def test_a_ring_that_overflows_is_warned_of_for_each_port(stack: Any, caplog: Any) -> None:
    port = SimpleNamespace(name="net0", lease=None, ifindex=1, addresses=())
    stack.ports.append(port)
    stack.counted["net0.rx_missed"] = stack.counted["net0.rx_no_buffer"] = 0
    notices = _notices.Notices(stack, gevent.get_hub())
    stack.counted["net0.rx_missed"] += 3
    notices.look()
    assert "net0: 3 frames came faster" in caplog.text and "poll=busy" in caplog.text and len(caplog.records) == 1
    notices.stop()


def test_a_few_wrong_checksums_are_no_warning_and_many_are(stack: Any, notices: Any, caplog: Any) -> None:
    for packets, bad, warned in ((1000, 99, 0), (1_000_000, 200, 0), (1000, 100, 1)):
        stack.counted["ip4_in"] += packets
        stack.counted["tcp_drop_checksum"] += bad
        notices.look()
        assert len(caplog.records) == warned
    assert "100 of 1000 packets came with a wrong checksum" in caplog.text


@pytest.mark.parametrize("lcore, isolated, says", [
    (None, set(), "poll=busy without lcore"), (1, set(), "CPU 1, which is not isolated"), (1, {1}, ""),
])  # fmt: skip
def test_a_spinner_that_shares_its_cpu_is_warned_of(stack: Any, notices: Any, caplog: Any, monkeypatch: Any,
                                                    lcore: int | None, isolated: set[int], says: str) -> None:
    monkeypatch.setattr(_notices, "_isolated", lambda: isolated)
    stack.settings.poll, stack.settings.lcore = "busy", lcore
    notices.start()
    assert len(caplog.records) == bool(says) and says in caplog.text


def test_life_is_told_at_info(stack: Any, notices: Any, caplog: Any) -> None:
    caplog.set_level(logging.INFO, "greendpdk")
    notices.start()
    assert "has started: no port, only the loopback" in caplog.text


def test_leases_and_routers_are_told_when_they_change(stack: Any, notices: Any, caplog: Any) -> None:
    caplog.set_level(logging.INFO, "greendpdk")
    lease = SimpleNamespace(address="10.0.0.5/24", server="10.0.0.1", gateway="10.0.0.1", seconds_left=600)
    port = SimpleNamespace(name="net0", lease=lease, ifindex=1, addresses=("10.0.0.5/24",))
    stack.ports.append(port)
    notices.look()
    assert "net0: lease of 10.0.0.5/24 from 10.0.0.1, gateway 10.0.0.1, for 600 s" in caplog.text
    caplog.clear()
    lease.seconds_left = 300
    notices.look()
    assert caplog.records == []
    port.lease, port.addresses = None, ()
    notices.look()
    assert "net0: the lease has ended" in caplog.text
    stack.ports.clear()


def test_a_stack_that_is_quiet_again_is_looked_at_once(notices: Any) -> None:
    notices.arm()
    assert notices.active
    notices.look()
    assert not notices.active and not notices._timer.active


def spin_for_a_moment() -> None:
    until = lib.gd_live_now() + 2_000_000
    while lib.gd_live_now() < until:
        pass
    gevent.idle()


def test_greenlets_are_accounted_for_only_while_somebody_looks(stack: Any, monkeypatch: Any) -> None:
    accounting = _accounting.Accounting(stack, gevent.get_hub())
    gevent.spawn(spin_for_a_moment).join()
    assert accounting.handlers() == []
    accounting.ask(True)
    gevent.spawn(spin_for_a_moment).join()
    (slow,) = [row for row in accounting.handlers() if row["name"] == "spin_for_a_moment"]
    assert slow["longest_us"] >= 2000 and "spin_for_a_moment (unit/test_notices.py:" in slow["where"]
    monkeypatch.setattr(_accounting, "AWAY_S", 0.0)
    accounting._look_away()
    assert not accounting.on and lib.gd_stack_loop(stack.c).watched == 0
    before = accounting.greenlets_ns
    gevent.spawn(spin_for_a_moment).join()
    assert accounting.greenlets_ns == before
    accounting.close()


def test_a_place_is_the_programs_own() -> None:
    seen: list[str] = []
    from concurrent.futures import Future

    done: Future[int] = Future()
    done.add_done_callback(lambda _: seen.append(_places.text(_places.innermost(__import__("sys")._getframe(1)))))
    done.set_result(1)
    assert seen[0].startswith("test_a_place_is_the_programs_own (unit/test_notices.py:")
