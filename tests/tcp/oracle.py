"""The oracle: a script played against Linux in real time, to learn whether the script says what Linux does.

    python tests/tcp/oracle.py tests/tcp/close/fin_rides_on_the_last_data.pkt [--delayed]
    pytest tests/tcp --oracle        all of them; oracle.toml lists those where Linux differs, and why

Called by test_oracle.py, as a process of its own for each script; calls kernel.py and greendpdk.testing's player.
What is not compared: a window that is not zero (the two tune their buffers differently), PSH, counters and buffers of
the engine. Times may be TOLERANCE off and, as Linux's timing wheel has it, a part of a wait late; so may timestamps.
Linux acknowledges the first segments of a connection at once and later ones with delay; we delay from the start. So a
script holds if it does so in either mode: as Linux likes, or told to delay (TCP_QUICKACK 0) before each segment.
"""
from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from kernel import Kernel, RealClock

from greendpdk._native import lib
from greendpdk.testing import ScriptError
from greendpdk.testing._flow import Flow
from greendpdk.testing._lines import Code, Script, Statement, parse_script
from greendpdk.testing._packet import PacketLine, TcpLine
from greendpdk.testing._player import Player, Sent, is_discovery
from greendpdk.testing._setup import Setup
from greendpdk.testing.clock import MS, NEVER, S
from greendpdk.testing.segment import PSH, Frame, Ip, Option, Tcp, build_ip, parse
from greendpdk.testing.wire import MAC_A, MAC_B

TOLERANCE = 15 * MS
NO_LIMIT = float("inf")
TICKS = 100  # how far a timestamp may be off where a script counts its ticks: the sum of such waits
WHEEL = 4  # Linux's timing wheel fires an eighth late, and the RTO that a back-off doubles was late before
ETHERNET = {4: MAC_B + MAC_A + b"\x08\x00", 6: MAC_B + MAC_A + b"\x86\xdd"}  # by IP version
LONGEST = 25.0  # seconds that a script may take, unless --oracle-seconds says more

# Fields of gd_config that are sysctls of Linux.
SETTINGS = {
    ("syn_cookies", lib.GD_COOKIES_NEVER): ("ipv4/tcp_syncookies", "0"),
    ("syn_cookies", lib.GD_COOKIES_ALWAYS): ("ipv4/tcp_syncookies", "2"),
}


