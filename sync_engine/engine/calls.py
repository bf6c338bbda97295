"""The calls of one lane in real time: threads that ask, what waits for them, what has come of it, and how much to hold."""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from uuid import UUID

from sync_engine.engine.lanes import Lane
from sync_engine.engine.outcomes import Item, Kind
from sync_engine.engine.results import Result

PREFETCH = 4
"""Claimed ahead per call under way, at least: enough that no thread waits for a claim, few enough to be done well within a
lease."""

AHEAD_S = 0.25
"""How many seconds' worth of calls is claimed ahead: the latency that large batches may cost."""

AHEAD_MAX = 500
"""The largest batch: beyond it a commit costs nothing any more, and others wait longer for their turn."""

LINGER_S = 0.01
"""How long an answer waits for others that are under way, to be recorded with them: a transaction costs nearly the same for one as
for ten. An answer that is alone is recorded at once."""

OUT_OF_REACH = frozenset({Kind.NOT_SENT, Kind.UNKNOWN})
"""Outcomes by which a system looks throttled, or down."""

Claim = tuple[UUID, int]
"""An item as it was claimed: it may be claimed again, under a higher token, while the first claim still lies here."""


class Calls:
    """What a lane holds: items that wait to be asked about, are being asked about, are set aside, or are answered.

    One thread claims and hands back, another records; both find here what they need. A plain queue and not an executor: a
    future for each call would cost more than recording it.

    Args:
        lane: Who asks.
        room: Called once as few are unanswered as `tell_room` was told.
    """

    def __init__(self, lane: Lane, room: Callable[[], None]) -> None:
        self._lane = lane
        self._room = room
        self._room_at = -1
        self._waiting: SimpleQueue[Item | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._held: dict[Claim, Item] = {}
        self._done: list[Result] = []
        self._aside: list[Item] = []
        self.turn = 0
        """Rises whenever what waits is set aside."""
        self._news = threading.Event()
        self._enough = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, name=f"call-{lane.system.name}-{n}", daemon=True)
            for n in range(lane.system.max_in_flight)
        ]
        for thread in self._threads:
            thread.start()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def unanswered(self) -> int:
        """How many are waiting or being asked about."""
        return len(self._held) - len(self._done)

    @property
    def is_out_of_reach(self) -> bool:
        """Whether the system looks throttled or down by an answer that is not recorded yet, so that nobody else knows."""
        with self._lock:
            return any(result.outcome.kind in OUT_OF_REACH for result in self._done)

    @property
    def claims(self) -> list[Claim]:
        """Everything that is held, until it is recorded or handed back."""
        with self._lock:
            return list(self._held)

    def put(self, items: list[Item], turn: int) -> None:
        """Ask about these as soon as a thread is free. If everything was set aside since `turn`, they were claimed without
        knowing why, and are set aside too."""
        with self._lock:
            self._held.update((_claim(item), item) for item in items)
            if turn == self.turn:
                for item in items:
                    self._waiting.put(item)
            else:
                self._aside += items

    def done(self) -> list[Result]:
        """What has been answered, the oldest first and as much as one transaction should record; stays until it is
        `forget`-ed, so that losing the database loses no answer."""
        self._news.clear()
        return self._done[:AHEAD_MAX]

    def forget(self, items: Iterable[Item]) -> None:
        """These are recorded, or handed back."""
        gone = {_claim(item) for item in items}
        with self._lock:
            for claim in gone:
                del self._held[claim]
            self._done = [result for result in self._done if _claim(result.item) not in gone]
        if not self._held:
            self._news.set()

    def tell_room(self, unanswered: int) -> None:
        """Call `room` as soon as no more than so many are unanswered, once."""
        with self._lock:
            self._room_at = unanswered
        self._look_for_room()

    def _look_for_room(self) -> None:
        if self.unanswered <= self._room_at:
            self._room_at = -1
            self._room()

    def set_aside(self) -> None:
        """Nobody shall begin with what still waits."""
        with self._lock, suppress(Empty):
            self.turn += 1
            while True:
                item = self._waiting.get_nowait()
                if item is not None:
                    self._aside.append(item)

    def put_aside(self, items: list[Item]) -> None:
        """These could not be handed back yet."""
        with self._lock:
            self._aside += items

    def take_aside(self) -> list[Item]:
        """What was set aside, or waited here for so long that nobody may begin with it any more."""
        with self._lock:
            aside, self._aside = self._aside, []
        return aside

    def linger(self) -> None:
        """Return when as many are answered as are asked about at a time, when no more are under way, or after `LINGER_S`."""
        self._enough.clear()
        if not self._is_enough():
            self._enough.wait(LINGER_S)

    def _is_enough(self) -> bool:
        return len(self._done) >= self._lane.system.max_in_flight or self.unanswered == 0

    def wait(self, timeout_s: float) -> None:
        """Return when something has been answered, or nothing is held any more, since `done` was asked; or after
        `timeout_s`."""
        self._news.wait(timeout_s)

    def close(self) -> None:
        """Let the threads end with what they are at; what has not begun is left to whoever finds its claim run out."""
        self.set_aside()
        self.forget(self.take_aside())
        for _ in self._threads:
            self._waiting.put(None)

    def _ask(self) -> None:
        while (item := self._waiting.get()) is not None:
            result = self._lane.ask(item) if self._lane.may_begin(item) else None
            with self._lock:
                if result is None:
                    self._aside.append(item)
                else:
                    self._done.append(result)
            self._news.set()
            if self._is_enough():
                self._enough.set()
            self._look_for_room()


def _claim(item: Item) -> Claim:
    return item.work_item_id, item.fencing_token


class Pace:
    """How many calls a lane claims ahead: what it gets through in `AHEAD_S`. A system that answers in a second has few items
    waiting in one engine while another engine is idle; one that answers at once is recorded in large batches."""

    def __init__(self, capacity: int) -> None:
        self._least = capacity * PREFETCH
        self._per_s = 0.0
        self._since = time.monotonic()
        self._answered = 0

    @property
    def ahead(self) -> int:
        """Unanswered items to hold at most."""
        return max(self._least, min(AHEAD_MAX, int(self._per_s * AHEAD_S)))

    def room(self, calls: Calls) -> int:
        """How many to claim now: none as long as half of what may wait is there, which `calls` then tells when it is over; while
        recording falls behind; or before it is recorded that the system looks out of reach, which may close the lane."""
        if calls.is_out_of_reach:
            return 0
        ahead, unanswered = self.ahead, calls.unanswered
        half = ahead // 2
        if unanswered > half:
            calls.tell_room(half)
            return 0
        room = min(ahead - unanswered, 2 * ahead - len(calls))
        return room if room * 2 >= ahead else 0

    def answered(self, many: int) -> None:
        """So many calls have been answered and recorded."""
        self._answered += many
        elapsed = time.monotonic() - self._since
        if elapsed >= AHEAD_S:
            self._per_s = self._answered / elapsed
            self._since, self._answered = time.monotonic(), 0
