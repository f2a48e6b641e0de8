from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from tests.training.tiny import SENTENCES, make_model, make_tokenizer, random_examples, random_ids
from training import evaluate
from training.batches import make_batches
from training.config import EOS_ID, PAD_ID
from training.evaluate import score, score_examples, translate_ids, validation_loss
from training.examples import Example
from training.search import greedy_search

GERMAN = [target for _, target in SENTENCES if len(target.split()) > 3]


def test_a_perfect_translation_scores_100() -> None:
    scores = score(GERMAN, GERMAN)
    assert (scores.bleu, scores.chrf) == (100.0, 100.0)
    assert scores.num_sentences == len(GERMAN)


def test_scores_are_cased_and_say_how_they_were_made() -> None:
    scores = score([line.lower() for line in GERMAN], GERMAN)
    assert 0 < scores.bleu < 100
    assert scores.bleu_signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert scores.chrf_signature.startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version")


def test_translations_come_in_the_order_of_their_sources() -> None:
    model = make_model()
    sources = [[*random_ids(1 + i * 7 % 11), EOS_ID] for i in range(70)]  # more than one batch
    counts: list[int] = []
    found = translate_ids(model, sources, counts.append)
    assert counts == [64, 6]
    for i in range(0, 70, 9):
        assert found[i] == greedy_search(model, [sources[i]])[0]


def test_examples_are_scored_against_their_own_targets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = make_tokenizer(tmp_path / "tokenizer.model")
    examples = [Example([i], tokenizer.encode_target(line)) for i, line in enumerate(GERMAN)]
    targets = [example.target[1:-1] for example in examples]
    monkeypatch.setattr(evaluate, "translate_ids", lambda _model, sources: targets[: len(sources)])
    assert score_examples(make_model(), tokenizer, examples).bleu == 100.0
    targets.reverse()
    assert score_examples(make_model(), tokenizer, examples).bleu < 50.0


def test_validation_loss_is_the_mean_over_tokens_however_batches_are_cut() -> None:
    model, examples = make_model(), random_examples(20)
    sums, count = 0.0, 0
    for e in examples:
        logits = model(torch.tensor([e.source]), torch.tensor([e.target[:-1]]))[0]
        target = torch.tensor(e.target[1:])
        sums += F.cross_entropy(logits, target, ignore_index=PAD_ID, reduction="sum").item()
        count += len(target)
    for batch_tokens in (8, 64):
        found = validation_loss(model, make_batches(examples, batch_tokens))
        assert found == pytest.approx(sums / count, rel=1e-5)


@pytest.mark.parametrize("is_training", [True, False])
def test_validation_uses_no_dropout_and_leaves_the_mode_as_it_was(is_training: bool) -> None:
    model = make_model(dropout=0.5).train(is_training)
    batches = list(make_batches(random_examples(8), 64))
    assert validation_loss(model, batches) == validation_loss(model, batches)
    assert model.training is is_training
