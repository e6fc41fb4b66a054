"""What the tests of apps share: a namespace for each, and a certificate.

Called by pytest; calls netns.py.
"""
from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from netns import Namespace
from running import KERNEL, STACK


@pytest.fixture
def net() -> Iterator[Namespace]:
    """Make a namespace for one app."""
    with Namespace() as made:
        yield made


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a certificate for both ends' addresses, signed by itself; return it and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                    "/CN=greendpdk test", "-addext", f"subjectAltName=IP:{STACK},IP:{KERNEL}",
                    "-out", str(cert), "-keyout", str(key)], check=True, capture_output=True)
    return cert, key
