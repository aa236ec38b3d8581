"""The tests' own environment, set before any setting is read (loaded by `-p` in pyproject.toml)."""

import os
import signal
import tempfile

import analysis.blas  # noqa: F401 - before a test imports NumPy

# A shell that runs the tests in the background has them ignore Ctrl-C, and every server they start with them.
signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ.update(
    DJANGO_SECRET_KEY="only for tests, " + "x" * 50,
    ALERT_SERVER_JWT_SECRET="only for tests, " + "y" * 50,
    MEDIA_TOKEN="media-token-of-the-tests",
    DATABASE_URL=f"sqlite:///{tempfile.mkdtemp(prefix='alertsite-tests-')}/db.sqlite3",
    ALERT_COOLDOWN_MS="5000",
)
for name in (
    "PORT",
    "MEDIA_PORT",
    "REDIS_URL",
    "PUBLIC_URL",
    "ALERT_ALLOWED_ORIGINS",
    "ALERT_ENABLE_AUTH",
    "DEMO",
    "DEMO_PASSWORD",
):
    os.environ[name] = ""  # empty means the default, and keeps a developer's .env out
