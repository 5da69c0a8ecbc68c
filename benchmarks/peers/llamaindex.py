"""LlamaIndex with its default splitter and a FAISS store, behind FastAPI."""

import sys

import faiss
import uvicorn
from fastapi import FastAPI
from llama_index.core import Settings, SimpleDirectoryReader, StorageContext, VectorStoreIndex
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.vector_stores.faiss import FaissVectorStore
from pydantic import BaseModel

folder, model_folder, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
Settings.llm = None
Settings.embed_model = HuggingFaceEmbedding(model_name=model_folder, device="cpu")
documents = SimpleDirectoryReader(folder, recursive=True).load_data()
storage = StorageContext.from_defaults(vector_store=FaissVectorStore(faiss_index=faiss.IndexFlatIP(384)))
retriever = VectorStoreIndex.from_documents(documents, storage_context=storage).as_retriever(similarity_top_k=5)
app = FastAPI()


class Query(BaseModel):
    """A question."""

    question: str


@app.post("/search")
def search(query: Query) -> list[dict[str, object]]:
    """Return the five nearest nodes."""
    nodes = [found.node for found in retriever.retrieve(query.question)]
    return [{"text": node.text, "document": node.metadata["file_name"], "start": node.start_char_idx} for node in nodes]


uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
