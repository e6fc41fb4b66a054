"""Clients that move mail and files over net_tap: SMTP, IMAP, POP3, FTP, SSH, git; the servers are the real ones.

Uses App and daemon of running.py and the programs beside it.
"""
from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import skips
from netns import Namespace
from running import BIG, KERNEL, PROGRAMS, App, check_in, daemon

pytestmark = [pytest.mark.needs("tap"), pytest.mark.slow]


@pytest.mark.needs("openssl")
@pytest.mark.app("smtplib", "aiosmtpd", "STARTTLS, a message of 1.4 MB, a recipient refused")
def test_smtplib(net: Namespace, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = map(str, certificate)
    argv = [sys.executable, str(PROGRAMS / "serve_smtp.py"), "0.0.0.0", "8025", str(tmp_path), cert, key]
    with daemon(net, argv, 8025):
        seen, counters = App(net, tmp_path, "use_smtplib.py", KERNEL, "8025", cert).join()
    assert seen == {"tls": "TLSv1.3", "refused": 550, "noop": 250}
    assert (tmp_path / "mail").stat().st_size > 1_300_000
    assert counters["net_tap0.tx_bytes"] > 1_300_000
    check_in(counters, 2000)


@pytest.mark.app("ftplib", "pyftpdlib", "up and down, by passive and active connections, a listing, a missing file")
def test_ftplib(net: Namespace, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    argv = [sys.executable, "-m", "pyftpdlib", "-i", "0.0.0.0", "-p", "2121", "-w", "-d", str(tmp_path / "files"),
            "-u", "user", "-P", "secret"]
    with daemon(net, argv, 2121):
        seen, counters = App(net, tmp_path, "use_ftplib.py", KERNEL, "2121").join()
    assert seen == {"passive": True, "active": True, "listed": ["active", "passive"], "size": 2_048_000,
                    "missing": "550"}
    assert counters["tcp_passive_opens"] >= 2  # the server has called back
    check_in(counters, 2 * 2_048_000)


@pytest.fixture
def base() -> Iterator[Path]:
    """Make a folder with a short name, since it is to hold UNIX sockets."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.mark.app("imaplib", "dovecot", "IMAP and POP3: login, append 720 kB, search, fetch, delete")
def test_imaplib_and_poplib(net: Namespace, tmp_path: Path, base: Path) -> None:
    (base / "users").write_text(f"user:{{PLAIN}}secret:65534:65534::{base}/home\n")
    (base / "home").mkdir()
    os.chown(base / "home", 65534, 65534)
    (base / "conf").write_text(f"""
        protocols = imap pop3
        base_dir = {base}/run
        state_dir = {base}/run
        log_path = {base}/log
        listen = 0.0.0.0
        ssl = no
        disable_plaintext_auth = no
        default_login_user = nobody
        default_internal_user = nobody
        default_internal_group = nogroup
        first_valid_uid = 1000
        mail_location = maildir:~/mail
        service anvil {{
          chroot =
        }}
        service imap-login {{
          chroot =
          inet_listener imap {{
            port = 1430
          }}
        }}
        service pop3-login {{
          chroot =
          inet_listener pop3 {{
            port = 1100
          }}
        }}
        passdb {{
          driver = passwd-file
          args = {base}/users
        }}
        userdb {{
          driver = passwd-file
          args = {base}/users
        }}
    """)
    with daemon(net, ["dovecot", "-F", "-c", str(base / "conf")], 1430, 1100):
        seen, counters = App(net, tmp_path, "use_mailbox.py", KERNEL, "1430", "1100").join()
    assert seen == {"found": "2", "fetched": True, "stat": 2, "retr": "hello"}
    check_in(counters, 720_000)


@pytest.mark.app("paramiko", "sshd", "a command with a status, SFTP both ways, a stranger's key refused")
def test_paramiko(net: Namespace, tmp_path: Path, base: Path) -> None:
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(base / name)], check=True)
    (base / "conf").write_text(f"""
        Port 2222
        ListenAddress 0.0.0.0
        HostKey {base}/host
        PidFile none
        AuthorizedKeysFile {base}/user.pub
        PasswordAuthentication no
        PermitRootLogin yes
        StrictModes no
        UsePAM no
        Subsystem sftp internal-sftp -d {base}
    """)
    # sshd locks itself into /run/sshd, which Debian's service makes; so it is made here, in a mount namespace.
    argv = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /run && mkdir /run/sshd && exec \"$@\"", "sh",
            skips.program("sshd"), "-D", "-e", "-f", str(base / "conf")]
    with daemon(net, argv, 2222):
        host_key = (base / "host.pub").read_text().split()[1]
        seen, counters = App(net, tmp_path, "use_paramiko.py", KERNEL, "2222", "root", str(base / "user"),
                             host_key).join()
    assert seen == {"out": "through the shell", "err": "oops\n", "status": 3, "sftp": True, "listed": ["big"],
                    "stranger": "refused"}
    check_in(counters, 2_000_000)


@pytest.mark.app("dulwich", "git", "a clone and a push, by git's own protocol")
def test_dulwich(net: Namespace, tmp_path: Path) -> None:
    def git(*words: str) -> str:
        done = subprocess.run(["git", "-c", "user.name=me", "-c", "user.email=me@test", *words],
                              cwd=tmp_path / "source", check=True, capture_output=True, text=True)
        return done.stdout

    (tmp_path / "source").mkdir()
    git("init", "--quiet", "--initial-branch=master")
    (tmp_path / "source" / "big").write_bytes(BIG)
    git("add", "big")
    git("commit", "--quiet", "-m", "big")
    git("clone", "--quiet", "--bare", ".", "../bare.git")
    argv = ["git", "daemon", f"--base-path={tmp_path}", "--export-all", "--enable=receive-pack", "--port=9418"]
    environment = {**os.environ, "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
                   "GIT_CONFIG_VALUE_0": "*"}
    with daemon(net, argv, 9418, env=environment):
        url = f"git://{KERNEL}/bare.git"
        seen, counters = App(net, tmp_path, "clone_dulwich.py", url, str(tmp_path / "clone")).join()
    assert seen == {"size": len(BIG)}
    assert git("--git-dir=../bare.git", "show", "master:new") == "from the stack"
    check_in(counters, len(BIG))
