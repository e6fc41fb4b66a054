"""Linux as the stack of a script: a network namespace of our own, a tun device in it, and the kernel's sockets.

Called by oracle.py; calls the kernel.

    script ──► frame less its Ethernet header ──► tun ──► Linux's IP and TCP ──► a socket, which the script's calls use
           ◄── packets that Linux sends  ◄──────  tun ◄──
"""
from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
import subprocess
import time
from pathlib import Path

from greendpdk._native import lib
from greendpdk.testing.clock import NEVER, S
from greendpdk.testing.endpoint import Address

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000  # <linux/if_tun.h>
SIOCOUTQ, FIONREAD = 0x5411, 0x541B
POLLRDHUP = 0x2000
BITS = {select.POLLIN: lib.GD_READ, select.POLLPRI: lib.GD_PRI, select.POLLOUT: lib.GD_WRITE, POLLRDHUP: lib.GD_RDHUP,
        select.POLLERR: lib.GD_ERR, select.POLLHUP: lib.GD_HUP}
STATES = ("", "ESTABLISHED", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED",
          "CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING")  # by tcpi_state, <net/tcp_states.h>

# What a script takes for granted, and Linux's defaults on some machine may not give.
SYSCTLS = {
    "ipv4/tcp_rmem": "4096 131072 6291456",  # the upstream default: window scale 7
    "ipv4/tcp_wmem": "4096 16384 4194304",
    "ipv4/tcp_syn_linear_timeouts": "0",  # since 6.5 the first four SYNs do not back off
    "ipv4/tcp_timestamps": "1",
    "ipv4/tcp_ecn": "2",
    "ipv4/tcp_rfc1337": "1",
    "ipv4/tcp_mtu_probing": "1",
    "ipv4/icmp_ratelimit": "0",
    "ipv6/icmp/ratelimit": "0",
}


class RealClock:
    """The clock that moves by itself; jump() waits, and no longer than until a packet comes."""

    def __init__(self, tun: int) -> None:
        self.tun = tun
        self.start = self.now

    @property
    def now(self) -> int:
        """Return the monotonic clock."""
        return time.monotonic_ns()

    def jump(self, at: int, limit: int = NEVER) -> bool:
        """Wait until `at`, `limit` or a packet; tell if it is not `limit` yet."""
        wait = min(at, limit) - self.now
        if wait > 0:
            select.select([self.tun], [], [], wait / S)
        return self.now < limit


class KernelSocket:
    """A kernel socket with the methods of endpoint.Endpoint."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.type = sock.type & 15
        sock.setblocking(False)

    @property
    def state(self) -> str:
        """Return the state's name in RFC 9293."""
        return STATES[self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[0]]

    @property
    def ready(self) -> int:
        """Return the GD_ bits that poll(2) says."""
        ask = select.poll()
        ask.register(self.sock, select.POLLIN | select.POLLPRI | select.POLLOUT | POLLRDHUP)
        found = dict(ask.poll(0)).get(self.sock.fileno(), 0)
        return sum(mine for theirs, mine in BITS.items() if found & theirs)

    def ioctl(self, request: int) -> int:
        """Return the number that ioctl(2) gives."""
        return int(struct.unpack("i", fcntl.ioctl(self.sock, request, b"\0" * 4))[0])

    @property
    def unread(self) -> int:
        """Return SIOCINQ."""
        return self.ioctl(FIONREAD)

    @property
    def unacked(self) -> int:
        """Return SIOCOUTQ."""
        return self.ioctl(SIOCOUTQ)

    def bind(self, address: Address) -> None:
        """Bind."""
        self.sock.bind(address)

    def connect(self, address: Address) -> None:
        """Begin to connect."""
        self.sock.connect(address)

    def listen(self, backlog: int) -> None:
        """Listen."""
        self.sock.listen(backlog)

    def accept(self) -> KernelSocket:
        """Take a connection."""
        return KernelSocket(self.sock.accept()[0])

    def delay_acks(self) -> None:
        """Let Linux wait with its next ACK, as it does once a connection's first segments are through."""
        if self.type == socket.SOCK_STREAM:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)

    def send(self, data: bytes, flags: int = 0) -> int:
        """Queue bytes."""
        return self.sock.send(data, flags | socket.MSG_NOSIGNAL)

    def sendto(self, data: bytes, address: Address | None, flags: int = 0) -> int:
        """Send a datagram."""
        return self.sock.sendto(data, flags, address) if address else self.sock.send(data, flags)

    def recv_count(self, size: int, flags: int = 0) -> tuple[int, bytes]:
        """Return what recv(2) returns, and the bytes."""
        room = bytearray(max(size, 1))
        count = self.sock.recv_into(room, size, flags)
        return count, bytes(room[:min(count, size)])

    def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Address]:
        """Return a datagram and who sent it."""
        return self.sock.recvfrom(size, flags)

    def shutdown(self, how: int) -> None:
        """Shut a direction down."""
        self.sock.shutdown(how)

    def close(self) -> None:
        """Close."""
        self.sock.close()

    def setsockopt(self, level: int, name: int, value: int | bytes) -> None:
        """Set an option."""
        self.sock.setsockopt(level, name, value)

    def getsockopt(self, level: int, name: int, size: int = 4) -> int | bytes:
        """Return an option."""
        raw = self.sock.getsockopt(level, name, size)
        return int(struct.unpack("i", raw)[0]) if len(raw) == 4 else raw

    def take_error(self) -> int:
        """Return SO_ERROR."""
        return self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


class Kernel:
    """The namespace, which ends with the process that made it: the caller's thread moves there and stays."""

    def __init__(self, local: str, length: int, gateway: str, mtu: int) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        for name, value in SYSCTLS.items():
            with contextlib.suppress(FileNotFoundError):  # an older kernel
                self.sysctl(name, value)
        self.tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.tun, TUNSETIFF, struct.pack("16sH22x", b"tun0", IFF_TUN | IFF_NO_PI))
        quiet = "nodad" if ":" in local else ""  # no question to a link where nobody would answer
        for words in ("link set lo up", "link set tun0 addrgenmode none", f"link set tun0 mtu {mtu} up",
                      f"address add {local}/{length} dev tun0 {quiet}", f"route add default via {gateway} dev tun0"):
            subprocess.run(["ip", *words.split()], check=True)

    def sysctl(self, name: str, value: str) -> None:
        """Set one of net's."""
        Path("/proc/sys/net", name).write_text(value)

    def socket(self, type: int, family: int = socket.AF_INET) -> KernelSocket:
        """Make a socket; CUBIC is our default, whatever this machine's is."""
        sock = socket.socket(family, type)
        if type == socket.SOCK_STREAM:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        return KernelSocket(sock)

    def send(self, packet: bytes) -> None:
        """Let an IP packet arrive; Linux has answered when this returns, unless a timer is to."""
        os.write(self.tun, packet)

    def take(self) -> bytes | None:
        """Return the next packet that Linux has sent."""
        try:
            return os.read(self.tun, 65535)
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
            return None
