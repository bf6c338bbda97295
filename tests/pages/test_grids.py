"""What the browser gets of a table: the same, turned once where others hold it too."""

import pandas as pd
import pyarrow as pa

from pages.grids import for_browser
from sync_engine.insight.once import shared

MIXED = {"what": ["one", 2, None]}


def test_a_shared_table_is_turned_once_and_is_the_same_table():
    table = pd.DataFrame({"unit": ["a", "b"], "n": [1, 2]}, index=[5, 3])
    turned = for_browser(shared(table))
    assert isinstance(turned, pa.Table)
    assert turned is for_browser(shared(table.copy()))
    pd.testing.assert_frame_equal(turned.to_pandas(), table)


def test_a_table_that_is_ones_own_is_left_to_streamlit():
    table = pd.DataFrame({"n": [1]})
    assert for_browser(table) is table


def test_values_of_several_types_are_left_to_streamlit_which_writes_them_as_text():
    turned = for_browser(shared(pd.DataFrame(MIXED)))
    pd.testing.assert_frame_equal(pd.DataFrame(turned), pd.DataFrame(MIXED))
