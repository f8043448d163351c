"""The demo, as a newcomer runs it."""

import json
from pathlib import Path

import pytest

from tests.e2e.running import nuncio

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

TERMS = ("suppressed", "accepted", "rejected", "expired", "unknown", "cancelled")


def test_the_demo_ends_with_closed_books_and_dead_tokens_gone(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    done = nuncio("demo", "--installations", "500", "--json", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "which is deleted at the end; --keep keeps it" in done.stdout
    result = json.loads(out.read_bytes())
    assert result["installations"] == 500
    first, second = result["dispatches"]
    for dispatch in (first, second):
        books = dispatch["books"]
        assert dispatch["closed"]
        assert books["resolved"] == sum(books[term] for term in TERMS)
    assert first["books"]["rejected"] > 0
    assert second["books"]["suppressed_by_reason"]["INACTIVE_TOKEN"] == result["invalidated"] > 0
