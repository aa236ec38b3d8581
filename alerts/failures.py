"""What REST answers when the database is away."""

from typing import Any

from django.db import InterfaceError, OperationalError
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler


class StorageAway(exceptions.APIException):
    """The database has not answered in time; an alert may still be stored when it is back."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The database is away. The same may be sent again with the same Idempotency-Key or externalId."


def answer(error: Exception, context: dict[str, Any]) -> Response | None:
    """The response to an error: a database that is away is no fault of the request."""
    if isinstance(error, OperationalError | InterfaceError):
        error = StorageAway()
    return exception_handler(error, context)
