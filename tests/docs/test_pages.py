"""What the pages say of the code is in the code: settings and their defaults, messages, counters, quoted lines."""
from __future__ import annotations

import argparse
import errno
import os
import re
from pathlib import Path

import pytest

import greendpdk
from greendpdk import _config, monkey
from greendpdk.cli import COMMANDS, run

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
SOURCES = [path for folder in ("greendpdk", "monkey") for path in sorted((ROOT / folder).rglob("*.py"))]
# Adjacent literals are one message; what is put in is a gap.
CODE = re.sub(r"\{[^{}]*\}", "…", re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text() for path in SOURCES)))
COUNTERS = set(re.findall(r"GD_COUNTER\((\w+)\)", (ROOT / "greendpdk/core/util/stats.def").read_text()))
PREFIX = re.compile(r"\b(?:tcp|udp|ip4|ip6|icmp|arp|nd|neigh|fragment|dhcp|eth|igmp|mld)_[a-z_0-9]*[a-z0-9]\b")
QUOTE = re.compile(r"<!-- code: (\S+) -->\n```\w+\n(.*?)\n```", re.S)
QUOTES = QUOTE.findall((DOCS / "how-it-works.md").read_text())


def rows() -> dict[str, list[str]]:
    lines = [line for line in (DOCS / "settings.md").read_text().split("\n") if "`GREENDPDK_" in line]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return {row[0].strip("`"): row for row in cells}


def test_every_setting_is_in_the_page_with_its_default() -> None:
    assert list(rows()) != [] and set(rows()) == set(_config.NAMES)
    for name, row in rows().items():
        assert row[1] == f"`GREENDPDK_{name.upper()}`"
        default = _config._DEFAULTS.get(name)
        assert default is None or row[2].startswith(f"`{default}`"), name


def test_every_setting_is_an_option_of_run() -> None:
    parser: argparse.ArgumentParser = run._parser()
    options = {option for action in parser._actions for option in action.option_strings}
    assert {f"--{name.replace('_', '-')}" for name in _config.NAMES} <= options


def test_every_command_is_in_its_page_and_what_run_has_besides_settings() -> None:
    text = (DOCS / "command-line.md").read_text()
    first = set(re.findall(r"^\| `([^`]+)`", text, re.M))
    assert set(COMMANDS) <= first and first - set(COMMANDS) <= {"--netns", "-q", "--tap", "--"}
    options = {option for action in run._parser()._actions for option in action.option_strings}
    settings = {f"--{name.replace('_', '-')}" for name in _config.NAMES}
    assert {option for option in options - settings - {"-h", "--help"} if f"`{option}`" not in text} == set()


def test_every_variable_that_a_page_names_is_a_setting() -> None:
    known = {f"GREENDPDK_{name.upper()}" for name in _config.NAMES}
    other = {"GREENDPDK_WITHOUT_DPDK", "GREENDPDK_WERROR", "GREENDPDK_SANITIZE"}  # of the build
    pages = [ROOT / "README.md", *DOCS.glob("*.md")]
    named = {name for page in pages for name in re.findall(r"\bGREENDPDK_[A-Z][A-Z_]*[A-Z]", page.read_text())}
    assert named - known - other == set()


def pieces(message: str) -> list[str]:
    """Part a message at what is put in: dots, quoted values, what only an example can name."""
    return [part.strip(" :,") for part in re.split(r"…|'[^']*'|\b(?:net_\w+|dtap0|30 s|15 s)\b", message)]


def messages() -> list[str]:
    heads = re.findall(r"^\*\*(.*)\*\*$", (DOCS / "troubleshooting.md").read_text(), re.M)
    return [text for head in heads for text in re.findall(r"`([^`]+)`", head) if " " in text]


def test_there_are_messages() -> None:
    assert len(messages()) > 8


@pytest.mark.parametrize("message", messages())
def test_message_of_troubleshooting_is_in_the_code(message: str) -> None:
    if found := re.fullmatch(r"\w+: \[Errno (-?\d+)\] ([A-Z].*)", message):
        words = {-3: "Temporary failure in name resolution"}.get(int(found[1])) or os.strerror(int(found[1]))
        assert found[2] == words
        assert int(found[1]) in errno.errorcode or int(found[1]) < 0
        return
    text = re.sub(r"^\w+: (\[Errno \d+\] )?|^\w+ \(GREENDPDK_\w*\) is ", "", message)
    wanted = [piece.removeprefix("but on").removeprefix("but").strip() for piece in pieces(text)]
    assert [piece for piece in wanted if len(piece) > 3 and piece not in CODE] == []


def test_every_counter_that_a_page_names_is_counted() -> None:
    named = {name: page.name for page in [DOCS / "security.md", DOCS / "troubleshooting.md", DOCS / "tuning.md"]
             for text in re.findall(r"`([^`\n]+)`", page.read_text()) for name in PREFIX.findall(text)}
    assert len(named) > 15
    assert {name: page for name, page in named.items() if name not in COUNTERS} == {}


@pytest.mark.parametrize(("file", "text"), QUOTES)
def test_quoted_code_stands_in_its_file(file: str, text: str) -> None:
    code = " ".join((ROOT / file).read_text().split())
    at = 0
    for part in re.split(r"\n *…\n", text):
        found = code.find(" ".join(part.split()), at)
        assert found >= 0, part
        at = found + 1


def test_code_is_quoted() -> None:
    assert len(QUOTES) >= 4


def test_the_python_interface_is_all_of_it() -> None:
    text = (DOCS / "api.md").read_text()
    named = set(re.findall(r"\b(\w+)\b", text))
    from greendpdk import testing

    assert (set(greendpdk.__all__) - {"Settings"}) | {"patch_all", "is_patched", "get_original"} <= named
    assert {name for name in testing.__all__ if name != "TcpInfo"} <= named
    assert set(re.findall(r"`(patch_\w+)\(", text)) <= set(monkey.__all__)
