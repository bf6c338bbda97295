"""Programs of the benchmarks' own that run beside the one that measures."""

import subprocess
import sys
from pathlib import Path

from sync_engine import cores

ROOT = Path(__file__).parents[1]


def start(module: str, *arguments: str) -> subprocess.Popen[str]:
    """Such a program, spoken to line by line. It chooses its own place: where the one that measures sits on a core, a program
    that stayed there with it would be measured too."""
    with cores.everywhere():
        return subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-m", f"benchmarks.{module}", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
