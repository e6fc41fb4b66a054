"""python -m greendpdk: a program runs as the interpreter would run it, patched."""
from __future__ import annotations

import subprocess

import pytest
from run import run

APP = """
import socket, sys
if __name__ == "__main__":
    import sibling
    print(sys.argv[1:], sys.path[0], socket.socket.__module__, sibling.value, __file__)
    sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "sibling.py").write_text("value = 'beside'")
    (tmp_path / "fails.py").write_text("raise KeyError('of the program')")
    return tmp_path


def main(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return run("", "-m", "greendpdk", *words, check=False, **environ)


def test_a_script_runs_with_its_arguments_and_exit_status(folder):
    done = main(str(folder / "app.py"), "3", "--loopback", "mine")
    assert done.returncode == 3, done.stderr
    words = f"['3', '--loopback', 'mine'] {folder} greendpdk.socket beside {folder / 'app.py'}"
    assert done.stdout.strip() == words


def test_options_before_the_program_are_ours(folder):
    (folder / "show.py").write_text("import greendpdk; print(greendpdk.running().settings.loopback)")
    assert main("--loopback", "stack", str(folder / "show.py")).stdout.strip() == "stack"
    assert main("--loopback=stack", str(folder / "show.py")).stdout.strip() == "stack"
    assert main(str(folder / "show.py"), GREENDPDK_LOOPBACK="stack").stdout.strip() == "stack"


def test_a_module_runs_with_its_arguments(folder):
    done = main("-m", "app", "4", "-m", "x", PYTHONPATH=f"{folder}:{run.__globals__['ROOT']}")
    assert done.returncode == 4, done.stderr
    assert done.stdout.startswith("['4', '-m', 'x']")


def test_a_failure_of_the_program_is_its_own_traceback(folder):
    done = main(str(folder / "fails.py"))
    assert done.returncode == 1
    assert done.stderr.strip().endswith("KeyError: 'of the program'")


def test_help_names_every_setting():
    from greendpdk import _config

    done = main("--help")
    assert done.returncode == 0
    for name in _config.NAMES:
        assert f"--{name.replace('_', '-')} " in done.stdout


@pytest.mark.parametrize("words, says", [
    ((), "give a program to run"),
    (("--nonsense", "app.py"), "nonsense"),
    (("no-such-file.py",), "No such file"),
    (("-m", "no_such_module"), "No module named no_such_module"),
    (("-m", "no_such_package.part"), "No module named no_such_package.part"),
    (("--loopback", "elsewhere", "-m", "this"), "loopback"),
])  # fmt: skip
def test_a_mistake_is_one_sentence(words, says):
    done = main(*words)
    assert done.returncode == 2
    assert says in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("name, command", [
    ("gevent", "pip install"), ("cffi", "pip install"), ("greendpdk._native", "libdpdk-dev"),
])  # fmt: skip
def test_a_missing_dependency_is_one_sentence_with_a_command(name, command):
    done = run(f"""
        import sys
        sys.modules[{name!r}] = None
        sys.modules.pop("_cffi_backend", None)
        if {name!r} == "cffi":
            sys.modules["_cffi_backend"] = None
        import runpy
        sys.argv[:] = ["greendpdk", "-m", "this"]
        runpy.run_module("greendpdk", run_name="__main__", alter_sys=True)
    """, check=False)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and command in done.stderr


ABSENT = """
import sys

class Linker:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "greendpdk._native":
            raise ImportError("librte_eal.so.23: cannot open shared object file: No such file or directory", name=name)

sys.meta_path.insert(0, Linker)
"""


@pytest.mark.parametrize("way", [
    "import greendpdk; greendpdk.start()", "from greendpdk import monkey; monkey.patch_all()",
    "import greendpdk.cli; sys.exit(greendpdk.cli.main(['run', '-m', 'this']))",
    "import greendpdk.cli; sys.exit(greendpdk.cli.main(['--version']))",
])
def test_a_missing_libdpdk_is_one_sentence_with_a_command(way):
    done = run(ABSENT + way, check=False)
    assert done.returncode in (1, 2)
    last = done.stderr.strip().splitlines()[-1]
    assert "greendpdk needs DPDK's libraries (librte_eal.so.23: cannot open shared object file): apt install" in last
    assert "cli" not in way or last == done.stderr.strip()
