"""Build the packets that a script sends, and compare those that the stack sends with the script's lines.

Called by _player.py; calls _flow.py and segment.py.
"""

from __future__ import annotations

from dataclasses import replace

from greendpdk.testing._flow import Flow, ip_differences, line_text, pattern
from greendpdk.testing._packet import (
    ArpLine,
    EchoLine,
    Fields,
    PacketLine,
    TcpLine,
    UdpLine,
    UnreachableLine,
)
from greendpdk.testing._setup import Setup
from greendpdk.testing.segment import ACK, SYN, Arp, Frame, Icmp, Ip, Tcp, Udp, build_ip, parse_ip
from greendpdk.testing.wire import MAC_A, MAC_B

QUOTED = 8  # bytes behind the IP header that an ICMP error quotes (RFC 792)
# ICMPv6's types and codes for ICMP's (RFC 4443, by what Linux makes of each).
ICMP6_OF = {
    (3, 0): (1, 0), (3, 1): (1, 3), (3, 2): (4, 1), (3, 3): (1, 4), (3, 4): (2, 0), (3, 13): (1, 1),
    (11, 0): (3, 0), (11, 1): (3, 1), (12, 0): (4, 0), (8, 0): (128, 0), (0, 0): (129, 0),
}  # fmt: skip


class Comparer:
    """The flows of one script."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.flows: dict[tuple[int, int], Flow] = {}
        self.current: Flow | None = None  # of lines that name no port
        self.pending_port: int | None = None  # local port that bind or connect has named

    def _flow(self, local: int, remote: int) -> Flow:
        if (local, remote) not in self.flows:
            setup = self.setup
            slack = setup.tolerance_usecs // setup.tcp_ts_tick_usecs + 1 if setup.tcp_ts_tick_usecs else 0
            self.flows[local, remote] = Flow(local, remote, setup.remote_isn, setup.tcp_ts_tick_usecs, slack)
        return self.flows[local, remote]

    def _inbound_flow(self, fields: Fields) -> Flow:
        if fields.port is not None:
            known = [flow for flow in self.flows.values() if flow.remote_port == fields.port]
            return known[-1] if known else self._flow(self.setup.bind_port, fields.port)
        if self.current is None:
            self.current = self._flow(self.setup.bind_port, self.setup.peer_port)
        return self.current

    def _outbound_flow(self, line: PacketLine, layer: Tcp | Udp) -> Flow:
        flow = self._flow(layer.sport, layer.dport)
        opens = isinstance(line.what, UdpLine) or (
            isinstance(line.what, TcpLine) and line.what.flags & (SYN | ACK) == SYN
        )
        if line.fields.port is None and (self.current is None or opens):
            self.current = flow
        return flow

    # -- what the script sends ------------------------------------------------------------
    def build(self, line: PacketLine) -> Frame:
        """Return the frame of an inbound line."""
        setup, fields, what = self.setup, line.fields, line.what
        if isinstance(what, ArpLine):
            op = 2 if what.mac else 1
            mac = bytes.fromhex(what.mac.replace(":", "")) if what.mac else MAC_B
            sender, target = (what.target, setup.local_ip) if what.mac else (what.sender, what.target)
            return Frame(MAC_A, MAC_B, Arp(op, mac, sender, MAC_A if what.mac else b"\0" * 6, target))
        layer: Tcp | Udp | Icmp
        if isinstance(what, TcpLine):
            layer = self._inbound_flow(fields).inbound(what)
        elif isinstance(what, UdpLine):
            flow = self._inbound_flow(fields)
            layer = Udp(flow.remote_port, flow.local_port, pattern(0, what.length))
        elif isinstance(what, UnreachableLine):
            layer = self._icmp(what.type, what.code, what.mtu, self._quote(what, self._inbound_flow(fields)))
        else:
            layer = self._icmp(0 if what.reply else 8, 0, what.ident << 16 | what.seq, pattern(0, what.length))
        ip = Ip(
            setup.remote_ip,
            setup.local_ip,
            layer,
            ttl=64 if fields.ttl is None else fields.ttl,
            tos=fields.tos or 0,
            df=fields.df is not False,
            bad_checksum=fields.bad_checksum,
        )
        return Frame(MAC_A, MAC_B, ip)

    def _icmp(self, kind: int, code: int, rest: int, payload: bytes) -> Icmp:
        """Make a message of the script's family from ICMP's numbers."""
        if self.setup.is_6:
            kind, code = ICMP6_OF[kind, code]
        return Icmp(kind, code, rest, payload)

    def _quote(self, what: UnreachableLine, flow: Flow) -> bytes:
        layer: Tcp | Udp
        if what.seq is None:
            layer = Udp(flow.local_port, flow.remote_port, pattern(0, what.length))
        else:
            seq = what.seq + (flow.local_shift or 0)
            layer = Tcp(flow.local_port, flow.remote_port, seq % 2**32, flags=ACK, payload=bytes(what.length))
        header = 40 if self.setup.is_6 else 20
        return build_ip(Ip(self.setup.local_ip, self.setup.remote_ip, layer))[: header + QUOTED]

    def inbound_text(self, line: PacketLine) -> str:
        """Return how an inbound line reads in the log."""
        port = f"[port {line.fields.port}] " if line.fields.port else ""
        return port + (line_text(line.what) if isinstance(line.what, TcpLine | UdpLine) else str(line.what))

    # -- what the stack sends --------------------------------------------------------------
    def outbound_text(self, frame: Frame) -> str:
        """Return how a frame of the stack reads, in the script's numbers."""
        if not isinstance(frame.body, Ip):
            return str(frame.body)
        layer = frame.body.layer
        if not isinstance(layer, Tcp | Udp):
            return str(layer)
        flow = self.flows.get((layer.sport, layer.dport))
        text = str(flow.script_tcp(layer) if flow and isinstance(layer, Tcp) else layer)
        if flow is not None and flow is self.current:
            return text
        return f"[port {layer.dport}] {text} (from port {layer.sport})"

    def differences(self, line: PacketLine, frame: Frame) -> list[str]:
        """Name everything in which a frame is not as the line says."""
        wrong = list(frame.errors)
        if frame.src != MAC_A:
            wrong.append(f"source address {frame.src.hex(':')}")
        if isinstance(line.what, ArpLine):
            return wrong + self._arp_differences(line.what, frame)
        ip = frame.body
        if not isinstance(ip, Ip):
            return [*wrong, "another protocol"]
        if (ip.src, ip.dst) != (self.setup.local_ip, self.setup.remote_ip):
            wrong.append(f"from {ip.src} to {ip.dst}")
        if frame.dst != MAC_B:
            wrong.append(f"destination address {frame.dst.hex(':')}")
        return wrong + ip_differences(line.fields, ip) + self._layer_differences(line, ip)

    def _layer_differences(self, line: PacketLine, ip: Ip) -> list[str]:
        what, layer = line.what, ip.layer
        if isinstance(what, TcpLine) and isinstance(layer, Tcp):
            flow = self._outbound_flow(line, layer)
            return self._port_differences(line, flow) + flow.differences(what, layer, self.setup.exact_options)
        if isinstance(what, UdpLine) and isinstance(layer, Udp):
            same = layer.payload == pattern(0, what.length)
            wrong = [] if same else [f"payload: {what.length} bytes expected, {len(layer.payload)} or others sent"]
            return self._port_differences(line, self._outbound_flow(line, layer)) + wrong
        if isinstance(what, EchoLine) and isinstance(layer, Icmp):
            want = self._icmp(0 if what.reply else 8, 0, what.ident << 16 | what.seq, pattern(0, what.length))
            return [] if layer == want else [f"{want} expected, {layer} sent"]
        if isinstance(what, UnreachableLine) and isinstance(layer, Icmp):
            return self._unreachable_differences(what, line.fields, layer)
        return ["another protocol"]

    def _port_differences(self, line: PacketLine, flow: Flow) -> list[str]:
        want = line.fields.port
        if want is not None and want != flow.remote_port:
            return [f"peer's port: {want} expected, {flow.remote_port} sent"]
        if want is None and flow is not self.current:
            return [f"another connection: port {flow.local_port} to port {flow.remote_port}"]
        return []

    def _unreachable_differences(self, what: UnreachableLine, fields: Fields, layer: Icmp) -> list[str]:
        want = self._icmp(3, what.code, what.mtu, b"")
        if (layer.type, layer.code, layer.rest & 0xFFFF) != (want.type, want.code, want.rest):
            return [f"type 3 code {what.code} mtu {what.mtu} expected, {layer} sent"]
        errors: list[str] = []
        quote = parse_ip(layer.payload, errors, quoted=True)
        flow = self._inbound_flow(fields)
        inner = quote.layer
        ends = (self.setup.remote_ip, self.setup.local_ip, flow.remote_port, flow.local_port)
        if not isinstance(inner, Tcp | Udp) or (quote.src, quote.dst, inner.sport, inner.dport) != ends:
            errors.append(f"it quotes {quote}")
        return errors

    def _arp_differences(self, what: ArpLine, frame: Frame) -> list[str]:
        arp = frame.body
        if not isinstance(arp, Arp):
            return ["no ARP"]
        if what.mac:
            want = Arp(2, bytes.fromhex(what.mac.replace(":", "")), what.target, arp.target_mac, arp.target)
        else:
            want = Arp(1, MAC_A, what.sender, arp.target_mac, what.target)
        return [] if replace(arp) == want else [f"{want} expected, {arp} sent"]
