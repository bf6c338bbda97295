"""How every command reads its settings, prints, and says what went wrong: in a sentence, with exit code 2."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError

from sync_engine.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


class Told(Exception):
    """What a person can do something about, in a sentence that says what."""


def give_up(message: object) -> NoReturn:
    """It could not be done; the message says why, and what to do."""
    typer.echo(str(message), err=True)
    raise typer.Exit(2)


def read_settings() -> Settings:
    """The environment, or a sentence about what is wrong in it."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        give_up(
            f"FINSYNC_{'_'.join(str(part) for part in first['loc']).upper()}: {first['msg']} (value {first['input']!r})"
        )


@contextmanager
def expected_errors() -> Iterator[None]:
    """What a person can do something about is told in a sentence; everything else is a bug and shows where."""
    # Asked for here: a command that only prints its help has no use for a database's client.
    import psycopg
    import sqlalchemy as sa

    from sync_engine.configuration import BadConfiguration
    from sync_engine.database.migrate import EditedMigration
    from sync_engine.database.postgres import NoPostgres
    from sync_engine.eventlog.records import BadLog

    try:
        yield
    except (Told, BadConfiguration, BadLog, EditedMigration, NoPostgres) as error:
        give_up(error)
    except (psycopg.OperationalError, sa.exc.OperationalError) as error:
        give_up(f"The database cannot be reached: {str(getattr(error, 'orig', error)).strip()}")


def print_json(figures: dict[str, Any]) -> None:
    """One object on standard output. Decimals are numbers: to the microsecond, a double says the seconds of 272 years exactly."""
    typer.echo(json.dumps(figures, indent=2, default=_plain, ensure_ascii=False))


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)
