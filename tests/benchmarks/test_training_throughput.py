"""benchmarks/training_throughput as far as it goes without Joey NMT's environment and a GPU."""

from __future__ import annotations

import math
from argparse import Namespace
from itertools import chain
from pathlib import Path

import pytest
import torch

from benchmarks.training_throughput import __main__ as command
from benchmarks.training_throughput import joeynmt
from benchmarks.training_throughput.flops import (
    flops_per_target_token,
    peak_tflops,
    training_flops,
    utilisation,
)
from benchmarks.training_throughput.recipe import (
    Size,
    load_examples,
    matched_batch_tokens,
    num_target_tokens,
    our_batches,
    read_recipe,
    tokens_per_update,
    write_recipe,
)
from benchmarks.training_throughput.report import best_of_each, loss_lines, ratio, speed_lines
from benchmarks.training_throughput.runs import ON_CPU, OURS, Contestant, Outcome, Task
from benchmarks.training_throughput.torch_peer import (
    TorchTransformer,
    random_batches,
    smoothed_cross_entropy,
)
from benchmarks.training_throughput.worker import TRAINERS, train
from tests.training import torch_reference
from tests.training.tiny import SENTENCES, make_model, model_config, random_examples, random_ids
from training.batches import collate
from training.config import BOS_ID, EOS_ID, PAD_ID
from training.examples import Example
from training.loss import label_smoothed_loss
from training.model import Transformer

