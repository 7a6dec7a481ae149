"""Product feeds: Google Merchant as RSS or Atom (and shops' own XML), read as a stream and safely.

Entities declared in the file are refused, so that none can grow without limit; nothing outside the file is
opened.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any, BinaryIO
from xml.parsers import expat

from cyclorama.data.columns import fold
from cyclorama.data.structured import RawRow
from cyclorama.errors import ManifestError

ROWS = frozenset({"item", "entry", "product", "offer", "shopitem", "artikel", "produkt"})
"""Elements that are a product each."""
_LARGEST_TEXT = 2**20


class _Feed:
    """Collects the elements of each product as cells."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.done: list[RawRow] = []
        self._cells: dict[str, Any] | None = None
        self._depth = 0
        self._line = 0
        self._text: list[str] = []
        self._path: list[str] = []
        self.parser = expat.ParserCreate()  # without namespaces: some feeds forget to declare "g"
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text.append
        self.parser.EntityDeclHandler = self._refuse
        self.parser.UseForeignDTD(True)  # a name such as &nbsp; is then told to us instead of an error
        self.parser.ExternalEntityRefHandler = lambda *_: 1
        self.parser.SkippedEntityHandler = lambda name, _: self._text.append(html.unescape(f"&{name};"))

    def _refuse(self, name: str, *_: Any) -> None:
        raise ManifestError(
            f"{self.name} declares the entity {name!r}; feeds with entities of their own are not read"
        )

    def _start(self, element: str, attributes: dict[str, str]) -> None:
        tag = element.rpartition(":")[2]
        self._text.clear()
        if self._cells is None and tag.lower() in ROWS:
            self._cells, self._depth = dict(attributes), 0
            self._line = self.parser.CurrentLineNumber
            return
        if self._cells is not None:
            self._depth += 1
            self._path.append(tag)
            address = attributes.get("url") or attributes.get("src") or attributes.get("href")
            if address and tag in ("enclosure", "content", "thumbnail"):
                self._add("image", address)
            elif address and (tag != "link" or attributes.get("rel") == "enclosure"):
                self._add("image" if tag == "link" else tag, address)

    def _end(self, element: str) -> None:
        if self._cells is None:
            return
        text = "".join(self._text).strip()
        self._text.clear()
        if self._depth == 0:
            self.done.append((self._line, self._cells, None))
            self._cells = None
            return
        self._depth -= 1
        tag = self._path.pop()
        if text and len(text) <= _LARGEST_TEXT:
            parent = self._path[-1] if self._path else ""
            tag = parent if parent and fold(tag) in ("url", "src", "image") else tag
            self._add(tag, text, first=element.startswith("g:"))

    def _add(self, name: str, text: str, first: bool = False) -> None:
        assert self._cells is not None
        before = self._cells.get(name)
        if before is None or (first and name in ("id", "title")):  # Atom's own id is another one
            self._cells[name] = text
        elif isinstance(before, list):
            before.append(text)
        elif fold(name) in ("category", "producttype", "googleproductcategory", "title", "id"):
            pass  # the first one counts
        else:
            self._cells[name] = [before, text]


def read_feed(stream: BinaryIO, name: str) -> Iterator[RawRow]:
    """A row for each product of the XML in ``stream``; elements that come again become a list.

    Raises ManifestError: not well-formed, entities of its own.
    """
    feed = _Feed(name)
    try:
        part = stream.read(2**16).lstrip(b" \t\r\n")  # some programs write an empty line first
        while part:
            feed.parser.Parse(part, False)
            part = stream.read(2**16)
            yield from feed.done
            feed.done.clear()
        feed.parser.Parse(b"", True)
        yield from feed.done
    except expat.ExpatError as error:
        raise ManifestError(f"{name} is not well-formed XML: {error}; save the feed anew") from error
