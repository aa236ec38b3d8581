"""Reading the database beside the event loop, apart from the one thread that all sockets share."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Hashable, Iterable, Mapping
from typing import Any, Generic, ParamSpec, TypeVar

from channels.db import DatabaseSyncToAsync

Given = ParamSpec("Given")
Answer = TypeVar("Answer")
Question = TypeVar("Question", bound=Hashable)


def in_own_thread(read: Callable[Given, Answer]) -> Callable[Given, Coroutine[Any, Any, Answer]]:
    """For what must not queue behind a thousand clients that connect."""
    return DatabaseSyncToAsync(read, thread_sensitive=False)


class SharedReads(Generic[Question, Answer]):
    """Answers many who ask at once by few reads: all questions that wait are one read, and equal ones are one question.

    What is asked while a read is under way waits for the next one, so no answer is older than its question.
    """

    def __init__(self, read: Callable[[Collection[Question]], Mapping[Question, Answer]]) -> None:
        self._read = read
        self._asked: set[Question] = set()
        self._next: asyncio.Task[Mapping[Question, Answer]] | None = None
        self._reading = asyncio.Lock()

    async def ask(self, questions: Iterable[Question]) -> Mapping[Question, Answer]:
        """The answers to these questions, among others."""
        self._asked.update(questions)
        if self._next is None:
            self._next = asyncio.create_task(self._read_next())
        return await asyncio.shield(self._next)  # who leaves meanwhile must not take the others' answers along

    async def _read_next(self) -> Mapping[Question, Answer]:
        async with self._reading:
            asked, self._asked, self._next = self._asked, set(), None
            return await in_own_thread(self._read)(asked)
