"""Joey NMT as a peer: its environment, its configuration, its log.

It runs as released, `python -m joeynmt train`, in a virtual environment of its own, for it wants an
old protobuf. Of the release's requirements only those are installed that training imports; it also
imports importlib-metadata, which it does not name.

Its figures are those of its own log, `Tokens per Sec`: target tokens with their end, without
padding, over the wall clock of its whole loop, tokenising, cutting and padding included, validation
excluded. That is what our own loop measures, while the start of the process and the loading of text
and model stay out of both; the wall clock of its process would hold them. On a processor it turns
half precision off, so it trains in fp32 there; on a GPU it has fp16. Its batches are cut by padded
tokens from text in random order, with no bucketing, in the process that trains (`num_workers: 0`):
another process would be another core.

Where it cannot be as ours is: dropout is also on attention weights and inside the feed-forward
layer, the output has no bias, the source has no tag (one token less a sentence), smoothing leaves
padding out, the first update has the peak rate.

The loss after training comes from its own scoring, `python -m joeynmt test` with `return_prob:
ref`, which writes the log-probability of every target token: so their number can be compared too.
It fails unless attention is returned as well. Its first weights are drawn before its seed is set.
"""

from __future__ import annotations

import ast
import math
import random
import re
import subprocess
import tempfile
import venv
from pathlib import Path
from typing import Any

import sentencepiece
import torch
import yaml

from benchmarks.training_throughput.recipe import TOKENIZER, read_recipe
from benchmarks.training_throughput.runs import Outcome, Task, after_warm_up
from training.config import Config
from training.examples import Example

VERSION = "2.3.0"
REQUIREMENTS = (
    f"torch=={torch.__version__.partition('+')[0]}",
    "protobuf==3.20.3",
    "numpy==2.4.6",
    "tensorboard==2.20.0",
    "sacrebleu==2.6.0",
    "sentencepiece==0.2.0",  # later ones have no SetVocabulary, which it calls
    "subword-nmt==0.3.8",
    "matplotlib==3.11.2",
    "PyYAML==6.0.3",
    "packaging==26.3",
    "importlib-metadata==10.2.0",
    "tqdm==4.70.1",
)


class PeerError(RuntimeError):
    """A peer did not do what it was asked; the message has the end of its output."""


def set_up(folder: Path) -> None:
    """Makes the virtual environment `folder` with Joey NMT and our version of PyTorch."""
    venv.create(folder, with_pip=True, symlinks=True)
    install = [_python(folder), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*install, *REQUIREMENTS], check=True)
    subprocess.run([*install, "--no-deps", f"joeynmt=={VERSION}"], check=True)


def _python(folder: Path) -> str:
    return str(folder.absolute() / "bin" / "python")


def batches(examples: list[Example], batch_tokens: int, seed: int) -> list[list[list[Example]]]:
    """One epoch as its TokenBatchSampler cuts it, for counting: a batch is full once its padded
    tokens, tag and beginning not among them, reach `batch_tokens`.
    """
    order = list(examples)
    random.Random(seed).shuffle(order)
    cut: list[list[Example]] = [[]]
    longest = 0
    for example in order:
        cut[-1].append(example)
        longest = max(longest, example.length - 1)
        if longest * len(cut[-1]) >= batch_tokens:
            cut.append([])
            longest = 0
    return [[group] for group in cut if group]


def configuration(task: Task, config: Config, folder: Path) -> dict[str, Any]:
    """Its YAML for `task`: model and log go to `folder`, text is read from beside the recipe."""
    ((source, target),) = config.data.weighted_directions()
    text = config.train.output_path
    is_cuda = task.device == "cuda"
    return {
        "name": "benchmark",
        "joeynmt_version": VERSION,
        "model_dir": str(folder / "model"),
        "use_cuda": is_cuda,
        "fp16": is_cuda and task.is_half,
        "random_seed": task.seed,
        "data": {
            "train": str(text / "train"),
            "dev": str(text / "val"),
            "dataset_type": "plain",
            "src": _side(source, text, folder),
            "trg": _side(target, text, folder),
        },
        "model": _model(config),
        "training": _training(task, config),
        "testing": {"batch_size": 64, "return_prob": "ref", "return_attention": True},
    }


