"""A certificate of our own for 127.0.0.1 and localhost, made by the openssl command."""
from __future__ import annotations

import functools
import subprocess
import tempfile
from pathlib import Path


@functools.cache
def certificate() -> tuple[str, str]:
    """Return the paths of (certificate, key); the folder lives as long as the process."""
    folder = tempfile.TemporaryDirectory()
    certificate.folder = folder  # type: ignore[attr-defined]
    cert, key = Path(folder.name, "cert.pem"), Path(folder.name, "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", key, "-out", cert, "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    return str(cert), str(key)
