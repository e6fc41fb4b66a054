"""Take TCP_INFO apart: Linux's struct tcp_info, whole or as much of it as a kernel gives.

Called by _telemetry.py, testing/_calls.py and tests; calls nothing.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

SIZE = 248  # of Linux 6.12's
_FIELDS = (
    ("B", "state ca_state retransmits probes backoff options wscales flags"),
    ("I", "rto ato snd_mss rcv_mss unacked sacked lost retrans fackets"),
    ("I", "last_data_sent last_ack_sent last_data_recv last_ack_recv"),
    ("I", "pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss reordering rcv_rtt rcv_space total_retrans"),
    ("Q", "pacing_rate max_pacing_rate bytes_acked bytes_received"),
    ("I", "segs_out segs_in notsent_bytes min_rtt data_segs_in data_segs_out"),
    ("Q", "delivery_rate busy_time rwnd_limited sndbuf_limited"),
    ("I", "delivered delivered_ce"),
    ("Q", "bytes_sent bytes_retrans"),
    ("I", "dsack_dups reord_seen rcv_ooopack snd_wnd rcv_wnd rehash"),
    ("H", "total_rto total_rto_recoveries"),
    ("I", "total_rto_time"),
)
NAMES = tuple(name for _, names in _FIELDS for name in names.split())
_LAYOUT = struct.Struct("=" + "".join(kind * len(names.split()) for kind, names in _FIELDS))


class TcpInfo:
    """The fields without their prefix: tcpi_rtt is `rtt`, in Linux's units. What was not given is 0."""

    def __init__(self, raw: bytes) -> None:
        assert _LAYOUT.size == SIZE
        for name, value in zip(NAMES, _LAYOUT.unpack(raw[:SIZE].ljust(SIZE, b"\0")), strict=True):
            setattr(self, name, value)

    def __getattr__(self, name: str) -> int:
        raise AttributeError(f"TCP_INFO has no {name!r}; there are: {', '.join(NAMES)}")


def tcp_info(sock: Any) -> TcpInfo:
    """Ask a socket, of the kernel or of the stack."""
    return TcpInfo(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, SIZE))
