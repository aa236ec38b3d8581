"""The parent of several processes, where the machine gives it none: it says so and tries again."""

import asyncio
import errno
import logging
import os
import signal
import sys
from collections import Counter
from typing import Any

import pytest

from alertsite.workers import Parent, bound
from tests.alerts.test_hub import until


async def test_a_process_that_cannot_be_started_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    real, tries = asyncio.create_subprocess_exec, Counter[str]()

    async def short_of_processes(*command: str, **_: Any) -> asyncio.subprocess.Process:
        role = command[command.index("--role") + 1]
        tries[role] += 1
        if tries[role] == 1:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return await real(sys.executable, "-c", "import time; time.sleep(600)")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", short_of_processes)
    with bound("127.0.0.1", 0) as web, bound("127.0.0.1", 0) as media:
        parent = asyncio.create_task(Parent(web, media, 1).run())
        await until(lambda: tries == {"web": 2, "hearing": 2})
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(parent, 60)
    assert "a web process cannot be started: [Errno 11] Resource temporarily unavailable" in caplog.text
