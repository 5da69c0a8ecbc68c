"""The built-in model as an original to export: read from its files, without torch."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from qa_service.embedding.bert import INPUTS, Shape, write_bert
from qa_service.embedding.graphs import open_graph, open_tokenizer
from qa_service.embedding.models import LENGTHS, ModelFiles, checked_window
from qa_service.embedding.runtime import OUTPUTS, RECIPE, TOKENIZER, OnnxEmbedder
from qa_service.embedding.specification import Specification


class BuiltInModel:
    """The built-in model, a BERT. Its reference is its plain graph, which the tests compare with torch."""

    def __init__(self, files: ModelFiles) -> None:
        self._files = files

    @cached_property
    def reference(self) -> OnnxEmbedder:
        """The embedder with which exports are compared."""
        return _PlainGraph(self._files.folder, self.specification, threads=1)

    @cached_property
    def specification(self) -> Specification:
        """The properties of an export in fp32, without hashes of files."""
        folder = self._files.folder
        return Specification(
            identity=self._files.identity,
            precision="fp32",
            recipe=RECIPE,
            dimension=Shape.read(folder).width,
            window=checked_window(json.loads((folder / LENGTHS).read_bytes())["max_seq_length"], folder / LENGTHS),
            inputs=INPUTS,
            outputs=OUTPUTS,
            question_prompt="",
            passage_prompt="",
            sha256={},
        )

    def graph(self, *, fused: bool) -> Any:
        """Return an ``onnx.ModelProto`` in fp32, with the fused nodes of ONNX Runtime or with ONNX's own alone."""
        return write_bert(self._files.folder, fused=fused)

    def write_tokenizer(self, path: Path) -> None:
        """Write the tokenizer in the format of ``tokenizers``."""
        open_tokenizer(self._files.folder / TOKENIZER).save(str(path))


class _PlainGraph(OnnxEmbedder):
    """Runs the plain graph in fp32, from memory, with the tokenizer of the model's folder."""

    @cached_property
    def _session(self) -> Any:
        return open_graph(write_bert(self.folder, fused=False).SerializeToString())
