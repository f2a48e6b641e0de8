"""How good a model is: loss on validation batches, BLEU and chrF of its greedy translations."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import TypeVar

import torch
from sacrebleu.metrics import BLEU, CHRF

from training.batches import Batch
from training.examples import Example
from training.loss import label_smoothed_loss
from training.model import Transformer
from training.search import greedy_search
from training.tokenizer import Tokenizer

EVALUATION_BATCH = 64
Found = TypeVar("Found")


@dataclass(frozen=True)
class Scores:
    """Corpus scores by sacrebleu (Post 2018), with the signatures that make them comparable."""

    bleu: float
    bleu_signature: str
    chrf: float
    chrf_signature: str
    num_sentences: int

    def to_dict(self) -> dict[str, float | str | int]:
        """For JSON."""
        return asdict(self)


def score(hypotheses: list[str], references: list[str]) -> Scores:
    """Cased, detokenised BLEU and chrF of `hypotheses` against one reference each."""
    bleu, chrf = BLEU(), CHRF()
    return Scores(
        bleu=round(bleu.corpus_score(hypotheses, [references]).score, 4),
        bleu_signature=str(bleu.get_signature()),
        chrf=round(chrf.corpus_score(hypotheses, [references]).score, 4),
        chrf_signature=str(chrf.get_signature()),
        num_sentences=len(hypotheses),
    )


def in_batches(
    search: Callable[[list[list[int]]], list[Found]],
    sources: list[list[int]],
    advance: Callable[[int], object] = lambda _count: None,
) -> list[Found]:
    """What `search` finds for each of `sources`, batched by length; `advance` is told how many
    sentences each batch held.
    """
    order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
    results: dict[int, Found] = {}
    for start in range(0, len(order), EVALUATION_BATCH):
        chunk = order[start : start + EVALUATION_BATCH]
        results.update(zip(chunk, search([sources[i] for i in chunk]), strict=True))
        advance(len(chunk))
    return [results[i] for i in range(len(sources))]


def translate_ids(
    model: Transformer,
    sources: list[list[int]],
    advance: Callable[[int], object] = lambda _count: None,
) -> list[list[int]]:
    """Greedy translations of `sources`; see `in_batches`."""
    return in_batches(functools.partial(greedy_search, model), sources, advance)


def score_examples(model: Transformer, tokenizer: Tokenizer, examples: list[Example]) -> Scores:
    """Scores of greedy translations of `examples` against their own targets."""
    hypotheses = translate_ids(model, [example.source for example in examples])
    return score(
        [tokenizer.decode(ids) for ids in hypotheses],
        [tokenizer.decode(example.target) for example in examples],
    )


@torch.inference_mode()
def validation_loss(model: Transformer, batches: Iterable[Batch]) -> float:
    """Mean loss in nats a token, without smoothing or dropout."""
    was_training = model.training
    model.eval()
    total, num_tokens = 0.0, 0
    device = next(model.parameters()).device
    for cpu_batch in batches:
        batch = cpu_batch.to(device)
        loss = label_smoothed_loss(
            model(batch.source, batch.target_input), batch.target_output, 0.0
        )
        total += float(loss) * batch.num_tokens
        num_tokens += batch.num_tokens
    model.train(was_training)
    return total / num_tokens
