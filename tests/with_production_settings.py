"""Runs a script or a module with the settings of a production machine.

`python -m tests.with_production_settings manage.py check --deploy`, or with `-m mypy`.
"""

import os
import runpy
import sys

os.environ.update(
    DJANGO_SECRET_KEY="".join(map(chr, range(40, 110))),
    ALERT_SERVER_JWT_SECRET="".join(map(chr, range(40, 110))),
    MEDIA_TOKEN="m" * 32,
    PUBLIC_URL="https://alerts.example.com",
    DATABASE_URL="sqlite:////tmp/alertsite-check.sqlite3",
    DJANGO_DEBUG="false",
)

if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    sys.path.insert(0, os.getcwd())
    if sys.argv[0] == "-m":
        sys.argv = sys.argv[1:]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")
