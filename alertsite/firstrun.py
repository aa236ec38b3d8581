"""`python -m alertsite.firstrun`: writes what `.env` lacks, before any setting is read. No Django in here."""

import os
import secrets
from pathlib import Path

ENV_FILE = Path(__file__).resolve().parent.parent / ".env"
SECRETS = {"DJANGO_SECRET_KEY": 50, "ALERT_SERVER_JWT_SECRET": 48, "MEDIA_TOKEN": 24, "DEMO_PASSWORD": 9}


def main(env_file: Path = ENV_FILE) -> None:
    """Adds fresh secrets for those that are neither in the file nor in the environment; keeps all that is there."""
    descriptor = os.open(env_file, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        written = file.read()
        named = {line.partition("=")[0].strip() for line in written.splitlines()} | set(os.environ)
        missing = [f"{name}={secrets.token_urlsafe(size)}\n" for name, size in SECRETS.items() if name not in named]
        if missing:
            file.write("" if written.endswith("\n") or not written else "\n")
            file.writelines(missing)


if __name__ == "__main__":
    main()
