"""greendpdk demo: unmodified apps over DPDK, in a network namespace of its own, with the port's counters as the proof.

Called by cli/__init__.py and examples/demo.py; calls _namespace.py, monkey.patch_all and _demo_app.py. It needs no root
where user namespaces are allowed, nothing that greendpdk itself does not need, and leaves nothing behind.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from greendpdk._missing import sentence
from greendpdk._namespace import enter_namespace
from greendpdk.cli import _demo_app

if TYPE_CHECKING:
    from rich.console import Console

STACK, KERNEL, SIZE = "198.18.0.2", "198.18.0.1", 5_000_000
_PATIENCE = 20.0  # seconds for a Python to start beside us
_STATES = {1: "ESTAB", 4: "FIN-WAIT-1", 5: "FIN-WAIT-2", 6: "TIME-WAIT", 8: "CLOSE-WAIT", 10: "LISTEN"}  # tcp_states.h
_COUNTERS = tuple(f"net_tap0.{way}_{what}" for way in ("rx", "tx") for what in ("packets", "bytes"))


def main(words: list[str]) -> int:
    """Show it; 1 if it cannot be shown here, or is not true."""
    parser = argparse.ArgumentParser(
        prog="greendpdk demo", description="Show unmodified apps over DPDK, in a network namespace of its own.")
    parser.parse_args(words)
    try:
        from rich.console import Console

        console = Console(highlight=False, soft_wrap=True)
        enter_namespace()
        _patch()
        return _show(console)
    except ImportError as error:
        if (text := sentence(error)) is None:
            raise
    except (OSError, ValueError, RuntimeError) as error:
        text = f"{error} (greendpdk doctor says what is missing)"
    print(f"greendpdk demo: {text}", file=sys.stderr)
    return 1


def _patch() -> None:
    from greendpdk import monkey

    monkey.patch_all(vdev="net_tap0", address=f"{STACK}/24", tap_address=f"{KERNEL}/24")


def _show(console: Console) -> int:
    console.print("[bold]greendpdk demo[/]: one process, two TCP stacks, a wire between them\n")
    console.print(f"  [green]{STACK}[/]  greendpdk's stack, in this process, over DPDK's net_tap0")
    console.print(f"  [yellow]{KERNEL}[/]  the kernel's stack, at the other end, in a namespace that ends with this\n")
    fine = _serve(console) and _fetch(console)
    if not fine:
        console.print("[bold red]This did not go over DPDK.[/]")
        return 1
    name = _command()
    console.print(
        "What you have seen: the apps import neither DPDK nor greendpdk, the kernel has\n"
        "no socket of theirs, and the port has counted each of their bytes. Yours next:\n\n"
        f"  {name} run --netns app.py     your app, in a namespace as this one\n"
        f"  {name} doctor                 what a real NIC would need here\n"
        f"  {name} top                    look into it while it runs; also ss, stat, capture")
    return 0


def _command() -> str:
    """Return how the reader calls greendpdk: in an environment that is not activated by its path."""
    here = Path(sys.executable).parent / "greendpdk"
    found = shutil.which("greendpdk")
    if found is None or Path(found).resolve() != here.resolve():
        return os.path.relpath(here) if here.exists() else f"{os.path.relpath(sys.executable)} -m greendpdk"
    return "greendpdk"


def _serve(console: Console) -> bool:
    """Let the kernel's side fetch from an app over the stack."""
    import threading

    name, server = _demo_app.server(STACK, 8080)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    before, begun = _counters(), time.monotonic()
    with _beside("fetch", f"http://{STACK}:8080/bytes/{SIZE}") as other:
        said, _ = other.communicate(timeout=_PATIENCE)
    who, _, size = said.strip().rpartition(" ")
    console.rule(f"[bold]1. {name} over DPDK, {who} on the kernel's side", align="left")
    seconds = time.monotonic() - begun
    console.print(f"{int(size or 0):,} bytes fetched, in {seconds:.1f} s with the start of the client's Python")
    return _report(console, before) and size == str(SIZE)


def _fetch(console: Console) -> bool:
    """Fetch from an app on the kernel's side over the stack."""
    with _beside("serve", KERNEL, "8000") as other:
        try:
            assert other.stdout is not None
            name = other.stdout.readline().strip()
            who, fetch = _demo_app.client()
            before, begun = _counters(), time.monotonic()
            size = fetch(f"http://{KERNEL}:8000/bytes/{SIZE}")
            seconds = time.monotonic() - begun
            console.rule(f"[bold]2. {who} over DPDK, {name} on the kernel's side", align="left")
            console.print(f"{size:,} bytes fetched, in {seconds * 1000:.0f} ms: {size * 8 / seconds / 1e6:,.0f} Mbit/s")
            return _report(console, before) and size == SIZE
        finally:
            other.kill()


def _beside(*words: str) -> subprocess.Popen[str]:
    """Run the app in another Python, over the kernel, in the same namespace."""
    return subprocess.Popen([sys.executable, _demo_app.__file__, *words], stdout=subprocess.PIPE, text=True)


def _counters() -> dict[str, int]:
    import greendpdk

    return greendpdk.counters()


def _report(console: Console, before: dict[str, int]) -> bool:
    """Show what the port carried, and the kernel's TCP sockets; tell if the bytes went over DPDK."""
    after = _counters()
    console.print(f"  {'port counter':24}{'before':>12}{'after':>12}", style="dim")
    for name in _COUNTERS:
        console.print(f"  {name:24}{before[name]:>12,}{after[name]:>12,}")
    rows = list(_kernel_sockets())
    console.print("  the kernel's TCP sockets (its own end of the connection):")
    for row in rows or ["none"]:
        console.print(f"    {row}")
    ours = [row for row in rows if row.split()[1].startswith(f"{STACK}:")]
    console.print(f"  of these at the stack's address {STACK}: [bold green]{len(ours) or 'none'}[/]\n")
    return not ours and max(after[name] - before[name] for name in _COUNTERS) >= SIZE


def _kernel_sockets() -> Iterator[str]:
    """List them as ss -tan does, from this namespace's proc_net_tcp(5)."""
    for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]:
        _, here, there, state, *_ = line.split()
        yield f"{_STATES.get(int(state, 16), state):11} {_place(here):22} {_place(there)}"


def _place(text: str) -> str:
    address, _, port = text.partition(":")
    return f"{socket.inet_ntoa(int(address, 16).to_bytes(4, sys.byteorder))}:{int(port, 16)}"
