"""Ride along with gevent's own patch: GREENDPDK=1 python -m gevent.monkey app.py, gunicorn -k gevent, ...

Called by gevent through the entry point gevent.plugins.monkey.will_patch_all, in every gevent program on the
machine: without GREENDPDK=1 it does nothing, and imports nothing.
"""

from __future__ import annotations

import os
from typing import Any


def will_patch_all(event: Any) -> None:
    """Put our classes in before gevent patches, and start the stack after it."""
    if os.environ.get("GREENDPDK") != "1":
        return
    from gevent import events

    from greendpdk.monkey import _patch
    from greendpdk.monkey._tables import OURS

    wanted = {name for name in OURS if event.will_patch_module(name)}
    if wanted <= _patch._done:
        return  # our own patch_all called gevent's
    _patch.install_classes(wanted)

    def did_patch_all(done: Any) -> None:
        if isinstance(done, events.GeventDidPatchAllEvent):
            events.subscribers.remove(did_patch_all)
            for name in wanted:
                _patch._force(name)
            if "socket" in wanted:
                _patch.start_stack()

    events.subscribers.append(did_patch_all)
