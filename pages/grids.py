"""Tables as the browser takes them: turned into Arrow once for as long as they stand."""

from typing import Any

import pandas as pd
import pyarrow as pa
import streamlit as st

from sync_engine.insight.once import Shared, once


def grid(table: pd.DataFrame | dict[str, list[str]], **how: Any) -> Any:
    """A table without its index, as `st.dataframe` draws it and with its other arguments."""
    return st.dataframe(for_browser(table), hide_index=True, **how)


def for_browser(table: pd.DataFrame | dict[str, list[str]]) -> Any:
    """What is handed to Streamlit. What others share is turned once; to know another table by its content takes as long as to turn it."""
    return _turned(table) if isinstance(table, Shared) else table


@once
def _turned(table: pd.DataFrame) -> Any:
    try:
        return pa.Table.from_pandas(table)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        # A column of several types: Streamlit writes such values as text.
        return table
