"""Opens what every model consists of here: a graph for ONNX Runtime, and a tokenizer."""

from pathlib import Path
from typing import Any

from qa_service.errors import ModelCorrupt

SLOW_FUSIONS = ("SkipLayerNormFusion",)
"""ONNX Runtime computes a fused sum and norm in some four times the time of both nodes (decision 0020)."""


def open_graph(graph: Path | bytes) -> Any:
    """Return an ``onnxruntime.InferenceSession`` that runs a graph, a file or its content, in the calling thread.

    Raises :class:`ModelCorrupt` if it is not a graph.
    """
    import onnxruntime  # noqa: PLC0415 - slow to import, and few commands need it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            graph if isinstance(graph, bytes) else str(graph),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=list(SLOW_FUSIONS),
        )
    except Exception as error:  # the library raises a dozen classes of its own
        name = "a graph in memory" if isinstance(graph, bytes) else graph
        raise ModelCorrupt(f"{name} can't be loaded: {error}") from error


def open_tokenizer(path: Path) -> Any:
    """Return a ``tokenizers.Tokenizer`` that neither pads nor truncates. Raises :class:`ModelCorrupt`."""
    from tokenizers import Tokenizer  # noqa: PLC0415 - not needed by the command line

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise ModelCorrupt(f"{path} can't be loaded: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
