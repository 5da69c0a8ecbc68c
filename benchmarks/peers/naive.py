"""sentence-transformers, a flat FAISS index and FastAPI, as written in an hour."""

import sys
from pathlib import Path

import faiss
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

folder, model_folder, port = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
model = SentenceTransformer(model_folder, device="cpu")
chunks: list[tuple[str, str, int]] = []
for path in sorted(folder.rglob("*.md")) + sorted(folder.rglob("*.txt")):
    text = path.read_text(encoding="utf-8")
    chunks += [(text[start : start + 800], path.name, start) for start in range(0, len(text), 800)]
vectors = model.encode([text for text, _, _ in chunks], normalize_embeddings=True)
index = faiss.IndexFlatIP(vectors.shape[1])
index.add(vectors)
app = FastAPI()


class Query(BaseModel):
    """A question."""

    question: str


@app.post("/search")
def search(query: Query) -> list[dict[str, object]]:
    """Return the five nearest chunks."""
    _, places = index.search(model.encode([query.question], normalize_embeddings=True), 5)
    found = [chunks[place] for place in places[0]]
    return [{"text": text, "document": name, "start": start} for text, name, start in found]


uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