EXAMPLES = [
    Example([*random_ids(1 + i * 7 % 13), EOS_ID], [BOS_ID, *random_ids(1 + i * 5 % 11), EOS_ID])
    for i in range(300)
]
JOEY_LOG = """\
2026-01-05 18:09:10,565 - INFO - joeynmt.training - EPOCH 1
2026-01-05 18:09:10,783 - INFO - joeynmt.training - Epoch   1, Step:        5, \
Batch Loss:     5.646423, Batch Acc: 0.003302, Tokens per Sec:     8509, Lr: 0.000025
2026-01-05 18:09:11,007 - INFO - joeynmt.training - Epoch   1, Step:       10, \
Batch Loss:     5.666928, Batch Acc: 0.004614, Tokens per Sec:     7865, Lr: 0.000050
2026-01-05 18:09:11,109 - INFO - joeynmt.training - Epoch   1, total training loss: 12.93, \
num. of seqs: 211, num. of tokens: 6907, 0.6163[sec]
2026-01-05 18:09:11,109 - INFO - joeynmt.training - EPOCH 2
2026-01-05 18:09:11,182 - INFO - joeynmt.training - Epoch   2, Step:       15, \
Batch Loss:     5.585822, Batch Acc: 0.004878, Tokens per Sec:    22611, Lr: 0.000100
2026-01-05 18:09:11,183 - INFO - joeynmt.training - Training ended since maximum num. of updates \
15 was reached.
"""
PEER = Contestant("peer, fp32", "torch")
FAST_PEER = Contestant("peer, bf16", "torch", is_half=True)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Twenty pairs and a model of a few thousand parameters."""
    sides = {lang: [pair[i] for pair in SENTENCES] for i, lang in enumerate(("en", "de"))}
    short = {language: lines[:6] for language, lines in sides.items()}
    size = Size(16, 2, 24, 2, 1, 400, 0.1, batch_tokens=64, learning_rate=0.01, warmup_steps=2)
    return write_recipe(tmp_path, {"train": sides, "val": short}, "en-de", size)


def task(recipe: Path, trainer: str, **fields: object) -> Task:
    chosen: dict[str, object] = {
        "recipe": str(recipe),
        "trainer": trainer,
        "is_half": False,
        "is_math_attention": False,
        "device": "cpu",
        "batch_tokens": 64,
        "num_updates": 6,
        "window": 2,
        "seed": 1,
        "is_validated": True,
        **fields,
    }
    return Task(**chosen)  # type: ignore[arg-type]


def test_the_peers_batches_have_every_pair_once_in_random_order_under_the_limit() -> None:
    groups = [group for [group] in random_batches(EXAMPLES, 100, seed=3)]
    assert sorted(map(id, chain.from_iterable(groups))) == sorted(map(id, EXAMPLES))
    assert all(len(group) * max(e.length for e in group) <= 100 for group in groups)
    firsts = [group[0].length for group in groups]
    assert firsts != sorted(firsts)
    again, other = (random_batches(EXAMPLES, 100, seed) for seed in (3, 4))
    assert again == [[group] for group in groups] != other
    ours = tokens_per_update(our_batches, EXAMPLES, 800, 3)
    assert tokens_per_update(random_batches, EXAMPLES, 800, 3) < 0.8 * ours


def test_a_pair_longer_than_the_limit_is_a_batch_of_its_own() -> None:
    groups = [group for [group] in random_batches(EXAMPLES[:5], 1, seed=3)]
    assert [len(group) for group in groups] == [1] * 5


def test_joeynmts_batches_are_full_once_their_padded_tokens_reach_the_limit() -> None:
    groups = [group for [group] in joeynmt.batches(EXAMPLES, 100, seed=3)]
    assert sorted(map(id, chain.from_iterable(groups))) == sorted(map(id, EXAMPLES))
    for group in groups[:-1]:
        lengths = [example.length - 1 for example in group]
        assert len(group) * max(lengths) >= 100 > (len(group) - 1) * max(lengths[:-1])


@pytest.mark.parametrize("cut", [random_batches, joeynmt.batches])
def test_padded_sizes_can_be_matched_so_that_updates_see_as_many_tokens(cut: object) -> None:
    wanted = tokens_per_update(our_batches, EXAMPLES, 800, 1)
    batch_tokens = matched_batch_tokens(cut, EXAMPLES, wanted, 1)  # type: ignore[arg-type]
    found = tokens_per_update(cut, EXAMPLES, batch_tokens, 1)  # type: ignore[arg-type]
    assert batch_tokens > 800
    assert found == pytest.approx(wanted, rel=0.1)


def test_torchs_transformer_is_the_same_function_of_as_many_parameters() -> None:
    ours = make_model(num_encoder_layers=3)
    peer = TorchTransformer(ours.config).eval()
    assert sum(p.numel() for p in peer.parameters()) == sum(p.numel() for p in ours.parameters())
    peer.transformer.load_state_dict(torch_reference.transformer(ours).state_dict())
    peer.words.weight.data.copy_(ours.embedding.words.weight)
    peer.output.bias.data.copy_(ours.output.bias)
    batch = collate(random_examples(12))
    assert (batch.source == PAD_ID).any()
    torch.testing.assert_close(
        peer(batch.source, batch.target_input),
        ours(batch.source, batch.target_input),
        atol=2e-5,
        rtol=1e-5,
    )


def test_torchs_transformer_drops_where_ours_does() -> None:
    peer = TorchTransformer(model_config(dropout=0.3)).train()
    attention = [m for m in peer.modules() if isinstance(m, torch.nn.MultiheadAttention)]
    layers = [*peer.transformer.encoder.layers, *peer.transformer.decoder.layers]
    assert len(attention) == 6
    assert {module.dropout for module in attention} == {0.0}
    assert {layer.dropout.p for layer in layers} == {0.0}
    assert {layer.dropout1.p for layer in layers} == {layer.dropout2.p for layer in layers} == {0.3}


def test_torchs_loss_is_ours() -> None:
    logits, target = torch.randn(3, 5, 37), torch.randint(4, 37, (3, 5))
    target[1, 3:] = PAD_ID
    for smoothing in (0.0, 0.1):
        theirs = smoothed_cross_entropy(logits, target, smoothing)
        torch.testing.assert_close(theirs, label_smoothed_loss(logits, target, smoothing))


@pytest.mark.parametrize("trainer", ["ours", "torch"])
def test_a_run_learns_counts_and_measures(recipe: Path, trainer: str) -> None:
    before = train(task(recipe, trainer, num_updates=1, window=1))
    after = train(task(recipe, trainer, num_updates=60, is_math_attention=True))
    config = read_recipe(recipe)
    per_epoch = num_target_tokens(load_examples(config, "train"))
    num_groups = len(TRAINERS[trainer].cut(load_examples(config, "train"), 64, 1))
    assert (len(before.windows), len(after.windows)) == (1, 29)
    assert min(after.windows) > 0
    assert after.num_tokens == pytest.approx(60 / num_groups * per_epoch, rel=0.15)
    assert before.num_validation_tokens == num_target_tokens(load_examples(config, "val"))
    assert after.validation_loss < 0.8 * before.validation_loss  # type: ignore[operator]


def test_a_run_in_bf16_is_not_validated_unless_asked(recipe: Path) -> None:
    found = train(task(recipe, "ours", is_half=True, is_validated=False, num_updates=2))
    assert (found.validation_loss, found.num_validation_tokens) == (None, None)


def test_the_speed_of_joeynmt_is_read_from_its_log() -> None:
    assert joeynmt.speeds(JOEY_LOG) == [8509, 7865, 22611]


def test_the_loss_of_joeynmt_is_read_from_its_scores() -> None:
    loss, num_tokens = joeynmt.mean_loss("[-0.5, -1.25]\n[-3.0]\n[-1e-05, -2.0]\n")
    assert num_tokens == 5
    assert loss == pytest.approx((0.5 + 1.25 + 3.0 + 1e-5 + 2.0) / 5)


def test_joeynmt_is_asked_for_the_same_training(recipe: Path, tmp_path: Path) -> None:
    found = joeynmt.configuration(
        task(recipe, "joeynmt", window=5, num_updates=12), read_recipe(recipe), tmp_path
    )
    assert (found["data"]["src"]["lang"], found["data"]["trg"]["lang"]) == ("en", "de")
    assert all(Path(f"{found['data']['train']}.{lang}").exists() for lang in ("en", "de"))
    assert found["model"]["encoder"]["num_layers"] == 2
    assert found["model"]["decoder"]["num_layers"] == 1
    assert found["model"]["decoder"]["layer_norm"] == "post"
    assert found["model"]["embed_init_weight"] == 0.25
    training = found["training"]
    assert (training["updates"], training["logging_freq"], training["batch_size"]) == (12, 5, 64)
    assert training["validation_freq"] % 5 == 0
    assert training["validation_freq"] > 12
    assert (found["use_cuda"], found["fp16"]) == (False, False)


def test_joeynmt_gets_every_piece_of_the_tokenizer(recipe: Path, tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.txt"
    joeynmt._write_vocabulary(recipe.parent / "tokenizer.model", path)
    pieces = path.read_text(encoding="utf-8").splitlines()
    assert pieces[:4] == ["<pad>", "<s>", "</s>", "<unk>"]
    assert len(set(pieces)) == len(pieces) == read_recipe(recipe).model.vocabulary_size


def test_flops_are_those_counted_by_hand() -> None:
    config = model_config(
        d_model=4,
        d_ff=10,
        num_heads=2,
        num_encoder_layers=1,
        num_decoder_layers=2,
        vocabulary_size=37,
    )
    # Encoder: 4 * 16 + 2 * 40 = 144; cross-attention's keys and values: 2 * 2 * 16 = 64.
    # Decoder: 2 * (6 * 16 + 2 * 40) = 352; projection: 4 * 37 = 148.
    # Pairs of 3 source and 2 target positions: 3 * 3 + 2 * (2 * 2 + 2 * 3) = 29.
    by_hand = 6 * ((144 + 64) * 3 + (352 + 148) * 2) + 12 * 4 * 29
    assert training_flops(config, 3, 2) == by_hand == 11136
    example = Example([5, 6, EOS_ID], [BOS_ID, 7, EOS_ID])
    assert flops_per_target_token(config, [example, example]) == 11136 / 2
    assert utilisation(1e9, 5568, 100) == pytest.approx(0.05568)


def test_flops_count_every_matrix_of_the_model() -> None:
    config = model_config(d_model=16)
    model = Transformer(config)
    matrices = sum(
        p.numel() for name, p in model.named_parameters() if p.dim() == 2 and "words" not in name
    )
    in_products = matrices + config.vocabulary_size * config.d_model  # the tied one, as projection
    pairs = config.num_encoder_layers + 2 * config.num_decoder_layers
    assert training_flops(config, 1, 1) == 6 * in_products + 12 * config.d_model * pairs


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H200", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA L4", 121),
        ("NVIDIA L40", None),
    ],
)
def test_peaks_are_found_by_whole_words(name: str, peak: float | None) -> None:
    assert peak_tflops(name) == peak


def test_ratios_are_median_over_median() -> None:
    assert ratio([300, 100, 200], [50, 1000, 100]) == 2.0
    speeds = {OURS: [300.0, 100.0, 200.0], PEER: [80.0], FAST_PEER: [100.0, 100.0]}
    assert best_of_each(speeds) == [OURS, FAST_PEER]
    lines = speed_lines(speeds, lambda speed: speed / 1000)
    assert lines[0].endswith("200 tokens/s  (100 to 300); MFU 20.0 %")
    assert "ours is 2.50 times as fast" in lines[1]
    assert "MFU" not in speed_lines(speeds, None)[0]
    (line,) = loss_lines({OURS: Outcome([5.0], 1234, 7, 2.34567, 99)})
    assert "loss 2.3457 after 1,234 target tokens in 7 updates, at 5 tokens/s" in line


def test_a_run_reports_everyones_best(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks: list[Task] = []

    def fake(_bench: object, contestant: Contestant, asked: Task) -> Outcome:
        tasks.append(asked)
        speed = 100.0 * (1 + ON_CPU.index(contestant))
        return Outcome([speed, speed], 500, asked.num_updates, 3.0, 40)

    monkeypatch.setattr(command.Bench, "_train", fake)
    options = Namespace(
        device="cpu", joeynmt=Path("env"), rounds=2, updates=4, window=2, tokens=300, threads=1
    )
    options.peak_tflops = None
    found = command.run(options, recipe)
    assert list(found["tokens_per_s"]) == [contestant.name for contestant in ON_CPU]
    assert all(len(speeds) == 4 for speeds in found["tokens_per_s"].values())
    assert list(found["equal_tokens"]) == [ON_CPU[i].name for i in (0, 4, 6)]
    assert [asked.is_validated for asked in tasks] == [False] * 14 + [True] * 3
    per_update = tokens_per_update(our_batches, load_examples(read_recipe(recipe), "train"), 64, 1)
    assert tasks[-3].num_updates == round(300 / per_update)
    assert tasks[-2].batch_tokens > tasks[-3].batch_tokens == 64
    assert "ours is 0.14 times as fast" in capsys.readouterr().out  # 100 to 700 tokens/s


def test_other_validation_tokens_are_an_error(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter(range(40, 60))
    monkeypatch.setattr(command.Bench, "_train", lambda *_: Outcome([1.0], 1, 1, 3.0, next(counts)))
    options = Namespace(device="cpu", joeynmt=None, updates=4, window=2, tokens=300, threads=1)
    with pytest.raises(joeynmt.PeerError, match="not the same validation tokens"):
        command.Bench(options, recipe).losses([OURS, PEER])


def test_the_loss_of_random_weights_is_that_of_chance(recipe: Path) -> None:
    config = read_recipe(recipe)
    found = train(task(recipe, "torch", num_updates=1, window=1))
    chance = math.log(config.model.vocabulary_size)
    assert found.validation_loss == pytest.approx(chance, rel=0.25)
