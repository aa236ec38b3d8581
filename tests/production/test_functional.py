"""What holds for one process with SQLite holds for two workers with PostgreSQL and Redis: the same tests again."""

import inspect

from tests.alerts import test_history, test_idempotency, test_rest, test_subscribers
from tests.alerts.test_history import mixed  # noqa: F401  # a fixture of its tests
from tests.alerts.test_idempotency import key  # noqa: F401
from tests.alerts.test_rest import call_id  # noqa: F401  # a fixture of its tests

# Servers of their own cost too much to start again, and how a client is left behind is no matter of what is behind.
ONCE_IS_ENOUGH = {
    "test_a_client_that_does_not_read_is_left_behind_and_the_others_are_not",
    "test_ids_made_for_a_key_are_uuids_of_version_7_in_order_and_the_same_each_time",
}

globals().update(
    {
        name: test
        for module in (test_history, test_idempotency, test_rest, test_subscribers)
        for name, test in vars(module).items()
        if name.startswith("test_")
        and name not in ONCE_IS_ENOUGH
        and "own_server" not in inspect.signature(test).parameters
    }
)
