"""A bar on the terminal that says which day of business the fast clock has reached."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


def console() -> Console:
    """Standard error: what a command prints on standard output is for programs."""
    return Console(stderr=True, highlight=False)


@contextmanager
def days_bar(
    days: int, begins_at: datetime | None = None, *, on: Console | None = None
) -> Iterator[Callable[[datetime], None]]:
    """A bar over so many days; call what it gives with the time that has been reached."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=on or console()) as bar:
        task = bar.add_task(f"{days} days of business", total=days * 86400)
        began = begins_at

        def show(now: datetime) -> None:
            nonlocal began
            began = began or now
            bar.update(
                task, completed=(now - began).total_seconds(), description=f"{days} days of business, {now:%d %B %Y}"
            )

        yield show


@contextmanager
def import_bar(*, on: Console | None = None) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for an import; call what it gives with what is being done, how much is behind and how much there is."""
    columns = (
        TextColumn("{task.description:9}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=on or console()) as bar:
        task = bar.add_task("opening", total=None)

        def show(what: str, behind: int, there: int) -> None:
            bar.update(task, description=what, completed=behind, total=max(there, 1))

        yield show
