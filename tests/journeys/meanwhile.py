"""What happens between two moments of an engine: news that is taken in before anything is decided, and answers that get lost."""

import httpx2
import pytest


def read_and_apply(house, system, feed, engine=None):
    """Take in what a system has to tell, and decide nothing yet."""
    engine = engine or house.engine
    collector = engine.collectors[system]
    collector.collect(house.connection, collector.system.feed(feed), hinted=True)
    engine.apply(house.connection)


def open_intents(house):
    """Sends of which it is on record that nobody knows what became of them."""
    query = "SELECT step, outcome FROM intent WHERE outcome IN ('open', 'unknown') ORDER BY step"
    return house.connection.execute(query).fetchall()


def loses_answers(house, wanted, many, *, arrives):
    """The next so many calls that are `wanted` get no answer; they take effect before that, or never. Answers those that were lost."""
    real, lost = house.transport.handle_request, []

    def loses(request):
        if not wanted(request) or len(lost) >= many:
            return real(request)
        lost.append(request)
        if arrives:
            real(request)
        raise httpx2.ReadTimeout("no reply", request=request)

    house.transport.handle_request = loses
    return lost


def wait_for(house, lost):
    """Let time pass until something has been lost."""
    for _ in range(600):
        if lost:
            return
        house.run(seconds=1)
    pytest.fail("nothing was lost")
