"""asyncio over the stack: the same programs on the kernel's sockets, without the patch, and on the stack's, with it."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
from asyncio_cases import cases
from certificate import certificate
from run import run

PROGRAM = str(Path(__file__).with_name("asyncio_cases.py"))
HOW = {"kernel": (), "stack": ("-m", "greendpdk", "--loopback", "stack")}


@pytest.fixture(scope="module", params=HOW)
def results(request: pytest.FixtureRequest) -> dict[str, str | None]:
    """Run all cases in one process, as each leaves everything as it was; return their tracebacks."""
    done = run("", *HOW[request.param], PROGRAM, *certificate())
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("name", cases)
def test_programs_do_what_they_do_on_the_kernel(results: dict[str, str | None], name: str) -> None:
    assert results[name] is None, results[name]


def test_a_loop_that_has_ended_leaves_no_trace_function() -> None:
    run("""
        from greendpdk import monkey
        monkey.patch_all(loopback="stack")
        import asyncio, greenlet, threading
        seen = []
        mine = lambda *what: seen.append(what)
        for before in (None, mine):
            greenlet.settrace(before)
            async def main():
                await asyncio.sleep(0.001)
                assert greenlet.gettrace() is not before
                seen.clear()
                await asyncio.sleep(0)
                assert bool(seen) == (before is mine)
            asyncio.run(main())
            threading.Event().wait(0.001)
            assert greenlet.gettrace() is before
    """)
