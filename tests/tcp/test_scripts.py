"""TCP's behaviour, and ICMP's, UDP's and ARP's where they touch it: every .pkt script in the folders beside this file.

Run one by `pytest tests/tcp -k name`; what the language offers stands in greendpdk/testing/script.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from greendpdk.testing import play

HERE = Path(__file__).parent
SCRIPTS = sorted(HERE.rglob("*.pkt"))
ISN_TICK = 4096  # ns of the engine's ISN clock (RFC 6528 3)
NEAR_WRAP = 2**32 - 150  # so that most scripts' own bytes wrap


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_script(path: Path) -> None:
    play(path)


@pytest.mark.parametrize("path", [path for path in SCRIPTS if path.parent.name != "cookies"], ids=name_of)
def test_script_where_our_sequence_numbers_wrap(path: Path) -> None:
    """The same at an hour at which the stack chooses an ISN just below 2^32; the peer's numbers start at 1,000.

    A SYN cookie is no number of the clock.
    """
    start = 1000 * 10**9
    isn = play(path, start=start, remote_isn=1000).first_isn
    if isn is None:  # nothing was opened: no number to wrap
        return
    later = start + (NEAR_WRAP - isn) % 2**32 * ISN_TICK
    wrapped = play(path, start=later, remote_isn=1000).first_isn
    assert wrapped is not None
    assert (wrapped - NEAR_WRAP) % 2**32 < 2**28  # the script opens a moment later than the clock starts


def test_every_script_says_what_it_claims() -> None:
    """A script begins with a comment, and most of them cite the rule that they are about."""
    texts = {path: path.read_text() for path in SCRIPTS}
    assert [path.name for path, text in texts.items() if not text.startswith("// ")] == []
    assert len({path.stem for path in SCRIPTS}) == len(SCRIPTS) >= 250
