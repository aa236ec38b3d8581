"""Several processes under one parent: web processes share the port, one hears, and what dies is started again."""

import asyncio
import logging
import os
import signal
import socket
import sys
from dataclasses import dataclass

from django.conf import settings

from alertsite.routing import Role

logger = logging.getLogger(__name__)
RESTART_S = (0.1, 0.5, 2.0, 10.0)  # the last is repeated
STEADY_S = 60.0  # a process that lived this long is started again at once
HEARD_WITHIN_S = 20.0  # calls are heard to their end
STOP_WITHIN_S = 30.0


@dataclass
class _Child:
    """One process to be kept alive."""

    role: Role
    listener: socket.socket
    process: asyncio.subprocess.Process | None = None


class Parent:
    """Starts the processes, keeps them alive, and stops them in the order of an alert's way.

    The children hold the reading end of a pipe whose writing end only the parent has: should the parent be
    killed, the pipe ends, and they drain and stop too.
    """

    def __init__(self, web: socket.socket, media: socket.socket, workers: int) -> None:
        self._web = [_Child(Role.WEB, web) for _ in range(workers)]
        self._hearing = _Child(Role.HEARING, media)
        self._workers = workers
        self._stop = asyncio.Event()
        self._alive, self._writing_end = os.pipe()

    async def run(self) -> None:
        """Until SIGINT or SIGTERM; returns when every child has drained."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        children = [self._hearing, *self._web]
        keeping = [asyncio.create_task(self._keep(child)) for child in children]
        await self._stop.wait()
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
        told = loop.time()
        await self._end([self._hearing], told + HEARD_WITHIN_S)  # its last alerts still reach subscribers
        await self._end(self._web, told + STOP_WITHIN_S)

    async def _keep(self, child: _Child) -> None:
        loop = asyncio.get_running_loop()
        failed = 0
        while True:
            started = loop.time()
            try:
                child.process = await self._start(child)
                what = f"ended with {await child.process.wait()}"
            except OSError as error:  # the machine has no room for one
                what = f"cannot be started: {error}"
            failed = 0 if loop.time() - started > STEADY_S else failed + 1
            pause_s = RESTART_S[min(failed, len(RESTART_S)) - 1] if failed else 0.0
            logger.error("a %s process %s; another starts in %.1f s", child.role, what, pause_s)
            await asyncio.sleep(pause_s)

    async def _start(self, child: _Child) -> asyncio.subprocess.Process:
        listener = child.listener.fileno()
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *(sys.argv[0], "serve", "--role", child.role, "--listener", str(listener), "--parent", str(self._alive)),
            env=os.environ | self._ports() | self._share_of_limits(),
            pass_fds=(listener, self._alive),
            start_new_session=True,  # Ctrl-C in a terminal reaches the parent alone, which knows the order
        )

    def _ports(self) -> dict[str, str]:
        web, media = self._web[0].listener.getsockname()[1], self._hearing.listener.getsockname()[1]
        return {"PORT": str(web), "MEDIA_PORT": str(media)}

    def _share_of_limits(self) -> dict[str, str]:
        names = ("ALERT_MAX_SUBSCRIBERS", "ALERT_MAX_SUBSCRIBERS_PER_USER")
        return {name: str(-(-getattr(settings, name) // self._workers)) for name in names}

    async def _end(self, children: list[_Child], end: float) -> None:
        """Tells them to stop and waits; who is not done in time is killed."""
        processes = [child.process for child in children if child.process and child.process.returncode is None]
        for process in processes:
            process.terminate()
        waiting = [asyncio.create_task(process.wait()) for process in processes]
        if waiting:
            await asyncio.wait(waiting, timeout=max(0.0, end - asyncio.get_running_loop().time()))
        for process in processes:
            if process.returncode is None:
                logger.error("process %d did not stop in time and is killed", process.pid)
                process.kill()
                await process.wait()


def supervise(host: str, port: int, media_port: int, workers: int) -> None:
    """Serve with several processes until SIGINT or SIGTERM.

    Raises:
        OSError: an address cannot be listened on.
    """

    async def run() -> None:
        await Parent(web, media, workers).run()

    with bound(host, port) as web, bound(host, media_port) as media:
        asyncio.run(run())


def bound(host: str, port: int) -> socket.socket:
    """A socket at an address. It listens when a server is ready for it, so nobody connects to one that is not.

    Raises:
        OSError: the address is taken, or is none of this machine.
    """
    at_address = socket.socket()
    try:
        at_address.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        at_address.bind((host, port))
    except BaseException:
        at_address.close()
        raise
    return at_address
