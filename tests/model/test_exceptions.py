"""The table of exceptions is complete: what the program says is in it, and what is in it is said somewhere (R012, R129, R138)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync_engine.control.roles import ACCEPTABLE
from sync_engine.model import errors
from sync_engine.model.exceptions import KINDS, Category, Origin, Retryable, kind_of

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "sync_engine" / "model" / "exceptions.py"
SOURCES = sorted(
    path for folder in ("sync_engine", "collectors") for path in (ROOT / folder).rglob("*.py") if path != TABLE
)
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}

SAYS_A_CODE_FIRST = {"Trouble", "Variance", "PydanticCustomError", "refuse"}
"""What takes the code as its first argument."""

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.code)


def text_of(node: ast.expr | None) -> list[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return text_of(node.body) + text_of(node.orelse)
    return []


def codes_said() -> Iterator[tuple[str, str]]:
    """(code, file and line) wherever the program states the kind of an exception."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = (
                    node.func.id
                    if isinstance(node.func, ast.Name)
                    else node.func.attr
                    if isinstance(node.func, ast.Attribute)
                    else ""
                )
                said = text_of(node.args[0]) if name in SAYS_A_CODE_FIRST and node.args else []
                said += [
                    code
                    for keyword in node.keywords
                    if keyword.arg == "code" and name.endswith(("Error", "Lost", "Rejection", "word"))
                    for code in text_of(keyword.value)
                ]
                for code in said:
                    yield code, f"{path.relative_to(ROOT)}:{node.lineno}"


def test_every_code_the_program_says_is_in_the_table():
    unknown = [f"{where} says {code!r}" for code, where in codes_said() if code not in KINDS]
    assert unknown == []


def test_the_look_finds_what_it_looks_for():
    assert len({code for code, _ in codes_said()}) > 20


def test_every_kind_is_said_somewhere():
    words = {
        node.value
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(KINDS) - words == set()


@pytest.mark.parametrize(
    "error",
    [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.SyncError)],
)
def test_every_error_has_a_default_kind(error):
    assert error.default_code in KINDS
    assert error("x").code == error.default_code


@every_kind
def test_a_kind_says_who_owns_it_what_it_is_and_what_to_do_next(kind):
    assert kind.owner_team in {"finance operations", "procurement", "integration support"}
    assert isinstance(kind.category, Category)
    assert isinstance(kind.origin, Origin)
    assert isinstance(kind.retryable, Retryable)
    assert re.fullmatch(r"[a-z][a-z_]+", kind.code)
    assert kind.title[0].isupper()
    assert not kind.title.endswith(".")
    assert kind.next_step.endswith(".")
    assert len(kind.next_step) > 20


@every_kind
def test_what_needs_another_decision_does_not_promise_that_repeating_helps(kind):
    if kind.retryable is Retryable.NEVER:
        assert "reprocess" not in kind.next_step
    if kind.retryable is Retryable.AUTO:
        assert "reprocess" not in kind.next_step, "the engine keeps trying by itself"


def test_codes_are_unique_and_every_category_is_in_use():
    assert len(KINDS) == TABLE.read_text(encoding="utf-8").count('    Kind("')
    assert {kind.category for kind in KINDS.values()} == set(Category)
    assert {kind.origin for kind in KINDS.values()} == set(Origin)


def test_an_unknown_code_is_shown_as_unexpected_and_never_dropped():
    assert kind_of("something new") is KINDS["unexpected"]


def test_what_may_be_accepted_is_in_the_table_and_double_roles_are_not_among_it():
    assert set(KINDS) >= ACCEPTABLE
    assert "segregation_of_duties" not in ACCEPTABLE, "R085: nobody may wave it through"


def test_an_errors_facts_are_text_for_grouping():
    error = errors.MappingError("x", facts={"amount": 5, "field": None})
    assert error.facts == {"amount": "5", "field": "None"}