class Whatever:
    """A figure that only the engine has: every comparison with it holds."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return True

    def __lt__(self, other: object) -> bool:
        return True

    __gt__ = __le__ = __ge__ = __lt__
    __hash__ = None  # type: ignore[assignment]

    def __sub__(self, other: object) -> Whatever:
        return self

    __add__ = __rsub__ = __radd__ = __sub__

    def __bool__(self) -> bool:
        return True


def duration(script: Script) -> float:
    """Return the seconds that a script takes at least."""
    now = end = 0.0
    for statement in script.statements:
        when = statement.when
        if not when.any:
            now = now + when.start if when.relative else when.start
        end = max(end, now, when.until or 0.0)
    return end


def refusal(script: Script, longest: float = LONGEST) -> str:
    """Return why Linux cannot be asked about a script; "" if it can."""
    setup = Setup.of(script.options)
    if setup.arp:
        return "ARP: a tun device has none"
    if own := [name for name, value in setup.engine.items() if (name, value) not in SETTINGS]:
        return "sets the engine's own " + ", ".join(own)
    if duration(script) > longest:
        return f"takes {duration(script):.0f} s"
    if any(isinstance(one.what, Code) and "counters()" in one.what.source for one in script.statements):
        return "looks at counters as a whole"
    return ""


class KernelPlayer(Player):
    """The player of virtual time, with Linux and real time in place of the engine and the clock."""

    patience = 2 * S
    lateness = 40 * MS
    delayed = False  # Linux is told to delay its ACKs

    def open(self) -> None:
        """Make the namespace."""
        setup = self.setup
        self.kernel = Kernel(setup.local_ip, setup.prefix_length, setup.gateway_ip, setup.mtu)
        for setting in setup.engine.items():
            self.kernel.sysctl(*SETTINGS[setting])
        self.host = self.kernel  # type: ignore[assignment]
        self.clock = RealClock(self.kernel.tun)  # type: ignore[assignment]
        self.tolerance = max(self.tolerance, TOLERANCE)
        self.moment = self.clock.now

    def close(self) -> None:
        """Leave it to the process's end."""

    @property
    def since(self) -> int:
        """Return when the last statement was done, or its packet sent."""
        return self.moment

    def poll(self) -> int:
        """Take what Linux has sent; a call that blocks is looked after each millisecond."""
        self.collect()
        if self.calls.retry():
            self.collect()
        return min(self.calls.wake_at, self.clock.now + MS if self.calls.pending else NEVER)

    def collect(self) -> None:
        """Take what has been sent."""
        while (packet := self.kernel.take()) is not None:
            frame = parse(ETHERNET[packet[0] >> 4] + packet)
            if not is_discovery(frame.body):
                self.sent.append(Sent(self.clock.now, frame))

    def deliver(self, frame: Frame) -> None:
        """Let a frame arrive there."""
        assert isinstance(frame.body, Ip)
        if self.delayed:
            for file in self.calls.files.values():
                file.endpoint.delay_acks()  # type: ignore[attr-defined]
        self.moment = self.clock.now
        self.kernel.send(build_ip(frame.body))

    def _play(self, statement: Statement) -> None:
        before, when = self.moment, statement.when
        base = 0.0 if when.relative else (before - self.clock.start) / S
        if when.until is not None:  # a call that blocks
            self.tolerance = max(self.tolerance, round((when.until - base) / WHEEL * S))
        elif isinstance(statement.what, PacketLine) and not statement.what.inbound and not when.any:
            slack = max(when.start - base, 0.0) / WHEEL
            statement = replace(statement, when=replace(when, to=(when.to or when.start) + slack))
        super()._play(statement)
        if self.moment == before and not isinstance(statement.what, PacketLine):
            self.moment = self.clock.now

    def differences(self, line: PacketLine, sent: Sent) -> list[str]:
        """Name everything in which a packet is not as its line says."""
        self.moment = sent.at
        ip = sent.frame.body
        if isinstance(line.what, TcpLine) and isinstance(ip, Ip) and isinstance(ip.layer, Tcp):
            flow = self.comparer.flows.get((ip.layer.sport, ip.layer.dport))
            line = replace(line, what=lenient(line.what, ip.layer))
            frame = replace(sent.frame, body=replace(ip, layer=near(ip.layer, line.what, flow)))
            sent = Sent(sent.at, frame)
        return super().differences(line, sent)

    def names(self) -> dict[str, Any]:
        """Return what the code of a script may ask; of the engine's own figures any is right."""
        own = {name: lambda *_: Whatever() for name in ("counter", "buffer_bytes", "sockets")}
        return {**own, "counters": dict, "state": self.calls.state, "info": self.calls.info, "now": self.seconds()}

    def left_behind(self) -> str:
        """Look at nothing: the namespace ends with the process."""
        return ""


def lenient(line: TcpLine, tcp: Tcp) -> TcpLine:
    """Return the line without what is not compared."""
    flags = line.flags & ~PSH | tcp.flags & PSH
    return replace(line, flags=flags, window=0 if line.window == 0 else None)


def near(tcp: Tcp, line: object, flow: Flow | None) -> Tcp:
    """Return the segment with the timestamp that the script knows, if its own is as good as that."""
    assert isinstance(line, TcpLine)
    words = next((option for option in line.options or () if option[0] == "TS"), None)
    if flow is None or words is None:
        return tcp
    known = flow.ts_live.get(int(words[1]))
    slack = TOLERANCE // MS
    if flow.ts_tick_us and flow.ts_shift is not None:
        known, slack = int(words[1]) + flow.ts_shift, TICKS

    def snapped(option: Option) -> Option:
        if known is not None and option[0] == "TS" and abs(int(option[1]) - known) <= slack:
            return ("TS", known, option[2])
        return option

    return replace(tcp, options=tuple(map(snapped, tcp.options)))


def main(path: Path, delayed: bool) -> int:
    """Play one script and print what went wrong; 0 it holds, 1 it does not, 2 it cannot be played."""
    script = parse_script(path.read_text(), path.name)
    if reason := refusal(script, NO_LIMIT):
        print(f"{path.name}: not played: {reason}")
        return 2
    player = KernelPlayer(script, Setup.of(script.options))
    player.delayed = delayed
    try:
        player.run()
    except ScriptError as error:
        print(error)
        return 1
    return 0


def ask(path: Path, tries: int = 2) -> str:
    """Play a script in processes of its own, in both modes; return what went wrong, or ""."""
    words = [sys.executable, __file__, str(path)]
    told = []
    for mode in ([], ["--delayed"]) * tries:
        done = subprocess.run([*words, *mode], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return ""
        told.append(done.stdout + done.stderr)
    return "\n".join(told[:2])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), "--delayed" in sys.argv))
