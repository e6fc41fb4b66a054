"""greendpdk [run] [options] app.py args..., -m module args..., -c code args... or - args...: run a program, patched.

Called by cli/__init__.py; calls monkey.patch_all, runpy and _ending.py. What the user lacks (gevent, cffi, libdpdk, the
built engine) is told in one sentence with a command, and exit status 2.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from greendpdk._missing import sentence
from greendpdk._namespace import enter_namespace
from greendpdk.cli import COMMANDS, _ending, overview

_SETTINGS = (
    ("vdev", "DEVARGS", "DPDK's virtual device, several parted by ';', or none (default: net_tap0)"),
    ("pci", "ADDRESS", "PCI address of a NIC that is bound to vfio-pci, several parted by ';'"),
    ("address", "LIST", "the stack's addresses: CIDRs of either family, dhcp, auto (IPv6 from routers), parted by ','; "
     "those of several ports by ';' (default on net_tap: 198.18.0.2/24)"),
    ("gateway", "IP", "where packets to other networks go: one of each family, of several ports parted by ';'"),
    ("routes", "LIST", "more routes, such as '10.1.0.0/16 via 198.18.0.9 dev net_tap0 src 198.18.0.2', parted by ','; "
     "of via and dev one is enough, src may be left out"),
    ("tap-address", "LIST", "the kernel's end of a net_tap, parted as address is (default: the first other host of the "
     "network, 198.18.0.1/24)"),
    ("mtu", "BYTES", "bytes of an IP packet (default: the driver's)"),
    ("mac", "MAC", "the first port's Ethernet address (default: the driver's)"),
    ("dns", "IP", "name servers to ask over the stack, several parted by ',' (default: those of DHCP or IPv6 routers)"),
    ("loopback", "kernel|stack", "who has 127.0.0.0/8 and ::1 (default: kernel)"),
    ("poll", "adaptive|busy", "sleep when idle, or spin on a CPU for the least latency (default: adaptive)"),
    ("ecn", "answer|ask|off", "explicit congestion notification: agree to it, ask for it too, or neither (default: "
     "answer)"),
    ("syn-cookies", "full|always|off", "SYN cookies: while a SYN queue is full, always, or never (default: full)"),
    ("buffer-cap", "MB", "what all socket buffers may hold together (default: 256)"),
    ("buffer-max", "MB", "the largest SO_SNDBUF and SO_RCVBUF (default: 64)"),
    ("hugepages", "off|on", "use hugepages (default: off)"),
    ("memory", "MB", "memory for DPDK (default: 128)"),
    ("lcore", "CPU", "the CPU that the thread is bound to (default: none, it keeps its affinity)"),
    ("eal-args", "WORDS", "more arguments for rte_eal_init"),
    ("blocked", "MS", "warn of what holds the loop for longer than that; 0: never (default: 100)"),
    ("metrics", "ADDRESS:PORT", "serve Prometheus metrics there, by the kernel (default: no)"),
    ("telemetry", "auto|on|off", "DPDK's telemetry, which `greendpdk ss` and others ask: where DPDK runs, or started "
     "for it, or not (default: auto)"),
)

def main(words: list[str]) -> int:
    """Run a program over the stack."""
    options = _parser().parse_args(_tap_alone(words))
    program = [options.program, *options.args] if options.program else options.args
    if program[:1] == ["--"]:
        program = program[1:]
    if options.module is None and options.code is None and not program:
        _parser().error("give a program to run: app.py, -m module, -c code, or - for standard input; or a command: "
                        f"{', '.join(COMMANDS)}")
    if options.module is None and options.code is None and program[0] != "-":
        _look_for(program[0])
    try:
        way = enter_namespace() if options.netns else []
        _patch(_settings(options))
    except ImportError as error:
        if (text := sentence(error)) is None:
            raise
        _fail(text)
    except (ValueError, OSError, RuntimeError) as error:
        _fail(str(error))
    if way and not options.quiet:
        _tell_the_way(way)
    _ending.prepare()
    if options.code is not None:
        return _run_code([*options.code, *program])
    if options.module is not None:
        return _run_module([*options.module, *program])
    return _run_file(program)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="greendpdk run",
        usage="greendpdk [run] [options] app.py [args...]\n       greendpdk [run] [options] -m module [args...]\n"
        "       greendpdk [run] [options] -c code [args...]\n       greendpdk [run] [options] - [args...]\n"
        "       greendpdk COMMAND --help",
        description="Run a Python program, unchanged, over greendpdk's TCP/IP stack on DPDK.",
        epilog=f"commands:\n{overview()}\n\nEach setting is also an environment variable, such as GREENDPDK_ADDRESS; "
        "an option goes before it.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--tap", metavar="NAME", nargs="?", const="", help="a net_tap, which is the default; "
                        "with the name of the kernel's interface: --tap=app0")  # fmt: skip
    parser.add_argument("--netns", action="store_true", help="in a network namespace of its own, which needs no root "
                        "where user namespaces are allowed; the way to its other side is told on stderr")  # fmt: skip
    parser.add_argument("-q", "--quiet", action="store_true", help="do not tell it")
    for name, metavar, text in _SETTINGS:
        parser.add_argument(f"--{name}", metavar=metavar, help=text)
    parser.add_argument("-m", dest="module", nargs=argparse.REMAINDER, help="run a module, as python -m does")
    parser.add_argument("-c", dest="code", nargs=argparse.REMAINDER, help="run the code given, as python -c does")
    parser.add_argument("program", nargs="?", metavar="app.py", help="the program; -: from standard input, to its end")
    parser.add_argument("args", nargs=argparse.REMAINDER, help="its arguments")
    return parser


def _tap_alone(words: list[str]) -> list[str]:
    """Let no --tap before the program take the word behind it for its name: `--tap app.py` runs app.py."""
    valued = {f"--{name}" for name, _, _ in _SETTINGS}
    found, at = list(words), 0
    while at < len(found) and found[at].startswith("--") and found[at] != "--" or found[at : at + 1] == ["-q"]:
        if found[at] == "--tap":
            found[at] = "--tap="
        at += 2 if found[at] in valued else 1
    return found


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    settings = {name.replace("-", "_"): getattr(options, name.replace("-", "_")) for name, _, _ in _SETTINGS}
    if options.tap is None:
        return settings
    if options.vdev:
        raise ValueError("--tap and --vdev are two ways to name a device: give one of them")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{0,15}", options.tap):
        raise ValueError(f"--tap={options.tap}: that is no interface's name (15 letters, digits and _.- at most)")
    settings["vdev"] = f"net_tap0,iface={options.tap}" if options.tap else "net_tap0"
    return settings


def _look_for(path: str) -> None:
    """Fail before anything is started if there is no such program."""
    if os.path.exists(path):
        return
    other = "" if set(path) & {".", os.sep} else f" (and {path} is none of the commands: {', '.join(COMMANDS)})"
    _fail(f"can't open file {os.path.abspath(path)!r}: No such file or directory{other}")


def _tell_the_way(words: list[str]) -> None:
    """Say on stderr how to reach the kernel's side: the namespace has no name, and outside it nothing is to be seen."""
    from greendpdk import running

    stack = running()
    for port in stack.ports if stack else ():
        here, there = (" and ".join(str(one.ip) for one in side) for side in (port.addresses, port.tap))
        print(f"greendpdk: {port.name} is {here}{f', the kernel is {there}' * bool(there)}", file=sys.stderr)
    print(f"greendpdk: from the kernel's side: {' '.join(words)} COMMAND", file=sys.stderr, flush=True)


