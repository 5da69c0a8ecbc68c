"""Links from a report to the sources of questions."""

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from qa_service.datatypes import Offsets
from qa_service.pipeline import QuestionAnswerer
from qa_service.settings import Settings

Links = Callable[[str, Offsets], str | None]
"""Returns the address of a span of the document at a path, if it has one."""


def no_link(_: str, __: Offsets) -> None:
    """Return no address."""


def links_of(answerer: QuestionAnswerer, settings: Settings, output: Path) -> Links:
    """Return links to the published documents, or else to the files of the source folder.

    A report in the data folder is sent over HTTP, from where the files can't be reached.
    """
    is_sent = settings.data.resolve() in output.resolve().parents

    def link(uri: str, place: Offsets) -> str | None:
        document = answerer.index.document_by_uri(uri)
        published = None if document is None else answerer.published_link(document, place)
        if published is not None and published.startswith(("http://", "https://")):
            return published
        file = settings.source / uri.partition("#")[0]  # a row or a member of a file is named after the #
        return None if is_sent or not file.is_file() else quote(os.path.relpath(file.resolve(), output.resolve()))

    return link
