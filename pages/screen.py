"""How wide the reader's screen is.

Streamlit has no media query: its columns and grids reflow by themselves, but a table cannot become cards on its own. The first
drawing goes by what the browser says of itself (a phone says "Mobile"); after it, thirty lines of script in the page
report whether the window is narrow, once and whenever that changes. A window that says nothing is a desktop's.
"""

import streamlit as st

NARROW_PX = 640
"""Streamlit stacks its own columns at this width; cards begin where they do."""

_KEY = "finsync.screen"

_SCRIPT = """
const narrow = window.matchMedia("(max-width: NARROW_PXpx)");

export default function (component) {
  const { data, setStateValue } = component;
  const tell = () => {
    if (narrow.matches !== data.narrow) setStateValue("narrow", narrow.matches);
  };
  tell();
  narrow.addEventListener("change", tell);
  return () => narrow.removeEventListener("change", tell);
}
""".replace("NARROW_PX", str(NARROW_PX))


def is_narrow() -> bool:
    """Whether to draw for a phone."""
    told = st.session_state.get(_KEY) or {}
    if told.get("narrow") is not None:
        return bool(told["narrow"])
    return "Mobi" in (st.context.headers.get("User-Agent") or "")


def watch(*, narrow: bool) -> None:
    """Let the page report its width. `narrow` is what was drawn, so that nothing is told that is known."""
    component = st.components.v2.component("finsync_screen", html="<span></span>", js=_SCRIPT)
    component(key=_KEY, data={"narrow": narrow}, on_narrow_change=_nothing)


def _nothing() -> None:
    """A component's state needs somebody who listens; the next drawing does."""
