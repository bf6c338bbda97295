"""How the house holds together, read from its own source: who may know whom, who reads the clock, what is never written
(R014, R061, R067, RELIABILITY 0.8 and 4.4, DESIGN 2)."""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("sync_engine", "collectors", "sandbox", "benchmarks", "pages", "config", "sql")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")) + [
    path for path in [ROOT / "app.py"] if path.exists()
]
TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
NODES = {path: list(ast.walk(tree)) for path, tree in TREES.items()}
OURS = {*FOLDERS, "app", "tests"}


def every_file(rule: Callable[[str], None]) -> Callable[[], None]:
    """A rule that every file keeps, as one test; it names the files that do not."""

    def test() -> None:
        broken = []
        for path in TREES:
            try:
                rule(path)
            except AssertionError as error:
                broken.append(f"{path}: {str(error).splitlines()[0]}")
        assert broken == []

    test.__doc__ = rule.__doc__
    return test


# -- who may know whom -----------------------------------------------------------------------------------------------------

# fmt: off
KNOWS = {
    # who                     may know (beside itself)
    "sync_engine.model":      {},
    "sync_engine.cores":      {},
    "sync_engine.database":   {"sync_engine.cores", "sql"},
    "sync_engine.settings":   {"config"},
    "sync_engine.opening":    {"sync_engine.database", "sync_engine.settings"},
    "sync_engine.configuration": {"sync_engine.model", "sync_engine.settings"},
    "sync_engine.engine":     {"sync_engine.model", "sync_engine.database", "sync_engine.configuration", "sync_engine.settings"},
    "sync_engine.control":    {"sync_engine.model", "sync_engine.database", "sync_engine.configuration", "sync_engine.settings", "sync_engine.engine"},
    "sync_engine.eventlog":   {"sync_engine.model", "sync_engine.database", "sync_engine.configuration", "sync_engine.settings", "sync_engine.engine"},
    "sync_engine.insight":    {"sync_engine.model", "sync_engine.database", "sync_engine.configuration", "sync_engine.settings", "sync_engine.engine", "sync_engine.control"},
    "sync_engine.api":        {"sync_engine.model", "sync_engine.database", "sync_engine.configuration", "sync_engine.settings", "sync_engine.engine", "sync_engine.control", "sync_engine.insight"},
    "sync_engine.cli":        {"sync_engine", "collectors", "sandbox", "benchmarks", "config", "sql"},
    "collectors":             {"sync_engine.model"},
    "sandbox":                {"config", "sync_engine.configuration"},
    "sandbox.simulation":     {"sandbox", "collectors", "config", "sync_engine.model", "sync_engine.database", "sync_engine.configuration", "sync_engine.settings", "sync_engine.engine", "sync_engine.control", "sync_engine.insight"},
    "benchmarks":             {"sync_engine", "collectors", "sandbox", "config", "sql"},
    "pages":                  {"sync_engine.model", "sync_engine.control", "sync_engine.insight", "sync_engine.configuration", "sync_engine.settings", "sync_engine.database"},
    "app":                    {"pages", "sync_engine.opening", "sync_engine.model", "sync_engine.control", "sync_engine.insight", "sync_engine.configuration", "sync_engine.settings", "sync_engine.database"},
    "config":                 {},
    "sql":                    {},
}
"""The arrows point one way: control and insight to engine to model. A page asks through control and insight, never the engine."""
# fmt: on


def module_of(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def layer_of(module: str) -> str:
    """The layer a module belongs to: the longest of ours that begins its name."""
    fitting = [layer for layer in KNOWS if module == layer or module.startswith(layer + ".")]
    return max(fitting, key=len, default=module.partition(".")[0])


def imports_of(path: str) -> Iterator[tuple[str, int]]:
    """(module, line) of everything a file imports, inside of functions too."""
    package = module_of(path) if path.endswith("__init__.py") else module_of(path).rpartition(".")[0]
    for node in NODES[path]:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*base, node.module] if node.module else base)
            names = [f"{module}.{alias.name}" for alias in node.names]
            yield from (
                (
                    name if f"{name.replace('.', '/')}.py" in TREES or layer_of(name) != layer_of(module) else module,
                    node.lineno,
                )
                for name in names
            )


