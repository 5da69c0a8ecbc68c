"""Write the trained reader as two ONNX graphs in 8 bits, and compare them with the same graphs in floats.

    python -m training.export WORK [--checkpoint FILE] [--out FOLDER]

``lower.onnx`` holds the layers up to the early head, ``upper.onnx`` those above it; ``SHA256SUMS`` has their hashes.
The same checkpoint gives the same bytes.
"""

import argparse
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from qa_service.embedding.models import sha256_of
from qa_service.embedding.quantization import quantize
from qa_service.embedding.traced import quiet, traced, with_fused_nodes
from qa_service.reading.choose import LOWER, SUMS, UPPER
from training.encoding import Encoder
from training.examples import Example, load
from training.held_out import best_windows
from training.model import Architecture, Layer, Reader, attention_mask, read_weights
from training.train import TRAINED

READER = Path(__file__).parent.parent / "qa_service/reading"
LOWER_INPUTS, UPPER_INPUTS = ("input_ids", "token_type_ids", "attention_mask"), ("states", "attention_mask")
OUTPUTS = ("answers", "spans")
COMPARED_WINDOWS = 200
COMPARED_SEED = 1


class LowerGraph(nn.Module):
    """The early layers with their head, and the states for the layers above. The mask is the third input."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.reader = reader

    def forward(self, ids: Tensor, types: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits and states for ids, types and 1 or 0 for padding, all (b, n)."""
        reader = self.reader
        states = through(reader.layers[: reader.early], reader.embed(ids, types), present)
        return *reader.early_head(states), states


class UpperGraph(nn.Module):
    """The layers above the early ones, with the last head."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.reader = reader

    def forward(self, states: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits for the states (b, n, h) of the early layers, and 1 or 0 for padding (b, n)."""
        reader = self.reader
        logits: tuple[Tensor, Tensor] = reader.head(through(reader.layers[reader.early :], states, present))
        return logits


def through(layers: Iterable[nn.Module], states: Tensor, present: Tensor) -> Tensor:
    """Return the states (b, n, h) after some layers, with attention written out as the optimizer recognises it."""
    mask = attention_mask(present)
    for layer in layers:
        assert isinstance(layer, Layer)  # noqa: S101 - which a list of modules does not say
        states = layer.after_attention(states, attended(layer, states, mask))
    return states


def attended(layer: Layer, states: Tensor, mask: Tensor) -> Tensor:
    """Return what attention gathers (b, n, h), with a product each for queries, keys and values."""
    b, n, h = states.shape
    q, k, v = (
        nn.functional.linear(states, weight, bias).view(b, n, layer.heads, h // layer.heads).transpose(1, 2)
        for weight, bias in zip(layer.qkv.weight.chunk(3), layer.qkv.bias.chunk(3), strict=True)
    )
    scores = q @ k.transpose(-1, -2) / (h // layer.heads) ** 0.5 + mask
    context: Tensor = scores.softmax(-1) @ v
    return context.transpose(1, 2).reshape(b, n, h)


def exported(reader: Reader, shape: Architecture) -> tuple[Any, Any]:
    """Return both graphs as ``onnx.ModelProto`` in floats, for any number of texts and tokens."""
    ids = torch.arange(40).view(2, 20)  # the traced graph holds for all others
    states, present = torch.zeros(2, 20, shape.hidden), torch.ones_like(ids)
    parts = [
        (LowerGraph(reader.eval()), (ids, torch.zeros_like(ids), present), LOWER_INPUTS, (*OUTPUTS, "states")),
        (UpperGraph(reader.eval()), (states, present), UPPER_INPUTS, OUTPUTS),
    ]
    with quiet():
        graphs = [onnx.load_model_from_string(traced(*part)) for part in parts]
        lower, upper = (with_fused_nodes(graph, shape.heads, shape.hidden) for graph in graphs)
    return lower, upper


def in_8_bits(reader: Reader, shape: Architecture) -> tuple[Any, Any]:
    """Return both graphs with products and word vectors in 8 bits.

    A window is read alone, so one scale for all its activations does no harm to others, and takes a sixth less time
    than one for each row.
    """
    graphs = exported(reader, shape)
    for graph in graphs:
        quantize(graph, table_bits=8, scale_per_row=False)
    return graphs


@dataclass(frozen=True, slots=True)
class Difference:
    """How far the logits of two graphs are apart."""

    mean: float
    largest: float
    same_sign: float
    """Share of logits that say the same, 0..1."""

    def __str__(self) -> str:
        return f"mean {self.mean:.3f}, largest {self.largest:.3f}, same sign {self.same_sign:.1%}"


def differences(
    one: tuple[Any, Any], other: tuple[Any, Any], windows: list[Example], encoder: Encoder
) -> dict[str, Difference]:
    """Return by output how two readers differ on windows."""
    logits = [[read(graphs, window, encoder) for window in windows] for graphs in map(opened, (one, other))]
    names = [f"{place} {name}" for place in ("early", "last") for name in OUTPUTS]
    return {
        name: _difference(*(np.concatenate([found[place].ravel() for found in side]) for side in logits))
        for place, name in enumerate(names)
    }


def opened(graphs: tuple[Any, Any]) -> list[onnxruntime.InferenceSession]:
    """Return sessions for two graphs."""
    return [onnxruntime.InferenceSession(g.SerializeToString(), providers=["CPUExecutionProvider"]) for g in graphs]


def read(sessions: list[onnxruntime.InferenceSession], window: Example, encoder: Encoder) -> list[np.ndarray]:
    """Return the logits of both heads for a window: (1,), (1, n, 2), twice."""
    batch = encoder([window])
    present = np.ones_like(batch.ids.numpy())
    lower = (batch.ids.numpy(), batch.types.numpy(), present)
    answers, spans, states = sessions[0].run(None, dict(zip(LOWER_INPUTS, lower, strict=True)))
    return [answers, spans, *sessions[1].run(None, dict(zip(UPPER_INPUTS, (states, present), strict=True)))]


def _difference(one: np.ndarray, other: np.ndarray) -> Difference:
    apart = np.abs(one - other)
    return Difference(float(apart.mean()), float(apart.max()), float(((one > 0) == (other > 0)).mean()))


def main() -> None:
    """Write the graph and print how it differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--checkpoint", type=Path, help=f"default: {TRAINED} in WORK")
    parser.add_argument("--out", type=Path, default=READER)
    arguments = parser.parse_args()
    shape = Architecture()
    reader = Reader(shape)
    reader.load_state_dict(read_weights(arguments.checkpoint or arguments.work / TRAINED))
    small = in_8_bits(reader, shape)
    for name, graph in zip((LOWER, UPPER), small, strict=True):
        onnx.save(graph, str(arguments.out / name))
        print(f"{name}: {(arguments.out / name).stat().st_size / 1e6:.1f} MB")
    sums = (f"{sha256_of(arguments.out / name)}  {name}\n" for name in (LOWER, UPPER))
    (arguments.out / SUMS).write_text("".join(sums), encoding="ascii")
    _, held_out = load(arguments.work)
    windows = list(best_windows(held_out).values())
    random.Random(COMPARED_SEED).shuffle(windows)  # noqa: S311 - reproducible, not secret
    compared = differences(exported(reader, shape), small, windows[:COMPARED_WINDOWS], Encoder())
    for name, difference in compared.items():
        print(f"{name}, 8 bits less floats on {COMPARED_WINDOWS} held-out windows: {difference}")


if __name__ == "__main__":
    main()
