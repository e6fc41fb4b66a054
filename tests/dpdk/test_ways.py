"""Linux as the oracle of routes and source addresses: the same interfaces, addresses and routes on both, and the same
questions; `ip route get` there, gd_stack_route here.

Uses netns.py and the engine alone: no port of DPDK. The seeds are fixed and shown.
"""
from __future__ import annotations

import random
import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_interface, ip_network

import pytest
from netns import Namespace

from greendpdk._config_ports import Address, Interface, Network
from greendpdk._native import ffi, lib
from greendpdk._ports import packed, unpacked

pytestmark = pytest.mark.needs("namespaces", "ipv6")
PORTS = ("one", "two", "three")
NETWORKS = {
    4: ["10.1.0.0/16", "10.1.1.0/24", "10.2.0.0/16", "172.16.0.0/24", "192.168.7.0/28"],
    6: ["2001:db8:1::/64", "2001:db8:2::/64", "2001:db8:2:1::/64", "fd01::/64", "fd02:1::/48", "2002:101::/64"],
}
BEYOND = {4: ["0.0.0.0/0", "10.0.0.0/8", "203.0.113.0/24", "203.0.113.128/25"],
          6: ["::/0", "2001:db8::/32", "fd00::/8", "2001:db8:99::/48"]}  # fmt: skip
FAR = {4: ["203.0.113.5", "203.0.113.200", "10.77.1.1", "8.8.8.8"],
       6: ["2001:db8:99::5", "2001:db8:77::1", "fdff::1", "2a00:1::1", "2002:909::1"]}  # fmt: skip


class World:
    """Addresses and routes of three interfaces, in the order of adding, made by a seed."""

    def __init__(self, seed: int, version: int) -> None:
        chance = random.Random(seed)
        self.version = version
        self.addresses: list[tuple[str, Interface]] = []
        self.routes: list[tuple[str, Network, Address, Address | None]] = []
        for text in chance.sample(NETWORKS[version], chance.randint(1, 4)):
            port, network = chance.choice(PORTS), ip_network(text)
            for number in chance.sample(range(2, 9), chance.randint(1, 2)):
                self.addresses.append((port, ip_interface((network[number], network.prefixlen))))
        for text in chance.sample(BEYOND[version], chance.randint(0, 3)):
            port, own = chance.choice(self.addresses)
            source = chance.choice(self.addresses)[1].ip if chance.random() < 0.3 else None
            self.routes.append((port, ip_network(text), own.network[1], source))
        self.gone = self._choose_gone(chance)
        near = [own.network[chance.choice([1, 12])] for _, own in self.addresses]
        ours = {own.ip for _, own in self.addresses}
        ours -= {own.ip for _, own in self.gone}
        self.questions = [one for one in [*near, *map(ip_address, FAR[version])] if one not in ours]


    def _choose_gone(self, chance: random.Random) -> list[tuple[str, Interface]]:
        """Choose an address that goes, or none.

        Never the last of a port, as Linux then flushes routes that we keep; nor one that another of its subnet stands
        in for, as Linux puts that behind the port's other addresses, and here it keeps its place.
        """
        sources = [source for *_, source in self.routes]
        found = []
        for port, own in self.addresses:
            left = [other for at, other in self.addresses if at == port and other != own]
            alone = all(other.network != own.network for other in left)
            if left and alone and own.ip not in sources and chance.random() < 0.3 and not found:
                found.append((port, own))
        return found


def ask_linux(net: Namespace, world: World) -> list[tuple[str, str] | None]:
    """Set a namespace up anew and ask it."""
    flag = ["-6"] if world.version == 6 else []
    nodad = "nodad" if world.version == 6 else ""
    lines = ["route flush proto boot", *(f"address flush dev {port} scope global" for port in PORTS)]
    lines += [f"address add {own} dev {port} {nodad}" for port, own in world.addresses]
    for port, to, via, source in world.routes:
        lines.append(f"route add {to} via {via} dev {port}" + (f" src {source}" if source else ""))
    lines += [f"address del {own} dev {port}" for port, own in world.gone]
    net.run(["ip", *flag, "-batch", "-"], input="\n".join(lines) + "\n")
    answers: list[tuple[str, str] | None] = []
    for question in world.questions:
        done = net.run(["ip", *flag, "-oneline", "route", "get", str(question)], check=False)
        found = re.search(r"dev (\S+).* src (\S+)", done.stdout)
        answers.append((found[1], found[2]) if found else None)
    return answers


class Engine:
    """A stack with three interfaces whose wires lead nowhere."""

    def __init__(self, world: World) -> None:
        out = ffi.new("struct gd_stack **")
        assert lib.gd_stack_new(ffi.new("struct gd_config *"), 1, out) == 0
        self.stack, self.ends = out[0], []
        self.index: dict[str, int] = {}
        for number, port in enumerate(PORTS):
            a, b = ffi.new("struct gd_port **"), ffi.new("struct gd_port **")
            assert lib.gd_pipe_pair(1500, bytes([2, 0, 0, 0, 1, number]), bytes([2, 0, 0, 0, 2, number]), a, b) == 0
            self.ends.append(b[0])
            self.index[port] = lib.gd_stack_attach(self.stack, a[0], port.encode())
        for port, own in world.addresses:
            add = lib.gd_stack_add_address
            assert add(self.stack, self.index[port], packed(own.ip), own.network.prefixlen) == 0
        self.settle()
        for port, to, via, source in world.routes:
            at = packed(to.network_address), to.prefixlen
            assert lib.gd_stack_add_route(self.stack, *at, packed(via), self.index[port]) == 0
            if source:
                assert lib.gd_stack_route_source(self.stack, *at, self.index[port], packed(source)) == 0
        for port, own in world.gone:
            assert lib.gd_stack_del_address(self.stack, self.index[port], packed(own.ip)) == 0

    def settle(self) -> None:
        """Let duplicate address detection come to its end."""
        now = 1
        while now < 5 * 10**9:
            now = max(lib.gd_stack_poll(self.stack, now), now + 10**6)

    def ask(self, question: Address) -> tuple[str, str] | None:
        """Return the interface and the source."""
        src = ffi.new("uint8_t[16]")
        index = lib.gd_stack_route(self.stack, packed(question), src)
        names = {number: port for port, number in self.index.items()}
        return (names[index], str(unpacked(bytes(src)))) if index > 0 else None

    def close(self) -> None:
        """Free it."""
        lib.gd_stack_free(self.stack)
        for end in self.ends:
            lib.gd_port_close(end)


@pytest.fixture(scope="module")
def net() -> Iterator[Namespace]:
    """Make a namespace with three interfaces that lead nowhere, and without IPv6 addresses of their own making."""
    with Namespace() as made:
        made.run(["sysctl", "-qw", "net.ipv4.conf.all.promote_secondaries=1"])
        for port in PORTS:
            made.ip("link", "add", port, "type", "veth", "peer", "name", f"{port}-far")
            for end in (port, f"{port}-far"):
                made.ip("link", "set", end, "addrgenmode", "none", "up")
        yield made


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("seed", [*range(20), 52, 71, 83])
def test_way_and_source_are_what_linux_says(net: Namespace, seed: int, version: int) -> None:
    world = World(seed, version)
    engine = Engine(world)
    said = ask_linux(net, world)
    ours = [engine.ask(question) for question in world.questions]
    engine.close()
    assert [*zip(world.questions, ours, strict=True)] == [*zip(world.questions, said, strict=True)], vars(world)
