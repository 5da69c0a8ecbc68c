"""LangChain with its usual splitter and FAISS, behind FastAPI."""

import sys
from pathlib import Path

# This file is named like the package, so its own folder must not be on the path.
sys.path = [place for place in sys.path if place != str(Path(__file__).parent)]

import uvicorn
from fastapi import FastAPI
from langchain_community.vectorstores import FAISS
from langchain_core.documents import Document
from langchain_huggingface import HuggingFaceEmbeddings
from langchain_text_splitters import RecursiveCharacterTextSplitter
from pydantic import BaseModel

folder, model_folder, port = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
embeddings = HuggingFaceEmbeddings(model_name=model_folder, model_kwargs={"device": "cpu"})
documents = [
    Document(path.read_text(encoding="utf-8"), metadata={"source": path.name})
    for path in sorted(folder.rglob("*.md")) + sorted(folder.rglob("*.txt"))
]
splitter = RecursiveCharacterTextSplitter(chunk_size=800, chunk_overlap=100, add_start_index=True)
store = FAISS.from_documents(splitter.split_documents(documents), embeddings)
app = FastAPI()


class Query(BaseModel):
    """A question."""

    question: str


@app.post("/search")
def search(query: Query) -> list[dict[str, object]]:
    """Return the five nearest chunks."""
    return [
        {"text": found.page_content, "document": found.metadata["source"], "start": found.metadata["start_index"]}
        for found in store.similarity_search(query.question, k=5)
    ]


uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
