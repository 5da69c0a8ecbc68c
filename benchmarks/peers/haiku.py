"""haiku.rag with its splitter and hybrid search, behind FastAPI. Needs Python 3.12.

Its answers come from a language model, which is not measured: only its search is.
"""

import logging
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

# This file is named like the package, so its own folder must not be on the path.
sys.path = [place for place in sys.path if place != str(Path(__file__).parent)]

import uvicorn
from fastapi import FastAPI
from haiku.rag.client import HaikuRAG
from haiku.rag.config import AppConfig
from haiku.rag.config.models import EmbeddingModelConfig, EmbeddingsConfig, ProcessingConfig
from pydantic import BaseModel

logging.disable(logging.INFO)
folder, model_folder, port = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
files = sorted(folder.rglob("*.md")) + sorted(folder.rglob("*.txt"))
model = EmbeddingModelConfig(provider="sentence-transformers", name=model_folder, vector_dim=384)
settings = AppConfig(
    embeddings=EmbeddingsConfig(model=model), processing=ProcessingConfig(chunking_tokenizer=model_folder)
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Index the documents and keep the database open."""
    with tempfile.TemporaryDirectory() as scratch:
        async with HaikuRAG(Path(scratch) / "peer.lancedb", config=settings, create=True) as client:
            for path in files:
                await client.create_document(path.read_text(encoding="utf-8"), uri=path.name)
            app.state.client = client
            yield


app = FastAPI(lifespan=lifespan)


class Query(BaseModel):
    """A question."""

    question: str


@app.post("/search")
async def search(query: Query) -> list[dict[str, object]]:
    """Return the five best chunks; their places in the document are not known."""
    found = await app.state.client.search(query.question, limit=5)
    return [{"text": item.content, "document": item.document_uri, "start": None} for item in found]


uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
