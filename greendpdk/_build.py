"""Compile the C engine into the extension module greendpdk._native, with cffi in API mode.

Called by setup.py (cffi_modules), by `python -m greendpdk._build` (in place) and by `make asan`; calls pkg-config.
With libdpdk the DPDK port is in it; without, or with GREENDPDK_WITHOUT_DPDK=1, only the ports in memory are.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import cffi

ROOT = Path(os.path.abspath(__file__)).parent.parent
CORE = ROOT / "greendpdk" / "core"
# The files that include rte_*; the style guide keeps them in one folder, this list keeps them few.
DPDK_FILES = frozenset({"eal.c", "dpdk.c", "dpdk_open.c", "dpdk_pool.c", "dpdk_xdp.c", "telemetry.c"})
WARNINGS = ["-Wall", "-Wextra", "-Wconversion"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]

# cffi's generated code is not ours: it must not fail a build that treats our own warnings as errors.
PREAMBLE = """
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-const-variable"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include "core/api.h"
#include <netdb.h>
#include <sys/socket.h>
"""


def pkg_config(*words: str) -> list[str] | None:
    """Ask pkg-config about libdpdk; None if either is missing."""
    command = [os.environ.get("PKG_CONFIG", "pkg-config"), *words, "libdpdk"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.split()


def with_dpdk() -> bool:
    """Tell if this build gets the DPDK port."""
    return os.environ.get("GREENDPDK_WITHOUT_DPDK", "") != "1" and pkg_config("--exists") is not None


def sanitizing() -> bool:
    """Tell if this build is for AddressSanitizer and UBSan."""
    return os.environ.get("GREENDPDK_SANITIZE", "") == "1"


def dpdk_flags() -> tuple[list[str], list[str]]:
    """Return compiler and linker words for DPDK, its headers marked as the system's: their warnings are not ours."""
    compile_words = []
    for word in pkg_config("--cflags") or []:
        compile_words += ["-isystem", word[2:]] if word.startswith("-I") else [word]
    return compile_words, pkg_config("--libs") or []


def sources(dpdk: bool) -> list[Path]:
    """List the engine's C files, in a stable order."""
    return sorted(path for path in CORE.rglob("*.c") if dpdk or path.name not in DPDK_FILES)


def flags(dpdk: bool) -> tuple[list[str], list[str]]:
    """Return compiler and linker words for the engine."""
    compile_words = ["-std=gnu11", "-O2", "-g1", *WARNINGS]
    link_words: list[str] = []
    if os.environ.get("GREENDPDK_WERROR", "") == "1":
        compile_words.append("-Werror")  # not for users: a newer compiler's new warning must not fail them
    if sanitizing():
        compile_words += [*SANITIZE, "-g"]
        link_words += SANITIZE
    if dpdk:
        more_compile, more_link = dpdk_flags()
        compile_words += more_compile
        link_words += more_link
    return compile_words, link_words


def counter_help() -> str:
    """Return C that says what each counter of util/stats.def counts: its comment there, else its name in words."""
    texts = []
    source = (CORE / "util" / "stats.def").read_text()
    for name, text in re.findall(r"GD_COUNTER\((\w+)\)[ \t]*(?:/\*(.*?)\*/)?", source):
        words = text.strip() or name.replace("_", " ")
        texts.append('    "' + words.replace("\\", "\\\\").replace('"', '\\"') + '",\n')
    return (
        "static const char *gd_stack_counter_help(int index)\n{\n    static const char *const texts[] = {\n"
        + "".join(texts)
        + "    };\n    return index >= 0 && index < (int)(sizeof texts / sizeof texts[0]) ? texts[index] : NULL;\n}\n"
    )


def make(
    name: str,
    dpdk: bool,
    cdef: str = "",
    preamble: str = "",
    more_sources: Iterable[Path] = (),
    relative: bool = False,
) -> cffi.FFI:
    """Describe an extension of the whole engine; tests add declarations of internals by cdef and preamble.

    Paths are absolute unless `relative`, which setuptools asks for (then the working directory is the root).
    """

    def place(path: Path) -> str:
        return str(path.relative_to(ROOT)) if relative else str(path)

    ffi = cffi.FFI()
    ffi.cdef((CORE / "api.cdef.h").read_text())
    ffi.cdef((CORE / "port" / "libc.cdef.h").read_text())
    ffi.cdef("static const int GD_HAVE_DPDK; const char *gd_stack_counter_help(int index);")
    body = PREAMBLE + f"static const int GD_HAVE_DPDK = {int(dpdk)};\n" + counter_help()
    if dpdk:
        ffi.cdef((CORE / "port" / "dpdk.cdef.h").read_text())
        body += '#include "core/port/dpdk.h"\n'
    ffi.cdef(cdef)
    compile_words, link_words = flags(dpdk)
    headers = [path for pattern in ("*.h", "*.def") for path in CORE.rglob(pattern)]
    ffi.set_source(
        name,
        body + preamble,
        sources=[place(path) for path in [*sources(dpdk), *more_sources]],
        depends=[place(path) for path in sorted(headers)],
        include_dirs=[place(ROOT / "greendpdk")],
        extra_compile_args=compile_words,
        extra_link_args=link_words,
    )
    return ffi


def setup(*words: str) -> None:
    """Run setup.py's build_ext, which compiles ffibuilder below."""
    subprocess.run([sys.executable, "setup.py", "-q", "build_ext", *words], cwd=ROOT, check=True)


def build_sanitized() -> Path:
    """Build without DPDK under the sanitizers into build/asan, and link the Python files beside it.

    build/asan first on PYTHONPATH makes the same tests run against that build.
    """
    top = ROOT / "build" / "asan"
    package = top / "greendpdk"
    package.mkdir(parents=True, exist_ok=True)
    for path in package.iterdir():
        if path.is_symlink():
            path.unlink()
    for path in (ROOT / "greendpdk").iterdir():
        if not path.name.startswith(("_native.", "__pycache__")) or path.name == "_native.pyi":
            (package / path.name).symlink_to(path.resolve())
    os.environ.update(GREENDPDK_SANITIZE="1", GREENDPDK_WITHOUT_DPDK="1")
    setup("--build-lib", str(top), "--build-temp", str(top / "objects"))
    return top


def main() -> None:
    """Build in place, or under the sanitizers."""
    parser = argparse.ArgumentParser(prog="python -m greendpdk._build", description=__doc__)
    parser.add_argument("--asan", action="store_true", help="ASan and UBSan, without DPDK, into build/asan")
    parser.add_argument("--force", action="store_true", help="compile although nothing seems to have changed")
    options = parser.parse_args()
    if options.force:
        shutil.rmtree(ROOT / "build", ignore_errors=True)
    if options.asan:
        build_sanitized()
        return
    if not with_dpdk():
        asked = os.environ.get("GREENDPDK_WITHOUT_DPDK", "") == "1"
        why = "GREENDPDK_WITHOUT_DPDK=1" if asked else "no libdpdk found (apt install libdpdk-dev)"
        print(f"greendpdk: {why}; building without the DPDK port", file=sys.stderr)
    # The objects of a build with DPDK are no use to one without: a folder each.
    setup("--inplace", "--build-temp", f"build/{'dpdk' if with_dpdk() else 'plain'}")


if __name__ == "__main__":
    main()
elif __name__ == "__cffi__":  # the name under which cffi's part of setuptools runs this file
    ffibuilder = make("greendpdk._native", with_dpdk(), relative=True)
