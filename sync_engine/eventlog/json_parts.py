"""The parts of a large JSON document, one after the other, without holding the document.

`parts` gives the elements of the arrays and the entries of the objects that stand directly under the top object; each
element is decoded by Python's own decoder and forgotten again, so memory is that of the largest element.
"""

import codecs
import json
from collections.abc import Callable, Iterator
from typing import IO, Any

from sync_engine.eventlog.records import BadLog

_BLOCK = 262_144
_BLANK = " \t\r\n"
_decode = json.JSONDecoder().raw_decode

Part = tuple[str, str | None, Any]
"""(key in the top object, key in the object beneath or None in an array, value)"""


class _Text:
    """A window over the text that is filled when it does not suffice."""

    def __init__(self, content: IO[bytes], tell: Callable[[int], None], where: Callable[[], int]) -> None:
        self._content, self._tell, self._where = content, tell, where
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.text, self.at, self._is_over = "", 0, False

    def fill(self) -> bool:
        """More text; False when there is none."""
        if self._is_over:
            return False
        block = self._content.read(max(_BLOCK, len(self.text) - self.at))
        self._tell(self._where())
        self._is_over = not block
        self.text = self.text[self.at :] + self._decoder.decode(block, final=self._is_over)
        self.at = 0
        return True

    def sign(self) -> str:
        """The next character that is not blank; it stays."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in _BLANK:
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.fill():
                raise BadLog("The JSON ends before it is complete.")

    def take(self, wanted: str) -> str:
        """The next character, which has to be one of these."""
        sign = self.sign()
        if sign not in wanted:
            raise BadLog(f"The JSON has {sign!r} where one of {wanted!r} has to stand.")
        self.at += 1
        return sign

    def value(self) -> Any:
        """The next value, whole."""
        self.sign()
        while True:
            try:
                value, end = _decode(self.text, self.at)
            except json.JSONDecodeError as error:
                if not self.fill():
                    raise BadLog(f"The JSON cannot be read: {error.msg}.") from error
                continue
            # A number that reaches the end of the window may go on behind it.
            if end >= len(self.text) and self.fill():
                continue
            self.at = end
            return value


def parts(content: IO[bytes], tell: Callable[[int], None], where: Callable[[], int]) -> Iterator[Part]:
    """Every part of the document, in its order; scalars of the top object come as (key, None, value).

    Raises:
        BadLog: it is no JSON object, or ends early.
    """
    text = _Text(content, tell, where)
    text.take("{")
    if text.sign() == "}":
        return
    while True:
        key = text.value()
        text.take(":")
        match text.sign():
            case "[":
                yield from _elements(text, key)
            case "{":
                yield from _entries(text, key)
            case _:
                yield key, None, text.value()
        if text.take(",}") == "}":
            return


def _elements(text: _Text, key: str) -> Iterator[Part]:
    text.take("[")
    if text.sign() == "]":
        text.take("]")
        return
    while True:
        yield key, None, text.value()
        if text.take(",]") == "]":
            return


def _entries(text: _Text, key: str) -> Iterator[Part]:
    text.take("{")
    if text.sign() == "}":
        text.take("}")
        return
    while True:
        inner = text.value()
        text.take(":")
        yield key, inner, text.value()
        if text.take(",}") == "}":
            return
