"""What is hashed into the audit is what is stored, whatever characters another system sends (P5, F7)."""

import json

import pytest

from sync_engine.engine.jsontext import json_text, without_nul


@pytest.mark.parametrize(
    "said", ["Bea\\u0000rings", 'not "Bea\\u0000rings"', "Bea\x00rings", "Bearings", "\\", "\\\x00"]
)
def test_a_text_is_stored_as_it_is_hashed(said):
    """Found by the simulator with seed 45: a message that quoted an escape was stored differently from what was hashed."""
    given = {"message": said, "more": [said, {"inner": said}]}
    assert json.loads(json_text(given)) == without_nul(given)
    assert "\x00" not in json.loads(json_text(given))["message"]


def test_only_the_character_itself_is_replaced():
    assert without_nul({"a": "\\u0000", "b": "\x00"}) == {"a": "\\u0000", "b": "\ufffd"}
