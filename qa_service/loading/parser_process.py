"""Parses files in a separate process with limits of memory and time: a hostile file ends that process, not the build.

Run as a program, this module reads a line of JSON for each file and replies with a line for each part, so that only
text comes back. The parent starts it for the first file that needs it, and restarts it after it ended.
"""

import base64
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import IO, Any, Self

from pydantic import TypeAdapter

from qa_service.loading.limits import Limits, ask_for_time
from qa_service.loading.outline import ParsedDocument, SkippedPart, UnreadableError

_READ_BYTES = 1 << 20
_SECONDS_PER_SCANNED_PAGE = 30.0  # twenty times what one takes
_PARSED_DOCUMENT = TypeAdapter(ParsedDocument)
_MAX_REPLY_EXPANSION = 8  # a byte of text takes at most so many bytes in a reply, because of JSON escapes


class ParserProcess:
    """The process that parses. Use it as a context manager, from one thread."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""

    def __enter__(self) -> Self:
        """Start nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self._end()

    def read(self, suffix: str, data: bytes) -> Iterator[ParsedDocument | SkippedPart]:
        """Yield the parts of a file, parsed by the reader for its extension. Raises :class:`UnreadableError`."""
        started = time.monotonic()
        scanned_pages = 0
        deadline = started + self._limits.seconds
        process = self._start()
        request = {"suffix": suffix, "data": base64.b64encode(data).decode()}
        try:
            self._send(process, json.dumps(request).encode() + b"\n")
            while (reply := self._receive(process, deadline)) is not None:
                if "error" in reply:
                    raise UnreadableError(str(reply["error"]))
                if "scanned_pages" in reply:
                    scanned_pages = min(scanned_pages + int(reply["scanned_pages"]), self._limits.ocr_pages)
                    deadline = started + self._limits.seconds + _SECONDS_PER_SCANNED_PAGE * scanned_pages
                elif "reason" in reply:
                    yield SkippedPart(str(reply["part"]), str(reply["reason"]), bool(reply["failed"]))
                else:
                    yield _PARSED_DOCUMENT.validate_python(reply)
        except _DeadlineError:
            self._end()
            raise UnreadableError(
                f"takes longer than {deadline - started:g} seconds to read (QA_PARSE_SECONDS)"
            ) from None
        except (OSError, EOFError):
            self._end()
            raise UnreadableError(
                f"ended the parser process: it needs more than {self._limits.memory_bytes // 1_000_000} MB "
                "(QA_PARSE_MEMORY_MB) or is damaged"
            ) from None
        except ValueError as error:
            if isinstance(error, UnreadableError):
                raise
            self._end()
            raise UnreadableError(f"can't be read: the parser process sent an invalid reply ({error})") from error

    def _start(self) -> "subprocess.Popen[bytes]":
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            self._buffer = b""
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, json.dumps(asdict(self._limits))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=os.path.sep,
            )
        return self._process

    def _send(self, process: "subprocess.Popen[bytes]", line: bytes) -> None:
        stdin = _pipe(process.stdin)
        stdin.write(line)
        stdin.flush()

    def _receive(self, process: "subprocess.Popen[bytes]", deadline: float) -> dict[str, Any] | None:
        stdout = _pipe(process.stdout)
        pieces = [self._buffer]
        most = _MAX_REPLY_EXPANSION * max(self._limits.expanded_bytes, self._limits.file_bytes)
        size = 0
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while b"\n" not in pieces[-1]:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise _DeadlineError
                piece = os.read(stdout.fileno(), _READ_BYTES)
                size += len(piece)
                if not piece or size > most:
                    raise EOFError
                pieces.append(piece)
        line, _, self._buffer = b"".join(pieces).partition(b"\n")
        found: dict[str, Any] | None = json.loads(line)
        return found

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with suppress(OSError):
                    _pipe(pipe).close()
            self._process = None


class _DeadlineError(Exception):
    pass


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise EOFError
    return pipe


def limit_memory(memory_bytes: int) -> None:
    """Limit the memory of this process, where the system can."""
    try:
        import resource  # noqa: PLC0415 - POSIX only
    except ImportError:
        return
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def main() -> None:
    """Parse the files named on standard input, one after another, until it ends."""
    from qa_service.loading.formats import parts_of  # noqa: PLC0415 - formats import large libraries

    limits = TypeAdapter(Limits).validate_json(sys.argv[1])
    limit_memory(limits.memory_bytes)
    replies = sys.stdout.buffer
    # Output that a library prints must not mix with the replies.
    sys.stdout = sys.stderr

    def ask(scanned_pages: int) -> None:
        replies.write(json.dumps({"scanned_pages": scanned_pages}).encode() + b"\n")
        replies.flush()

    ask_for_time.set(ask)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        try:
            for part in parts_of(request["suffix"], base64.b64decode(request["data"]), limits):
                replies.write(json.dumps(asdict(part)).encode() + b"\n")
            replies.write(b"null\n")
        except UnreadableError as error:
            replies.write(json.dumps({"error": str(error)}).encode() + b"\n")
        except MemoryError:
            os._exit(1)
        replies.flush()


if __name__ == "__main__":
    main()
