"""Queries and migrations of the sample service."""
