"""Compile the engine once more, without DPDK, with its internals declared: ffi and lib for the tests beside.

Called by conftest.py; calls greendpdk/_build.py for sources and flags, and compiling.py, two files at a time. What
was built is kept in build/unit under a hash of all that went into it.
"""
from __future__ import annotations

import functools
import os
import shutil
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from compiling import ROOT, digest, load_file, load_maker, run

HERE = Path(__file__).parent
NAME = "_gd_internals"
PREAMBLE = """
#include "core/stack.h"
#include "core/net/neigh.h"
#include "core/port/streams.h"
#include "core/tcp/islands.h"
#include "core/util/checksum.h"
#include "core/util/table.h"
#include "core/wire/dhcp.h"
#include "allocations.h"
"""
# The engine's allocations go by way of allocations.h.
WRAP = [f"-Wl,--wrap={name}" for name in ("malloc", "calloc", "realloc", "free")]


def build() -> Path:
    """Return the extension module's file, compiled if need be."""
    maker = load_maker()
    compile_words, link_words = maker.flags(False)
    link_words = [*link_words, *WRAP]
    compiler = (os.environ.get("CC") or ("ccache gcc" if shutil.which("ccache") else "gcc")).split()
    headers = [path for pattern in ("*.h", "*.def", "*.c") for path in maker.CORE.rglob(pattern)]
    cdef = HERE / "internals.cdef.h"
    inputs = sorted([*headers, cdef, HERE / "allocations.h", Path(__file__), ROOT / "greendpdk" / "_build.py"])
    folder = ROOT / "build" / "unit" / digest(inputs, [*compiler, *compile_words, *link_words, sys.version])
    target = folder / f"{NAME}{sysconfig.get_config_var('EXT_SUFFIX')}"
    if target.exists():
        return target
    work = folder.with_name(f"{folder.name}.{os.getpid()}")
    work.mkdir(parents=True, exist_ok=True)
    ffi = maker.make(NAME, False, cdef=cdef.read_text(), preamble=PREAMBLE)
    ffi.emit_c_code(str(work / f"{NAME}.c"))
    folders = (ROOT / "greendpdk", HERE, sysconfig.get_path("include"))
    words = [*compiler, "-c", "-fPIC", *compile_words, *(f"-I{path}" for path in folders)]
    sources = [work / f"{NAME}.c", *maker.sources(False)]
    objects = [str(work / f"{number}.o") for number in range(len(sources))]
    with ThreadPoolExecutor(2) as pool:
        jobs = zip(sources, objects, strict=True)
        list(pool.map(lambda job: run([*words, str(job[0]), "-o", job[1]]), jobs))
    run([*compiler, "-shared", *objects, "-o", str(work / target.name), *link_words])
    folder.mkdir(exist_ok=True)
    (work / target.name).replace(target)
    shutil.rmtree(work)
    return target


@functools.cache
def load() -> Any:
    """Return the compiled module, with its `ffi` and `lib`."""
    return load_file(NAME, build())