def _patch(settings: dict[str, Any]) -> None:
    from greendpdk import monkey

    monkey.patch_all(**{name: value for name, value in settings.items() if value is not None})


# Each goes on as the interpreter would: sys.argv, sys.path[0], __main__.


def _run_module(words: list[str]) -> int:
    import runpy

    if not words:
        _fail("-m needs the name of a module")
    sys.argv[:] = words
    _set_first_path(os.getcwd())
    if not _is_there(words[0]):
        _fail(f"No module named {words[0]}")
    return _ending.guarded(lambda: runpy.run_module(words[0], run_name="__main__", alter_sys=True))


def _run_file(words: list[str]) -> int:
    import runpy

    path = words[0]
    if path == "-":
        return _run_text(words, "<stdin>", sys.stdin.buffer.read)
    sys.argv[:] = words
    if os.path.isfile(path):
        _set_first_path(os.path.dirname(os.path.abspath(path)))  # runpy does it for folders and zip files
    return _ending.guarded(lambda: runpy.run_path(path, run_name="__main__"))


def _run_code(words: list[str]) -> int:
    if not words:
        _fail("-c needs the code")
    code = f"{words[0]}\n"
    if sys.version_info >= (3, 13):  # its tracebacks show the lines
        import linecache

        linecache.cache["<string>"] = len(code), None, code.splitlines(keepends=True), "<string>"
    return _run_text(["-c", *words[1:]], "<string>", lambda: code)


def _run_text(words: list[str], name: str, read: Callable[[], str | bytes]) -> int:
    """Run what is in no file, as a __main__ of its own that stays: threads and atexit's functions are in it."""
    from importlib.machinery import BuiltinImporter
    from types import ModuleType

    module = ModuleType("__main__")
    vars(module).update(__builtins__=sys.modules["builtins"], __loader__=BuiltinImporter)
    if sys.version_info < (3, 14):
        module.__annotations__ = {}
    if name == "<stdin>":
        vars(module).update(__file__=name, __cached__=None)
    sys.modules["__main__"] = module
    sys.argv[:] = words
    _set_first_path("")
    return _ending.guarded(lambda: exec(compile(read(), name, "exec", dont_inherit=True), vars(module)))


def _set_first_path(folder: str) -> None:
    """Look for modules there first, in place of the greendpdk script's folder; with -P there is no first."""
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = folder


def _is_there(module: str) -> bool:
    """Look for a module as runpy will, which would show its own frames if there is none."""
    import importlib.util

    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(f"{error.name}."):
            raise  # the package is there, and lacks something itself
        return False


def _fail(sentence: str) -> NoReturn:
    print(f"greendpdk: {sentence}", file=sys.stderr)
    raise SystemExit(2)
