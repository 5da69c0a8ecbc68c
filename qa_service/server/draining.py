"""Stopping in two steps: not ready first, the listener closed later, so that whoever balances can leave in between."""

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
Handler = Callable[[int, FrameType | None], Any]


def drain_on_signals(loop: asyncio.AbstractEventLoop, seconds: float, tell: Callable[[], None]) -> Callable[[], None]:
    """Have the first signal to stop call ``tell`` at once and its usual handler some seconds later.

    A second signal stops without waiting for anything. Return a function that puts the usual handlers back. Outside
    of the main thread, where no signal arrives, nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    usual = {number: signal.getsignal(number) for number in _SIGNALS}
    told = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal told
        handler = usual[signal.Signals(number)]
        if not callable(handler):
            return
        if told:
            handler(number, frame)
            handler(signal.SIGINT, frame)  # which uvicorn takes as: do not wait for anything
            return
        told = True
        loop.call_soon_threadsafe(tell)
        loop.call_soon_threadsafe(lambda: loop.call_later(seconds, handler, number, frame))

    for number in _SIGNALS:
        signal.signal(number, handle)

    def restore() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    return restore
