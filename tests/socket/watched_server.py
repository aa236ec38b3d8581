"""The production server, which also writes how many tasks its event loop has: `python -m … PORT FILE`."""

import asyncio
import os
import sys
from pathlib import Path

import django


async def count_tasks(path: Path) -> None:
    """Keeps the file up to date; replaced as a whole, so that it is never read half written."""
    fresh = path.with_suffix(".new")
    while True:
        fresh.write_text(str(len(asyncio.all_tasks())))
        fresh.replace(path)
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "alertsite.settings"
    django.setup()
    from alertsite.server import serve
    from alertsite.workers import bound

    with bound("127.0.0.1", int(sys.argv[1])) as listener:
        serve(listener, background=lambda: count_tasks(Path(sys.argv[2])))
