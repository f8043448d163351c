"""Which tests pytest-xdist gives to one and the same worker. A pytest plugin.

Tests that share what takes seconds to start - a suite, a house of services, outside servers - run
on one worker, so that it is started once. All others go wherever there is time, one by one.

pytest-xdist's own mark for that, `xdist_group`, has no effect with pytest 9.2: it is written into
an attribute of the test that pytest no longer reads.
"""

from typing import Final

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

TOGETHER: Final = (
    "tests/e2e/",
    "tests/conformance/",
    "tests/integration/targeting/",
    "tests/integration/dispatcher/test_",
)
"""Beginnings of the names of tests; the first that suits counts."""


class Together(LoadScopeScheduling):  # type: ignore[misc]  # which is untyped
    """Gives out the tests of a beginning at once, and those of no beginning singly."""

    def _split_scope(self, nodeid: str) -> str:
        return next((each for each in TOGETHER if nodeid.startswith(each)), nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together | None:
    """In place of the one that `--dist loadgroup` stands for."""
    return Together(config, log) if config.getoption("dist") == "loadgroup" else None
