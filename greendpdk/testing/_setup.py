"""What a script may set by its "--" lines, and what holds otherwise.

Called by _player.py; calls nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

# Fields of struct gd_config that a script may set.
ENGINE = (
    "buffer_cap", "buffer_max", "time_wait_cap", "syn_cap", "syn_cookies", "time_wait_ms", "delayed_ack_ms",
    "burst_rounds", "ecn", "orphan_cap",
)  # fmt: skip

# What --ip_version=ipv6 changes, as packetdrill's: the MTU leaves room for the longer header, so that segments are the
# same.
IPV6: Mapping[str, int | str | bool] = {
    "local_ip": "fd3d:a0b:17d6::1", "remote_ip": "fd3d:fa7b:d17d::1", "gateway_ip": "fd3d:a0b:17d6::2",
    "prefix_length": 64, "mtu": 1520,
}  # fmt: skip


@dataclass(frozen=True)
class Setup:
    """The surroundings of a script. Addresses and ports are packetdrill's defaults."""

    local_ip: str = "192.168.0.1"
    remote_ip: str = "192.0.2.1"
    gateway_ip: str = "192.168.0.2"
    prefix_length: int = 24
    mtu: int = 1500
    bind_port: int = 8080
    connect_port: int = 8080
    peer_port: int = 1001  # of a peer that connects to us
    tolerance_usecs: int = 4000
    tcp_ts_tick_usecs: int = 0  # 0: any two equal values in the script must be equal on the wire, no more
    remote_isn: int = 2**32 - 1500  # the script's 0 on the wire: the peer's numbers wrap in most scripts
    seed: int = 1
    start: int = 1000 * 10**9
    arp: bool = False
    exact_options: bool = False
    ip_version: str = "ipv4"
    engine: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, options: Mapping[str, str], **given: int | str | bool) -> Setup:
        """Read a script's options; what is given by the caller comes before them. ValueError names a wrong one."""
        kinds = {item.name: item.type for item in fields(cls) if item.name != "engine"}
        values: dict[str, int | str | bool] = {}
        engine: dict[str, int] = {}
        for key, text in options.items():
            if key in ENGINE:
                engine[key] = int(text, 0)
            elif key not in kinds:
                raise ValueError(f"no such option: --{key} (there are {', '.join([*kinds, *ENGINE])})")
            elif kinds[key] == "bool":
                values[key] = text in ("", "1", "true")
            else:
                values[key] = int(text, 0) if kinds[key] == "int" else text
        values.update(given)
        version = values.get("ip_version", "ipv4")
        if version not in ("ipv4", "ipv6"):
            raise ValueError(f"--ip_version={version}: ipv4 and ipv6 are offered")
        if version == "ipv6":
            values = {**IPV6, **values}
        return cls(engine=engine, **values)  # type: ignore[arg-type]

    @property
    def is_6(self) -> bool:
        """Tell the family."""
        return self.ip_version == "ipv6"
