from __future__ import annotations

import itertools

import pytest
import torch

from tests.training.tiny import make_model, random_ids
from training.beam import beam_candidates, beam_search
from training.config import BOS_ID, EOS_ID, PAD_ID
from training.model import Transformer
from training.search import greedy_search, max_target_tokens

SOURCES = [[*random_ids(n), EOS_ID] for n in (1, 5, 3, 7)]


@torch.inference_mode()
def log_probability(models: list[Transformer], source: list[int], target: list[int]) -> float:
    """Of the tokens of `target`, teacher-forced, by the mean of the models' probabilities."""
    ids = torch.tensor([[BOS_ID, *target[:-1]]])
    mean = 0
    for model in models:
        logits = model(torch.tensor([source]), ids)[0]
        logits[:, [PAD_ID, BOS_ID]] = -torch.inf
        mean = mean + torch.softmax(logits, dim=-1) / len(models)
    return float(mean.log()[range(len(target)), target].sum())


def small_models(count: int) -> list[Transformer]:
    """Models over five tokens that end soon, so that all translations can be listed."""
    return [make_model(vocabulary_size=7, max_length=3) for _ in range(count)]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_a_wide_beam_finds_the_best_of_all_translations(count: int, length_penalty: float) -> None:
    models = small_models(count)
    source = [4, 5, EOS_ID]
    tokens = [t for t in range(7) if t not in (PAD_ID, BOS_ID, EOS_ID)]
    ended = [[*body, EOS_ID] for n in range(3) for body in itertools.product(tokens, repeat=n)]
    everything = ended + [list(body) for body in itertools.product(tokens, repeat=3)]
    scores = {
        tuple(t): log_probability(models, source, t) / len(t) ** length_penalty for t in everything
    }
    best = max(scores, key=lambda t: scores[t])
    (found,) = beam_search(models, [source], beam_size=60, length_penalty=length_penalty)
    assert found == [t for t in best if t != EOS_ID]


def test_a_beam_of_one_is_greedy() -> None:
    model = make_model()
    assert beam_search([model], SOURCES, beam_size=1) == greedy_search(model, SOURCES)


@pytest.mark.parametrize("beam_size", [2, 5])
def test_a_sentence_does_not_depend_on_its_neighbours(beam_size: int) -> None:
    models = [make_model(), make_model()]
    together = beam_search(models, SOURCES, beam_size)
    assert together == [beam_search(models, [s], beam_size)[0] for s in SOURCES]


def test_a_wider_beam_finds_no_worse_translation() -> None:
    model = make_model()
    for source in SOURCES:
        scores = []
        for beam_size in (1, 8):
            (found,) = beam_search([model], [source], beam_size, length_penalty=0.0)
            limit = max_target_tokens(len(source), model.config.max_length)
            end = [EOS_ID] if len(found) < limit else []
            scores.append(log_probability([model], source, [*found, *end]))
        assert scores[1] >= scores[0] - 1e-5


def test_two_copies_of_a_model_vote_as_one() -> None:
    model = make_model()
    assert beam_search([model, model], SOURCES, 4) == beam_search([model], SOURCES, 4)


def test_candidates_are_different_and_ranked_by_their_probability() -> None:
    models, source = small_models(1), [4, 5, EOS_ID]
    (candidates,) = beam_candidates(models, [source], beam_size=5, length_penalty=0.0)
    assert len(candidates) >= 5
    assert len({*map(tuple, candidates)}) == len(candidates)
    ended = [ids if len(ids) == 3 else [*ids, EOS_ID] for ids in candidates]  # 3 is the limit
    scores = [log_probability(models, source, ids) for ids in ended]
    assert scores == sorted(scores, reverse=True)
    assert beam_search(models, [source], 5, 0.0) == candidates[:1]
