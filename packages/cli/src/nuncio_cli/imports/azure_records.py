"""Where the records of an Azure export begin and end; lines do not matter."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

# What a record may grow to; a longer one is given in parts, none of which can be read.
MAX_RECORD: Final = 1 << 20

SPACE: Final = re.compile(r"\s+")
RECORD: Final = re.compile(r"<((?:\w+:)?\w*RegistrationDescription)(?=[\s/>])[^>]*>")
# The Atom feed around records, with what its elements say, and the XML declaration.
FEED: Final = re.compile(
    r"<\?xml[^>]*>"
    r"|</?(?:\w+:)?(?:feed|entry|content|link|author)(?=[\s/>])[^>]*>"
    r"|<(?:\w+:)?(?:id|title|updated|published|name)(?=[\s/>])[^>]*>[^<]*"
    r"|</(?:\w+:)?(?:id|title|updated|published|name)\s*>"
)
OTHER_END: Final = re.compile(r"\n|(?=<(?:\w+:)?\w*RegistrationDescription[\s/>])")


def records(chunks: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The text of each record, and the line that it begins in.

    A record is one RegistrationDescription element, or a line of JSON. Whatever else there is
    counts as a record too, for somebody to look at; only the feed around records is passed over.
    """
    text, line = "", 1
    for chunk in chunks:
        text += chunk
        start = 0
        while (end := _end(text, start)) is not None or len(text) - start > MAX_RECORD:
            yield from _told(line, piece := text[start:end])
            line += piece.count("\n")
            start += len(piece)
        text = text[start:]
    while text:
        end = _end(text + "\n", 0)
        piece = text[:end]
        yield from _told(line, piece)
        line += piece.count("\n")
        text = text[len(piece) :]


def _told(line: int, piece: str) -> Iterator[tuple[int, str]]:
    record = piece.strip()
    if record and not FEED.fullmatch(record):
        yield line, record


def _end(text: str, start: int) -> int | None:
    """Where the piece that begins at start ends; None when it is not all there."""
    if start == len(text) or (text[start] == "<" and text.find(">", start) < 0):
        return None
    if found := SPACE.match(text, start) or FEED.match(text, start):
        return found.end() if found.end() < len(text) else None
    if begun := RECORD.match(text, start):
        return _end_of_record(text, begun)
    if text[start] == "{":
        end = text.find("\n", start)
        return end + 1 if end >= 0 else None
    other = OTHER_END.search(text, start + 1)
    return other.end() if other else None


def _end_of_record(text: str, begun: re.Match[str]) -> int | None:
    """Behind its end tag, or before the next record when it has none."""
    if begun[0].endswith("/>"):
        return begun.end()
    end = re.compile(rf"</{re.escape(begun[1])}\s*>").search(text, begun.end())
    following = RECORD.search(text, begun.end(), end.start() if end else len(text))
    if following:
        return following.start()
    return end.end() if end else None
