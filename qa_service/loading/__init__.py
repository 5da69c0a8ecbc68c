"""source_text/ -> Documents: which files there are, how each is decoded, what its format marks.

``load_folder`` is the way in. A format is a function ``text -> Outline`` registered in ``FORMATS``.
"""

from qa_service.loading.folder import FORMATS, LoadedFolder, load_folder, source_root
from qa_service.loading.outline import Outline

__all__ = ["FORMATS", "LoadedFolder", "Outline", "load_folder", "source_root"]
