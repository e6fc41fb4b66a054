"""A stranger's first minutes: the wheel without a compiler, the sdist with one, the README's commands in a new clone.

By `make dist-test`, which makes dist/ first. Each as root and as an ordinary user (tests/ordinary.py).
"""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import ordinary
import pytest
from netns import Namespace

ROOT = Path(__file__).parents[2]
DIST = ROOT / "dist"
APP = """
import socket, sys
listener = socket.create_server(("198.18.0.2", 0))
client = socket.create_connection(listener.getsockname())
client.sendall(b"hello")
print(type(client).__module__, listener.accept()[0].recv(5), sys.argv[1:])
"""
USERS = ["root", pytest.param("nobody", marks=pytest.mark.needs("user-namespaces"))]
pytestmark = pytest.mark.needs("tap")


@pytest.fixture
def place() -> Iterator[Path]:
    with ordinary.folder() as made:
        yield made


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("GREENDPDK", "PYTHON", "VIRTUAL_ENV", "PYENV"))}
    return kept | more


def run(*words: str, **options: object) -> str:
    done = subprocess.run(words, **{"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT,
                                    "timeout": 500, "env": environment(), "cwd": "/"} | options)
    assert done.returncode == 0, f"{words}:\n{done.stdout}"
    return str(done.stdout)


@pytest.fixture(params=["wheel", "sdist"])
def installed(request: pytest.FixtureRequest, place: Path) -> Path:
    """Install what `make dist` made into a new venv; return its folder of programs."""
    found = list(DIST.glob("*.whl" if request.param == "wheel" else "*.tar.gz"))
    assert len(found) == 1, "make dist"
    python = ordinary.python() or sys.executable
    run(python, "-m", "venv", str(place / "venv"))
    programs = place / "venv" / "bin"
    path = {"PATH": str(programs)} if request.param == "wheel" else {}
    assert "PATH" not in path or not any(shutil.which(name, path=path["PATH"]) for name in ("cc", "gcc", "pkg-config"))
    run(str(programs / "pip"), "install", "--quiet", str(found[0]), env=environment(**path))
    return programs


@pytest.mark.slow
def test_what_is_installed_runs(installed: Path, place: Path) -> None:
    (place / "app.py").write_text(APP)
    version = next(DIST.glob("*.tar.gz")).name.removeprefix("greendpdk-").removesuffix(".tar.gz")
    greendpdk = str(installed / "greendpdk")
    for words in ((), ordinary.USER if ordinary.can_make_namespaces() else ()):
        alone = {"env": {"PATH": f"{installed}:/usr/bin" if words else str(installed), "HOME": "/"}, "cwd": str(place)}
        assert run(*words, greendpdk, "--version", **alone).startswith(f"greendpdk {version}, DPDK ")
        shown = run(*words, greendpdk, "demo", **alone)
        assert "1. http.server over DPDK, urllib on the kernel's side" in shown  # Flask and requests are not there
        assert shown.count("at the stack's address 198.18.0.2: none") == 2
        said = run(*words, greendpdk, "run", "--netns", "--quiet", "app.py", "word", **alone)
        assert said == "greendpdk.socket b'hello' ['word']\n"
    assert "greendpdk" in run(str(installed / "python"), "-c", "import greendpdk.testing, greendpdk.monkey, "
                              "greendpdk.cli.ss; print(greendpdk.testing.__name__)")


@pytest.fixture
def nowhere() -> Iterator[Namespace]:
    with Namespace() as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("user", USERS)
def test_the_readmes_commands_work_in_a_new_clone(place: Path, nowhere: Namespace, user: str) -> None:
    assert "make demo " in (ROOT / "README.md").read_text()
    clone, home = place / "clone", place / "home"
    home.mkdir()
    run("git", "clone", "--quiet", str(ROOT), str(clone))
    words = ()
    if user == "nobody":
        words = ordinary.USER
        run("chown", "-R", "65534:65534", str(clone), str(home))
    python = (ordinary.python() or sys.executable) if words else sys.executable
    settings = environment(**({"HOME": str(home)} if words else {}))
    run(*words, "make", "build", f"PYTHON={python}", cwd=str(clone), env=settings)  # PyPI is out there
    done = nowhere.run([*words, "make", "demo", f"PYTHON={python}"], cwd=str(clone), env=settings, timeout=200)
    assert "1. Flask " in done.stdout and "requests " in done.stdout
    assert done.stdout.count("5,000,000 bytes fetched") == 2
    assert done.stdout.count("at the stack's address 198.18.0.2: none") == 2
    assert run("git", "-C", str(clone), "-c", f"safe.directory={clone}", "status", "--porcelain") == ""
