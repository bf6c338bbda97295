"""`python -m sync_engine.cli`: how one process of the program starts another."""

from sync_engine.cli import main

main()
