"""Work on the next one while this one is used."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


def ahead(function: Callable[[_Item], _Made], items: Iterable[_Item]) -> Iterator[tuple[_Item, _Made]]:
    """Yield each item with what a function makes of it in another thread, which goes on to the next one meanwhile."""
    with ThreadPoolExecutor(1, "ahead") as thread:
        waiting: deque[tuple[_Item, Future[_Made]]] = deque()
        for item in items:
            waiting.append((item, thread.submit(function, item)))
            if len(waiting) > 1:
                first, made = waiting.popleft()
                yield first, made.result()
        for item, made in waiting:
            yield item, made.result()
