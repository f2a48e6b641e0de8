"""The evidence: PyTorch against a variant, on text, through the server's own runner and engine.

A figure here is measured on what ships: the same ModelRunner, the same scheduler, many sentences in
flight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from server.engine.engine import Engine
from server.engines import decode_greedy, make_engine
from server.errors import PackageError
from server.package import TOKENIZER_FILE, Evidence, ModelPackage, Sample
from server.runtime.model_runner import ModelRunner
from server.runtime.sessions import Sessions
from server.text.tokenizer import Tokenizer as ServingTokenizer
from training.evaluate import Scores, score, translate_ids
from training.model import Transformer
from training.tokenizer import Tokenizer as TrainingTokenizer

NUM_SLOTS = 64
FORCED_STEPS = 60
FORCED_SENTENCES = 8


@dataclass(frozen=True)
class Sentence:
    """One sentence of the evidence text, with its reference translation."""

    source_language: str
    target_language: str
    text: str
    reference: str


def check_tokenizers(
    sentences: Sequence[Sentence], training: TrainingTokenizer, serving: ServingTokenizer
) -> None:
    """Raises PackageError at the first sentence whose ids differ between training and serving."""
    for sentence in sentences:
        trained = training.encode_source(sentence.text, sentence.target_language)
        served = serving.encode(sentence.text, sentence.target_language)
        if trained != served:
            raise PackageError(
                f"tokenizers differ on {sentence.text!r}: "
                f"{trained} in training, {served} in serving"
            )


@dataclass(frozen=True)
class Reference:
    """What PyTorch in fp32 makes of the evidence text, by its own greedy search."""

    sources: list[list[int]]
    outputs: list[list[int]]
    texts: list[str]
    scores: Scores


def make_reference(
    model: Transformer, tokenizer: TrainingTokenizer, sentences: Sequence[Sentence]
) -> Reference:
    """Translates `sentences` with PyTorch."""
    sources = [tokenizer.encode_source(s.text, s.target_language) for s in sentences]
    outputs = translate_ids(model, sources)
    texts = [tokenizer.decode(ids) for ids in outputs]
    return Reference(sources, outputs, texts, score(texts, [s.reference for s in sentences]))


def pytorch_evidence(reference: Reference) -> Evidence:
    """PyTorch's own figures; it agrees with itself."""
    return _evidence(reference.scores, token_exact_rate=1.0, max_logit_difference=0.0)


def verify_variant(
    package: ModelPackage,
    variant: str,
    model: Transformer,
    reference: Reference,
    sentences: Sequence[Sentence],
    device: str = "",
) -> tuple[Evidence, list[list[int]]]:
    """Evidence for `variant` and the ids it generated for each sentence, on `device` (see
    Sessions): another one than the variant's own proves the graphs, not the variant.
    """
    tokenizer = ServingTokenizer(package.read_file(TOKENIZER_FILE), package.manifest.special_ids)
    outputs = _decode(
        make_engine(package, variant, NUM_SLOTS, torch.get_num_threads(), device),
        package,
        reference.sources,
    )
    scores = score([tokenizer.decode(ids) for ids in outputs], [s.reference for s in sentences])
    num_exact = sum(ours == theirs for ours, theirs in zip(outputs, reference.outputs, strict=True))
    difference = max_logit_difference(package, variant, model, reference, device)
    return _evidence(scores, round(num_exact / len(outputs), 6), difference), outputs


def _decode(engine: Engine, package: ModelPackage, sources: list[list[int]]) -> list[list[int]]:
    return decode_greedy(
        engine, sources, [package.manifest.target_limit(len(source)) for source in sources]
    )


def _evidence(scores: Scores, token_exact_rate: float, max_logit_difference: float) -> Evidence:
    return Evidence(
        bleu=scores.bleu,
        bleu_signature=scores.bleu_signature,
        chrf=scores.chrf,
        chrf_signature=scores.chrf_signature,
        num_sentences=scores.num_sentences,
        token_exact_rate=token_exact_rate,
        max_logit_difference=max_logit_difference,
    )


def max_logit_difference(
    package: ModelPackage,
    variant: str,
    model: Transformer,
    reference: Reference,
    device: str = "",
) -> float:
    """Largest absolute difference of any logit over a decode of 60 forced steps.

    The sentences, of different lengths, decode side by side in the server's runner; PyTorch
    computes each alone and
    without a cache. The forced tokens are PyTorch's translation, over and over: what matters is
    that both see the same.
    """
    order = sorted(range(len(reference.sources)), key=lambda i: len(reference.sources[i]))
    chosen = order[:: max(1, len(order) // FORCED_SENTENCES)][:FORCED_SENTENCES]
    num_steps = min(FORCED_STEPS, model.config.max_length)
    forced = [_forced_tokens(model, reference.outputs[i], num_steps) for i in chosen]
    sessions = Sessions(package, variant, torch.get_num_threads(), device)
    runner = ModelRunner(sessions, len(chosen))
    runner.encode([reference.sources[i] for i in chosen], list(range(len(chosen))))
    steps = [runner.decode_step([row[step] for row in forced]).copy() for step in range(num_steps)]
    onnx_logits = np.stack(steps, axis=1)  # (B, T, V)
    differences = [
        np.abs(onnx_logits[row] - _logits(model, reference.sources[i], forced[row]).numpy()).max()
        for row, i in enumerate(chosen)
    ]
    return float(np.max(differences))  # unlike max(), shows a NaN wherever it is


def _forced_tokens(model: Transformer, output: list[int], num_steps: int) -> list[int]:
    cycle = output or [model.config.eos_id]
    return [model.config.bos_id, *(cycle[i % len(cycle)] for i in range(num_steps - 1))]


@torch.inference_mode()
def _logits(model: Transformer, source: list[int], target: list[int]) -> Tensor:
    """Logits float (T, V) of one sentence, uncached."""
    return model(torch.tensor([source]), torch.tensor([target]))[0]  # type: ignore[no-any-return]


def make_samples(
    sentences: Sequence[Sentence], outputs: dict[str, list[list[int]]], num_samples: int
) -> list[Sample]:
    """Evenly spaced sentences with the ids that each variant generated for them."""
    chosen = range(0, len(sentences), max(1, len(sentences) // num_samples))
    return [
        Sample(
            sentences[i].source_language,
            sentences[i].target_language,
            sentences[i].text,
            {variant: ids[i] for variant, ids in outputs.items()},
        )
        for i in list(chosen)[:num_samples]
    ]
