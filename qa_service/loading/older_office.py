"""DOC and PPT -> DOCX and PPTX, by LibreOffice where it is installed."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from qa_service.loading.limits import Limits
from qa_service.loading.outline import ParsedDocument, Reader, SkippedPart, UnreadableError

_COMPOUND_FILE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_SHARE_OF_TIME = 0.8  # it ends before the parser process does, and is not left behind
_PROGRAMS = ("soffice", "libreoffice")


def converted(suffix: str, read: Reader) -> Reader:
    """Return a reader of files that LibreOffice first saves in the format named by ``suffix``, which ``read`` reads."""

    def read_converted(data: bytes, limits: Limits) -> Iterator[ParsedDocument | SkippedPart]:
        yield from read(_convert(data, suffix, limits), limits)

    return read_converted


def _convert(data: bytes, suffix: str, limits: Limits) -> bytes:
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if not data.startswith(_COMPOUND_FILE):
        raise UnreadableError(f"is not in the format of its ending; save it as {suffix}")
    if program is None:
        raise UnreadableError(f"is read only where LibreOffice is installed; install it, or save the file as {suffix}")
    with tempfile.TemporaryDirectory(prefix="qa-service-") as folder:
        source = Path(folder, "document")
        source.write_bytes(data)
        # LibreOffice runs once for each profile, and a user may have it open.
        command = [program, f"-env:UserInstallation={Path(folder, 'profile').as_uri()}", "--headless", "--norestore"]
        command += ["--convert-to", suffix.removeprefix("."), "--outdir", folder, str(source)]
        _run(command, limits.seconds * _SHARE_OF_TIME)
        result = source.with_suffix(suffix)
        if not result.exists() or result.stat().st_size > limits.expanded_bytes:
            raise UnreadableError(f"can't be converted by LibreOffice; save it as {suffix}")
        return result.read_bytes()


def _run(command: list[str], seconds: float) -> None:
    """Run a program; end it and the processes that it started when its time is over."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
