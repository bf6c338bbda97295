"""Every named statement is asked for by the program, says what it answers, and stands on every PostgreSQL (STYLE 6.7)."""

import ast
import re
from pathlib import Path

import pytest
from psycopg import sql as compose

from sql import MIGRATIONS, QUERIES, VIEWS
from sync_engine.database.statements import names, sql
from tests.conftest import new_cell

ROOT = Path(__file__).parents[2]
PROGRAM = [
    path
    for folder in ("sync_engine", "pages", "benchmarks", "sandbox")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
WORDS = {
    node.value
    for path in PROGRAM
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.Constant) and isinstance(node.value, str)
}
FILES = {name.partition(".")[0] for name in names()}

BY_SHORT_NAME = {"api", "decide", "eventlog", "report"}
"""Files whose statements are asked for through a function that knows the file (`desk.rows("linked")`)."""

NO_STATEMENTS = {"engine.log", "retention.toml"}
"""Words that look like a statement's name and are something else."""


def test_every_statement_is_asked_for():
    unused = [
        name
        for name in names()
        if name not in WORDS and not (name.partition(".")[0] in BY_SHORT_NAME and name.partition(".")[2] in WORDS)
    ]
    assert unused == []


def test_every_statement_asked_for_exists():
    asked = {word for word in WORDS if re.fullmatch(r"[a-z]+\.[a-z_]+", word) and word.partition(".")[0] in FILES}
    assert len(asked) > 50
    assert asked - set(names()) - NO_STATEMENTS == set()


def test_a_statement_nobody_wrote_is_refused():
    with pytest.raises(KeyError, match=r"there is no statement work\.guess"):
        sql("work.guess")


@pytest.mark.parametrize("path", sorted(QUERIES.glob("*.sql")), ids=lambda path: path.name)
def test_every_statement_says_what_it_answers(path):
    """One comment line at least between the name and the statement."""
    silent = [
        part.splitlines()[0]
        for part in path.read_text(encoding="utf-8").split("-- name: ")[1:]
        if not part.splitlines()[1].startswith("-- ")
    ]
    assert silent == []
    assert path.read_text(encoding="utf-8").startswith("-- "), "the file says what it is about"


@pytest.mark.parametrize(
    "path",
    sorted([*QUERIES.glob("*.sql"), *VIEWS.glob("*.sql"), *MIGRATIONS.glob("*.sql")]),
    ids=lambda path: path.name,
)
def test_no_statement_names_a_schema_or_a_transaction_number(path):
    """DESIGN 7: a cell is whatever schema search_path names; transaction ids do not compare across nodes."""
    statements = re.sub(r"--.*", "", path.read_text(encoding="utf-8"))
    for word in (
        "public.",
        "pg_current_xact",
        "txid_",
        "xmin",
        "nextval",
        "serial",
        "CREATE EXTENSION",
        "CREATE TRIGGER",
    ):
        assert word.lower() not in statements.lower(), word


OF_THE_SCHEMA = ("CREATE", "ALTER", "DROP")
"""What begins so cannot be prepared, and is carried out: the planted bugs of the simulator, "plant" before "undo"."""


def test_every_statement_stands_on_every_server(any_server):
    """Each is parsed, its columns are found and its parameters typed, on the embedded PostgreSQL and on the oldest supported."""
    database = new_cell(any_server)
    with database.connect_owner() as connection:
        connection.execute(compose.SQL("SET search_path TO {}").format(compose.Identifier(database.cell)))
        carried_out = 0
        for name in sorted(names()):
            order: dict[str, int] = {}
            text = re.sub(
                r"%\((\w+)\)s", lambda found, order=order: f"${order.setdefault(found[1], len(order) + 1)}", sql(name)
            ).replace("%%", "%")
            if text.lstrip().startswith(OF_THE_SCHEMA):
                connection.execute(text)
                carried_out += 1
            else:
                connection.execute(f'PREPARE "{name}" AS {text.strip().rstrip(";")}', prepare=False)
        prepared = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()[0]
        assert prepared + carried_out >= len(names())
