"""`python -m tests.matrix`: every case of the crash matrix, not only the share that the test run takes.

Ends as pytest does: with 0 when every case came to the same end as when nothing goes wrong. Options are pytest's (`-n 2`).
"""

import os
import sys
from pathlib import Path

import pytest


def main() -> int:
    """Run them all."""
    os.environ["FINSYNC_MATRIX"] = "whole"
    here = Path(__file__).parent
    return int(pytest.main([str(here), "-q", "--dist", "worksteal", *sys.argv[1:]]))


if __name__ == "__main__":
    sys.exit(main())
