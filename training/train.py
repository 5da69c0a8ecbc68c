"""Train the reader.

    python -m training.train WORK [--rows N]

WORK holds the start weights and the windows. A checkpoint is written and judged every 3,000 rows; a run that was
interrupted goes on from it. The last one is renamed to ``WORK/reader.pt``.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.encoding import NO_SPAN, Batch, Encoder
from training.examples import HELD_OUT_TITLE, Example, load
from training.held_out import evaluate
from training.model import Architecture, Reader
from training.records import Record
from training.sampling import Sampler

START, CHECKPOINT, TRAINED = "start.pt", "checkpoint.pt", "reader.pt"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long and how fast to learn. A row is one example."""

    rows: int = 200_000
    batch: int = 24
    rate: float = 1e-4
    head_rate: float = 3e-4
    warm_up_steps: int = 200
    decay_share: float = 0.35
    """Share of the steps, at the end, over which the rate falls to nothing in a straight line."""
    span_weight: float = 0.25
    early_weight: float = 0.5
    """Weight of the early head's loss."""
    dropout: float = 0.1
    rows_per_checkpoint: int = 3_000
    seed: int = 1

    @property
    def steps(self) -> int:
        """Number of batches."""
        return self.rows // self.batch

    def rate_factor(self, step: int) -> float:
        """Return the share of the rate at a step: it rises, stays at 1, falls to 0."""
        warm_up = min(self.warm_up_steps, max(1, self.steps // 10))
        return min(1.0, (step + 1) / warm_up, (self.steps - step) / (self.steps * self.decay_share))


@dataclass(frozen=True, slots=True)
class Material:
    """Examples to learn from, and the questions that judge a checkpoint."""

    examples: list[Example]
    held_out: list[Record]


class Training:
    """A model with its optimizer, and the number of steps done; kept in a checkpoint."""

    def __init__(self, model: Reader, recipe: Recipe) -> None:
        self.model, self.recipe, self.step = model, recipe, 0
        for table in (model.words, model.positions, model.types):
            table.requires_grad_(False)  # so rare words keep what they meant
        head = [*model.head.parameters(), *model.early_head.parameters()]
        names = {id(parameter) for parameter in head}
        body = [p for p in model.parameters() if p.requires_grad and id(p) not in names]
        self._rates = (recipe.rate, recipe.head_rate)
        self._optimizer = torch.optim.AdamW([{"params": body}, {"params": head}], weight_decay=0.01, betas=(0.9, 0.98))

    def learn(self, batch: Batch) -> float:
        """Change the weights by a batch; return its loss."""
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * self.recipe.rate_factor(self.step)
        value = self.loss_of(batch)
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        self.step += 1
        return value.item()

    def loss_of(self, batch: Batch) -> Tensor:
        """Return the loss of a batch (), which can be differentiated."""
        with torch.autocast("cpu", torch.bfloat16):
            early, last = self.model(batch.ids, batch.types)
        recipe = self.recipe
        total = loss(last, batch, batch.answered, recipe.span_weight)
        if recipe.early_weight:
            # The early head learns from the labels and from the head above (self-distillation), half and half.
            targets = (batch.answered + last[0].float().detach().sigmoid()) / 2
            total = total + recipe.early_weight * loss(early, batch, targets, recipe.span_weight)
        return total

    def save(self, path: Path) -> None:
        """Write a checkpoint; an older one stays until this one is complete."""
        part = path.with_suffix(".part")
        state = {"model": self.model.state_dict(), "optimizer": self._optimizer.state_dict(), "step": self.step}
        torch.save(state, part)
        part.rename(path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path)
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]


def loss(output: tuple[Tensor, Tensor], batch: Batch, targets: Tensor, span_weight: float) -> Tensor:
    """Return the weighted mean of the cross-entropies with ``targets`` (b,), plus those of the answer's two ends.

    ``output`` are the logits of a head, (b,) and (b, n, 2).
    """
    logits, edges = (values.float() for values in output)
    labels = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    total = (labels * batch.weights).sum() / batch.weights.sum()
    if (batch.spans != NO_SPAN).any():
        ends = functional.cross_entropy(edges, batch.spans, ignore_index=NO_SPAN)  # the mean over both ends
        total = total + span_weight * ends
    return total


def train(training: Training, material: Material, encoder: Encoder, checkpoint: Path) -> None:
    """Learn to the end of the recipe, from the checkpoint if there is one."""
    if checkpoint.exists():
        training.resume(checkpoint)
        print("going on from step", training.step, flush=True)
    recipe, model = training.recipe, training.model
    sampler = Sampler(material.examples, recipe.seed + training.step)
    batches = sampler.batches(recipe.batch)
    model.train()
    began, first, losses = time.monotonic(), training.step, []
    while training.step < recipe.steps:
        losses.append(training.learn(encoder(next(batches), sampler.chance)))
        if training.step % (recipe.rows_per_checkpoint // recipe.batch) == 0 or training.step == recipe.steps:
            speed = (training.step - first) * recipe.batch / (time.monotonic() - began)
            rows = training.step * recipe.batch
            early, last = evaluate(model, encoder, material.held_out)
            print(f"{rows} rows, {speed:.1f}/s, loss {np.mean(losses):.4f}, {last}; early {early}", flush=True)
            losses.clear()
            training.save(checkpoint)


def main() -> None:
    """Train, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--rows", type=int, default=Recipe().rows)
    arguments = parser.parse_args()
    work, recipe = arguments.work, Recipe(rows=arguments.rows)
    torch.manual_seed(recipe.seed)
    material = Material(*load(work))
    if not (material.examples and material.held_out):
        sys.exit(f"{work} needs windows of several sets, {HELD_OUT_TITLE!r} among them; see training/README.md")
    print(len(material.examples), "examples,", len(material.held_out), "questions held out", flush=True)
    model = Reader(Architecture(), recipe.dropout)
    model.load_state_dict(torch.load(work / START), strict=False)  # the heads are new
    train(Training(model, recipe), material, Encoder(), work / CHECKPOINT)
    (work / CHECKPOINT).rename(work / TRAINED)


if __name__ == "__main__":
    main()
