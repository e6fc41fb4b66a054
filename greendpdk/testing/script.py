"""Play packetdrill-style scripts (.pkt) against a stack in virtual time: what a peer sends, what the application
calls, what the stack must send, and when; anything else that it sends is an error.

Called by tests; calls _lines.py (reading) and _player.py (playing).

    play("tests/tcp/open/active_open_completes_the_handshake.pkt")

The language is packetdrill's (https://github.com/google/packetdrill). What is ours: TCP options are compared as a set
(`--exact_options` compares them as they stand); every byte of a stream is checked, not its length alone; `[port 1002]`
tells connections apart; `[bad_csum]` breaks a checksum; ARP lines (with `--arp`); ICMP echoes; in `%{ ... }%`,
state(fd), info(fd) (TCP_INFO), counter(name), counters(), buffer_bytes() and sockets() are at hand. At the end the
sockets are closed, and the stack must hold nothing. Not offered: shell commands, MPTCP, Fast Open.
"""

from __future__ import annotations

from pathlib import Path

from greendpdk.testing._lines import Script, ScriptSyntaxError, parse_script
from greendpdk.testing._player import Player, ScriptError
from greendpdk.testing._setup import Setup

__all__ = ["Player", "Script", "ScriptError", "ScriptSyntaxError", "Setup", "parse_script", "play"]


def play(path: str | Path, **options: int | str | bool) -> Player:
    """Play the script at path; ScriptError or ScriptSyntaxError says what went wrong. Options as in its "--" lines."""
    path = Path(path)
    return play_text(path.read_text(), path.name, **options)


def play_text(text: str, name: str = "script", **options: int | str | bool) -> Player:
    """Play a script that is given as text."""
    script = parse_script(text, name)
    player = Player(script, Setup.of(script.options, **options))
    player.run()
    return player
