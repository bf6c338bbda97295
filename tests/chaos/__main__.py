"""`python -m tests.chaos`: real engine processes, a real database and real sockets, and things that break (L4).

Bounded in time and in cycles, on loopback only; it ends everything it has started. Ends with 1 when there was a finding.
"""

import argparse
import json
import sys

from tests.chaos.play import LONG, play


def main() -> int:
    """Play what the command line asks for, and say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0, help="no new cycle begins after so many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=sorted(LONG), help="one kind of fault")
    parser.add_argument("--cycles", type=int, help="of each kind, instead of the usual number")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    wanted = {name: given.cycles or count for name, count in LONG.items() if given.only in {None, name}}
    report = play(
        wanted, minutes=given.minutes, seed=given.seed, tell=lambda line: print(line, file=sys.stderr, flush=True)
    )
    if given.json:
        print(json.dumps(report, indent=2))
    else:
        for name, value in report.items():
            print(f"{name:28} {value}")
    return 1 if report["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())
