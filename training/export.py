"""Write the trained reader as an ONNX graph in 8 bits, and compare it with the same graph in floats.

    python -m training.export WORK [--checkpoint FILE] [--out FILE]

The same checkpoint gives the same bytes.
"""

import argparse
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from qa_service.embedding.export import fused, quiet, traced
from qa_service.embedding.quantization import quantize
from training.encoding import Encoder
from training.examples import Example, load
from training.held_out import BATCH_SIZE, best_windows
from training.model import Architecture, Layer, Reader, attention_mask, read_weights
from training.train import TRAINED

READER = Path(__file__).parent.parent / "qa_service/reading/model.onnx"
INPUTS = ("input_ids", "token_type_ids", "attention_mask")
OUTPUTS = ("answers", "spans")
COMPARED_WINDOWS = 200
COMPARED_SEED = 1


class Graph(nn.Module):
    """The reader with a mask as its third input, and attention written out as the optimizer recognises it."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.reader = reader

    def forward(self, ids: Tensor, types: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reader's logits for ids, types and 1 or 0 for padding, all (b, n)."""
        states, mask = self.reader.embed(ids, types), attention_mask(present)
        for layer in self.reader.layers:
            assert isinstance(layer, Layer)  # noqa: S101 - which a list of modules does not say
            states = layer.after_attention(states, attended(layer, states, mask))
        logits: tuple[Tensor, Tensor] = self.reader.head(states)
        return logits


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


def exported(reader: Reader, shape: Architecture) -> Any:
    """Return a reader as an ``onnx.ModelProto`` in floats, for any number of texts and tokens."""
    ids = torch.arange(40).view(2, 20)  # the traced graph holds for all others
    example = (ids, torch.zeros_like(ids), torch.ones_like(ids))
    with quiet():
        graph = onnx.load_model_from_string(traced(Graph(reader.eval()), example, INPUTS, OUTPUTS))
        return fused(graph, shape.heads, shape.hidden)


@dataclass(frozen=True, slots=True)
class Difference:
    """How far the logits of two graphs are apart."""

    mean: float
    largest: float
    same_sign: float
    """Share of logits that say the same, 0..1."""

    def __str__(self) -> str:
        return f"mean {self.mean:.3f}, largest {self.largest:.3f}, same sign {self.same_sign:.1%}"


def differences(graphs: tuple[Any, Any], windows: list[Example], encoder: Encoder) -> dict[str, Difference]:
    """Return by output how two graphs differ on windows; padding is not compared."""
    sessions = [onnxruntime.InferenceSession(g.SerializeToString(), providers=["CPUExecutionProvider"]) for g in graphs]
    logits: dict[str, tuple[list[np.ndarray], ...]] = {name: ([], []) for name in OUTPUTS}
    for start in range(0, len(windows), BATCH_SIZE):
        batch = encoder(windows[start : start + BATCH_SIZE])
        present = batch.ids != 0
        inputs = (batch.ids, batch.types, present.long())
        feed = {name: value.numpy() for name, value in zip(INPUTS, inputs, strict=True)}
        for side, session in enumerate(sessions):
            answers, spans = session.run(list(OUTPUTS), feed)
            logits["answers"][side].append(answers)
            logits["spans"][side].append(spans[present.numpy()].ravel())
    return {name: _difference(*(np.concatenate(side) for side in sides)) for name, sides in logits.items()}


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
    floats, small = exported(reader, shape), exported(reader, shape)
    quantize(small, table_bits=8)
    onnx.save(small, str(arguments.out))
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB")
    _, held_out = load(arguments.work)
    windows = list(best_windows(held_out).values())
    random.Random(COMPARED_SEED).shuffle(windows)  # noqa: S311 - reproducible, not secret
    for name, difference in differences((floats, small), windows[:COMPARED_WINDOWS], Encoder()).items():
        print(f"{name}, 8 bits less floats on {COMPARED_WINDOWS} held-out windows: {difference}")


if __name__ == "__main__":
    main()
