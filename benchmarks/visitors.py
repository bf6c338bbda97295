"""Many people at once, without browsers: each a session over a websocket that speaks as Streamlit's own page does.

Open loop: what somebody does next is fixed beforehand and does not wait for the server, and a drawing is timed from the moment
it was due, so that a server that falls behind cannot slow its own measurement down. The visitors share the machine with it.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks.served import Served

PATIENCE_S = 60.0
"""A drawing that has not ended by then is an error."""

AT_A_TIME = 4
"""How many sessions begin together: the load is what they do afterwards."""


@dataclass(slots=True)
class Drawing:
    """What a page sent in one run."""

    charts: int = 0
    elements: int = 0
    failure: str | None = None


class Visitor:
    """One session: a page, and whose eyes look at it.

    Args:
        served: The server.
        path: The page; the server's first without.
        person: Who is looking, where the server asks for that.
    """

    def __init__(self, served: Served, path: str = "", person: str = "") -> None:
        self.menu: list[str] = []
        """Paths of the pages that the server offers."""
        self._url = served.url
        self._path = path
        self._query = urlencode({"as": person}) if person else ""
        self._page_hash = ""
        self._held: set[str] = set()
        self._auto: dict[str, float] = {}
        self._socket: websockets.ClientConnection | None = None

    async def open(self) -> Drawing:
        """Connect, and have the page drawn for the first time."""
        self._socket = await websockets.connect(
            f"{self._url.replace('http', 'ws', 1)}/_stcore/stream",
            subprotocols=[websockets.Subprotocol("streamlit")],
            origin=websockets.Origin(self._url),
            max_size=None,
        )
        return await self.draw()

    async def close(self) -> None:
        """Leave."""
        if self._socket is not None:
            await self._socket.close()

    async def draw(self, fragment: str = "") -> Drawing:
        """Have the page, or one fragment of it, drawn again; answers when the server has finished.

        Raises:
            TimeoutError: it has not, in `PATIENCE_S`.
            websockets.ConnectionClosed: the server has hung up.
        """
        asked = BackMsg()
        run = asked.rerun_script
        run.query_string = self._query
        run.page_script_hash = self._page_hash
        run.page_name = "" if self._page_hash else self._path
        run.fragment_id = fragment
        run.is_auto_rerun = bool(fragment)
        run.cached_message_hashes.extend(self._held)
        run.context_info.timezone = "Europe/Berlin"
        run.context_info.url = f"{self._url}/{self._path}?{self._query}"
        run.context_info.color_scheme = "light"
        async with asyncio.timeout(PATIENCE_S):
            await self._connected.send(asked.SerializeToString())
            return await self._answer()

    @property
    def auto(self) -> dict[str, float]:
        """Fragments that the page has drawn again by itself, with the seconds between."""
        return dict(self._auto)

    @property
    def _connected(self) -> websockets.ClientConnection:
        if self._socket is None:
            raise RuntimeError("open the session first")
        return self._socket

    async def _answer(self) -> Drawing:
        drawing = Drawing()
        while True:
            told = ForwardMsg()
            told.ParseFromString(await self._connected.recv(decode=False))
            if told.metadata.cacheable:
                self._held.add(told.hash)
            kind = told.WhichOneof("type")
            if kind == "navigation":
                self._page_hash = told.navigation.page_script_hash
                self.menu = [page.url_pathname for page in told.navigation.app_pages if page.url_pathname]
            elif kind == "auto_rerun":
                self._auto[told.auto_rerun.fragment_id] = told.auto_rerun.interval
            elif kind == "delta" and told.delta.WhichOneof("type") == "new_element":
                _note(drawing, told.delta.new_element)
            elif kind == "page_not_found":
                drawing.failure = "the page is not there"
            elif kind == "script_finished" and told.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                if told.script_finished == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
                    drawing.failure = "the script does not compile"
                return drawing


def _note(drawing: Drawing, element: Any) -> None:
    kind = element.WhichOneof("type")
    drawing.elements += kind != "empty"
    drawing.charts += kind == "plotly_chart"
    if kind == "exception":
        drawing.failure = element.exception.message or element.exception.type
    elif kind == "alert" and element.alert.format == element.alert.ERROR:
        drawing.failure = element.alert.body


def discover(served: Served, only: Sequence[str] = (), *, person: str) -> dict[str, Drawing]:
    """Every page of the menu, or only these, drawn once by a session of its own."""

    async def look(visitor: Visitor) -> Drawing:
        try:
            return await visitor.open()
        finally:
            await visitor.close()

    async def look_at_all() -> dict[str, Drawing]:
        first = Visitor(served, person=person)
        await look(first)
        paths = [path for path in first.menu if not only or path in only]
        return {path: await look(Visitor(served, path, person)) for path in paths}

    return asyncio.run(look_at_all())


def load(
    served: Served, path: str = "", *, sessions: int, think_s: float, lasts_s: float, person: str = "", seed: int = 7
) -> dict[str, Any]:
    """So many sessions that look at one page, each drawing it again after half to one and a half times `think_s`.

    Answers how many drawings there were, how many failed and why, p50 and p95 in ms, and by how much each session made the
    server's process grow, in MB, after the first.
    """
    visitors = [Visitor(served, path, person) for _ in range(sessions + 1)]
    return {"page": path} | asyncio.run(_load(served, visitors, think_s, lasts_s, Random(seed)))


async def _load(served: Served, visitors: list[Visitor], think_s: float, lasts_s: float, rng: Random) -> dict[str, Any]:
    failures: list[str] = []
    took_s: list[float] = []
    sessions = len(visitors) - 1
    gate = asyncio.Semaphore(AT_A_TIME)

    async def begin(visitor: Visitor) -> None:
        async with gate:
            await _drawn(visitor.open(), failures)

    try:
        # The first brings the modules and the answers that all share; what comes after it is a session's own.
        await begin(visitors[0])
        before_mb = served.rss_mb()
        await asyncio.gather(*(begin(visitor) for visitor in visitors[1:]))
        after_mb = served.rss_mb()
        begun = len(failures)
        if not begun:
            await asyncio.gather(
                *(_stay(visitor, think_s, lasts_s, Random(rng.random()), took_s, failures) for visitor in visitors[1:])
            )
    finally:
        await asyncio.gather(*(visitor.close() for visitor in visitors), return_exceptions=True)
    times = pd.Series(took_s, dtype=float) * 1000
    return {
        "sessions": sessions, "think_s": think_s, "lasts_s": lasts_s, "drawings": len(took_s), "errors": len(failures), "first_errors": sorted(set(failures))[:3],
        "p50_ms": round(times.quantile(0.5), 1) if took_s else None, "p95_ms": round(times.quantile(0.95), 1) if took_s else None,
        "rss_mb": round(after_mb, 1), "memory_per_session_mb": round((after_mb - before_mb) / sessions, 2),
    }  # fmt: skip


async def _stay(
    visitor: Visitor, think_s: float, lasts_s: float, rng: Random, took_s: list[float], failures: list[str]
) -> None:
    """One visit: clicks at times fixed beforehand, and between them what the page has drawn again by itself."""
    clock = asyncio.get_running_loop()
    began = clock.time()
    due = began + rng.uniform(0, think_s)
    own = {fragment: began + rng.uniform(0, every_s) for fragment, every_s in visitor.auto.items()}
    while due < began + lasts_s:
        fragment = min(own, key=own.__getitem__, default="")
        if fragment and own[fragment] < due:
            await asyncio.sleep(own[fragment] - clock.time())
            await _drawn(visitor.draw(fragment), failures)
            own[fragment] += visitor.auto[fragment]
            continue
        await asyncio.sleep(due - clock.time())
        if await _drawn(visitor.draw(), failures):
            took_s.append(clock.time() - due)
        due += think_s * rng.uniform(0.5, 1.5)


async def _drawn(drawing: Awaitable[Drawing], failures: list[str]) -> bool:
    try:
        failure = (await drawing).failure
    except (TimeoutError, OSError, websockets.WebSocketException) as error:
        failure = f"{type(error).__name__}: {error}"
    if failure:
        failures.append(failure)
    return failure is None
