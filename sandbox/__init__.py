"""A company and the systems it works in, as stand-ins that speak the real wire formats.

Each stand-in keeps its own ledger, which the engine can reach only over HTTP, so that what the engine believes can be
compared with what really happened. The same code answers in process (tests, fast clock) and on a loopback port (demo,
browser tests). Nothing here imports the engine, a connector or a page.
"""
