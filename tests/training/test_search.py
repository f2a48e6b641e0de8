from __future__ import annotations

import pytest
import torch

from tests.training.tiny import make_model, random_ids
from training.config import BOS_ID, EOS_ID, PAD_ID
from training.model import Transformer
from training.search import greedy_search, max_target_tokens, sample_search


def search_without_cache(model: Transformer, source: list[int]) -> list[int]:
    """Greedy search by its definition: the whole prefix again for every token."""
    ids = [BOS_ID]
    for _ in range(max_target_tokens(len(source), model.config.max_length)):
        logits = model(torch.tensor([source]), torch.tensor([ids]))[0, -1]
        logits[[PAD_ID, BOS_ID]] = -torch.inf
        ids.append(int(logits.argmax()))
        if ids[-1] == EOS_ID:
            return ids[1:-1]
    return ids[1:]


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_each_translation_is_the_greedy_one_and_the_same_alone_and_in_a_batch(norm: str) -> None:
    model = make_model(norm=norm)
    sources = [[*random_ids(length), EOS_ID] for length in (1, 9, 3, 14, 5, 2, 7)]
    expected = [search_without_cache(model, source) for source in sources]
    assert len({len(ids) for ids in expected}) > 1  # some rows end before others
    assert greedy_search(model, sources) == expected
    assert [greedy_search(model, [source])[0] for source in sources] == expected


def always(token: int) -> Transformer:
    """A model that gives `token` by far the highest score."""
    model = make_model()
    with torch.no_grad():
        model.output.bias[token] = 1000.0
    return model


def test_the_end_of_sentence_is_left_out() -> None:
    assert greedy_search(always(EOS_ID), [[5, EOS_ID], [6, 7, EOS_ID]]) == [[], []]


def test_a_translation_stops_at_its_own_limit() -> None:
    sources = [[5, EOS_ID], [5, 6, 7, EOS_ID]]
    assert greedy_search(always(9), sources) == [[9] * 20, [9] * 24]


def test_no_translation_is_longer_than_the_model_allows() -> None:
    assert greedy_search(always(9), [[*random_ids(20), EOS_ID]]) == [[9] * 32]


@pytest.mark.parametrize("token", [PAD_ID, BOS_ID])
def test_padding_and_the_start_token_are_never_chosen(token: int) -> None:
    (ids,) = greedy_search(always(token), [[5, EOS_ID]])
    assert ids
    assert token not in ids


def test_the_limit_is_generous_and_bounded() -> None:
    assert [max_target_tokens(n, 100) for n in (0, 1, 10, 60)] == [16, 18, 36, 100]


def test_a_cold_sample_and_a_sample_of_the_first_token_alone_are_greedy() -> None:
    model = make_model()
    sources = [[*random_ids(length), EOS_ID] for length in (1, 9, 3)]
    generator = torch.Generator().manual_seed(1)
    expected = greedy_search(model, sources)
    assert sample_search(model, sources, 1e-4, 1.0, generator) == expected
    assert sample_search(model, sources, 1.0, 1e-6, generator) == expected


def test_samples_are_as_frequent_as_the_model_says() -> None:
    model = make_model()
    with torch.no_grad():
        model.output.weight.zero_()
        model.output.bias.fill_(-torch.inf)
        model.output.bias[[EOS_ID, 7, 8, 9]] = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()
    generator = torch.Generator().manual_seed(1)

    def first(temperature: float, top_p: float) -> list[float]:
        found = sample_search(model, [[5, EOS_ID]] * 4000, temperature, top_p, generator)
        firsts = [(ids or [EOS_ID])[0] for ids in found]
        return [firsts.count(token) / 4000 for token in (EOS_ID, 7, 8, 9)]

    assert first(1.0, 1.0) == pytest.approx([0.4, 0.3, 0.2, 0.1], abs=0.03)
    assert first(1.0, 0.6) == pytest.approx([4 / 7, 3 / 7, 0, 0], abs=0.03)
    squares = [p * p / 0.3 for p in (0.4, 0.3, 0.2, 0.1)]
    assert first(0.5, 1.0) == pytest.approx(squares, abs=0.03)


def test_the_same_generator_draws_the_same_samples() -> None:
    model = make_model()
    sources = [[*random_ids(length), EOS_ID] for length in (1, 9, 3)]
    found = [
        sample_search(model, sources, 1.0, 1.0, torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    ]
    assert found[0] == found[1] != found[2]
