"""The rules of CONTRIBUTING.md that a machine can check: sizes, headers, seams, counters, who writes the state."""

from __future__ import annotations

import functools
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "greendpdk" / "core"
LINES = 400
CODE = {".c", ".h", ".def", ".py", ".pyi", ".pkt"}


def tracked() -> list[Path]:
    """Return the files that git would ship, those not yet added too."""
    words = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # an unpacked sdist is no git tree
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if "build" not in path.parts]
    else:
        names = done.stdout.split("\0")
    found = [ROOT / name for name in names if name]
    return sorted(path for path in found if path.suffix in CODE and path.is_file() and not path.is_symlink())


FILES = tracked()
C_FILES = [path for path in FILES if path.suffix in (".c", ".h") and CORE in path.parents]


def place(path: Path) -> str:
    return str(path.relative_to(ROOT))


@functools.cache
def code_of(path: Path) -> str:
    """Return C text with comments and strings blanked; line numbers stay."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:[^"\\\n]|\\.)*"'
    return re.sub(pattern, lambda match: re.sub(r"[^\n]", " ", match[0]), path.read_text(), flags=re.S)


def found_in(paths: list[Path], pattern: str) -> list[str]:
    """Return "file:line: text" of each match in code."""
    regex = re.compile(pattern)
    return [
        f"{place(path)}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(code_of(path).split("\n"), 1)
        if regex.search(line)
    ]


def test_there_is_something_to_check() -> None:
    assert len(C_FILES) > 30 and len(FILES) > 100


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {place(path): path.read_text().count("\n") for path in FILES}
    assert {name: count for name, count in lengths.items() if count > LINES} == {}


@pytest.mark.parametrize("path", C_FILES, ids=place)
def test_core_file_says_what_it_does_and_who_calls_it(path: Path) -> None:
    text = path.read_text()
    header = text[: text.find("*/")]
    assert text.startswith("/*")
    assert re.search(r"Called (by|through)|Included by|Read by", header), "the header names no caller"


def test_python_files_begin_with_what_they_do() -> None:
    texts = {path: path.read_text() for path in FILES if path.suffix == ".py" and path.stat().st_size > 0}
    shebang = re.compile(r"(#![^\n]*\n)?(#[^\n]*\n)*\"\"\"")
    assert [place(path) for path, text in texts.items() if not shebang.match(text)] == []


def test_only_the_port_folder_includes_dpdk() -> None:
    outside = [path for path in C_FILES if "port" not in path.relative_to(CORE).parts]
    assert [place(path) for path in outside if re.search(r"#\s*include\s*[<\"]rte_", path.read_text())] == []


def test_core_asks_nobody_for_the_time_or_for_chance() -> None:
    outside = [path for path in C_FILES if "port" not in path.relative_to(CORE).parts]
    calls = r"\b(clock_gettime|gettimeofday|time|rand|random|getrandom|usleep|nanosleep|printf)\s*\("
    assert found_in(outside, calls) == []


def test_only_gd_tcp_become_writes_the_state() -> None:
    writes = found_in(C_FILES, r"tcb->state\s*=[^=]")
    allowed = [line for line in writes if line.startswith("greendpdk/core/tcp/state.c:")]
    first = [line for line in writes if line.endswith("tcb->state = GD_CLOSED;") and "/tcp/open.c:" in line]
    assert len(allowed) == 1
    assert [line for line in writes if "/tcp/" in line and line not in allowed + first] == []
    assert len(first) <= 1  # a control block is born CLOSED


def test_every_counter_is_counted_and_explained() -> None:
    text = (CORE / "util" / "stats.def").read_text()
    names = re.findall(r"GD_COUNTER\((\w+)\)", text)
    assert len(names) == len(set(names))
    everything = "\n".join(code_of(path) for path in C_FILES)
    assert [name for name in names if f"GD_STAT_{name}" not in everything] == []
    drops = re.findall(r"GD_COUNTER\((\w*drop\w*)\)([^\n]*)", text)
    assert len(drops) > 20


def test_every_input_function_counts_what_it_drops() -> None:
    """A `return` without a value in a packet's way in stands behind a count, or behind a call that took the packet."""
    inputs = (
        "gd_ip4_input", "gd_ip6_input", "gd_icmp4_input", "gd_icmp6_input", "gd_nd_input", "gd_udp_input",
        "gd_tcp_input", "gd_arp_input", "gd_netif_input", "gd_dhcp_input",
    )  # fmt: skip
    silent = []
    for path in C_FILES:
        for match in re.finditer(r"^(?:static )?void (\w+)\([^;{]*\)\s*\{(.*?)^\}", code_of(path), re.S | re.M):
            name, body = match[1], match[2]
            if name not in inputs:
                continue
            for found in re.finditer(r"\breturn;", body):
                before = body[: found.start()].rstrip().rsplit("\n", 3)[1:]
                if not re.search(r"GD_STAT_|drop|refuse|\w+\(.*\)", " ".join(before)):
                    silent.append(f"{place(path)}: {name}: {before[-1].strip()}")
    assert silent == []


def test_no_promise_without_an_issue() -> None:
    word = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?!\s*\(?#\d+)")
    own = Path(__file__).resolve()
    found = [place(path) for path in FILES if path.resolve() != own and word.search(path.read_text())]
    assert found == []


def test_no_test_sleeps_where_a_clock_can_move() -> None:
    """tests/tcp, tests/sim and tests/unit have virtual time; nothing there may wait on the wall."""
    virtual = [path for path in FILES if path.suffix == ".py" and path.parts[-2] in ("tcp", "sim", "unit")]
    assert [place(path) for path in virtual if re.search(r"\bsleep\s*\(", path.read_text())] == []
    assert virtual
