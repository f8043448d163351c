"""A world per test."""

import pytest

from tests.unit.simulator.world import World


@pytest.fixture
def world() -> World:
    """Providers under a manual clock."""
    return World()
