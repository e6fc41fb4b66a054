"""The stub that type checkers read names exactly what the compiled engine has."""
from __future__ import annotations

import ast
from pathlib import Path

from greendpdk._native import ffi, lib

STUB = Path(__file__).parent.parent / "greendpdk" / "_native.pyi"


def names() -> dict[str, int]:
    """Return the stub's names, and the count of arguments of those that are functions (-1: not one)."""
    tree = ast.parse(STUB.read_text())
    found = {}
    for node in next(node for node in tree.body if isinstance(node, ast.ClassDef)).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = len(node.args.posonlyargs + node.args.args) - 1
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = -1
    return found


def test_stub_names_what_the_engine_has() -> None:
    there = set(dir(lib))
    stub = set(names())
    if not lib.GD_HAVE_DPDK:
        stub = {name for name in stub if not name.startswith(("gd_eal_", "gd_dpdk_", "gd_telemetry_"))}
    assert stub == there


def test_stub_takes_as_many_arguments_as_the_engine() -> None:
    functions = {name: count for name, count in names().items() if count >= 0 and hasattr(lib, name)}
    assert functions == {name: len(ffi.typeof(getattr(lib, name)).args) for name in functions}
