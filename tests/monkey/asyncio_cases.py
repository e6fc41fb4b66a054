"""What asyncio's programs do, each case on its own; written for threads, which are greenlets after the patch.

Run by test_asyncio.py as `python asyncio_cases.py CERTIFICATE KEY`, plainly and under `python -m greendpdk`; prints a
JSON object of each case's traceback, or null.
"""
from __future__ import annotations

import asyncio
import gc
import inspect
import json
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import asyncio_loops  # noqa: F401
import asyncio_sockets  # noqa: F401
from asyncio_shared import WAIT, cases


def run(function: Callable[[], Any]) -> str | None:
    async def limited() -> None:
        async with asyncio.timeout(WAIT):
            await function()

    try:
        if inspect.iscoroutinefunction(function):
            asyncio.run(limited())
        else:
            function()
        gc.collect()
    except BaseException:
        return traceback.format_exc()
    return None


if __name__ == "__main__":
    warnings.simplefilter("error", ResourceWarning)
    unraisable: list[str] = []
    sys.unraisablehook = lambda what: unraisable.append(f"{what.err_msg}: {what.exc_value!r} in {what.object!r}")
    results = {}
    for name, function in cases.items():
        print(name, file=sys.stderr)  # for who looks why it hangs
        unraisable.clear()
        results[name] = run(function) or "\n".join(unraisable) or None
    print(json.dumps(results))
