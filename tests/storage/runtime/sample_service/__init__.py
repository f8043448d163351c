"""A service that is all storage, for the tests of migrations, queries and databases."""
