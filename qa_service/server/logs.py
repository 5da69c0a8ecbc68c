"""The log: one line of JSON, or of text for people, for each event, written by a thread of its own.

Requests never wait for the disk or for a reader of the log: lines that can't be written in time are dropped and
counted. Data from clients is escaped and can't start a line. A line that a full disk truncated is ended before the
next one.
"""

import io
import logging
import logging.handlers
import queue
import select
import sys
from collections.abc import Callable
from typing import Any

import orjson
import structlog

from qa_service.settings import Settings

_MAX_QUEUED_RECORDS = 10_000
_PROCESSORS: tuple[Any, ...] = (
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.stdlib.ExtraAdder(),
)


class _DroppingQueueHandler(logging.handlers.QueueHandler):
    """Puts records into a queue, and drops them while it is full."""

    dropped = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Leave a record as it is, since a thread of this process formats it."""
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        """Queue a record, with the number of records dropped before it."""
        if self.dropped:
            record.dropped_before = self.dropped
        try:
            self.queue.put_nowait(record)
            self.dropped = 0
        except queue.Full:
            self.dropped += 1


class LineHandler(logging.Handler):
    """Writes lines to an unbuffered file, and counts those that it can't write."""

    def __init__(self, file: io.RawIOBase, *, shared: bool) -> None:
        """Set the file, and whether other processes write to it too."""
        super().__init__()
        self._file = file
        self._shared = shared
        self._may_end_within_line = False
        """Whether the file may end in a truncated line."""
        self._unwritten = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, after a newline if the previous line was truncated."""
        if self._unwritten:
            record.dropped_before = getattr(record, "dropped_before", 0) + self._unwritten
        try:
            self._write(self.format(record).encode(errors="backslashreplace") + b"\n")
            self._unwritten = 0
        except OSError:
            self._unwritten = getattr(record, "dropped_before", 0) + 1
            self._may_end_within_line |= self._shared  # another process may have truncated a line too
        except Exception:  # noqa: BLE001 - as the standard handlers do
            self.handleError(record)

    def _write(self, line: bytes) -> None:
        rest = b"\n" + line if self._may_end_within_line else line
        while rest:
            written = self._file.write(rest)
            if written is None:  # a non-blocking pipe is full
                select.select((), (self._file,), ())
            else:
                self._may_end_within_line = rest[:written][-1:] != b"\n"
                rest = rest[written:]


def start_logging(settings: Settings) -> Callable[[], None]:
    """Log to stderr as the settings say; return a function that writes the queued lines and stops.

    ``QA_LOG_FORMAT=auto`` writes text to a terminal, JSON otherwise.
    """
    as_text = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    stderr = io.FileIO(sys.stderr.fileno(), "w", closefd=False)
    stream = LineHandler(stderr, shared=settings.workers > 1)
    stream.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_PROCESSORS,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_for_people() if as_text else _for_programs()),
            ],
        )
    )
    records: queue.Queue[logging.LogRecord] = queue.Queue(_MAX_QUEUED_RECORDS)
    root = logging.getLogger()
    for handler in (*root.handlers,):
        root.removeHandler(handler)
    queue_handler = _DroppingQueueHandler(records)
    root.addHandler(queue_handler)
    root.setLevel(logging.WARNING)  # for other libraries
    logging.getLogger("qa_service").setLevel(settings.log_level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):  # they have handlers of their own
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    writer = logging.handlers.QueueListener(records, stream)
    writer.start()

    def stop() -> None:
        writer.stop()
        root.removeHandler(queue_handler)

    return stop


def _for_people() -> list[Any]:
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)]


def _for_programs() -> list[Any]:
    return [
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("event"),
        structlog.processors.JSONRenderer(serializer=_as_json),
    ]


def _as_json(content: Any, default: Callable[[Any], Any], **_: Any) -> str:
    return orjson.dumps(content, default=default).decode()
