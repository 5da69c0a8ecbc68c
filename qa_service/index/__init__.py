"""The index: what a generation holds, and where generations are stored.

``interface`` declares the operations of an index; ``disk`` and ``milvus`` implement them. ``vectors``, ``words`` and
``tokens`` are the three signals that rank passages. ``locations`` picks disk or Milvus by the settings.
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
