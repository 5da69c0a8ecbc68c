"""The log: a line of JSON, or of text for people, for each thing that happened; written by a thread of its own.

Who handles requests never waits for the disk or for who reads the log: lines that can't be written in time are
dropped, and counted. What clients send is data within a line and can't begin another. A line that a full disk cuts off
is ended before the next one.
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


class _DroppingHandler(logging.handlers.QueueHandler):
    """Hands lines on, and drops those that find the queue full."""

    dropped = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Leave a line as it is: it is written by a thread of this process."""
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        """Put a line where the thread that writes finds it, with the number of those dropped before it."""
        if self.dropped:
            record.dropped_before = self.dropped
        try:
            self.queue.put_nowait(record)
            self.dropped = 0
        except queue.Full:
            self.dropped += 1


class LineHandler(logging.Handler):
    """Writes lines to an unbuffered file, and counts those that can't be written."""

    def __init__(self, file: io.RawIOBase, *, shared: bool) -> None:
        """Take the file, and whether other processes write to it too."""
        super().__init__()
        self._file = file
        self._shared = shared
        self._may_end_within_line = False
        """Whether the file may end within a line."""
        self._unwritten = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; begin it with a newline where the line before was cut off."""
        if self._unwritten:
            record.dropped_before = getattr(record, "dropped_before", 0) + self._unwritten
        try:
            self._write(self.format(record).encode(errors="backslashreplace") + b"\n")
            self._unwritten = 0
        except OSError:
            self._unwritten = getattr(record, "dropped_before", 0) + 1
            self._may_end_within_line |= self._shared  # another process may have cut a line off, too
        except Exception:  # noqa: BLE001 - as the handlers of the library do
            self.handleError(record)

    def _write(self, line: bytes) -> None:
        rest = b"\n" + line if self._may_end_within_line else line
        while rest:
            written = self._file.write(rest)
            if written is None:  # a pipe that does not block is full
                select.select((), (self._file,), ())
            else:
                self._may_end_within_line = rest[:written][-1:] != b"\n"
                rest = rest[written:]


def start_logging(settings: Settings) -> Callable[[], None]:
    """Send everything that is logged to stderr, as the settings say; return a function that writes what waits and ends.

    JSON where nobody watches: ``QA_LOG_FORMAT=auto`` asks whether stderr is a terminal.
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
    handler_of_queue = _DroppingHandler(records)
    root.addHandler(handler_of_queue)
    root.setLevel(logging.WARNING)  # of others' lines
    logging.getLogger("qa_service").setLevel(settings.log_level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):  # which has handlers of its own
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    writer = logging.handlers.QueueListener(records, stream)
    writer.start()

    def stop() -> None:
        writer.stop()
        root.removeHandler(handler_of_queue)

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