def is_known(layer: str, module: str) -> bool:
    known = {layer, *KNOWS[layer]}
    return any(module == one or module.startswith(one + ".") for one in known) or (
        module == "sync_engine" and layer.startswith("sync_engine")
    )


@every_file
def test_imports_point_one_way(path):
    layer = layer_of(module_of(path))
    strangers = [
        f"{path}:{line} imports {module}"
        for module, line in imports_of(path)
        if module.partition(".")[0] in OURS and not is_known(layer, module)
    ]
    assert strangers == []


@every_file
def test_nothing_that_runs_imports_a_test(path):
    assert [module for module, _ in imports_of(path) if module.partition(".")[0] == "tests"] == []


def test_the_arrows_have_no_circle():
    """Whoever is known, directly or not, does not know back; the command line and the benchmarks know everybody."""
    for layer, knows in KNOWS.items():
        seen, open_ends = set(), list(knows)
        while open_ends:
            known = layer_of(open_ends.pop())
            if known not in seen and known in KNOWS:
                seen.add(known)
                open_ends += KNOWS[known]
        assert layer not in seen, layer


@every_file
def test_only_the_command_line_knows_the_simulator(path):
    """It plays with the whole program; nothing that runs for a company may depend on it, the sandbox company least."""
    if not path.startswith(("sandbox/simulation/", "sync_engine/cli/")):
        assert [module for module, _ in imports_of(path) if module.startswith("sandbox.simulation")] == []


def test_no_connector_knows_another():
    """R014: every system's files know each other and what all share, and no other system's."""
    systems = ("coupa", "servicenow", "sap_s4hana", "basware")
    wrong = []
    for path in sorted(TREES):
        own = next((name for name in systems if path.startswith(f"collectors/{name}")), None)
        for module, line in imports_of(path):
            other = next((name for name in systems if module.startswith(f"collectors.{name}")), None)
            if path.startswith("collectors/") and other not in {None, own} and path != "collectors/__init__.py":
                wrong.append(f"{path}:{line} imports {module}")
    assert wrong == []


MODEL_MAY_USE = {"pydantic", "pydantic_core", "babel", "rapidfuzz", "stdnum"}


@pytest.mark.parametrize("path", [path for path in TREES if path.startswith("sync_engine/model/")])
def test_the_model_is_pure(path):
    """Tables and functions a finance reader can follow: no database, no network, no clock, no files."""
    used = {module.partition(".")[0] for module, _ in imports_of(path)} - {"sync_engine"}
    assert used - MODEL_MAY_USE <= set(sys.stdlib_module_names)
    assert not used & {
        "os",
        "sys",
        "time",
        "socket",
        "subprocess",
        "threading",
        "sqlite3",
        "pathlib",
        "logging",
        "urllib",
    }


@pytest.mark.parametrize(
    ("module", "where"),
    [
        ("streamlit", ("app.py", "pages/", "sync_engine/cli/", "benchmarks/one_chart.py", "benchmarks/visitors.py")),
        ("httpx2", ("collectors/", "sandbox/", "sync_engine/cli/", "benchmarks/")),
        ("fastapi", ("sync_engine/api/", "sync_engine/cli/")),
        ("apscheduler", ("sync_engine/engine/", "sync_engine/cli/")),
        ("subprocess", ("sync_engine/database/postgres.py", "sync_engine/cli/", "benchmarks/")),
        ("pickle", ()),
        ("requests", ()),
    ],
)
def test_a_library_is_used_only_where_it_belongs(module, where):
    strays = [
        path
        for path in TREES
        if not path.startswith(tuple(where) or ("nowhere",))
        and module in {name.partition(".")[0] for name, _ in imports_of(path)}
    ]
    assert strays == []


# -- the clock -------------------------------------------------------------------------------------------------------------

READS_THE_CLOCK = {
    "sync_engine/cli/": "where the processes begin",
    "sync_engine/engine/schedule.py": "APScheduler goes by the machine's clock; what a job does goes by the database's",
    "sandbox/living.py": "the process in which the sandbox company lives",
    "pages/signing_in.py": "the page's process, where the database cannot be asked yet",
    "benchmarks/": "when a measurement was taken",
}
WALL_CLOCKS = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "localtime"),
    ("time", "gmtime"),
}


def clock_readings(path: str) -> Iterator[int]:
    for node in NODES[path]:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            if (owner, node.attr) in WALL_CLOCKS:
                yield node.lineno


