"""Fixtures for every test: see tests/support for what they are made of."""

pytest_plugins = ["tests.support.postgres"]
