"""What ss shows: every socket, every half-open connection and every TIME-WAIT of a stack, page by page."""
from __future__ import annotations

import socket
from collections import Counter
from typing import Any

from greendpdk._native import ffi, lib
from greendpdk.testing import Wire
from greendpdk.testing.clock import S

PAGE = 16
MS100 = 100_000_000
LISTEN, ESTABLISHED, SYN_RECEIVED, FIN_WAIT_2, TIME_WAIT, CLOSED = 10, 1, 3, 5, 6, 7  # include/net/tcp_states.h


def listed(stack: Any, most: int = PAGE) -> list[Any]:
    """Take all pages."""
    cursor, page, found = ffi.new("uint64_t *"), ffi.new("struct gd_listed[]", most), []
    while True:
        count = lib.gd_stack_list(stack, cursor, page, most)
        assert 0 <= count <= most
        found += [ffi.new("struct gd_listed *", page[at]) for at in range(count)]
        if not cursor[0]:
            return found


def test_each_of_a_thousand_sockets_is_shown_once() -> None:
    with Wire() as wire:
        made = [wire.a.socket(kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM) for _ in range(500)]
        found = listed(wire.a.c)
        assert len(made) == len(found) == len({one.id for one in found})
        assert Counter(one.proto for one in found) == {socket.IPPROTO_TCP: 500, socket.IPPROTO_UDP: 500}


def test_a_socket_that_stays_is_shown_though_others_come_between_two_pages() -> None:
    with Wire() as wire:
        stay = {lib.gd_sock_id(wire.a.socket().c) for _ in range(300)}
        cursor, page, seen = ffi.new("uint64_t *"), ffi.new("struct gd_listed[]", PAGE), set()
        for number in range(1000):
            count = lib.gd_stack_list(wire.a.c, cursor, page, PAGE)
            seen |= {page[at].id for at in range(count)}
            if not cursor[0]:
                break
            for _ in range(40 if number < 20 else 0):  # the table doubles twice
                wire.a.socket()
        assert stay <= seen


def test_states_queues_and_timers_are_those_of_the_connections() -> None:
    with Wire() as wire:
        listener = wire.b.listener(80, backlog=7)
        client = wire.a.connect((wire.b.address, 80))
        wire.advance(MS100)
        of_b = {one.state: one for one in listed(wire.b.c)}
        assert (of_b[LISTEN].local_port, of_b[LISTEN].recv_queue, of_b[LISTEN].send_queue) == (80, 1, 7)
        server = listener.accept()
        client.send(b"x" * 100)
        wire.advance(MS100)
        (server_row,) = [one for one in listed(wire.b.c) if one.state == ESTABLISHED]
        assert (server_row.recv_queue, server_row.send_queue, server_row.timer) == (100, 0, lib.GD_TIMER_OFF)
        server.recv(100)
        wire.cut()
        client.send(b"y" * 50)
        wire.advance(S)
        (row,) = listed(wire.a.c)
        assert (row.send_queue, row.timer, row.remote_port) == (50, lib.GD_TIMER_ON, 80) and row.retries >= 1
        assert 0 < row.timer_ns < 120 * 10**9


def test_what_applications_have_closed_is_shown_until_it_is_through() -> None:
    with Wire() as wire:
        listener = wire.b.listener()
        client = wire.a.connect((wire.b.address, 80))
        wire.advance(MS100)
        server = listener.accept()
        client.close()
        wire.advance(MS100)
        (orphan,) = listed(wire.a.c)
        assert (orphan.what, orphan.state) == (lib.GD_LISTED_ORPHAN, FIN_WAIT_2)
        server.close()
        wire.advance(MS100)
        (left,) = listed(wire.a.c)
        assert (left.what, left.state, left.timer) == (lib.GD_LISTED_TIME_WAIT, TIME_WAIT, lib.GD_TIMER_TIME_WAIT)
        wire.advance(61 * S)
        assert listed(wire.a.c) == []


def test_a_half_open_connection_is_shown() -> None:
    with Wire() as wire:
        wire.b.listener()
        wire.connection(81)  # both know the other's MAC address
        lib.gd_pipe_down(wire.b.port, 1)  # its SYN-ACK is lost
        wire.a.connect((wire.b.address, 80))
        wire.advance(MS100)
        (row,) = [one for one in listed(wire.b.c) if one.what == lib.GD_LISTED_HALF_OPEN]
        assert (row.state, row.local_port, row.id) == (SYN_RECEIVED, 80, 0)