@every_file
def test_only_the_entry_points_read_the_wall_clock(path):
    """DESIGN 3: time, randomness and ids are arguments."""
    if not path.startswith(tuple(READS_THE_CLOCK)):
        assert list(clock_readings(path)) == []


@pytest.mark.parametrize("place", READS_THE_CLOCK)
def test_whoever_may_read_the_clock_does(place):
    files = [path for path in TREES if path.startswith(place)]
    assert not files or any(list(clock_readings(path)) for path in files), f"{place} need not be on the list"


@every_file
def test_chance_is_an_argument(path):
    """The module `random`'s own functions share one hidden state; a seed could not bring a run back."""
    names = {"Random", "SystemRandom"}
    assert [
        node.lineno
        for node in NODES[path]
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "random"
        and node.attr not in names
    ] == []


# -- SQL -------------------------------------------------------------------------------------------------------------------

SQL_WORD = re.compile(
    r"^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|ALTER|CREATE|DROP|GRANT|REVOKE|TRUNCATE|COPY|EXPLAIN|SET)\s", re.IGNORECASE
)
COMPOSES_SQL = {
    ("sync_engine/database/connections.py", "let_roles_log_in"): "the names of our own roles",
    (
        "sync_engine/eventlog/ocel_sqlite.py",
        "_objects",
    ): "SQLite's, over a file of somebody else: its table names, quoted",
    (
        "sync_engine/eventlog/ocel_sqlite.py",
        "_events",
    ): "SQLite's, over a file of somebody else: its table names, quoted",
    (
        "sync_engine/eventlog/write_ocel_sqlite.py",
        "_make_tables",
    ): "SQLite's, in a file that is being written: names, quoted",
    (
        "sync_engine/eventlog/write_ocel_sqlite.py",
        "_insert",
    ): "SQLite's, in a file that is being written: names, quoted",
    ("sync_engine/engine/sending.py", "_joined"): "named statements joined to one",
    ("sync_engine/engine/sending.py", "numbered"): "their placeholders",
}


def functions_around(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """(node, innermost function) of a whole file."""

    def walk(node: ast.AST, function: str) -> Iterator[tuple[ast.AST, str]]:
        name = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
        yield node, name
        for child in ast.iter_child_nodes(node):
            yield from walk(child, name)

    yield from walk(tree, "")


def composed_sql(path: str) -> Iterator[tuple[int, str]]:
    """(line, function) of SQL made of pieces: f-strings, %, +, format."""
    for node, function in functions_around(TREES[path]):
        pieces: list[ast.expr] = []
        if isinstance(node, ast.JoinedStr) and any(isinstance(value, ast.FormattedValue) for value in node.values):
            pieces = node.values[:1]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod | ast.Add):
            pieces = [node.left]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            pieces = [node.func.value]
        if any(
            isinstance(piece, ast.Constant)
            and isinstance(piece.value, str)
            and SQL_WORD.match(piece.value)
            and piece.value.isascii()
            and _is_statement(piece.value)
            for piece in pieces
        ):
            yield node.lineno, function


def _is_statement(text: str) -> bool:
    """SQL is written in capitals here; a sentence for people is not."""
    return text.lstrip().split()[0].isupper()


@every_file
def test_no_statement_is_made_of_pieces(path):
    """RELIABILITY 4.4: the text of every query is constant; values are parameters, names go through psycopg's composer."""
    assert [
        f"{path}:{line} in {function}" for line, function in composed_sql(path) if (path, function) not in COMPOSES_SQL
    ] == []


def test_the_look_for_composed_sql_finds_it():
    for text in (
        'f"SELECT * FROM {table}"',
        '"DELETE FROM x WHERE a = %s" % a',
        '"SELECT " + column',
        '"UPDATE {} SET x = 1".format(t)',
    ):
        TREES["probe.py"] = ast.parse(text)
        assert list(composed_sql("probe.py")), text
    for text in ('f"Select {n} rows"', '"SELECT 1"', 'compose.SQL("DROP VIEW {}").format(name)'):
        TREES["probe.py"] = ast.parse(text)
        assert not list(composed_sql("probe.py")), text
    del TREES["probe.py"]


# -- errors ----------------------------------------------------------------------------------------------------------------

