"""SQL by what it is for: `migrations` (how the database is), `views` (what a metric means), `queries` (what the program asks).

Every statement is unqualified, so that one schema (`FINSYNC_CELL`) holds one whole cell and several cells can share a
database. Nothing here needs an extension, a trigger on a table that grows, or transaction-id arithmetic.
"""

from pathlib import Path

MIGRATIONS = Path(__file__).parent / "migrations"
VIEWS = Path(__file__).parent / "views"
QUERIES = Path(__file__).parent / "queries"
