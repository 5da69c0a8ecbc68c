"""Chooses where generations are stored: in the index folder, or in a Milvus server that replicas share."""

from collections.abc import Callable
from pathlib import Path

from qa_service.index import Generations, Index
from qa_service.index.disk import IndexFolder, OpenIndex
from qa_service.index.milvus import MilvusGenerations
from qa_service.index.milvus.connection import WRITING, Address, Connection
from qa_service.settings import Settings


def generations_of(settings: Settings) -> Generations:
    """Return the generations at the location that the settings name."""
    if settings.store == "faiss":
        return IndexFolder(settings.index)
    return _milvus(settings, Connection(_address(settings)))


def publish(settings: Settings, folder: IndexFolder, index: OpenIndex, check: Callable[[Index], None]) -> None:
    """Publish a generation of the folder to Milvus, and make it current there once ``check`` passes."""
    connection = Connection(_address(settings), patience=WRITING)
    connection.probe()  # fails at once if the server is unavailable
    generations = _milvus(settings, connection)
    try:
        weights, tokens = index.manifest.calibrated_for
        found = {
            (weights, tokens, labels): constants
            for labels in (True, False)
            if (constants := folder.calibration(weights, token_vectors=tokens, labels=labels)) is not None
        }
        generations.publish(index, found, check)
        generations.delete_old(settings.keep_generations)
    finally:
        generations.close()


def _milvus(settings: Settings, connection: Connection) -> MilvusGenerations:
    return MilvusGenerations(connection, settings.milvus_alias)


def _address(settings: Settings) -> Address:
    authority = Path(settings.milvus_ca) if settings.milvus_ca else None
    return Address(settings.milvus_uri, settings.milvus_token, authority, settings.milvus_seconds)