SWALLOWS = {
    ("sync_engine/control/execute.py", "_carry_out"): "the command's answer says so, with its dump",
    ("sync_engine/engine/decide.py", "decide"): "looked at again in smaller batches, until it is parked with its dump",
    ("sync_engine/engine/decide.py", "outcomes_of"): "parked with its dump",
    ("sandbox/simulation/schedule.py", "_do"): "told as a finding",
    (
        "sync_engine/engine/intake.py",
        "apply_messages",
    ): "looked at again in smaller batches, until it is parked with its dump",
    ("sync_engine/engine/understanding.py", "understand"): "parked with its dump",
    ("sync_engine/engine/lanes.py", "*"): "parked with its dump",
    ("sync_engine/engine/results.py", "*"): "parked with its dump",
    ("sync_engine/engine/schedule.py", "*"): "the job's row says so",
    ("sandbox/living.py", "*"): "told at /status",
}
"""Who may catch everything and go on, and where it shows."""


def broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"} for kind in kinds)


def tells(handler: ast.ExceptHandler) -> bool:
    """It raises again, or writes to the log."""
    for node in ast.walk(handler):
        if isinstance(node, ast.Raise):
            return True
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in {"log", "logger", "_log"}
        ):
            return True
    return False


@every_file
def test_whoever_catches_everything_says_so_or_shows_it(path):
    silent = [
        f"{path}:{node.lineno} in {function}"
        for node, function in functions_around(TREES[path])
        if isinstance(node, ast.ExceptHandler)
        and broad(node)
        and not tells(node)
        and (path, function) not in SWALLOWS
        and (path, "*") not in SWALLOWS
    ]
    assert silent == []


# -- pages -----------------------------------------------------------------------------------------------------------------


@every_file
def test_nothing_a_person_sees_is_cached_for_another_person(path):
    """RELIABILITY 0.8: what is cached is cached per session."""
    cached = [node for node in NODES[path] if isinstance(node, ast.Attribute) and node.attr == "cache_data"]
    per_session = [
        node.func
        for node in NODES[path]
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and any(
            k.arg == "scope" and isinstance(k.value, ast.Constant) and k.value.value == "session" for k in node.keywords
        )
    ]
    assert [node.lineno for node in cached if node not in per_session] == []


@every_file
def test_nothing_from_outside_is_shown_as_markup(path):
    unsafe = [
        node.lineno
        for node in NODES[path]
        if isinstance(node, ast.keyword) and node.arg in {"unsafe_allow_html", "unsafe_allow_javascript"}
    ]
    assert unsafe == []


def figures_in_pieces(path: str) -> list[int]:
    """The lines on which a page makes a figure of plotly's, or has one changed by plotly's own means."""
    return [
        node.lineno
        for node in NODES[path]
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (node.func.attr == "Figure" or node.func.attr.startswith(("add_", "update_", "for_each_")))
        and path.startswith("pages/")
    ]


@every_file
def test_a_chart_is_built_in_one_go(path):
    """Every `update_*` and `add_*` of plotly checks the figure anew: a chart of ten stages took 800 ms, at once it takes 40."""
    assert path == "pages/drawing.py" or figures_in_pieces(path) == []


def test_the_look_for_figures_in_pieces_finds_them():
    assert figures_in_pieces("pages/drawing.py"), (
        "where figures are made is not where it was; then the rule guards nothing"
    )


@every_file
def test_a_table_reaches_the_browser_one_way(path):
    drawn = [
        node.lineno for node in NODES[path] if isinstance(node, ast.Attribute) and ast.unparse(node) == "st.dataframe"
    ]
    assert path == "pages/grids.py" or drawn == []


Defined = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def imported_into(path: str) -> dict[str, tuple[str, str]]:
    """What a file takes from our other files: the name it has here, to the file and the name it has there ("": the file itself)."""
    found = {}
    for node in NODES[path]:
        for alias in node.names if isinstance(node, ast.ImportFrom) and node.module else ():
            whole, part = f"{node.module}.{alias.name}".replace(".", "/"), node.module.replace(".", "/")
            place = next((file for file in (f"{whole}.py", f"{whole}/__init__.py") if file in TREES), None)
            inside = next((file for file in (f"{part}.py", f"{part}/__init__.py") if file in TREES), None)
            if place or inside:
                found[alias.asname or alias.name] = (place, "") if place else (str(inside), alias.name)
    return found


