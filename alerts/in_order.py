"""A column that is compared row by row while rows are read in their order."""

from typing import Any

from django.db.models import Func
from django.db.models.sql.compiler import SQLCompiler


class InOrder(Func):
    """For values that many rows have: a page is full after a few of the newest rows. SQLite, which knows nothing of how
    many, would collect all of them from the column's index and sort them; PostgreSQL is left to choose."""

    template = "%(expressions)s"
    arity = 1

    def as_sqlite(self, compiler: SQLCompiler, connection: Any, **extra: Any) -> Any:
        """A unary plus changes nothing but that no index is used."""
        return self.as_sql(compiler, connection, template="+%(expressions)s", **extra)
