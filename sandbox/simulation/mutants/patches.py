"""How a bug is planted: a few words of a function, of a statement or of the schema are others for as long as one run lasts.

Nothing in the program knows of it. Words that are not there any more are an error and not a bug that nobody sees: who changes
a guard changes its mutant too.
"""

import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any, Protocol

from sandbox.simulation.arena import Arena
from sync_engine.database import statements
from sync_engine.engine import sending

_PARAMETER = re.compile(r"(?<!:):([a-z]\w*)")


class NotApplicable(Exception):
    """What a mutant would change is not there as the mutant knows it; says what."""


class Patch(Protocol):
    """One small change of the program."""

    def planted(self, arena: Arena) -> AbstractContextManager[None]:
        """It is in force until the block ends.

        Raises:
            NotApplicable: there is nothing it could change.
        """
        ...


@dataclass(frozen=True, slots=True)
class Code:
    """A function some words of which are others.

    Attributes:
        where: "module:function" or "module:Class.method".
        edits: Pairs of words, each of which stands there once, and what stands there instead.
    """

    where: str
    edits: tuple[tuple[str, str], ...]

    @contextmanager
    def planted(self, _arena: Arena) -> Iterator[None]:
        """See `Patch`. Whoever has imported the function has the changed one: its code is exchanged, not its name."""
        function = _function(self.where)
        before = function.__code__
        changed = self._changed(function)
        try:
            function.__code__ = changed
        except ValueError as error:
            raise NotApplicable(f"{self.where}: {error}") from None
        try:
            yield
        finally:
            function.__code__ = before

    def _changed(self, function: FunctionType) -> CodeType:
        text = textwrap.dedent(inspect.getsource(function))
        for old, new in self.edits:
            text = _replaced(text, old, new, self.where)
        # Its lines keep their numbers, so that a traceback shows the place in the file.
        above = "\n" * (function.__code__.co_firstlineno - 1)
        module = compile(above + text, function.__code__.co_filename, "exec", dont_inherit=True)
        return next(
            const for const in module.co_consts if isinstance(const, CodeType) and const.co_name == function.__name__
        )


@dataclass(frozen=True, slots=True)
class Statement:
    """A named statement some words of which are others; parameters are written as in its file."""

    name: str
    edits: tuple[tuple[str, str], ...]

    @contextmanager
    def planted(self, _arena: Arena) -> Iterator[None]:
        """See `Patch`."""
        file, _, name = self.name.partition(".")
        if name not in statements.names_in(file):
            raise NotApplicable(f"there is no statement {self.name}")
        query: Any = getattr(statements._files()[file], name).__func__  # noqa: SLF001 - only a harness may exchange a statement
        before = text = query.sql
        for old, new in self.edits:
            text = _replaced(text, _placed(old), _placed(new), self.name)
        _say(query, text)
        try:
            yield
        finally:
            _say(query, before)


@dataclass(frozen=True, slots=True)
class Value:
    """A constant that is another: "module:NAME"."""

    where: str
    value: object

    @contextmanager
    def planted(self, _arena: Arena) -> Iterator[None]:
        """See `Patch`."""
        module_name, _, name = self.where.partition(":")
        module = importlib.import_module(module_name)
        if not hasattr(module, name):
            raise NotApplicable(f"there is no {self.where}")
        before = getattr(module, name)
        setattr(module, name, self.value)
        try:
            yield
        finally:
            setattr(module, name, before)


@dataclass(frozen=True, slots=True)
class Schema:
    """A careless change of the schema, made and taken back by named statements."""

    make: str
    undo: str

    @contextmanager
    def planted(self, arena: Arena) -> Iterator[None]:
        """See `Patch`."""
        arena.owner.execute(statements.sql(self.make))
        try:
            yield
        finally:
            arena.owner.execute(statements.sql(self.undo))


def planting(patches: tuple[Patch, ...]) -> Callable[[Arena], AbstractContextManager[None]]:
    """All of them at once."""

    @contextmanager
    def planted(arena: Arena) -> Iterator[None]:
        with ExitStack() as stack:
            for patch in patches:
                stack.enter_context(patch.planted(arena))
            yield

    return planted


def code(where: str, *edits: tuple[str, str]) -> Code:
    """See `Code`."""
    return Code(where, edits)


def statement(name: str, *edits: tuple[str, str]) -> Statement:
    """See `Statement`."""
    return Statement(name, edits)


def _function(where: str) -> FunctionType:
    module_name, _, path = where.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for name in path.split("."):
            found = inspect.getattr_static(found, name)
    except (ImportError, AttributeError):
        raise NotApplicable(f"there is no {where}") from None
    if isinstance(found, staticmethod | classmethod):
        found = found.__func__
    if isinstance(found, property):
        found = found.fget
    found = inspect.unwrap(found)
    if not isinstance(found, FunctionType):
        raise NotApplicable(f"{where} is no function")
    return found


def _replaced(text: str, old: str, new: str, where: str) -> str:
    if text.count(old) != 1:
        raise NotApplicable(f"{where} has {text.count(old)} times {old!r}, and should have it once")
    return text.replace(old, new)


def _placed(words: str) -> str:
    """Words of a statement as it is sent: its parameters are psycopg's."""
    return _PARAMETER.sub(r"%(\1)s", words)


def _say(query: Any, text: str) -> None:
    query.sql = text
    statements.sql.cache_clear()
    sending._joined.cache_clear()  # noqa: SLF001 - it keeps what several statements are as one
