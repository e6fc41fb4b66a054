"""The table "Applications" of docs/compat.md: one row for each test that is marked `app`.

Used by conftest.py, which writes it (`make apps`), and test_applications.py, which reads it back. A row is

    @pytest.mark.app(package, against, what, result)

the Python package under test; what stands at Linux's side, parted by commas; what is exercised; what comes of it
where that is not "works". Versions are those of the run. What is of the standard library has Python's version.
"""
from __future__ import annotations

import ast
import importlib.metadata
import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from skips import PROGRAMS

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "compat.md"
BEGIN, END = "<!-- applications: written by make apps -->\n", "<!-- end of applications -->\n"
HEAD = "| package | the other side | what is exercised | result | test |\n| --- | --- | --- | --- | --- |\n"
_OURS = ("kernel sockets", "gevent.pywsgi")  # no package of its own name


@dataclass(frozen=True)
class Row:
    """One test's row."""

    file: str
    test: str
    package: str
    against: str
    what: str
    result: str = "works"

    def line(self, outcome: str) -> str:
        """Write it as Markdown, with the versions of this machine."""
        result = self.result if outcome == "passed" else f"**{outcome}**"
        package = " ".join(filter(None, (self.package, version(self.package))))
        against = ", ".join(" ".join(filter(None, (one, version(one)))) for one in self.against.split(", "))
        return f"| {package} | {against} | {self.what} | {result} | [{self.test}](../tests/apps/{self.file}) |\n"


def packages(package: str, against: str) -> list[str]:
    """List what has to be there for a test: distributions, and programs of skips.PROGRAMS."""
    names = [package, *against.split(", ")]
    return [name for name in names if name not in _OURS and name.split(".")[0] not in sys.stdlib_module_names]


def version(name: str) -> str:
    """Return the version of a distribution, of a program's Debian package, or of Python."""
    if name == "gevent.pywsgi":
        return importlib.metadata.version("gevent")
    if name in PROGRAMS:
        ask = ["dpkg-query", "-W", "-f", "${Version}", PROGRAMS[name].split()[0]]
        text = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
        return re.sub(r"^\d+:", "", text).partition("-")[0].partition("+")[0]
    if name.split(".")[0] in sys.stdlib_module_names:
        return f"(Python {platform.python_version()})"
    return "" if name in _OURS else importlib.metadata.version(name)


def rows() -> list[Row]:
    """Read the marks of all tests beside this file."""
    found = []
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                found += [Row(path.name, node.name, *words) for words in _marks(node)]
    return found


def _marks(function: ast.FunctionDef) -> list[list[str]]:
    calls = [each for each in function.decorator_list if isinstance(each, ast.Call)]
    return [[ast.literal_eval(word) for word in call.args] for call in calls
            if ast.unparse(call.func) == "pytest.mark.app"]


def committed() -> list[list[str]]:
    """Read the table of docs/compat.md: the cells of each row."""
    text = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    lines = text.removeprefix(HEAD).splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def write(outcomes: dict[tuple[str, str], str]) -> None:
    """Write the table anew from what came of each (file, test)."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    table = "".join(row.line(outcomes[row.file, row.test]) for row in sorted(rows(), key=lambda row: (
        row.file, row.package.lower())))
    PAGE.write_text(before + BEGIN + HEAD + table + END + rest.partition(END)[2])
