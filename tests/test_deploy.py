"""examples/deploy, as far as it can be tried without systemd, Docker and a NIC: syntax, what it names, its rights."""
from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import ordinary
import pytest
from netns import Namespace

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "examples" / "deploy"


def test_the_unit_is_as_systemd_wants_it() -> None:
    text = (DEPLOY / "greendpdk-app.service").read_text()
    command = re.search(r"^ExecStart=(\S+) (.*)$", text, re.M)
    assert command is not None and command[1].endswith("/greendpdk")
    from greendpdk.cli import run

    options = run._parser().parse_args(command[2].split()[1:])
    assert (options.pci, options.address, options.program) == ("0000:03:00.0", "dhcp", "/opt/app/app.py")
    if shutil.which("systemd-analyze") is None:
        return
    with ordinary.folder() as place:
        (place / "greendpdk-app.service").write_text(text.replace(command[1], "/bin/true"))
        done = subprocess.run(["systemd-analyze", "verify", str(place / "greendpdk-app.service")], text=True,
                              capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_dockerfile_names_what_is_there() -> None:
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", "")
    steps = [line.split(maxsplit=1) for line in text.splitlines() if line and line[0] not in "# "]
    assert {name for name, _ in steps} == {"FROM", "RUN", "COPY", "WORKDIR", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
    here = [words.split()[:-1] for name, words in steps if name == "COPY" and "--from" not in words]
    assert here == [["."], ["examples/flask_app.py"]] and (ROOT / here[1][0]).exists()
    entry, words = (json.loads(what) for name, what in steps if name in ("ENTRYPOINT", "CMD"))
    assert entry == ["/opt/venv/bin/greendpdk", "run"] and words[0] == "flask_app.py"
    assert re.findall(r"--cap-add (\w+)", text) == ["NET_ADMIN"]


@pytest.mark.slow
@pytest.mark.needs("tap")
def test_net_tap_needs_that_one_capability() -> None:
    code = "from greendpdk import monkey; monkey.patch_all(); import socket; socket.create_server(('198.18.0.2', 80))"
    with Namespace() as net:
        for kept, status in (("+net_admin", 0), ("+net_raw", 1)):
            rights = f"-all,{kept}"
            done = net.run(["setpriv", "--no-new-privs", "--inh-caps", rights, "--bounding-set", rights, sys.executable,
                            "-W", "ignore", "-c", code], check=False, cwd=ROOT)
            assert done.returncode == status, done.stderr
