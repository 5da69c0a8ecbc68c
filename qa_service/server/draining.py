"""Stops in two steps: not ready at once, the listener closed later, so that load balancers can leave in between."""

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
Handler = Callable[[int, FrameType | None], Any]


def drain_on_signals(
    loop: asyncio.AbstractEventLoop, seconds: float, on_drain: Callable[[], None]
) -> Callable[[], None]:
    """Make the first stop signal call ``on_drain`` at once, and its previous handler ``seconds`` later.

    A second signal stops at once. Return a function that restores the previous handlers. Does nothing outside the
    main thread, where no signal arrives.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    previous = {number: signal.getsignal(number) for number in _SIGNALS}
    draining = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal draining
        handler = previous[signal.Signals(number)]
        if not callable(handler):
            return
        if draining:
            handler(number, frame)
            handler(signal.SIGINT, frame)  # uvicorn then stops without waiting
            return
        draining = True
        loop.call_soon_threadsafe(on_drain)
        loop.call_soon_threadsafe(lambda: loop.call_later(seconds, handler, number, frame))

    for number in _SIGNALS:
        signal.signal(number, handle)

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    return restore
