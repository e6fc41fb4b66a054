"""docs/compat.md's table of applications names each test that is marked `app`, and nothing else.

Uses applications.py.
"""
from __future__ import annotations

import re

import applications


def test_every_row_of_the_page_has_its_test_and_every_test_its_row() -> None:
    links = [re.fullmatch(r"\[(\w+)\]\(\.\./tests/apps/(\w+\.py)\)", row[-1]) for row in applications.committed()]
    tests = [(row.test, row.file) for row in applications.rows()]
    assert sorted(link.groups() for link in links) == sorted(tests)  # `make apps` writes the page


def test_rows_say_what_their_tests_say() -> None:
    tests = {row.test: row for row in applications.rows()}
    for package, against, what, result, test in applications.committed():
        row = tests[re.match(r"\[(\w+)\]", test)[1]]
        assert package.split(" ")[0] == row.package
        assert [one.split(" ")[0] for one in against.split(", ")] == [
            one.split(" ")[0] for one in row.against.split(", ")]
        assert (what, result) == (row.what, row.result)
