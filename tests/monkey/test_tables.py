"""The tables name what there is, and after the patch each name is ours."""
from __future__ import annotations

import importlib
import inspect
import sys

import pytest
from run import run

from greendpdk.monkey import _tables

NAMES = [
    (module, source, name) for module, (source, names) in _tables.OURS.items() for name in names
    if (module, name) != ("ssl", "wrap_socket") or sys.version_info < (3, 12)  # it has gone there
]  # fmt: skip
SWAPPED = [
    (module, theirs, source, ours)
    for module, (source, names) in _tables.GEVENT.items() for theirs, ours in names.items()
]  # fmt: skip


@pytest.mark.parametrize("module, source, name", NAMES)
def test_each_name_exists_on_both_sides_and_differs(module, source, name):
    standard = getattr(importlib.import_module(module), name)
    ours = getattr(importlib.import_module(source), name)
    assert ours is not standard and callable(ours)


@pytest.mark.parametrize("module, theirs, source, ours", SWAPPED)
def test_each_name_of_gevent_is_there_to_be_replaced(module, theirs, source, ours):
    assert hasattr(importlib.import_module(module), theirs)
    assert hasattr(importlib.import_module(source), ours)


@pytest.mark.parametrize("module", ["socket", "ssl", "select"])
def test_implements_is_what_the_table_says_or_gevent_does(module):
    ours = importlib.import_module(f"greendpdk.{module}")
    gevents = set(importlib.import_module(f"gevent.{module}").__implements__)
    named = set(_tables.OURS[module][1])
    assert set(ours.__implements__) - {"create_server", "has_dualstack_ipv6"} <= named  # they call socket() by name
    # What gevent replaces and we do not: names that resolve, for which the resolver is set instead, and a fallback.
    assert gevents - named <= {
        "_fallback_socketpair", "getaddrinfo", "getfqdn", "gethostbyaddr", "gethostbyname", "gethostbyname_ex",
        "getnameinfo",
    }  # fmt: skip


def test_parts_are_gevent_s_parameters():
    import gevent.monkey

    parameters = inspect.signature(gevent.monkey.patch_all).parameters
    assert set(_tables.PARTS) == {name for name, one in parameters.items() if one.kind is not one.VAR_KEYWORD}


def test_after_patch_all_every_name_is_ours():
    run("""
        from greendpdk import monkey
        monkey.patch_all()
        import importlib, sys
        from greendpdk.monkey import _tables
        for module, (source, names) in _tables.OURS.items():
            for name in names:
                if name == "wrap_socket" and sys.version_info >= (3, 12):
                    continue
                there = getattr(importlib.import_module(module), name)
                assert there is getattr(importlib.import_module(source), name), (module, name)
                assert monkey.get_original(module, name) is not there
        for module, (source, names) in _tables.GEVENT.items():
            for theirs, ours in names.items():
                if theirs == "wrap_socket" and sys.version_info >= (3, 12):
                    continue
                there = getattr(importlib.import_module(module), theirs)
                assert there is getattr(importlib.import_module(source), ours), (module, theirs)
    """)
