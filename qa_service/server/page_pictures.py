"""Pictures of the pages of indexed PDF files, drawn from the files in the source folder."""

import hashlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from qa_service.datatypes import PageBox, SourceDocument
from qa_service.errors import Gone, NotFound, Overloaded
from qa_service.loading import limits_of
from qa_service.loading.folder import SkipFile, open_regular_file
from qa_service.loading.outline import UnreadableError
from qa_service.loading.pdf.picture import draw_page
from qa_service.settings import Settings

PDF = "application/pdf"
_MAX_AT_ONCE = 2
_QUEUE_SECONDS = 10.0
_CONTEXT_POINTS = 110.0
"""Height of the page above and below a quote where only its surroundings may be shown: about as much as its context."""


class PagePictures:
    """Draws pages, at most two at once. To be called from threads."""

    def __init__(self, settings: Settings) -> None:
        self._sources = {"": settings.source, **{name: own.source for name, own in settings.by_collection().items()}}
        self._limits = limits_of(settings)
        self._slots = threading.BoundedSemaphore(_MAX_AT_ONCE)

    def draw(
        self, collection: str, document: SourceDocument, page: int, boxes: Sequence[PageBox], *, whole: bool
    ) -> bytes:
        """Return a page of a document as a PNG, with boxes marked; without ``whole``, the part around the boxes only.

        Raises :class:`NotFound`, :class:`Gone` if the file is not the one that was indexed, and :class:`Overloaded`.
        """
        if document.media_type != PDF:
            raise NotFound("only the pages of PDF files have pictures; /sources/{document_id}/view shows this document")
        if not 1 <= page <= len(document.pages):
            raise NotFound(f"the document has pages 1 to {len(document.pages)}")
        if not (whole or boxes):
            raise NotFound("the quote has no place on this page")
        data = self._file(self._sources[collection], document)
        if not self._slots.acquire(timeout=_QUEUE_SECONDS):
            raise Overloaded("too many pages are being drawn; try again in some seconds")
        try:
            edges = [(box.x0, box.y0, box.x1, box.y1) for box in boxes]
            return draw_page(data, page, edges, self._limits, around=None if whole else _CONTEXT_POINTS)
        except UnreadableError as error:
            raise NotFound(f"the page {error}") from error
        finally:
            self._slots.release()

    def _file(self, source: Path, document: SourceDocument) -> bytes:
        root = os.path.realpath(source)
        path = os.path.realpath(os.path.join(root, document.source))
        if not path.startswith(root + os.sep):
            raise Gone("the file of the document leads out of the source folder; run `qa-service index`")
        try:
            with open_regular_file(path, self._limits.file_bytes) as file:
                data = file.read(self._limits.file_bytes)
        except SkipFile as skip:
            raise Gone(f"the file of the document can't be read ({skip.reason}); run `qa-service index`") from skip
        if hashlib.sha256(data).hexdigest() != document.sha256:
            raise Gone("the file of the document has changed since it was indexed; run `qa-service index`")
        return data
