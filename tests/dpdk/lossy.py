"""A path that loses packets, with greendpdk or Linux at its near end and Linux at the far one.

    stack ═ tap ═ near ─── middle ─── far        198.18.0.2 │ 10.99.1.0/24 │ 10.99.2.0/24
    linux ──────── ┘         └ nftables drops at random what it forwards, both ways, TCP only

Used by test_loss.py; calls netns.py, peer.py and workers.py. A drop in the sender's own output hook is reported back
to its TCP, which is no loss; so a namespace between drops. GSO, TSO and GRO are off, or one drop would be of 64 KB.
"""
from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import workers
from netns import Namespace
from peer import Remote, Side

STACK, LINUX, FAR = "198.18.0.2", "198.18.5.2", "10.99.2.2"
TCP_CONGESTION = 13


@dataclass
class Path:
    """The three hosts and what is between them."""

    middle: Namespace
    stack: Side
    linux: Side
    far: Side

    def lose(self, percent: float) -> None:
        """Drop that share of the TCP packets from now on."""
        self._rule(f"meta l4proto tcp numgen random mod 1000 < {round(percent * 10)} drop")

    def damage(self, percent: float) -> None:
        """Write over a byte of that share of the large TCP packets instead; their checksums stay as they were."""
        # Else the kernel would fill in the checksum of what has been damaged, as late as at the tap.
        self.far.net.run(["ethtool", "-K", "tomiddle", "tx", "off"])
        chance = round(percent * 10)
        self._rule(f"meta l4proto tcp meta length > 1000 numgen random mod 1000 < {chance} @nh,480,8 set 0x5a")

    def _rule(self, words: str) -> None:
        self.middle.run(["nft", "flush", "chain", "ip", "loss", "forward"])
        self.middle.run(["nft", "add", "rule", "ip", "loss", "forward", *words.split()])

    def move(self, source: Side, sink: Side, size: int, algorithm: str, patience: float = 600) -> tuple[float, float]:
        """Move bytes; return the seconds it took and the longest pause. They must be the same on both sides."""
        listener = sink.listen()
        connected: Remote = source.connect(tuple(listener.getsockname()), 60)
        accepted, _ = listener.accept()
        listener.close()
        connected.setsockopt(socket.IPPROTO_TCP, TCP_CONGESTION, algorithm.encode())
        received = sink.begin(workers.receive_timed, accepted)
        digest = source.begin(workers.send_timed, connected, size, size).result(patience)
        took, pause, arrived = received.result(patience)
        connected.close()
        accepted.close()
        assert arrived == digest
        return took, pause


def _link(here: Namespace, there: Namespace, names: tuple[str, str], network: str) -> None:
    here.ip("link", "add", names[0], "type", "veth", "peer", "name", names[1], "netns", there.name)
    for number, (net, name) in enumerate(zip((here, there), names, strict=True), 1):
        net.ip("address", "add", f"{network}.{number}/24", "dev", name)
        net.ip("link", "set", name, "up")
        net.run(["ethtool", "-K", name, "tso", "off", "gso", "off", "gro", "off"])


@contextlib.contextmanager
def path() -> Iterator[Path]:
    """Make it, lossless at first."""
    with contextlib.ExitStack() as made:
        near, middle, far, linux = (made.enter_context(Namespace()) for _ in range(4))
        _link(near, middle, ("tomiddle", "tonear"), "10.99.1")
        _link(middle, far, ("tofar", "tomiddle"), "10.99.2")
        _link(near, linux, ("tolinux", "tonear"), "198.18.5")
        near.ip("route", "add", "default", "via", "10.99.1.2")
        middle.ip("route", "add", "198.18.0.0/16", "via", "10.99.1.1")
        far.ip("route", "add", "default", "via", "10.99.2.1")
        linux.ip("route", "add", "default", "via", "198.18.5.1")
        for router in (near, middle):
            router.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"])
        for host in (linux, far):  # each connection starts anew
            host.run(["sysctl", "-qw", "net.ipv4.tcp_no_metrics_save=1"])
        middle.run(["nft", "add", "table", "ip", "loss"])
        middle.run(["nft", "add", "chain", "ip", "loss", "forward", "{ type filter hook forward priority 0; }"])
        stack = Side(near, "stack", STACK, gateway="198.18.0.1")
        sides = [stack, Side(linux, "kernel", LINUX), Side(far, "kernel", FAR)]
        for side in sides:
            made.callback(side.close)
        yield Path(middle, *sides)
