"""The reader's network: BERT layers over question and window together, and a head that says what they found."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

PADDING = 0
_FAR_BELOW = -1e4
"""Added to attention's scores of padding; more would overflow 16 bits."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """Sizes of the network. The defaults are those of the first six layers of MiniLM-L12-H384."""

    layers: int = 6
    early: int = 4
    """The number of layers below the first of two heads: where it is sure, the layers above are not needed."""
    hidden: int = 384
    heads: int = 12
    inner: int = 1536
    vocabulary: int = 30522
    positions: int = 512


class Layer(nn.Module):
    """A BERT layer (Devlin et al., 2019, arXiv 1810.04805), norms after the sums."""

    def __init__(self, shape: Architecture, dropout: float) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Linear(shape.hidden, 3 * shape.hidden)
        self.out = nn.Linear(shape.hidden, shape.hidden)
        self.norm_1 = nn.LayerNorm(shape.hidden, eps=1e-12)
        self.up = nn.Linear(shape.hidden, shape.inner)
        self.down = nn.Linear(shape.inner, shape.hidden)
        self.norm_2 = nn.LayerNorm(shape.hidden, eps=1e-12)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Map states (b, n, h) to states; ``mask`` (b, 1, 1, n) is added to the attention's scores."""
        b, n, h = states.shape
        q, k, v = self.qkv(states).view(b, n, 3, self.heads, h // self.heads).permute(2, 0, 3, 1, 4)
        context = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask.to(q.dtype))
        return self.after_attention(states, context.transpose(1, 2).reshape(b, n, h))

    def after_attention(self, states: Tensor, context: Tensor) -> Tensor:
        """Map states (b, n, h) and what attention gathered for them (b, n, h) to the layer's output (b, n, h)."""
        states = self.norm_1(states + self.dropout(self.out(context)))
        output: Tensor = self.norm_2(states + self.dropout(self.down(functional.gelu(self.up(states)))))
        return output


class Head(nn.Module):
    """Says whether the window answers the question, and where the answer starts and ends."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.pool = nn.Linear(hidden, hidden)
        self.answers = nn.Linear(hidden, 1)
        self.span = nn.Linear(hidden, 2)

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Map states (b, n, h) to logits (b,) and (b, n, 2)."""
        return self.answers(torch.tanh(self.pool(states[:, 0]))).squeeze(-1), self.span(states)


Outputs = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]
"""The logits of the early head, and of the head: each (b,) and (b, n, 2)."""


class Reader(nn.Module):
    """Embeddings, layers and two heads, one after the early layers and one after all."""

    def __init__(self, shape: Architecture, dropout: float = 0.0) -> None:
        super().__init__()
        self.words = nn.Embedding(shape.vocabulary, shape.hidden)
        self.positions = nn.Embedding(shape.positions, shape.hidden)
        self.types = nn.Embedding(2, shape.hidden)
        self.norm = nn.LayerNorm(shape.hidden, eps=1e-12)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(Layer(shape, dropout) for _ in range(shape.layers))
        self.early = shape.early
        self.early_head = Head(shape.hidden)
        self.head = Head(shape.hidden)

    def forward(self, ids: Tensor, types: Tensor) -> Outputs:
        """Return the heads' logits for token ids (b, n), 0 for padding, and their types (b, n)."""
        states, mask = self.embed(ids, types), attention_mask(ids != PADDING)
        for layer in self.layers[: self.early]:
            states = layer(states, mask)
        early = self.early_head(states)
        for layer in self.layers[self.early :]:
            states = layer(states, mask)
        return early, self.head(states)

    def embed(self, ids: Tensor, types: Tensor) -> Tensor:
        """Return the states (b, n, h) below the first layer."""
        places = torch.arange(ids.shape[1], device=ids.device)
        states: Tensor = self.dropout(self.norm(self.words(ids) + self.positions(places) + self.types(types)))
        return states


def attention_mask(present: Tensor) -> Tensor:
    """Return what is added to the attention's scores (b, 1, 1, n), for tokens that are ``present`` (b, n) or not."""
    return (1.0 - present[:, None, None, :].float()) * _FAR_BELOW


def read_weights(checkpoint: Path) -> dict[str, Tensor]:
    """Return the weights of a checkpoint under the names of :class:`Reader`."""
    weights: dict[str, Tensor] = torch.load(checkpoint, mmap=True)["model"]
    return weights
