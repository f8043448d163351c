"""The file that is imported: plain or gzip, read in bounded pieces."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from nuncio_cli.errors import FileUnusable

GZIP_MAGIC: Final = b"\x1f\x8b"
UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
# Characters; longer lines are no records of anything.
MAX_LINE: Final = 1 << 20
TOO_LONG: Final = "is longer than 1 MiB"
CHUNK: Final = 1 << 16
# What reading raises: the disk fails, or a compressed file is cut or damaged.
READ_FAULTS: Final = (OSError, EOFError, zlib.error)


class Source:
    """An open file: its text, and how many of its bytes on disk have been read.

    Reading raises FileUnusable when the file breaks off.
    """

    def __init__(self, path: Path, text: TextIO, raw: io.BufferedReader) -> None:
        self.size = path.stat().st_size
        self._path = path
        self._text = text
        self._raw = raw

    def position(self) -> int:
        """Bytes read so far, of `size`; a little ahead of the text, which is buffered."""
        return self._raw.tell() if self._raw.seekable() else 0

    def lines(self) -> Iterator[str]:
        """Lines with their ends. Of one that is too long the first MAX_LINE characters."""
        with _told(self._path):
            while line := self._text.readline(MAX_LINE):
                yield line
                while len(line) == MAX_LINE and not line.endswith(("\n", "\r")):
                    line = self._text.readline(MAX_LINE)  # The rest of it is passed over.

    def chunks(self) -> Iterator[str]:
        """The text in pieces of 64 Ki characters, whatever its lines."""
        with _told(self._path):
            while chunk := self._text.read(CHUNK):
                yield chunk


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open a CSV, NDJSON or XML file, compressed or not.

    Bytes that are not UTF-8 become U+FFFD, which the readers refuse row by row. A byte order
    mark is passed over. Raises FileUnusable when the file cannot be opened, is empty, or UTF-16.
    """
    with _told(path):
        raw = path.open("rb")
    with raw:
        with _told(path):
            packed = raw.peek(2)[:2] == GZIP_MAGIC
            content = gzip.GzipFile(fileobj=raw) if packed else raw
            _check(path, content.peek(4)[:4])
        # newline="": line ends inside quoted CSV cells stay as they are.
        with io.TextIOWrapper(content, encoding="utf-8-sig", errors="replace", newline="") as text:
            yield Source(path, text, raw)


def _check(path: Path, start: bytes) -> None:
    if not start:
        raise FileUnusable(detail=f"{path} is empty")
    if start[:2] in UTF16_MARKS or b"\0" in start:
        raise FileUnusable(detail=f"{path} is UTF-16, or no text; save it as UTF-8")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except READ_FAULTS as error:
        raise FileUnusable(detail=f"{path}: {error}") from error
