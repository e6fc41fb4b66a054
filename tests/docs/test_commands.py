"""What the documents tell to run does run: each sh, python and .pkt block, in a namespace made for it.

A comment before a block says how: none, it is run to its end; `serve: ADDRESS`, it is started and must answer there;
`ask`, it is run beside the one before; `needs: http.server`, Linux serves files meanwhile; `veth: NAME`, with such an
interface; `file: NAME`, it is saved for the others; `parsed: REASON`, it is only read; `pkt`, it is played;
`code: FILE`, test_pages.py finds it there.
"""
from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest
from netns import Namespace, end

from greendpdk.testing.script import play_text

ROOT = Path(__file__).parent.parent.parent
BLOCK = re.compile(r"(?:<!-- (\w+)(?:: ([^\n]*?))? -->\n)?^( *)```(\w*)\n(.*?)^\3```$", re.S | re.M)
HOW = {"sh": {"", "serve", "ask", "needs", "veth", "parsed"}, "python": {"", "code", "file", "parsed"}, "": {"", "pkt"}}
PATIENCE = 20.0


@dataclass(frozen=True)
class Block:
    name: str
    how: str
    word: str
    language: str
    text: str


def blocks() -> Iterator[Block]:
    for path in sorted((ROOT / "docs").glob("*.md")):
        for number, match in enumerate(BLOCK.finditer(path.read_text()), 1):
            how, word, _, language, text = match.groups()
            yield Block(f"{path.stem}-{number}", how or "", word or "", language, dedent(text))


BLOCKS = list(blocks())
FILES = {block.word: block.text for block in BLOCKS if block.how == "file"}
ASKED = {before.name: block for before, block in zip(BLOCKS, BLOCKS[1:], strict=False) if block.how == "ask"}


def chosen(*pairs: tuple[str, str]) -> pytest.MarkDecorator:
    needs = {True: [pytest.mark.needs("af_xdp")], False: []}
    blocks = [pytest.param(block, id=block.name, marks=needs["net_af_xdp" in block.text])
              for block in BLOCKS if (block.language, block.how) in pairs]
    return pytest.mark.parametrize("block", blocks)


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GREENDPDK_")}
    return kept | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
                   "PYTHONUNBUFFERED": "1", "no_proxy": "*"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def shell(net: Namespace, block: Block, folder: Path) -> str:
    done = net.run(["bash", "-euc", block.text], cwd=folder, env=environment(), check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def files_server(net: Namespace, folder: Path) -> None:
    net.popen([sys.executable, "-m", "http.server", "--directory", str(folder), "8000"],
              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    give_up = time.monotonic() + PATIENCE
    while net.run(["curl", "-s", "--noproxy", "*", "http://127.0.0.1:8000/"], check=False).returncode:
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_every_block_says_how_it_is_tried() -> None:
    known = [block for block in BLOCKS if block.language in HOW]
    assert [block.name for block in known if block.how not in HOW[block.language]] == []
    assert [block.name for block in BLOCKS if block.how == "parsed" and len(block.word) < 3] == []
    assert sum(block.language == "sh" for block in BLOCKS) > 10


@chosen(("sh", "parsed"))
def test_command_for_another_machine_is_read_by_the_shell(block: Block) -> None:
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)


@chosen(("python", "parsed"), ("python", "file"))
def test_python_is_read(block: Block) -> None:
    ast.parse(block.text)


@chosen(("python", ""))
def test_python_runs(block: Block, folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", block.text], cwd=folder, env=environment(), capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@chosen(("", "pkt"))
def test_script_plays(block: Block) -> None:
    play_text(block.text, block.name)
    play_text(block.text, block.name, ip_version="ipv6")
    with pytest.raises(Exception, match="P. 1:501"):
        play_text(block.text.replace("+.3 >", "+.2 >"), block.name)


def test_example_of_the_readme_runs(folder: Path) -> None:
    text = (ROOT / "README.md").read_text().split("<!-- example -->\n```python\n")[1].split("```")[0]
    done = subprocess.run([sys.executable, "-c", text], cwd=folder, env=environment(), capture_output=True, text=True,
                          timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "200 and no socket of the kernel's\n"), done.stderr


@pytest.mark.needs("tap", "curl")
@chosen(("sh", ""), ("sh", "needs"))
def test_command_runs(block: Block, folder: Path) -> None:
    with Namespace() as net:
        if block.how == "needs":
            files_server(net, folder)
        shell(net, block, folder)


@pytest.mark.needs("tap", "curl")
@chosen(("sh", "veth"))
def test_command_runs_on_an_interface(block: Block, folder: Path) -> None:
    with ExitStack() as stack:
        net, far = (stack.enter_context(Namespace()) for _ in range(2))
        net.join(far, "198.18.99.1/24", "198.18.2.1/24")
        far.run(["ethtool", "-K", "veth0", "tx", "off", "tso", "off", "gso", "off"])
        for words in (("down",), ("name", block.word), ("up",)):
            name = block.word if words == ("up",) else "veth0"
            net.ip("link", "set", name, *words)
        files_server(far, folder)
        shell(net, block, folder)


@pytest.mark.needs("tap", "curl", "flask")
@chosen(("sh", "serve"))
def test_server_answers(block: Block, folder: Path) -> None:
    with Namespace() as net, (folder / "log").open("w") as log:
        server = net.popen(block.text.split(), cwd=folder, env=environment(), stdout=log, stderr=log)
        ask = ["curl", "-s", "--max-time", "5", "--noproxy", "*", f"http://{block.word}/"]
        give_up = time.monotonic() + PATIENCE
        while (answer := net.run(ask, check=False).stdout) == "" and time.monotonic() < give_up:
            time.sleep(0.05)
        assert answer.startswith("hello"), (folder / "log").read_text()
        if block.name in ASKED:
            assert shell(net, ASKED[block.name], folder) == answer
        end(server)
