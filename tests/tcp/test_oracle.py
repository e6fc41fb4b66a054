"""Linux plays the scripts too (oracle.py), where asked for by --oracle: it is slow, real time on real timers.

oracle.toml lists the scripts where Linux does otherwise, each with the reason; everything else must hold on both.
"""
from __future__ import annotations

import tomllib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import oracle
import pytest

from greendpdk.testing._lines import parse_script

HERE = Path(__file__).parent
SCRIPTS = {path.stem: path for path in sorted(HERE.rglob("*.pkt"))}
DIFFERS: dict[str, str] = tomllib.loads((HERE / "oracle.toml").read_text())["differs"]
AT_ONCE = 4  # scripts mostly sleep


def playable(longest: float = oracle.NO_LIMIT) -> list[Path]:
    """Return the scripts that Linux can play in so many seconds each."""
    return [path for path in SCRIPTS.values() if not oracle.refusal(parse_script(path.read_text()), longest)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each of them."""
    if metafunc.definition.get_closest_marker("oracle"):
        paths = playable(metafunc.config.getoption("--oracle-seconds"))
        metafunc.parametrize("path", paths, ids=[path.stem for path in paths])


@pytest.fixture(scope="session")
def verdicts(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[str]]]:
    """Let the selected scripts be played, some at a time; what went wrong by name."""
    chosen = [item for item in request.session.items if item.get_closest_marker("oracle")]
    paths = [item.callspec.params["path"] for item in chosen if isinstance(item, pytest.Function)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {path.stem: pool.submit(oracle.ask, path) for path in paths}


@pytest.mark.needs("tun")
@pytest.mark.oracle
def test_linux_does_as_the_script_says(path: Path, verdicts: dict[str, Future[str]]) -> None:
    """Or does not, where oracle.toml says so: then the list is to be mended."""
    wrong = verdicts[path.stem].result()
    if path.stem in DIFFERS:
        assert wrong, f"Linux does as {path.name} says: take it off oracle.toml"
    else:
        assert not wrong, wrong


def test_the_list_of_differences_names_scripts_and_gives_reasons() -> None:
    names = {path.stem for path in playable()}
    assert [name for name in DIFFERS if name not in names] == []
    assert [name for name, reason in DIFFERS.items() if len(reason) < 20] == []
    assert list(DIFFERS) == sorted(DIFFERS)


WRONG = """// Not what any TCP does: the SYN-ACK acknowledges another number.
   0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
  +0 bind(3, ..., ...) = 0
  +0 listen(3, 1) = 0
  +0 < S 0:0(0) win 1000 <mss 1000>
  +0 > S. 0:0(0) ack 2 <...>
"""


@pytest.mark.needs("tun")
def test_oracle_tells_right_from_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pkt"
    wrong.write_text(WRONG)
    assert oracle.ask(SCRIPTS["half_closed_by_the_peer_we_still_send"]) == ""
    assert "acknowledgment number: 2 expected, 1 sent" in oracle.ask(wrong, tries=1)
