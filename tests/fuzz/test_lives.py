"""Lives of a stack at random: interfaces come and go with addresses, routes, leases, groups and sockets, while the wire
talks. Invariant: nothing crashes or spins, and no block of memory is left when the stack is gone.
"""
from __future__ import annotations

import random
import struct
from typing import Any

import internals
import pytest
from frames import OTHER_MAC, OUR_MAC, PEER_MAC, SECOND, Host, Socket, four, mapped, pipe
from lives import GROUPS, GROUPS6, V4, V6, Wire

LIVES, STEPS = 60, 400
PORTS = 6
IP_MULTICAST_IF, IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP = 32, 35, 36
IPV6_JOIN_GROUP, IPV6_LEAVE_GROUP = 20, 21


class Life:
    """One stack from birth to death."""

    def __init__(self, native: Any, seed: int) -> None:
        self.dice = random.Random(seed)
        self.native, self.wire, self.host = native, Wire(self.dice), Host(native)
        self.lib, self.stack = self.host.lib, self.host.stack
        self.ends = {self.host.index: self.host.end}
        self.socks: list[Socket] = []

    def plug(self, index: int) -> None:
        """Attach a port, or detach one."""
        if index in self.ends and self.dice.random() < 0.3:
            assert self.lib.gd_stack_detach(self.stack, index) == 0
            self.lib.gd_port_close(self.ends.pop(index))
        elif len(self.ends) < PORTS:
            port, end = pipe(self.native, self.dice.choice([1500, 1280, 600]), OUR_MAC, PEER_MAC)
            made = self.lib.gd_stack_attach(self.stack, port, b"x")
            assert made > 0
            self.ends[made] = end

    def administrate(self, index: int) -> None:
        """Addresses, routes, leases, neighbours."""
        lib, dice, out = self.lib, self.dice, self.host.ffi.new("uint8_t[16]")
        what = dice.randrange(9)
        if what == 0:
            lib.gd_stack_add_address(self.stack, index, mapped(dice.choice(V4)), dice.choice([8, 16, 24, 31, 32]))
        elif what == 1:
            lib.gd_stack_add_address(self.stack, index, mapped(dice.choice(V6)), 64)
        elif what == 2:
            if lib.gd_stack_address(self.stack, index, dice.randrange(4), out, self.host.ffi.new("int *")) == 0:
                lib.gd_stack_del_address(self.stack, index, out)
        elif what == 3:
            lib.gd_stack_autoconf(self.stack, index)
        elif what == 4:
            lib.gd_dhcp_start(self.stack, index, b"h")
        elif what == 5:
            lib.gd_dhcp_stop(self.stack, index)
        elif what == 6:
            gateway = dice.choice([self.host.ffi.NULL, mapped(dice.choice(V4))])
            lib.gd_stack_add_route(self.stack, mapped("0.0.0.0"), 0, gateway, index)
        elif what == 7:
            lib.gd_stack_del_route(self.stack, mapped("0.0.0.0"), 0, index)
        else:
            lib.gd_stack_set_neighbour(self.stack, index, mapped(dice.choice(V4 + V6)), OTHER_MAC)

    def join(self, sock: Socket, index: int) -> None:
        """Join a group or leave it."""
        dice, scope = self.dice, struct.pack("=i", index)
        four_value = four(dice.choice(GROUPS)) + bytes(4) + scope
        six_value = mapped(dice.choice(GROUPS6)) + scope
        names = [(0, IP_ADD_MEMBERSHIP, four_value), (0, IP_DROP_MEMBERSHIP, four_value),
                 (0, IP_MULTICAST_IF, bytes(8) + scope), (41, IPV6_JOIN_GROUP, six_value),
                 (41, IPV6_LEAVE_GROUP, six_value)]
        level, name, value = dice.choice(names)
        self.lib.gd_sock_setsockopt(sock.c, level, name, value, len(value))

    def call(self, index: int) -> None:
        """One call of a socket, or a new one."""
        dice, what = self.dice, self.dice.randrange(7)
        if what == 0 or not self.socks:
            self.socks.append(Socket(self.host, dice.choice([1, 2]), dice.choice([2, 10])))
            return
        which = dice.randrange(len(self.socks))
        sock = self.socks[which]
        if what == 1:
            self.socks.pop(which).close()
        elif what == 2:
            sock.bind(dice.choice(["0.0.0.0", *V4, "::", *V6[:3]]), dice.choice([0, 7]))
        elif what == 3:
            sock.connect(dice.choice(V4 + V6), 9)
        elif what == 4 and sock.kind == 2:
            sock.sendto(b"y" * dice.choice([1, 100, 4000]), dice.choice(V4 + V6 + GROUPS + GROUPS6), 7)
        elif what == 5 and sock.kind == 1:
            self.lib.gd_sock_listen(sock.c, 5)
        else:
            self.join(sock, index)

    def talk(self) -> None:
        """Frames come in, turns, and what was sent is looked at for DHCP's numbers."""
        room = self.host.ffi.new("uint8_t[]", 70000)
        for _ in range(self.dice.randrange(4) if self.ends else 0):
            frame = self.wire.frame()
            self.lib.gd_pipe_inject(self.dice.choice(list(self.ends.values())), frame, len(frame), self.host.now)
        for _ in range(3):
            self.lib.gd_stack_poll(self.stack, self.host.now)
        for end in self.ends.values():
            while (size := self.lib.gd_pipe_take(end, room, 70000, self.host.now)) > 0:
                frame = bytes(self.host.ffi.buffer(room, size))
                if frame[12:14] == b"\x08\0" and frame[34:38] == struct.pack("!HH", 68, 67):
                    self.wire.xids = [*self.wire.xids[-2:], frame[46:50]]

    def step(self) -> None:
        """One of all that."""
        index, what = self.dice.choice([*self.ends, 1, 2, 3, 4, 9]), self.dice.randrange(22)
        if what < 2:
            self.plug(index)
        elif what < 12:
            self.administrate(index)
        elif what < 21:
            self.call(index)
        else:
            self.host.now += self.dice.choice([1, 10**6, 10**8, SECOND, 5 * SECOND, 40 * SECOND, 86400 * SECOND])
        self.talk()

    def end(self) -> None:
        """Death: a stack with nothing to do says so first."""
        assert any(self.lib.gd_stack_poll(self.stack, self.host.now) > self.host.now for _ in range(100)), "it spins"
        self.lib.gd_stack_free(self.stack)
        for end in self.ends.values():
            self.lib.gd_port_close(end)


@pytest.mark.slow
def test_lives_at_random_leave_nothing_behind() -> None:
    native, before = internals.load(), -1
    for seed in range(LIVES):
        life = Life(native, seed)
        for _ in range(STEPS):
            life.step()
        life.end()
        left = native.lib.gd_allocations.live
        assert before in (-1, left), f"seed {seed}"
        before = left
