"""Ids as they come over the wire."""

from uuid import UUID

from asyncpg.pgproto import pgproto


def uuid_of(text: str) -> UUID:
    """The UUID that the text names. Raises ValueError for other texts.

    Of the class that queries give: a uuid.UUID that equals, sorts and hashes like any other one,
    read in a tenth of the time. It takes hexadecimal digits and dashes only.
    """
    return pgproto.UUID(text)
