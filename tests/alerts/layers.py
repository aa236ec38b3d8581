"""A channel layer as bad as one may be: it loses messages, doubles them and delivers them in any order."""

import asyncio
import random
from typing import Any

from channels.layers import InMemoryChannelLayer


class BadLayer(InMemoryChannelLayer):
    """Args: `lost` and `doubled`, the shares of messages; `late_s`, how late one may come; `seed` of the chance."""

    def __init__(
        self, lost: float = 0.0, doubled: float = 0.0, late_s: float = 0.0, seed: int = 0, **more: Any
    ) -> None:
        super().__init__(capacity=20_000, **more)
        self.lost, self._doubled, self._late_s = lost, doubled, late_s
        self._chance = random.Random(seed)
        self._late: set[asyncio.Task[None]] = set()

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        if self._chance.random() < self.lost:
            return
        for _ in range(2 if self._chance.random() < self._doubled else 1):
            task = asyncio.create_task(self._deliver(channel, message, self._chance.random() * self._late_s))
            self._late.add(task)
            task.add_done_callback(self._late.discard)

    async def _deliver(self, channel: str, message: dict[str, Any], after_s: float) -> None:
        await asyncio.sleep(after_s)
        await super().send(channel, message)
