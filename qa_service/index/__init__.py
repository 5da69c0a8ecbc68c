"""What a generation is made of, and where it lies.

``interface`` says what may be asked of an index; ``disk`` and ``milvus`` are its two answers. ``vectors``, ``words``
and ``tokens`` are the three signals by which passages are ranked. ``locations`` picks disk or Milvus, as the settings
say.
"""

from qa_service.index.interface import Generations, Index, OpenResult, WordIndex, WordMatch
from qa_service.index.manifest import MANIFEST, PASSAGES, Contents, Manifest, check_model, parse_manifest

__all__ = [
    "MANIFEST",
    "PASSAGES",
    "Contents",
    "Generations",
    "Index",
    "Manifest",
    "OpenResult",
    "WordIndex",
    "WordMatch",
    "check_model",
    "parse_manifest",
]
