"""A page of a PDF as a PNG with boxes marked, drawn in a process of its own with limits of memory, time and size.

Run as a program, this module reads a PDF from standard input and writes the picture to standard output. A hostile file
ends that process only.
"""

import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from qa_service.loading.limits import Limits
from qa_service.loading.outline import UnreadableError
from qa_service.loading.pdf.segments import Box

_MAX_PIXELS = 1600  # of the longer side
_MAX_SCALE = 2.0  # pixels per point
_MARK = (255, 224, 138)  # multiplied with what it covers, as a highlighter does
_MARGIN = 1.0
_MAX_SECONDS = 15.0
_MAX_REASON_CHARACTERS = 200


def draw_page(data: bytes, page: int, boxes: Sequence[Box], limits: Limits, *, around: float | None = None) -> bytes:
    """Return a page, from 1, as a PNG. Boxes are left, upper, right and lower edges from the page's upper left corner.

    With ``around`` the picture is cropped to the rows of the boxes and so many points above and below them.
    Raises :class:`UnreadableError`.
    """
    order = json.dumps({"page": page, "boxes": boxes, "memory_bytes": limits.memory_bytes, "around": around})
    seconds = min(limits.seconds, _MAX_SECONDS)
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__, order], input=data, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise UnreadableError(f"takes longer than {seconds:g} seconds to draw") from None
    if done.returncode or not done.stdout:
        reason = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise UnreadableError(f"can't be drawn ({reason[:_MAX_REASON_CHARACTERS] or 'the process ended'})")
    return done.stdout


def _picture(data: bytes, page: int, boxes: Sequence[Box], around: float | None) -> bytes:
    import pypdfium2  # noqa: PLC0415 - a large library, needed here only

    pdf = pypdfium2.PdfDocument(data)
    pdf.init_forms()
    opened = pdf[page - 1]
    scale = min(_MAX_SCALE, _MAX_PIXELS / max(*opened.get_size(), 1.0))
    bitmap = opened.render(scale=scale, rev_byteorder=True, force_bitmap_format=pypdfium2.raw.FPDFBitmap_BGR)
    pixels = bitmap.to_numpy().copy()
    for left, top, right, bottom in boxes:
        rows = slice(max(0, round((top - _MARGIN) * scale)), max(0, round((bottom + _MARGIN) * scale)))
        columns = slice(max(0, round((left - _MARGIN) * scale)), max(0, round((right + _MARGIN) * scale)))
        marked = pixels[rows, columns].astype(np.uint16) * np.array(_MARK, np.uint16) // 255
        pixels[rows, columns] = marked.astype(np.uint8)
    if around is not None:
        first, last = min(box[1] for box in boxes) - around, max(box[3] for box in boxes) + around
        pixels = pixels[max(0, round(first * scale)) : max(1, round(last * scale))]
    return _png(pixels)


def _png(pixels: Any) -> bytes:
    """Encode an array (height, width, 3) of bytes."""
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # each row begins with its filter: none
    rows[:, 1:] = pixels.reshape(height, 3 * width)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    encoded = (
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(encoded)


def main() -> None:
    """Draw the page of the PDF on standard input that the argument names."""
    from qa_service.loading.parser_process import limit_memory  # noqa: PLC0415 - needed here only

    order = json.loads(sys.argv[1])
    limit_memory(order["memory_bytes"])
    sys.stdout.buffer.write(_picture(sys.stdin.buffer.read(), order["page"], order["boxes"], order["around"]))


if __name__ == "__main__":
    main()
