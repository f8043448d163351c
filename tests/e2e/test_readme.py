"""The commands that README.md shows, as a newcomer types them."""

import re
import shlex
from pathlib import Path

import pytest

from tests.e2e.running import running_suite as up

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

README = Path(__file__).parents[2] / "README.md"
# Those that do not end by themselves, or do not ask a service.
OTHERS = ("up", "demo", "--help")


def commands_by_hand() -> list[list[str]]:
    """The words after `.venv/bin/nuncio` of each command below "By hand"."""
    by_hand = README.read_text().partition("### By hand")[2].partition("\n## ")[0]
    lines = re.findall(r"^\.venv/bin/nuncio (.*)$", by_hand, re.MULTILINE)
    commands = [shlex.split(line, comments=True) for line in lines]
    return [words for words in commands if words[0] not in OTHERS]


def test_the_commands_of_the_readme_work_as_they_stand(folder: Path) -> None:
    commands = commands_by_hand()
    assert {words[0] for words in commands} == {
        *("apps", "tokens", "installations", "stats", "audience", "send", "dispatch")
    }
    with up(folder / "readme") as suite:
        dispatch_id = ""
        for words in commands:
            words = [str(suite.data / "sample.csv") if "sample.csv" in w else w for w in words]
            words = [dispatch_id if word == "DISPATCH_ID" else word for word in words]
            done = suite.nuncio(*words)
            assert done.returncode == 0, (words, done.stderr)
            if words[0] == "send":
                dispatch_id = re.findall(r"dispatch (\S+)", done.stdout)[-1]
            if words[0] == "audience":
                reachable = re.search(r"reachable +([0-9,]+)", done.stdout)
                assert reachable is not None
                assert int(reachable[1]) > 0, done.stdout
