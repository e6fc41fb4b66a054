"""What the tests of apps share: a namespace for each, a certificate, and the table that they are rows of.

Called by pytest; calls netns.py, databases.py and applications.py.
"""
from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import applications
import pytest
import skips
from databases import folder, mariadb, postgresql  # noqa: F401 (fixtures)
from netns import Namespace
from running import KERNEL, STACK

_outcomes: dict[tuple[str, str], str] = {}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip an app whose package, or whose other side, is not installed."""
    needed = [name for marker in item.iter_markers("needs_app") for name in marker.args]
    for marker in item.iter_markers("app"):
        needed += applications.packages(*marker.args[:2])
    for reason in filter(None, map(skips.missing_app, needed)):
        pytest.skip(reason)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what came of each test."""
    key = Path(report.location[0]).name, report.location[2].partition("[")[0]
    if report.when == "call" or report.outcome != "passed":
        _outcomes[key] = report.outcome


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the table, if asked to and if every row of it was tried."""
    if not session.config.getoption("--table"):
        return
    untried = [row.test for row in applications.rows() if _outcomes.get((row.file, row.test), "skipped") == "skipped"]
    if untried:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print(f"\nthe table is not written: these were not tried: {', '.join(untried)}", file=sys.stderr)
    else:
        applications.write(_outcomes)


@pytest.fixture
def net() -> Iterator[Namespace]:
    """Make a namespace for one app."""
    with Namespace() as made:
        yield made


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a certificate for both ends' addresses, signed by itself; return it and its key."""
    place = tmp_path_factory.mktemp("tls")
    cert, key = place / "cert.pem", place / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                    "/CN=greendpdk test", "-addext", f"subjectAltName=IP:{STACK},IP:{KERNEL}",
                    "-out", str(cert), "-keyout", str(key)], check=True, capture_output=True)
    return cert, key
