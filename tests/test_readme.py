"""What the README says is so: its tables are the program's, its commands exist, its pictures are there."""

import re
from collections import Counter
from pathlib import Path

import pytest
import typer.main

from pages import PAGES
from sandbox.simulation.mutants import MUTANTS
from sync_engine.cli.commands import app
from sync_engine.model import errors
from sync_engine.model.errors import SyncError
from sync_engine.model.exceptions import KINDS, Retryable
from sync_engine.model.flows import FLOWS, Role

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ASKED = {
    Role.FINSYNC: "here",
    Role.PROCUREMENT: "procurement",
    Role.APPROVALS: "approvals",
    Role.ERP: "ERP",
    Role.AP_AUTOMATION: "AP automation",
}
REPEATED = {Retryable.AUTO: "by itself", Retryable.AFTER_FIX: "after a repair", Retryable.NEVER: "needs a decision"}


def table(name):
    """The rows of a marked table, without its head."""
    text = re.search(rf"<!-- {name} -->(.*?)<!-- /{name} -->", README, re.DOTALL).group(1)
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.strip().splitlines()
        if line.startswith("|")
    ]
    return rows[2:]


def code(text):
    return f"`{text}`" if text else ""


def test_the_process_table_is_the_flows():
    wanted = [
        [flow.title if step is flow.first else "", code(step.name), ASKED[step.asks], code(step.undone_by)]
        for flow in FLOWS.values()
        for step in flow.steps
    ]
    assert table("processes") == wanted


def test_the_error_table_names_every_error_the_engine_expects():
    kinds = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, SyncError) and kind is not SyncError
    }
    assert {row[0].strip("`") for row in table("errors")} == kinds


def test_the_exception_table_is_the_kinds():
    wanted = [
        [
            code(kind.code),
            kind.title,
            kind.category.value.replace("_", " "),
            REPEATED[kind.retryable],
            kind.owner_team,
            kind.next_step,
        ]
        for kind in KINDS.values()
    ]
    assert table("exceptions") == wanted


def test_the_page_table_is_the_menu():
    assert [row[0] for row in table("pages")] == [page.TITLE for page in PAGES]
    assert [row[1] for row in table("pages")] == [page.QUESTION for page in PAGES]
    assert len(PAGES) == 13


def test_the_table_of_planted_bugs_counts_them_all():
    planted = Counter(mutant.category for mutant in MUTANTS.values())
    assert [(row[0], row[2]) for row in table("planted")] == [
        (name, f"{many} of {many}") for name, many in planted.items()
    ]


def test_every_picture_is_there():
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).read_bytes().startswith(b"\x89PNG"), picture


def test_every_command_it_names_exists():
    click = typer.main.get_command(app)
    for words in re.findall(r"finsync ((?:[a-z]+(?:-[a-z]+)* ?)+)", README):
        first, *more = words.split()
        assert first in click.commands, words
        if more and hasattr(click.commands[first], "commands"):
            assert more[0] in click.commands[first].commands, words


@pytest.mark.parametrize("target", ["help", "install", "demo", "test", "lint", "bench"])
def test_make_has_its_targets(target):
    assert re.search(rf"^{target}:.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
