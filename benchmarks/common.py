"""What the benchmark scripts share: an index of a folder, opened, and a line about the machine."""

import os
import platform
from importlib import metadata
from pathlib import Path

from qa_service.embedding import Embedder
from qa_service.index import IndexFolder
from qa_service.pipeline import QuestionAnswerer, build
from qa_service.settings import Settings, load_settings


def answerer_for(source: Path, index: Path, embedder: Embedder, **settings: object) -> QuestionAnswerer:
    """Build an index of ``source`` with the default settings and open it."""
    chosen: Settings = load_settings(source=source, index=index, **settings)
    build(chosen, embedder)
    opened = IndexFolder(index).open(embedder.identity)
    answerer = QuestionAnswerer(opened.index, embedder, top_k=chosen.top_k, min_confidence=chosen.min_confidence)
    answerer.self_test()
    return answerer


def setup() -> str:
    """Return one line on machine, versions and load, to stand above every table of figures."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "sentence-transformers", "faiss-cpu"))
    load = f"load average {os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else ""
    return f"Python {platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores, {load}; {versions}"
