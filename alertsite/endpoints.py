"""The endpoints of phone systems: rows of the database, as the media sockets know them."""

import re

from channels.db import database_sync_to_async

from alerts.models import MediaEndpoint
from analysis.ingest.auth import Endpoint, Proof


async def find_endpoint(dialect: str, name: str) -> Endpoint | None:
    """The endpoint of a dialect by its name; None if there is none. Only what can be a name is looked up."""
    if not re.fullmatch(r"[-a-zA-Z0-9_]{1,64}", name):
        return None
    return await database_sync_to_async(_read)(dialect, name)


def _read(dialect: str, name: str) -> Endpoint | None:
    row = MediaEndpoint.objects.filter(slug=name, dialect=dialect).first()
    if row is None:
        return None
    return Endpoint(dialect, row.secret, Proof(row.proof), name, row.roles, row.default_format)
