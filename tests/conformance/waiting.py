"""Waiting for servers that say when they are ready."""

from typing import IO


def await_line(output: IO[bytes] | None, word: bytes) -> bytes:
    """Read lines until one has the word; returns it. Raises EOFError when none has."""
    assert output is not None, "the process was started with a pipe"
    for line in output:
        if word in line:
            return line
    message = f"ended before it said {word.decode()!r}"
    raise EOFError(message)
