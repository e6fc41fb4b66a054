"""Run libFuzzer on the targets of this folder, each for a while, and keep what it finds.

Called by `make fuzz`; calls harness.py and the programs it makes. A crash stops the run and stands in corpus/<target>/,
where the tests replay it; inputs that reach new code are merged into the corpus at the end (--merge).
"""
from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import harness

CORPUS = harness.HERE / "corpus"
LENGTHS = {"options": 60, "wire": 600}  # of an input; others 400
BUDGET = 60_000  # bytes of a target's corpus, the short inputs first: the repository carries them for ever


def fuzz(target: str, seconds: int) -> int:
    """Fuzz one target; return libFuzzer's exit status. What it learns goes to build/fuzz/corpus."""
    learnt = harness.KEPT / "corpus" / target
    learnt.mkdir(parents=True, exist_ok=True)
    kept = CORPUS / target
    kept.mkdir(parents=True, exist_ok=True)
    words = [str(harness.program([f"fuzz_{target}.c"], "fuzz")), f"-max_total_time={seconds}", "-print_final_stats=1",
             f"-max_len={LENGTHS.get(target, 400)}", "-timeout=20", "-rss_limit_mb=2048", "-verbosity=0",
             f"-artifact_prefix={kept}/", str(learnt), str(kept)]
    print(f"-- {target}: {seconds} s", flush=True)
    return subprocess.run(words, check=False).returncode


def merge(target: str, folders: list[Path]) -> None:
    """Keep the smallest set of inputs that reaches all that the folders reach, as far as the budget goes."""
    kept, fresh = CORPUS / target, harness.KEPT / "merged" / target
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    kept.mkdir(parents=True, exist_ok=True)
    program = str(harness.program([f"fuzz_{target}.c"], "fuzz"))
    sources = [str(folder) for folder in [kept, *folders, harness.KEPT / "corpus" / target] if folder.is_dir()]
    words = [program, "-merge=1", "-use_counters=0", "-verbosity=0", str(fresh), *sources]  # code, not how often it ran
    subprocess.run(words, check=True)
    for path in kept.iterdir():
        if not path.name.startswith(("crash-", "timeout-", "leak-", "oom-")):
            path.unlink()
    left = BUDGET
    for path in sorted(fresh.iterdir(), key=lambda path: (path.stat().st_size, path.name)):
        left -= path.stat().st_size
        if left < 0:
            break
        shutil.copy(path, kept / path.name[:16])
    print(f"-- {target}: {sum(1 for _ in kept.iterdir())} inputs kept")


def main() -> int:
    """Fuzz the named targets, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(harness.targets())}; default: all")
    parser.add_argument("--seconds", type=int, default=int(os.environ.get("SECONDS_EACH", "60")), help="for each")
    parser.add_argument("--merge", nargs="*", type=Path, metavar="FOLDER",
                        help="instead: minimise the corpus, with what was learnt and these folders' inputs")
    options = parser.parse_args()
    targets = options.targets or harness.targets()
    if unknown := set(targets) - set(harness.targets()):
        parser.error(f"no target is called {', '.join(sorted(unknown))}: there are {', '.join(harness.targets())}")
    if options.merge is not None:
        for target in targets:
            merge(target, options.merge)
        return 0
    failed = [target for target in targets if fuzz(target, options.seconds)]
    if failed:
        print(f"broken: {', '.join(failed)}; the inputs are in tests/fuzz/corpus/", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
