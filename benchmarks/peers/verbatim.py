"""verbatim-rag with its simple splitter and Milvus Lite, behind FastAPI.

Its own splitter of Markdown keeps a document without headings whole. Its quotes come from a language model or from a
model of a hub, which are not measured: only its search is.
"""

import sys
import tempfile
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from verbatim_rag.chunker_providers import SimpleChunkerProvider
from verbatim_rag.embedding_providers import SentenceTransformersProvider
from verbatim_rag.index import VerbatimIndex
from verbatim_rag.schema import DocumentSchema
from verbatim_rag.vector_stores import LocalMilvusStore

folder, model_folder, port = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
scratch = tempfile.TemporaryDirectory()
index = VerbatimIndex(
    vector_store=LocalMilvusStore(f"{scratch.name}/peer.db", enable_sparse=False),
    dense_provider=SentenceTransformersProvider(model_folder),
    chunker_provider=SimpleChunkerProvider(),
)
index.add_documents_bulk(
    DocumentSchema(id=path.name, source=path.name, title=path.name, content=path.read_text(encoding="utf-8"))
    for path in sorted(folder.rglob("*.md")) + sorted(folder.rglob("*.txt"))
)
app = FastAPI()


class Query(BaseModel):
    """A question."""

    question: str


@app.post("/search")
def search(query: Query) -> list[dict[str, object]]:
    """Return the five nearest chunks; their places in the document are not known."""
    found = index.query(query.question, k=5)
    return [{"text": item.text, "document": item.metadata["source"], "start": None} for item in found]


uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
