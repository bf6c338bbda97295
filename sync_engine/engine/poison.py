"""What cannot be recorded holds up nobody: a batch is made smaller until that is alone, and then it is parked with what went wrong."""

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import UUID

import psycopg
import structlog

from sync_engine.engine import atomic

log = structlog.get_logger()

Poisonous = Mapping[UUID, str]
"""What cannot be recorded, with the exception as text."""


class Unrecordable(Exception):
    """The only one of a batch could not be recorded."""

    def __init__(self, one: UUID) -> None:
        super().__init__(str(one))
        self.one = one


def smaller_and_smaller(batch: Callable[[int, Poisonous], int], wanted: int, *, told: str) -> int:
    """Run `batch` (how many at most, which of them to park; answers how many it did) for `wanted`, or for fewer until it succeeds.
    `told`: what the log says of the one that cannot be recorded."""
    while True:
        try:
            return batch(wanted, {})
        except (psycopg.OperationalError, atomic.Stale):
            raise
        except Unrecordable as found:
            log.exception(told, id=str(found.one))
            return batch(1, {found.one: dump(found.__cause__ or found)})
        except Exception:
            if wanted == 1:
                raise  # none was even read: no smaller batch would help
            wanted = max(1, wanted // 8)


@contextmanager
def telling_the_only_one(ids: Sequence[UUID], poisonous: Poisonous) -> Iterator[None]:
    """Around a batch that notes in `ids` what it has read.

    Raises:
        Unrecordable: there was one, and nothing could be made of it.
    """
    try:
        yield
    except (psycopg.OperationalError, atomic.Stale):
        raise
    except Exception as error:
        if len(ids) == 1 and not poisonous:
            raise Unrecordable(ids[0]) from error
        raise


def dump(error: BaseException) -> str:
    """An exception as text that a database takes."""
    return "".join(traceback.format_exception(error, limit=-8, chain=False)).encode(errors="replace").decode()
