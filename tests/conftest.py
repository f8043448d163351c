"""Fixtures for every test: see tests/support for what they are made of."""

from hypothesis import settings

pytest_plugins = [
    "tests.support.limits",
    "tests.support.leftovers",
    "tests.support.postgres",
    "tests.support.together",
]

# Examples that failed are not kept: a checkout may be read-only, and a failure prints its example.
# One example may be slow on a busy machine; pytest's own limit stays.
settings.register_profile("nuncio", database=None, deadline=None)
settings.load_profile("nuncio")