def _side(language: str, text: Path, folder: Path) -> dict[str, Any]:
    return {
        "lang": language,
        "level": "bpe",
        "lowercase": False,
        "normalize": False,
        "max_length": -1,
        "voc_file": str(folder / "vocabulary.txt"),
        "tokenizer_type": "sentencepiece",
        "tokenizer_cfg": {"model_file": str(text / TOKENIZER), "pretokenizer": "none"},
    }


def _model(config: Config) -> dict[str, Any]:
    shape = config.model
    stack = {
        "type": "transformer",
        "num_heads": shape.num_heads,
        "embeddings": {"embedding_dim": shape.d_model, "scale": True, "dropout": shape.dropout},
        "hidden_size": shape.d_model,
        "ff_size": shape.d_ff,
        "dropout": shape.dropout,
        "layer_norm": "post",
    }
    return {
        "initializer": "xavier_uniform",
        "bias_initializer": "zeros",
        "embed_initializer": "normal",
        "embed_init_weight": shape.d_model**-0.5,
        "tied_embeddings": True,
        "tied_softmax": True,
        "encoder": {**stack, "num_layers": shape.num_encoder_layers},
        "decoder": {**stack, "num_layers": shape.num_decoder_layers},
    }


def _training(task: Task, config: Config) -> dict[str, Any]:
    recipe = config.train
    return {
        "optimizer": "adam",
        "adam_betas": [0.9, 0.98],
        "learning_rate": recipe.learning_rate,
        "learning_rate_min": 0.0,  # below its own default, 1e-4, warm-up would end the training
        "learning_rate_warmup": recipe.warmup_steps,
        "scheduling": "warmupinversesquareroot",
        "clip_grad_norm": recipe.clip_norm,
        "normalization": "tokens",
        "label_smoothing": recipe.label_smoothing,
        "batch_size": task.batch_tokens,
        "batch_type": "token",
        "epochs": task.num_updates,  # never reached
        "updates": task.num_updates,
        "logging_freq": task.window,
        "validation_freq": task.window * (task.num_updates + 1),  # never
        "shuffle": True,
    }


def train(task: Task, environment: Path, variables: dict[str, str]) -> Outcome:
    """Runs `task` in the virtual environment, under `variables`. Raises PeerError."""
    config = read_recipe(Path(task.recipe))
    with tempfile.TemporaryDirectory(prefix="joeynmt-") as name:
        folder = Path(name)
        _write_vocabulary(config.train.output_path / TOKENIZER, folder / "vocabulary.txt")
        document = configuration(task, config, folder)
        _run("train", document, environment, variables)
        model = folder / "model"
        windows = speeds((model / "train.log").read_text(encoding="utf-8"))
        progress = torch.load(model / "latest.ckpt", weights_only=True)["stats_state"]
        loss, num_tokens = None, None
        if task.is_validated:
            _run("test", document, environment, variables)
            loss, num_tokens = mean_loss((folder / "scores.dev.scores").read_text())
    return Outcome(
        after_warm_up(windows), progress["total_tokens"], progress["steps"], loss, num_tokens
    )


def _write_vocabulary(tokenizer: Path, path: Path) -> None:
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer))
    lines = (pieces.id_to_piece(i) for i in range(pieces.get_piece_size()))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _run(mode: str, document: dict[str, Any], environment: Path, variables: dict[str, str]) -> None:
    folder = Path(document["model_dir"]).parent
    path = folder / f"{mode}.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    command = [_python(environment), "-m", "joeynmt", mode, str(path)]
    command += ["--skip-test"] if mode == "train" else []
    command += ["--save-scores", "-o", str(folder / "scores")] if mode == "test" else []
    done = subprocess.run(
        command,
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise PeerError(f"Joey NMT ended with {done.returncode}:\n{done.stdout[-3000:]}")


def speeds(log: str) -> list[float]:
    """Target tokens a second of every window, as its `train.log` has them."""
    return [float(found) for found in re.findall(r"Step: .*Tokens per Sec: +(\d+)", log)]


def mean_loss(scores: str) -> tuple[float, int]:
    """Nats a token and the number of tokens, from a list of log-probabilities a line."""
    log_probs = [value for line in scores.splitlines() for value in ast.literal_eval(line)]
    return -math.fsum(log_probs) / len(log_probs), len(log_probs)
