"""The pipeline that hayhooks deploys: documents split by words and kept in memory; five nearest results."""

import os
from pathlib import Path

from hayhooks import BasePipelineWrapper
from haystack import Document, Pipeline
from haystack.components.preprocessors import DocumentSplitter
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack_integrations.components.embedders.sentence_transformers import (
    SentenceTransformersDocumentEmbedder,
    SentenceTransformersTextEmbedder,
)


class PipelineWrapper(BasePipelineWrapper):
    """A pipeline that embeds the documents on deployment."""

    def setup(self) -> None:
        """Index the documents and build the pipeline of queries."""
        folder, model = Path(os.environ["PEER_DOCUMENTS"]), os.environ["PEER_MODEL"]
        documents = [
            Document(content=path.read_text(encoding="utf-8"), meta={"source": path.name})
            for path in sorted(folder.rglob("*.md")) + sorted(folder.rglob("*.txt"))
        ]
        store = InMemoryDocumentStore(embedding_similarity_function="cosine")
        splitter, embedder = DocumentSplitter(), SentenceTransformersDocumentEmbedder(model=model, progress_bar=False)
        for component in (splitter, embedder):
            component.warm_up()
        store.write_documents(embedder.run(splitter.run(documents)["documents"])["documents"])
        self.pipeline = Pipeline()
        self.pipeline.add_component("embedder", SentenceTransformersTextEmbedder(model=model, progress_bar=False))
        self.pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=5))
        self.pipeline.connect("embedder.embedding", "retriever.query_embedding")

    def run_api(self, question: str) -> list[dict[str, object]]:
        """Return the five nearest chunks."""
        found = self.pipeline.run({"embedder": {"text": question}})["retriever"]["documents"]
        return [
            {"text": item.content, "document": item.meta["source"], "start": item.meta["split_idx_start"]}
            for item in found
        ]
