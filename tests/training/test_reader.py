"""The reader: batches, training that resumes, and a graph that gives the same logits."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from qa_service.evaluation.statistics import auroc
from training.encoding import NO_SPAN, Encoder, token_span
from training.examples import Example
from training.export import exported, in_8_bits, opened, read
from training.held_out import evaluate
from training.model import Architecture, Outputs, Reader, read_weights
from training.records import GoldAnswer, Record, Window
from training.sampling import Sampler
from training.train import Material, Recipe, Training, train

SMALL = Architecture(layers=2, early=1, hidden=24, heads=2, inner=48)
RECIPE = Recipe(rows=480, batch=8, rate=3e-3, head_rate=1e-2, warm_up_steps=5, rows_per_checkpoint=240, dropout=0.0)
TOWER = "The tower was built in 1931 by Anna Berg."
EXAMPLES = [
    Example("When was the tower built?", TOWER, "answered", "towers", "Towers", ((23, 27),)),
    Example("Who built the tower?", TOWER, "answered", "towers", "Towers", ((31, 40),)),
    Example("When was the bridge built?", "The bridge fell.", "near", "towers"),
    Example("Who built the bridge?", "The bridge was old.", "home", "bridges"),
    Example("Where is the lake?", "A cat sleeps.", "other", "lakes"),
]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder()


@pytest.fixture
def model() -> Reader:
    torch.manual_seed(5)
    return Reader(SMALL)


def held_out() -> list[Record]:
    window = Window(TOWER, 0, best=True, confidence=0.7)
    answers = (GoldAnswer("1931", 23),)
    return [
        Record("1", "When was the tower built?", "Towers", True, answers, (window,), None),
        Record("2", "When was the bridge built?", "Towers", False, (), (replace(window, confidence=0.2),), None),
        Record("3", "Why?", "Towers", False, (), (), None),
    ]


def test_a_batch_has_question_window_padding_and_the_places_of_the_answer(encoder: Encoder) -> None:
    """Each word and mark of these texts is one token: 6 and 10, with three marks around them."""
    batch = encoder([EXAMPLES[0], replace(EXAMPLES[2], window="")])
    assert batch.ids.shape == batch.types.shape == (2, 19)
    assert batch.ids[0].tolist().count(102) == 2
    assert batch.types[0].tolist() == [0] * 8 + [1] * 11
    assert batch.types[1].tolist() == [0] * 8 + [1] + [0] * 10
    assert (batch.ids[1, 9:] == 0).all()
    assert batch.spans.tolist() == [[8 + 5, 8 + 5], [NO_SPAN, NO_SPAN]]
    assert batch.answered.tolist() == [1.0, 0.0]


def test_a_title_before_the_window_moves_the_answer(encoder: Encoder) -> None:
    """Half of the windows have it; `Towers:` is two tokens."""
    firsts = {encoder(EXAMPLES[:1], random.Random(seed)).spans[0, 0].item() for seed in range(20)}
    assert firsts == {13, 15}


def test_an_answer_that_is_cut_off_has_no_span() -> None:
    assert token_span([(0, 3), (4, 8)], [(4, 12), (0, 3)], first=10) == (10, 10)
    assert token_span([(0, 3), (4, 8)], [(4, 12)], first=10) == (NO_SPAN, NO_SPAN)


def test_padding_does_not_change_a_logit(encoder: Encoder, model: Reader) -> None:
    """A text alone, and beside a longer one."""
    model.eval()
    alone, together = encoder(EXAMPLES[2:3]), encoder(EXAMPLES[:3])
    with torch.no_grad():
        for one, several in zip(model(alone.ids, alone.types), model(together.ids, together.types), strict=True):
            assert torch.allclose(one[0], several[0][2], atol=1e-5)


def test_the_graphs_give_the_logits_of_both_heads(encoder: Encoder, model: Reader) -> None:
    """In floats and, less exactly, in 8 bits."""
    batch = encoder(EXAMPLES[:1])
    with torch.no_grad():
        expected = [values.numpy() for head in model(batch.ids, batch.types) for values in head]
    for graphs, tolerance in ((exported(model, SMALL), 1e-4), (in_8_bits(model, SMALL), 0.1)):
        found = read(opened(graphs), EXAMPLES[0], encoder)
        for values, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(values, wanted, atol=tolerance)


def test_graphs_are_written_with_the_same_bytes_again(model: Reader) -> None:
    once, again = ([graph.SerializeToString() for graph in in_8_bits(model, SMALL)] for _ in range(2))
    assert once == again


def test_training_lowers_the_loss_and_resumes_from_its_checkpoint(
    encoder: Encoder, model: Reader, tmp_path: Path
) -> None:
    """The second run has nothing left to learn; a third goes on to more rows."""
    checkpoint, material = tmp_path / "checkpoint.pt", Material(EXAMPLES, held_out())
    training = Training(model, RECIPE)
    batch = encoder(EXAMPLES)
    before = training.loss_of(batch).item()
    words = model.words.weight.clone()
    train(training, material, encoder, checkpoint)
    assert training.loss_of(batch).item() < before * 0.8
    assert torch.equal(model.words.weight, words)

    again = Training(Reader(SMALL), RECIPE)
    train(again, material, encoder, checkpoint)
    assert again.step == training.step == 60
    assert all(torch.equal(a, b) for a, b in zip(again.model.parameters(), model.parameters(), strict=True))
    further = Training(Reader(SMALL), replace(RECIPE, rows=528))
    train(further, material, encoder, checkpoint)
    assert further.step == 66
    assert set(read_weights(checkpoint)) == set(model.state_dict())


def test_the_rate_rises_stays_and_falls_to_nothing() -> None:
    recipe = Recipe(rows=2400, batch=24, warm_up_steps=5)
    factors = [recipe.rate_factor(step) for step in range(recipe.steps)]
    assert factors[:5] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert factors[64] == 1.0
    assert factors[66] < 1.0
    assert factors[99] == pytest.approx(1 / 35)


def test_the_early_head_learns_from_the_labels_and_from_the_head_above(encoder: Encoder, model: Reader) -> None:
    """With no weight it gets no gradient."""
    batch = encoder(EXAMPLES)
    for weight, learns in ((0.5, True), (0.0, False)):
        model.zero_grad(set_to_none=True)
        torch.autograd.backward(Training(model, replace(RECIPE, early_weight=weight)).loss_of(batch))
        assert (model.early_head.pool.weight.grad is not None) is learns


def test_kinds_are_drawn_in_their_shares() -> None:
    """2,000 draws; three standard errors of a share of a half are .034."""
    drawn = Sampler(EXAMPLES, seed=3).examples(2000)
    share = {kind: sum(e.kind == kind for e in drawn) / 2000 for kind in ("answered", "near", "made", "random")}
    assert share == pytest.approx({"answered": 0.44, "near": 0.24, "made": 0.10, "random": 0.03}, abs=0.04)


class CountsTowers(torch.nn.Module):
    """Its logit is how often `tower` occurs, that of the early head the opposite; its span is a token of the window."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place = place

    def forward(self, ids: torch.Tensor, types: torch.Tensor) -> Outputs:
        edges = torch.zeros(*ids.shape, 2)
        edges[:, self.place] = 1
        edges[:, 0] = 2  # no token of the window
        logits = (ids == 3578).sum(1).float()
        return (-logits, edges), (logits, edges)


@pytest.mark.parametrize(("place", "overlap"), [(13, 1.0), (12, 0.0)])
def test_figures_of_held_out_questions(encoder: Encoder, place: int, overlap: float) -> None:
    """The answerable question and its window have a tower each, the others one or none; its answer is token 13."""
    early, figures = evaluate(CountsTowers(place), encoder, held_out())
    assert early.auroc == 0.5  # the question without a window still comes last
    assert (figures.auroc, figures.auroc_of_confidence, figures.auroc_together) == (1.0, 1.0, 1.0)
    assert figures.span_overlap == overlap


def test_auroc_is_the_share_of_pairs_in_the_right_order() -> None:
    """Two of four pairs are right, one is wrong and one is a tie."""
    assert auroc(np.array([3.0, 1.0, 1.0, 2.0]), np.array([True, True, False, False])) == (2 + 0.5) / 4
