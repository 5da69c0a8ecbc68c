"""When the clock may be trusted to delete by, since a clock that jumps must not empty the record."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

from qa_service.analytics.file import DAY_SECONDS

_MAX_SILENCE_SECONDS = 7 * DAY_SECONDS
_MAX_DRIFT_SECONDS = 300
_elapsed = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)  # a machine that slept has not jumped


class RetentionClock:
    """The system's clock, which is trusted for a deletion unless it jumped in the last 24 hours.

    It jumped if it moved otherwise than the clock that counts from the start of the machine. A jump from before
    the start of this process shows in ``recent_times``, the times of the last questions: a step of more than a week
    between two of them, or between the last one and now, is a jump or a long silence, and both wait for a day.
    """

    def __init__(
        self,
        recent_times: Sequence[int],
        now: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = _elapsed,
    ) -> None:
        self._now, self._elapsed = now, elapsed
        self._offset = now() - elapsed()
        steps = [abs(later - earlier) for earlier, later in pairwise((*recent_times, now()))]
        self._trusted_from = elapsed() + (DAY_SECONDS if max(steps, default=0) > _MAX_SILENCE_SECONDS else 0)

    def trusted_now(self) -> float | None:
        """Return the time, or ``None`` if it can't be trusted yet."""
        now, elapsed = self._now(), self._elapsed()
        if abs(now - elapsed - self._offset) > _MAX_DRIFT_SECONDS:
            self._trusted_from = elapsed + DAY_SECONDS
        self._offset = now - elapsed
        return now if elapsed >= self._trusted_from else None
