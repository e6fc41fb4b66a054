"""Measure greendpdk beside gevent on kernel sockets, in one run on this machine (as root, `make bench`).

    tap     greendpdk serves over net_tap, a gevent program on kernel sockets is the client
    memif   greendpdk at both ends of net_memif, two processes
    veth    gevent on kernel sockets at both ends of a veth pair, two namespaces: what to compare with

The rounds are interleaved, so that a noisy minute hurts all three; the medians and their ratio to veth are printed.
Everything runs in namespaces made for it and is removed. Calls ends.py, through tests/peer.py.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import ends
import netns
from netns import Namespace
from peer import Side

Measure = Callable[[Side, tuple[str, int], float], float]
MEASURES: dict[str, tuple[str, float, Measure]] = {
    "echo, 1 connection": ("round trips/s", 1, lambda side, to, time: side.run(ends.echo, to, 1, time)),
    "echo, 64 connections": ("round trips/s", 1, lambda side, to, time: side.run(ends.echo, to, 64, time)),
    "bulk to the server": ("MB/s", 1e6, lambda side, to, time: side.run(ends.upload, to, time)),
    "bulk from the server": ("MB/s", 1e6, lambda side, to, time: side.run(ends.download, to, time)),
    "bulk to the server, TLS": ("MB/s", 1e6, lambda side, to, time: side.run(ends.upload_secret, to, time)),
}


@contextlib.contextmanager
def setups(folder: str) -> Iterator[dict[str, tuple[Side, Side]]]:
    """Start (server, client) of each setup; the folder takes memif's socket."""
    with contextlib.ExitStack() as stack:
        tap, memif, here, there = (stack.enter_context(Namespace()) for _ in range(4))
        wire = f"socket={folder}/memif.sock,socket-abstract=no"
        here.join(there, "198.18.2.1/24", "198.18.2.2/24")

        def start(*words: str, net: Namespace, **settings: str) -> Side:
            side = Side(net, *words, **settings)
            stack.callback(side.close)
            return side

        yield {
            "tap": (start("stack", "198.18.0.2", net=tap), start("gevent", "198.18.0.1", net=tap)),
            "memif": (start("stack", "198.18.1.1", net=memif, vdev=f"net_memif0,role=server,{wire}",
                            address="198.18.1.1/24"),
                      start("stack", "198.18.1.2", net=memif, vdev=f"net_memif0,role=client,{wire}",
                            address="198.18.1.2/24")),
            "veth": (start("gevent", "198.18.2.1", net=here), start("gevent", "198.18.2.2", net=there)),
        }


def certificate(folder: str) -> str:
    """Make a certificate, with its key in the same file; return the file's name."""
    file = f"{folder}/cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=greendpdk bench",
                    "-keyout", file, "-out", f"{file}.part"], check=True, capture_output=True)  # fmt: skip
    with open(file, "a") as both, open(f"{file}.part") as part:
        both.write(part.read())
    return file


def measure(rounds: int, seconds: float) -> dict[str, dict[str, list[float]]]:
    """Return what each measure gave in each round, by setup."""
    results: dict[str, dict[str, list[float]]] = {name: {} for name in MEASURES}
    with tempfile.TemporaryDirectory(prefix="gd-") as folder, setups(folder) as sides:
        addresses, cert = {}, certificate(folder)
        for name, (server, _) in sides.items():
            listener = server.listen(backlog=128)
            addresses[name] = tuple(listener.getsockname())
            server.begin(ends.serve, listener, cert)
        for number in range(rounds + 1):  # the first round warms up
            for title, (_, scale, run) in MEASURES.items():
                for name, (_, client) in sides.items():
                    value = run(client, addresses[name], seconds if number else seconds / 5) / scale
                    if number:
                        results[title].setdefault(name, []).append(value)
    return results


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="greendpdk beside gevent on kernel sockets")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--json", action="store_true", help="every round, for another program")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the namespaces go
    netns.sweep()
    results = measure(options.rounds, options.seconds)
    if options.json:
        print(json.dumps(results))
        return
    print(f"Linux {platform.release()}, {os.cpu_count()} cores, Python {platform.python_version()}; "
          f"medians of {options.rounds} rounds of {options.seconds:g} s, (ratio to veth)\n")
    print(f"{'':24}{'':15}" + "".join(f"{name:>19}" for name in ("tap", "memif", "veth")))
    for title, values in results.items():
        medians = {name: statistics.median(rounds) for name, rounds in values.items()}
        cells = "".join(f"{median:>11,.0f} ({median / medians['veth']:4.2f})" + " " for median in medians.values())
        print(f"{title:24}{MEASURES[title][0]:15}{cells}")


if __name__ == "__main__":
    main()
