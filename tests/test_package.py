"""What the packages hold and say of themselves, without compiling anything; tests/fresh installs and runs them."""
from __future__ import annotations

import email
import email.message
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def git(*words: str, at: Path = ROOT) -> str:
    settings = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    return subprocess.run(["git", "-C", str(at), *settings, *words], capture_output=True, text=True, check=True).stdout


def tracked() -> set[str]:
    """Name the files of the tree."""
    if (ROOT / ".git").exists():
        return set(filter(None, git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")))
    pruned = {"build", "dist", ".venv", "__pycache__", "greendpdk.egg-info"}
    return {str(path.relative_to(ROOT)) for path in ROOT.rglob("*")
            if not path.is_dir() and not pruned & set(path.parts) and path.suffix not in (".pyc", ".so")}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the tree and let setuptools make all of a package there that needs no compiler."""
    top = tmp_path_factory.mktemp("package")
    tree = top / "tree"
    for name in tracked():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name, follow_symlinks=False)
    words = ["egg_info", "--egg-base", str(top), "build_py", "--build-lib", str(top / "lib"), "sdist", "-d", str(top)]
    done = subprocess.run([sys.executable, "setup.py", "-q", *words], cwd=tree, capture_output=True, text=True,
                          check=False, env=os.environ | {"SETUPTOOLS_SCM_PRETEND_VERSION": "9.8.7"})
    assert done.returncode == 0, done.stderr
    return top


@pytest.fixture(scope="module")
def metadata(made: Path) -> email.message.Message:
    return email.message_from_string((made / "greendpdk.egg-info" / "PKG-INFO").read_text())


@pytest.mark.slow
def test_the_sdist_holds_the_whole_tree(made: Path) -> None:
    with tarfile.open(made / "greendpdk-9.8.7.tar.gz") as packed:
        members = {member.name.partition("/")[2]: member for member in packed.getmembers() if not member.isdir()}
    assert tracked() - set(members) == set()
    monkey = members["greendpdk/monkey"]
    assert monkey.issym() and monkey.linkname == "../monkey"
    more = {name for name in set(members) - tracked() if "egg-info/" not in name}
    assert more <= {"PKG-INFO", "setup.cfg"}


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_what_types_and_counters_need(made: Path) -> None:
    names = {str(path.relative_to(made / "lib")) for path in (made / "lib").rglob("*") if path.is_file()}
    modules = {re.sub("^monkey/", "greendpdk/monkey/", name) for name in tracked()
               if re.match("(greendpdk|monkey)/", name) and name.endswith(".py")}
    assert modules <= names
    assert {"greendpdk/py.typed", "greendpdk/_native.pyi", "greendpdk/core/util/stats.def"} <= names
    assert [name for name in names if name.endswith((".c", ".h", ".so"))] == []
    assert "greendpdk/cli/demo.py" in names and "greendpdk/monkey/_patch.py" in names


@pytest.mark.slow
def test_the_metadata_says_what_it_is(made: Path, metadata: email.message.Message) -> None:
    assert (metadata["Name"], metadata["Version"], metadata["License"]) == ("greendpdk", "9.8.7", "MIT")
    assert metadata["Description-Content-Type"] == "text/markdown"
    extras = set(metadata.get_all("Provides-Extra", []))
    assert {"test", "apps", "dist"} <= extras
    needed, _, _ = (made / "greendpdk.egg-info" / "requires.txt").read_text().partition("[")
    assert set(re.findall(r"^[\w-]+", needed, re.M)) == {"cffi", "dnspython", "gevent", "greenlet", "rich"}


@pytest.mark.slow
def test_one_least_python_is_named_everywhere(metadata: email.message.Message) -> None:
    least = metadata["Requires-Python"].removeprefix(">=")
    versions = [line.rpartition(" ")[2] for line in metadata.get_all("Classifier", [])
                if re.search(r":: 3\.\d+$", line)]
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    with (ROOT / "pyproject.toml").open("rb") as file:
        ruff = tomllib.load(file)["tool"]["ruff"]["target-version"]
    digits = least.replace(".", "")
    assert min(versions, key=lambda version: tuple(map(int, version.split(".")))) == least
    assert config["bdist_wheel"]["py_limited_api"] == f"cp{digits}"
    assert (config["mypy"]["python_version"], ruff) == (least, f"py{digits}")
    assert f"({least.replace('.', ', ')})" in (ROOT / ".ci" / "packages").read_text()


def test_the_engine_looks_for_libraries_where_the_system_does() -> None:
    """A RUNPATH would be the home of who built it."""
    (engine,) = (ROOT / "greendpdk").glob("_native.*so")
    assert engine.name == "_native.abi3.so"
    shown = subprocess.run(["readelf", "-d", str(engine)], capture_output=True, text=True, check=True).stdout
    assert "NEEDED" in shown and "PATH)" not in shown


def version_of(folder: Path) -> str:
    done = subprocess.run([sys.executable, "-m", "setuptools_scm"], cwd=folder, capture_output=True, text=True,
                          check=True)
    return done.stdout.strip()


@pytest.mark.slow
def test_the_version_is_the_tags(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    assert version_of(tmp_path) == "0.0.dev0"  # an archive of no known commit
    git("init", "-q", at=tmp_path)
    git("add", ".", at=tmp_path)
    git("commit", "-qm", "first", at=tmp_path)
    assert re.fullmatch(r"0\.0\.dev1\+g[0-9a-f]+", version_of(tmp_path))
    git("tag", "v1.2.3", at=tmp_path)
    assert version_of(tmp_path) == "1.2.3"
    git("commit", "-q", "--allow-empty", "-m", "second", at=tmp_path)
    assert re.fullmatch(r"1\.2\.4\.dev1\+g[0-9a-f]+", version_of(tmp_path))
