"""Run one module in a child process, and start it anew after a test that hung or killed it.

Called by run.py; starts child.py.
"""
from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import modules

HERE = Path(__file__).parent
STOP = threading.Event()  # set: kill what runs, and begin nothing
# gevent looks names up in native threads that go after 5 idle seconds; many tests wait until every thread is gone.
_GEVENT = {"GEVENT_THREADPOOL_IDLE_TASK_TIMEOUT": "0.02"}
ENVIRONMENT = {
    "plain": {},
    "gevent": _GEVENT,
    "greendpdk": _GEVENT | {"GREENDPDK": "1", "GREENDPDK_VDEV": "none", "GREENDPDK_LOOPBACK": "stack"},
}


@dataclass
class Outcome:
    """What became of a module: {test: (ok|fail|skip, text)}; and how many kernel sockets each test opened, but for
    the halves of those that are bound to the wildcard and so listen on both."""

    tests: dict[str, tuple[str, str]] = field(default_factory=dict)
    kernel: Counter[str] = field(default_factory=Counter)
    seconds: float = 0


def run(how: str, module: str, only: str | None = None, verbose: bool = False) -> Outcome:
    """Run a module's tests on the sockets named by how."""
    outcome, names, begun = Outcome(), [], time.monotonic()
    box = Path(tempfile.mkdtemp(prefix="gd-"))
    try:
        while not STOP.is_set():
            left = begun + modules.SECONDS_OF.get(module, modules.SECONDS) - time.monotonic()
            if left <= 0 or _once(how, module, only, outcome, names, box, left, verbose):
                break
    finally:
        shutil.rmtree(box, ignore_errors=True)
    for name in names:
        outcome.tests.setdefault(name, _of_class(name, outcome.tests) or ("fail", "not run in the module's time"))
    outcome.tests = {name: result for name, result in outcome.tests.items() if " (" not in name}
    outcome.seconds = time.monotonic() - begun
    return outcome


def _of_class(name: str, tests: dict[str, tuple[str, str]]) -> tuple[str, str] | None:
    """Find what became of a test in what became of its class's or module's fixture."""
    owner = name.rpartition(".")[0]
    for fixture, result in tests.items():
        if fixture.startswith("setUpModule (") or fixture.startswith("setUpClass (") and fixture.endswith(f".{owner})"):
            return result
    return None


def _once(how: str, module: str, only: str | None, outcome: Outcome, names: list[str], box: Path, left: float,
          verbose: bool) -> bool:
    """Run the tests that have no result yet; tell whether the child came to its end."""
    results, selection, log = box / "results", box / "selection", box / "log"
    results.write_text("")
    selection.write_text(json.dumps({"done": list(outcome.tests), "only": only}))
    work = Path(tempfile.mkdtemp(dir=box))
    env = {name: value for name, value in os.environ.items() if not name.startswith(("GREENDPDK", "GEVENT", "PYTHON"))}
    env |= ENVIRONMENT[how] | {"TMPDIR": str(work)}
    command = [sys.executable, str(HERE / "child.py"), how, module, str(results), str(selection)]
    with log.open("wb") as output:
        child = subprocess.Popen(command, env=env, cwd=work, stdin=subprocess.DEVNULL, stdout=output,
                                 stderr=subprocess.STDOUT, start_new_session=True)
    try:
        running, ended, why = _follow(child, results, outcome, names, modules.ONE_TEST_SECONDS.get(
            module, modules.TEST_SECONDS), left)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    said = log.read_text(errors="replace")
    if verbose:
        print(said[-20000:])
    if running and not ended:
        outcome.tests[running] = ("fail", f"{why or f'the process died ({child.returncode})'}\n{said[-3000:]}")
        return False
    if not ended and not names:
        outcome.tests["module"] = ("fail", f"{why or 'not loaded'}\n{said[-3000:]}")
    return True


def _follow(child: subprocess.Popen[bytes], results: Path, outcome: Outcome, names: list[str], patience: float,
            left: float) -> tuple[str, bool, str]:
    """Read what the child notes until it ends, or says nothing for too long."""
    running, part, heard, end = "", "", time.monotonic(), time.monotonic() + left
    with results.open() as file:
        while True:
            over = child.poll() is not None
            for line in file:
                part += line
                if not part.endswith("\n"):  # more of it is on the way
                    continue
                heard = time.monotonic()
                kind, *rest = json.loads(part)
                part = ""
                if kind == "end" or kind == "module" and rest[0] == "skip":
                    if kind == "module":
                        outcome.tests["module"] = ("skip", rest[1])
                    return running, True, ""
                running = _take(kind, rest, running, outcome, names)
            if over:
                return running, False, ""
            if STOP.is_set():
                return running, False, "stopped"
            if time.monotonic() > min(heard + patience, end):
                child.send_signal(signal.SIGABRT)  # faulthandler shows where it hangs
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(2)
                return running, False, f"hung: killed after {time.monotonic() - heard:.0f} s"
            time.sleep(0.02)


def _take(kind: str, rest: list, running: str, outcome: Outcome, names: list[str]) -> str:
    """Enter one line into the outcome; return the test that runs."""
    if kind == "tests":
        names.extend(name for name in rest[0] if name not in names)
    elif kind == "start":
        return rest[0]
    elif kind in ("kernel", "wildcard"):
        outcome.kernel[rest[0]] += 1 if kind == "kernel" else -1
    elif outcome.tests.get(rest[0], ("ok",))[0] != "fail":
        outcome.tests[rest[0]] = (kind, rest[1])
    return running
