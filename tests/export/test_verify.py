from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from export import verify
from export.verify import Reference, Sentence
from server.errors import PackageError
from server.package import ModelPackage, open_package
from server.text.tokenizer import Tokenizer as ServingTokenizer
from training.checkpoint import load_model
from training.generated import generate
from training.model import Transformer
from training.tokenizer import Tokenizer as TrainingTokenizer

TEXT = generate("numbers", ("en", "de"), "val")
SENTENCES = [
    Sentence("en", "de", s, t) for s, t in zip(TEXT.sides["en"], TEXT.sides["de"], strict=True)
][:20]


@pytest.fixture(scope="module")
def model(numbers_checkpoint: Path) -> Transformer:
    return load_model(numbers_checkpoint)[0]


@pytest.fixture(scope="module")
def package(numbers_package: Path) -> ModelPackage:
    return open_package(numbers_package)


@pytest.fixture(scope="module")
def tokenizer(numbers_package: Path) -> TrainingTokenizer:
    return TrainingTokenizer(numbers_package / "tokenizer.model")


@pytest.fixture(scope="module")
def reference(model: Transformer, tokenizer: TrainingTokenizer) -> Reference:
    return verify.make_reference(model, tokenizer, SENTENCES)


def test_fp32_has_pytorchs_tokens_and_logits(
    package: ModelPackage, model: Transformer, reference: Reference
) -> None:
    evidence, outputs = verify.verify_variant(package, "cpu-fp32", model, reference, SENTENCES)
    assert outputs == reference.outputs
    assert evidence.token_exact_rate == 1.0
    assert 0 < evidence.max_logit_difference < 1e-4
    assert (evidence.bleu, evidence.chrf) == (reference.scores.bleu, reference.scores.chrf)
    assert evidence.num_sentences == 20


def test_a_sentence_with_other_tokens_lowers_the_exact_rate(
    package: ModelPackage, model: Transformer, reference: Reference
) -> None:
    outputs = [[*reference.outputs[0], 7], *reference.outputs[1:]]
    changed = replace(reference, outputs=outputs)
    evidence, _ = verify.verify_variant(package, "cpu-fp32", model, changed, SENTENCES)
    assert evidence.token_exact_rate == 0.95


def test_one_other_weight_in_pytorch_shows_in_the_logits(
    package: ModelPackage, numbers_checkpoint: Path, reference: Reference
) -> None:
    changed, _ = load_model(numbers_checkpoint)
    with torch.no_grad():
        changed.encoder_layers[0].feed_forward.w_2.weight[3, 5] += 0.1
    assert verify.max_logit_difference(package, "cpu-fp32", changed, reference) > 1e-3


def test_a_logit_that_is_no_number_is_not_hidden_by_the_others(
    package: ModelPackage,
    model: Transformer,
    reference: Reference,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compute, rows = verify._logits, iter(range(100))

    def third_is_nan(*arguments: object) -> torch.Tensor:
        return compute(*arguments) * (torch.nan if next(rows) == 2 else 1.0)

    monkeypatch.setattr(verify, "_logits", third_is_nan)
    difference = verify.max_logit_difference(package, "cpu-fp32", model, reference)
    assert difference != difference


def test_forced_decoding_covers_60_steps_from_the_start_token(model: Transformer) -> None:
    assert verify._forced_tokens(model, [7, 8, 9], 8) == [model.config.bos_id, 7, 8, 9, 7, 8, 9, 7]
    assert verify._forced_tokens(model, [], 3) == [model.config.bos_id, *[model.config.eos_id] * 2]
    assert min(verify.FORCED_STEPS, model.config.max_length) == 60


def test_tokenizers_that_agree_pass(package: ModelPackage, tokenizer: TrainingTokenizer) -> None:
    content = package.read_file("tokenizer.model")
    serving = ServingTokenizer(content, package.manifest.special_ids)
    verify.check_tokenizers(SENTENCES, tokenizer, serving)


def test_the_first_sentence_that_tokenizers_differ_on_is_named(
    package: ModelPackage, tokenizer: TrainingTokenizer
) -> None:
    ids = replace(package.manifest.special_ids, language_tags={"en": 5, "de": 99})
    serving = ServingTokenizer(package.read_file("tokenizer.model"), ids)
    with pytest.raises(PackageError, match="tokenizers differ on") as caught:
        verify.check_tokenizers(SENTENCES, tokenizer, serving)
    assert repr(SENTENCES[0].text) in str(caught.value)


def test_pytorchs_own_evidence_is_perfect(reference: Reference) -> None:
    evidence = verify.pytorch_evidence(reference)
    assert (evidence.token_exact_rate, evidence.max_logit_difference) == (1.0, 0.0)


@pytest.mark.parametrize(("num_sentences", "expected"), [(20, [0, 5, 10, 15]), (3, [0, 1, 2])])
def test_samples_are_spread_over_the_text(num_sentences: int, expected: list[int]) -> None:
    outputs = {"cpu-int8": [[i] for i in range(20)], "cpu-fp32": [[-i] for i in range(20)]}
    samples = verify.make_samples(SENTENCES[:num_sentences], outputs, 4)
    assert [sample.text for sample in samples] == [SENTENCES[i].text for i in expected]
    assert [sample.expected for sample in samples] == [
        {"cpu-int8": [i], "cpu-fp32": [-i]} for i in expected
    ]
