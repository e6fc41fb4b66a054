"""The patch: our classes into gevent, then gevent's patch, then what gevent does not know of.

Called by __init__.py and _plugin.py; calls gevent.monkey, loop.install, _refuse.py, _stack.start.

    1 settings checked       4 gevent.monkey.patch_all: threads, time, subprocess, ... and our classes
    2 the loop installed     5 our names once more (also after an earlier patch by gevent), os.close
    3 classes into gevent    6 the stack started, once: a wrong setting shows here, not at the first connect
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from greendpdk.monkey._refuse import REFUSED
from greendpdk.monkey._tables import CAPTURED, GEVENT, OURS, PARTS

_done: set[str] = set()
_SELECTORS = ("EpollSelector", "PollSelector", "SelectSelector")


def patch_all(**options: Any) -> None:
    """Patch everything and start the stack.

    Options are gevent's (socket=False, ...) and the settings of greendpdk.start(), which a stack that runs
    already must not be given again.
    """
    from greendpdk._missing import explained

    try:
        from greendpdk import _config, _stack
    except ImportError as error:
        raise explained(error) from None
    setting = options.pop("dns", True)  # gevent's switch and our setting have one name
    parts = {name: options.pop(name) for name in PARTS if name in options}
    parts["dns"] = setting is not False
    if not isinstance(setting, bool):
        options["dns"] = setting
    if _stack.running() is None:
        _config.load(**options)  # raises for a wrong one before anything is changed
    elif options:
        raise RuntimeError("greendpdk is started already: patch_all() takes its settings before that only")
    wanted = {name for name in OURS if parts.get(name, True)}
    _warn_of_captured(wanted)
    install_classes(wanted)
    import gevent.monkey

    with _uninterrupted():
        gevent.monkey.patch_all(**parts)
        for name in wanted:
            _force(name)
    if "socket" in wanted:
        start_stack(resolve=parts["dns"], **options)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put Ctrl-C off: with threading patched by half, the interpreter waits for ever at its end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def patch_socket(dns: bool = True, aggressive: bool = True) -> None:
    """Patch the socket module; greendpdk.start() is the caller's."""
    import gevent.monkey

    install_classes({"socket"})
    gevent.monkey.patch_socket(dns=dns, aggressive=aggressive)
    _force("socket")
    _force("fcntl")


def patch_ssl() -> None:
    """Patch the ssl module; without it a stack socket cannot speak TLS."""
    import gevent.monkey

    install_classes({"ssl"})
    gevent.monkey.patch_ssl()
    _force("ssl")


def patch_select(aggressive: bool = True) -> None:
    """Patch select and selectors."""
    import gevent.monkey

    install_classes({"select"})
    gevent.monkey.patch_select(aggressive=aggressive)
    gevent.monkey.patch_selectors(aggressive=aggressive)
    _force("select")


def patch_os() -> None:
    """Patch os.fork and its like as gevent does, and os.close for the stack's fds."""
    import gevent.monkey

    gevent.monkey.patch_os()
    _force("os")


def is_patched(module: str = "socket", item: str | None = None) -> bool:
    """Tell whether a standard module (or one name of it) is ours now."""
    if item is None:
        return module in _done
    return module in _done and item in OURS[module][1]


def is_module_patched(module: str) -> bool:
    """Tell whether a standard module is replaced, by us or by gevent."""
    import gevent.monkey

    return bool(gevent.monkey.is_module_patched(module))


def is_object_patched(module: str, item: str) -> bool:
    """Tell whether a name of a standard module is replaced, by us or by gevent."""
    import gevent.monkey

    return bool(gevent.monkey.is_object_patched(module, item))


def get_original(module: str, item: Any) -> Any:
    """Return what a name of a standard module (or several) was before any patch."""
    import gevent.monkey

    return gevent.monkey.get_original(module, item)


def install_classes(wanted: set[str]) -> None:
    """Set the loop, and put our classes where gevent makes sockets."""
    from greendpdk import loop

    loop.install()
    for target, (source, names) in GEVENT.items():
        if source.rpartition(".")[2] in wanted:
            theirs, ours = _module(target), _module(source)
            for name, own in names.items():
                setattr(theirs, name, getattr(ours, own))
    if "select" in wanted:
        _module("greendpdk.select")  # answers gevent.select's first question from now on


def start_stack(resolve: bool = True, **settings: Any) -> None:
    """Start the stack unless it runs; leave names to the C library if `resolve` is false."""
    from greendpdk import _stack

    if _stack.running() is None:
        _stack.start(**settings)
    if not resolve:
        import greendpdk.dns

        greendpdk.dns.uninstall()


def _force(name: str) -> None:
    """Set our names in the standard module, whoever patched it before; gevent keeps the originals."""
    from gevent.monkey.api import patch_item

    source, names = OURS[name]
    theirs, ours = _module(name), _module(source)
    for item in names:
        # ssl.wrap_socket has gone in Python 3.12; gevent takes select.epoll away.
        if hasattr(theirs, item) or item == "epoll":
            patch_item(theirs, item, getattr(ours, item))
    if name == "select":
        _restore_selectors()
    if name == "signal":
        _module("greendpdk.signal").adopt()
    if name == "socket":
        _module("greendpdk.monkey._refuse").install()
    if name == "os":
        _module("greendpdk.monkey._multiprocessing").install()
    _done.add(name)


def _restore_selectors() -> None:
    """Give the standard selectors our select, poll and epoll; gevent has taken EpollSelector away."""
    import selectors
    from types import SimpleNamespace

    from gevent.monkey.api import patch_item

    from greendpdk import select

    original = SimpleNamespace(**dict(zip(_SELECTORS, get_original("selectors", _SELECTORS), strict=True)))
    original.EpollSelector._selector_cls = select.epoll
    original.PollSelector._selector_cls = select.poll
    original.SelectSelector._select = staticmethod(select.select)
    patch_item(selectors, "EpollSelector", original.EpollSelector)
    patch_item(selectors, "DefaultSelector", original.EpollSelector)


def _module(name: str) -> ModuleType:
    from importlib import import_module

    return import_module(name)


def _warn_of_captured(wanted: set[str]) -> None:
    """Warn of modules that took a name which is now replaced: their sockets go past the stack."""
    import warnings

    from gevent.monkey import MonkeyPatchWarning

    if wanted <= _done:
        return
    found = sorted(captured(wanted))
    if found:
        warnings.warn(
            f"imported before greendpdk.monkey.patch_all(), so they keep the kernel's sockets: {', '.join(found)}. "
            "Patch first, or run the program with `python -m greendpdk`.",
            MonkeyPatchWarning,
            stacklevel=3,
        )


def captured(wanted: set[str]) -> set[str]:
    """Find modules outside the standard library that hold an original which is to be replaced, or have their own."""
    import sys

    originals = {id(get_original(module, item)) for module in wanted & set(CAPTURED) for item in CAPTURED[module]}
    found = set(REFUSED) & set(sys.modules) if "socket" in wanted else set()
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top in ("gevent", "greendpdk", "__main__") or module is None:
            continue
        if any(id(value) in originals for value in list(vars(module).values())):
            found.add(name)
    return found
