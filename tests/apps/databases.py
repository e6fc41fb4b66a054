"""Database servers for the tests of apps: real ones, in the test's namespace and in a folder of their own, as nobody.

Fixtures, imported by conftest.py; calls daemon of running.py.
"""
from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import skips
from netns import Namespace
from running import daemon

NOBODY = 65534
AS_NOBODY = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Make a folder of nobody's that nobody can reach, which pytest's are not."""
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, NOBODY, NOBODY)
        yield Path(name)


@pytest.fixture
def mariadb(net: Namespace, folder: Path) -> Iterator[int]:
    """Run MariaDB with a user and a database; give its port."""
    data = folder / "data"
    (folder / "init.sql").write_text("CREATE DATABASE test;\nCREATE USER app IDENTIFIED BY 'secret';\n"
                                     "GRANT ALL ON test.* TO app;\n")  # one statement a line
    subprocess.run([*AS_NOBODY, "mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db",
                    "--auth-root-authentication-method=normal"], check=True, capture_output=True, cwd=folder)
    argv = [*AS_NOBODY, skips.program("mariadbd"), "--no-defaults", f"--datadir={data}", "--port=3306",
            "--bind-address=0.0.0.0", f"--socket={folder}/s", f"--pid-file={folder}/pid", "--skip-name-resolve",
            f"--init-file={folder}/init.sql", "--max-allowed-packet=16M"]
    with daemon(net, argv, 3306):
        yield 3306


@pytest.fixture
def postgresql(net: Namespace, folder: Path) -> Iterator[int]:
    """Run PostgreSQL with a user; give its port."""
    data, secret = folder / "data", folder / "secret"
    secret.write_text("secret")
    binaries = Path(os.path.realpath(skips.program("postgres"))).parent
    subprocess.run([*AS_NOBODY, str(binaries / "initdb"), "-D", str(data), "-U", "app", f"--pwfile={secret}",
                    "--auth=scram-sha-256", "--no-sync", "--encoding=UTF8", "--locale=C"], check=True,
                   capture_output=True, cwd=folder)
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all 0.0.0.0/0 scram-sha-256\n")
    argv = [*AS_NOBODY, str(binaries / "postgres"), "-D", str(data), "-p", "5432", "-h", "0.0.0.0", "-k", str(folder),
            "-c", "fsync=off"]
    with daemon(net, argv, 5432):
        yield 5432
