"""``python -m fuzz [TARGET …]``: search for inputs that break a parser.

Without a target each has its turn, in a process of its own. The exit status is 0 if nothing was found.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from fuzz import harness


def main() -> int:
    """Do what the arguments say; return the exit status."""
    options = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    options.add_argument("target", nargs="*", help=f"any of {', '.join(harness.names())}; default: all")
    options.add_argument("--seconds", type=float, default=60, help="how long, for each target")
    options.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="to repeat a search")
    options.add_argument("--plain", action="store_true", help="without atheris, as where there is none")
    options.add_argument("--reproduce", type=Path, metavar="FILE", help="check one input")
    options.add_argument("--keep", action="store_true", help="bring what was found into fuzz/corpus")
    chosen = options.parse_args()
    names: list[str] = chosen.target or harness.names()
    if chosen.reproduce is not None:
        [name] = names
        harness.judge(harness.load(name), chosen.reproduce.read_bytes())
        print(f"{name}: no finding")
        return 0
    if chosen.keep:
        for name in names:
            count, size = harness.keep(harness.load(name))
            print(f"{name}: {count} inputs, {size} bytes")
        return 0
    if len(names) > 1:
        flags = ["--seconds", str(chosen.seconds), "--seed", str(chosen.seed)]
        flags += ["--plain"] if chosen.plain else []
        results = [subprocess.run([sys.executable, "-m", "fuzz", name, *flags]) for name in names]
        return max(result.returncode for result in results)
    guide = None if chosen.plain else harness.engine()
    harness.search(harness.load(names[0], guide), guide, chosen.seconds, chosen.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
