"""The commands of docs/servers.md do what the page says, as they stand there.

Uses running.py and the programs beside it, which have the names of the page; what the page calls manage.py is
djangosite.py.
"""
from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from netns import Namespace, end
from running import HERE, KERNEL, PATIENCE, PROGRAMS, STACK, curl, programs_environment

pytestmark = [pytest.mark.needs("tap", "curl"), pytest.mark.slow]
PAGE = (HERE.parent.parent / "docs" / "servers.md").read_text()
COMMANDS = [line for line in PAGE.split("```")[1].splitlines() if line]


def test_page_has_commands() -> None:
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.needs_app("aiohttp", "cheroot", "django", "flask", "gunicorn", "hypercorn", "uvicorn", "waitress")
def test_command_serves(net: Namespace, tmp_path: Path, command: str) -> None:
    log = tmp_path / "log"
    words = command.replace("manage.py", "djangosite.py").split()
    environment = programs_environment() | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                                            "HOME": str(tmp_path)}
    with log.open("w") as out:
        server = net.popen(words, cwd=PROGRAMS, env=environment, stdout=out, stderr=subprocess.STDOUT)
    give_up = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < give_up:
        ask = net.run(["curl", "-s", "--noproxy", "*", "--max-time", "5", f"http://{STACK}:8000/"], check=False)
        if ask.returncode == 0:
            break
        time.sleep(0.05)
    assert server.poll() is None, log.read_text()
    assert curl(net, f"http://{STACK}:8000/").decode() == f"hello {KERNEL}", log.read_text()
    end(server)


def started(net: Namespace, folder: Path, *words: str) -> tuple[subprocess.Popen[bytes], Path]:
    log = folder / "log"
    with log.open("w") as out:
        return net.popen([sys.executable, *words], cwd=folder, env=programs_environment() | {
            "PYTHONPATH": f"{HERE.parent.parent}:{PROGRAMS}"}, stdout=out, stderr=subprocess.STDOUT), log


def until_answered(net: Namespace, log: Path, path: str, answer: str) -> None:
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        ask = net.run(["curl", "-s", "--noproxy", "*", "--max-time", "5", f"http://{STACK}:8000{path}"], check=False)
        if ask.stdout == answer:
            return
        time.sleep(0.05)
    raise AssertionError(log.read_text())


@pytest.mark.app("django", "curl", "runserver with its reloader, patched in the second process")
def test_django_reloader(net: Namespace, tmp_path: Path) -> None:
    snippet = PAGE.split("```python\n")[2].split("```")[0].replace("\n  ", "\n").removeprefix("  ")
    (tmp_path / "manage.py").write_text(f"{snippet}\nimport sys, views, djangosite\n"
                                        "djangosite.urlpatterns.append(djangosite.path('view', views.view))\n"
                                        "djangosite.execute_from_command_line(sys.argv)\n")
    view = "from django.http import HttpResponse\ndef view(request): return HttpResponse('{}')\n"
    (tmp_path / "views.py").write_text(view.format("before"))
    server, log = started(net, tmp_path, "manage.py", "runserver", f"{STACK}:8000")
    until_answered(net, log, "/view", "before")
    (tmp_path / "views.py").write_text(view.format("after!"))
    until_answered(net, log, "/view", "after!")
    end(server)


@pytest.mark.app("flask", "curl", "flask run --debug", "the reloader does not: its second process finds the port taken")
def test_flask_reloader(net: Namespace, tmp_path: Path) -> None:
    server, log = started(net, tmp_path, "-m", "greendpdk", "-m", "flask", "--app", "web", "run", "--debug", "--host",
                          STACK, "--port", "8000")
    give_up = time.monotonic() + PATIENCE
    while "has that address already" not in log.read_text() and time.monotonic() < give_up:
        time.sleep(0.05)
    assert "has that address already" in log.read_text()
    end(server)
