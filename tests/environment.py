"""The tests' own environment, set before any setting is read (loaded by `-p` in pyproject.toml)."""

import os
import tempfile

os.environ.update(
    DJANGO_SECRET_KEY="only for tests, " + "x" * 50,
    ALERT_SERVER_JWT_SECRET="only for tests, " + "y" * 50,
    MEDIA_TOKEN="media-token-of-the-tests",
    DATABASE_URL=f"sqlite:///{tempfile.mkdtemp(prefix='alertsite-tests-')}/db.sqlite3",
    ALERT_COOLDOWN_MS="5000",
)
for name in ("PORT", "PUBLIC_URL", "ALERT_ALLOWED_ORIGINS", "ALERT_ENABLE_AUTH", "DEMO", "DEMO_PASSWORD"):
    os.environ[name] = ""  # empty means the default, and keeps a developer's .env out
