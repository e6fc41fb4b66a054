"""Compile the engine, without DPDK, and a harness of this folder into one program.

Called by the tests of this folder, by fuzz.py and benchmarks/connections.py; calls greendpdk/_build.py for the sources,
and compiling.py. Each object is kept in build/fuzz under a hash of all that went into it.
"""
from __future__ import annotations

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from compiling import ROOT, digest, load_maker, run

HERE = Path(__file__).parent
KEPT = ROOT / "build" / "fuzz"
COMMON = ["alloc.c", "attack.c", "box.c", "calls.c", "check.c", "frame.c", "host.c", "pair.c", "pair_calls.c", "peer.c",
          "scenes_loss.c", "scenes_net.c", "scenes_net6.c", "scenes_tcp.c"]
WARNINGS = ["-Wall", "-Wextra", "-Werror"]  # the harness's; the engine is checked where it is built
# UBSan reports go on unless told otherwise: a report is a failure here.
SANITIZE = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]


@dataclass(frozen=True)
class Kind:
    """A compiler and how it is to compile: name stands in the program's file name."""

    name: str
    compiler: tuple[str, ...]
    words: tuple[str, ...]
    link: tuple[str, ...]
    engine: tuple[str, ...] = ()  # besides, for the engine alone


def kind(name: str) -> Kind:
    """`asan` (gcc, to replay and storm), `plain` (gcc, to measure), `blocks` (gcc, to count), `fuzz` (clang)."""
    gcc = tuple((os.environ.get("CC") or ("ccache gcc" if shutil.which("ccache") else "gcc")).split())
    if name == "plain":
        return Kind(name, gcc, ("-O2",), ())
    if name == "blocks":  # the compiler calls a function of ours at each basic block
        return Kind(name, gcc, ("-O2",), (), ("-fsanitize-coverage=trace-pc",))
    if name == "asan":
        return Kind(name, gcc, tuple(SANITIZE), tuple(SANITIZE))
    clang = tuple(os.environ.get("FUZZ_CC", "clang").split())
    # Comparisons are not traced: inputs are steps and not texts to be guessed, and it doubles the time.
    coverage = ("-fsanitize=fuzzer-no-link", "-fno-sanitize-coverage=trace-cmp")
    return Kind(name, clang, tuple(SANITIZE), (*SANITIZE, "-fsanitize=fuzzer"), coverage)


def compile_one(path: Path, words: list[str], headers: list[Path]) -> Path:
    """Return the object of a C file, compiled if need be."""
    target = KEPT / "objects" / f"{path.stem}-{digest([path, *headers], words)}.o"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(f".{os.getpid()}.part")
        run([*words, "-c", str(path), "-o", str(part)])
        part.replace(target)
    return target


def program(harness: list[str], how: str) -> Path:
    """Return the program of the engine and those harness files, beside COMMON."""
    maker = load_maker()
    made = kind(how)
    words = [*made.compiler, "-std=gnu11", "-g", f"-I{ROOT / 'greendpdk'}", *made.words]
    headers = sorted(path for top in (maker.CORE, HERE) for pattern in ("*.h", "*.def") for path in top.rglob(pattern))
    engine = [*words, *made.engine, "-DFUZZ_ALLOC_ENGINE", "-include", str(HERE / "alloc.h")]
    jobs = [(path, engine) for path in maker.sources(False)]
    jobs += [(HERE / name, [*words, *WARNINGS]) for name in [*COMMON, *harness]]
    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(lambda job: compile_one(*job, headers), jobs))
    link = [*made.compiler, *map(str, objects), *made.link, "-lm"]
    target = KEPT / f"{Path(harness[0]).stem}-{how}-{digest([], link)}"
    if not target.exists():
        part = target.with_suffix(f".{os.getpid()}.part")
        run([*link, "-o", str(part)])
        part.replace(target)
    return target


def targets() -> list[str]:
    """List the fuzz targets: fuzz_<name>.c is one."""
    return sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.c"))
