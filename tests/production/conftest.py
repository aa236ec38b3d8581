"""What the production tests share: Redis and PostgreSQL of their own, and a server with two workers on them."""

import shutil
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import started
from tests.live import LiveServer
from tests.services import Postgres, Redis, Service

Make = Callable[..., LiveServer]


@pytest.fixture
def own_redis() -> Iterator[Service]:
    """One that a test may stop."""
    yield from started(Redis())


@pytest.fixture
def own_postgres() -> Iterator[Service]:
    """One that a test may stop."""
    yield from started(Postgres())


@pytest.fixture(scope="session")
def server(redis: Redis, postgres: Postgres) -> Iterator[LiveServer]:
    """Two web processes, one that hears, PostgreSQL and Redis: for tests that leave it as they found it."""
    server = LiveServer({"DATABASE_URL": postgres.url(), "REDIS_URL": redis.url()}, workers=2)
    yield server
    server.stop()
    shutil.rmtree(server.folder)


@pytest.fixture
def serve() -> Iterator[Make]:
    """Starts servers; the first on a database prepares it."""
    made: list[LiveServer] = []

    def make(database: str, redis: str = "", workers: int = 1, **env: str) -> LiveServer:
        first = database not in [server.env["DATABASE_URL"] for server in made]
        env |= {"DATABASE_URL": database, "REDIS_URL": redis}
        made.append(LiveServer(env, workers=workers, seed=first))
        return made[-1]

    yield make
    for server in made:
        server.stop()
        shutil.rmtree(server.folder)