@cache
def defined_in(path: str) -> dict[tuple[str, bool], list[Defined]]:
    """The functions of a file, and its methods, by name and whether they are methods."""
    methods = {id(one) for node in NODES[path] if isinstance(node, ast.ClassDef) for one in node.body}
    found: dict[tuple[str, bool], list[Defined]] = {}
    for node in NODES[path]:
        if isinstance(node, Defined):
            found.setdefault((node.name, id(node) in methods), []).append(node)
    return found


def called_from(path: str, work: Defined) -> Iterator[tuple[str, Defined]]:
    """What a function calls of ours: by name, by module, and methods of what this file knows, as far as its text tells."""
    names = imported_into(path)
    files = {path, *(place for place, _ in names.values())}
    for node in ast.walk(work):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            place, there = names.get(node.func.id, (path, node.func.id))
            yield from ((place, one) for one in defined_in(place).get((there, False), ()))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            held = node.func.value
            if isinstance(held, ast.Name) and names.get(held.id, ("", "."))[1] == "":
                place = names[held.id][0]
                yield from ((place, one) for one in defined_in(place).get((node.func.attr, False), ()))
            else:
                yield from ((place, one) for place in files for one in defined_in(place).get((node.func.attr, True), ()))  # fmt: skip


def is_worked_out_once(node: ast.AST) -> bool:
    return isinstance(node, Defined) and any(ast.unparse(one) in {"once", "drawn.once"} for one in node.decorator_list)


def looks_elsewhere(path: str, work: Defined) -> list[str]:
    """Where a function, or one it calls, looks at the page, the address, the session or the clock."""
    seen, waiting, found = set(), [(path, work)], []
    while waiting:
        place, one = waiting.pop()
        if (place, one.lineno) in seen:
            continue
        seen.add((place, one.lineno))
        for node in ast.walk(one):
            named = isinstance(node, ast.Name) and node.id in {"st", "ctx"}
            timed = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"now", "today", "monotonic", "perf_counter"}  # fmt: skip
            if named or timed:
                found.append(f"{place}:{node.lineno}")
        waiting += called_from(place, one)
    return found


@every_file
def test_what_is_worked_out_once_knows_nothing_but_its_arguments(path):
    """It is kept by its arguments: whatever else it looked at would be shown to others as it was when the first of them looked."""
    impure = {
        node.name: where for node in NODES[path] if is_worked_out_once(node) and (where := looks_elsewhere(path, node))
    }
    assert impure == {}


def test_the_look_elsewhere_is_seen_through_methods_and_modules():
    [links] = defined_in("pages/cycle_time_parts.py")["links", True]
    assert looks_elsewhere("pages/cycle_time_parts.py", links), (
        "what a link keeps is read from the address, two calls away"
    )
    kept = [node.name for path in TREES for node in NODES[path] if is_worked_out_once(node)]
    assert len(kept) > 60, "the rule is about most tables of most pages"


COMPILES = {
    "sandbox/simulation/mutants/patches.py": "plants bugs in the program's own text; only the simulator knows it"
}


@every_file
def test_nothing_is_evaluated_or_unpickled(path):
    names = {"eval", "exec", "compile", "__import__"} - ({"compile"} if path in COMPILES else set())
    assert [
        node.lineno
        for node in NODES[path]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
    ] == []


# -- money -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", [path for path in TREES if path.startswith(("sync_engine/model/", "sync_engine/engine/", "collectors/"))]
)
def test_no_amount_is_ever_a_float(path):
    """A Decimal made of a float has already lost what it was."""
    wrong = [
        node.lineno
        for node in NODES[path]
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Decimal"
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, float)
    ]
    assert wrong == []


# -- size ------------------------------------------------------------------------------------------------------------------

LINES = 450
LONGER = {
    "collectors/coupa_documents.py": 515,
    "collectors/http.py": 510,
    "sync_engine/model/documents.py": 520,
}
"""Files that are longer than a reader likes, and how long they may be until they are divided. They only shrink."""


@every_file
def test_a_file_holds_one_subject(path):
    length = len((ROOT / path).read_text(encoding="utf-8").splitlines())
    assert length <= LONGER.get(path, LINES), f"{path} has {length} lines: it usually holds two subjects"


@pytest.mark.parametrize("path", LONGER)
def test_a_file_that_has_been_divided_is_off_the_list(path):
    assert path in TREES
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) > LINES
