"""Chooses the index of a folder of documents that the command line names."""

import hashlib
import os
from pathlib import Path

from qa_service.errors import IndexMissing, SettingsError, StorageError
from qa_service.index.disk import IndexFolder
from qa_service.loading import source_root
from qa_service.settings import Settings, load_settings

_NAME_CHARACTERS = 40
_HASH_DIGITS = 12


def cached_index(settings: Settings) -> Path:
    """Return the folder, in the cache of the machine, for the index of the source folder."""
    source = settings.source.resolve()
    digest = hashlib.sha256(os.fsencode(source)).hexdigest()[:_HASH_DIGITS]
    return settings.model_cache.absolute() / "indexes" / f"{source.name[:_NAME_CHARACTERS]}-{digest}"


def index_to_build(settings: Settings) -> Path:
    """Return the folder for the index of a source folder that was named without ``--source``.

    It lies in the cache, unless the index was named too or the source folder is the one that the settings name.
    """
    source_root(settings.source)  # raises an error for a folder that is missing
    if _is_named(settings) or settings.source.resolve() == load_settings().source.resolve():
        return settings.index
    index = cached_index(settings)
    try:
        index.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"can't make {index}: {error.strerror}; name a folder for the index with --index, or for the cache with "
            "QA_CACHE_DIR"
        ) from error
    return index


def index_to_ask(settings: Settings) -> Path:
    """Return the index folder of the source folder that the command line names.

    Raises :class:`IndexMissing` if there is none, :class:`SettingsError` if the index was built from another folder,
    which is still there. An index whose folder is gone was built elsewhere and brought here.
    """
    source, built = settings.source.resolve(), IndexFolder(settings.index).source()
    if built == source or settings.store != "faiss":
        return settings.index
    cached = cached_index(settings)
    if not _is_named(settings) and IndexFolder(cached).source() == source:
        return cached
    if not _is_named(settings) and not settings.index.exists():
        raise IndexMissing(f"no index of {settings.source}; build it with `qa-service index {settings.source}`")
    if built is not None and built.is_dir():
        raise SettingsError(
            f"the index in {settings.index.absolute()} was built from {built}, not from {settings.source}; name the "
            f"right index with --index, or build one with `qa-service index {settings.source}`"
        )
    return settings.index


def _is_named(settings: Settings) -> bool:
    return "index" in settings.model_fields_set
