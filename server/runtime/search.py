"""Picks tokens from rows of logits: the best, the k best, or a draw. Never sees a session.

Nothing here depends on how many rows there are, to the last bit: a row's result is a function of
the row and of its own Pick.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from server.runtime.kv_cache import FloatArray

Candidate = tuple[int, float]
"""A token id and its log-probability; NaN where none was asked for."""

IntArray = npt.NDArray[np.int64]

BLOCK_WIDTH = 32
"""Logits whose maximum is taken together when the k best of many are looked for."""
NUM_NUCLEUS_CANDIDATES = 256
"""The nucleus of top-p is first looked for among so many best tokens."""


@dataclass(frozen=True)
class Pick:
    """How a row's next token is picked: the `count` best."""

    count: int = 1
    is_scored: bool = False


@dataclass(frozen=True)
class Forced:
    """The next token is known; only its log-probability may be wanted."""

    token: int
    is_scored: bool = False


@dataclass(frozen=True)
class Draw:
    """The next token is drawn, once for each of `uniforms`, numbers in [0, 1)."""

    uniforms: tuple[float, ...]
    temperature: float
    top_k: int
    top_p: float


GREEDY = Pick()

AnyPick = Pick | Forced | Draw


def pick(logits: FloatArray, picks: Sequence[AnyPick]) -> list[list[Candidate]]:
    """For each row of `logits` float32 (B, V), what `picks` asks: candidates, best first, or draws
    in the order of their numbers.
    """
    if all(wanted is GREEDY for wanted in picks):
        return best(logits, GREEDY)
    groups: dict[AnyPick | type, list[int]] = defaultdict(list)
    for row, wanted in enumerate(picks):
        groups[wanted if isinstance(wanted, Pick) else type(wanted)].append(row)
    results: list[list[Candidate]] = [[] for _ in picks]
    for key, rows in groups.items():
        chosen = logits if len(rows) == len(picks) else logits[rows]  # (R, V)
        for row, result in zip(
            rows, _pick_group(key, chosen, [picks[r] for r in rows]), strict=True
        ):
            results[row] = result
    return results


def _pick_group(
    key: AnyPick | type, logits: FloatArray, picks: list[AnyPick]
) -> list[list[Candidate]]:
    if isinstance(key, Pick):
        return best(logits, key)
    if key is Forced:
        return _forced(logits, [p for p in picks if isinstance(p, Forced)])
    draws = [p for p in picks if isinstance(p, Draw)]
    normalisers = log_normalisers(logits)  # (R,)
    return [
        draw(row, float(normaliser), wanted)
        for row, normaliser, wanted in zip(logits, normalisers, draws, strict=True)
    ]


def best(logits: FloatArray, wanted: Pick) -> list[list[Candidate]]:
    """The `wanted.count` most probable tokens of each row of `logits` float32 (B, V)."""
    if wanted.count == 1:
        tokens = logits.argmax(axis=1)[:, None]  # (B, 1)
        values = np.take_along_axis(logits, tokens, axis=1)  # (B, 1)
    else:
        tokens, values = top_k(logits, min(wanted.count, logits.shape[1]))  # (B, k) each
    if not wanted.is_scored:
        return [[(token, np.nan) for token in row] for row in tokens.tolist()]
    scores = values - log_normalisers(logits)[:, None]  # (B, k)
    return [
        list(zip(ids, log_probs, strict=True))
        for ids, log_probs in zip(tokens.tolist(), scores.tolist(), strict=True)
    ]


def _forced(logits: FloatArray, picks: list[Forced]) -> list[list[Candidate]]:
    if not any(wanted.is_scored for wanted in picks):
        return [[(wanted.token, np.nan)] for wanted in picks]
    rows = np.arange(len(picks))
    values = logits[rows, [wanted.token for wanted in picks]]  # (R,)
    scores = (values - log_normalisers(logits)).tolist()
    return [
        [(wanted.token, score if wanted.is_scored else np.nan)]
        for wanted, score in zip(picks, scores, strict=True)
    ]


def log_normalisers(logits: FloatArray) -> FloatArray:
    """log of the sum of exp of each row of `logits` float32 (B, V); float32 (B,)."""
    largest = logits.max(axis=1, keepdims=True)  # (B, 1)
    total = np.exp(logits - largest).sum(axis=1)  # (B,)
    normalisers: FloatArray = np.log(total) + largest[:, 0]
    return normalisers


def top_k(logits: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """The `k` largest of each row of `logits` float32 (B, V): ids int64 (B, k) and values (B, k),
    largest first, the lower id first where equal.
    """
    columns = _likely_columns(logits, k + 1)  # (B, C)
    likely = np.take_along_axis(logits, columns, axis=1)  # (B, C)
    ids, values = columns, likely
    if columns.shape[1] > k:
        part = np.argpartition(likely, columns.shape[1] - k, axis=1)[:, -k:]  # (B, k)
        ids, values = np.take_along_axis(columns, part, 1), np.take_along_axis(likely, part, 1)
    order = np.lexsort((ids, -values), axis=1)  # (B, k)
    ids, values = np.take_along_axis(ids, order, 1), np.take_along_axis(values, order, 1)
    # Where others equal the k-th, and the k + 1 blocks show if any do, the partition took some of
    # them: only a stable sort takes the lowest.
    for row in np.flatnonzero((likely >= values[:, -1:]).sum(axis=1) > k):
        ids[row] = np.argsort(-logits[row], kind="stable")[:k]
        values[row] = logits[row, ids[row]]
    return ids, values


def _likely_columns(logits: FloatArray, k: int) -> IntArray:
    """Columns int64 (B, C) that hold the `k` largest of each row: those of the k blocks with the
    largest maxima. One pass over V finds them, where a partition needs several.
    """
    num_rows, num_columns = logits.shape
    num_blocks = num_columns // BLOCK_WIDTH
    if num_blocks <= 2 * k:
        return np.broadcast_to(np.arange(num_columns), logits.shape)
    # Block j is every num_blocks-th column from j on, so that the maximum runs along rows.
    blocks = logits[:, : num_blocks * BLOCK_WIDTH].reshape(num_rows, BLOCK_WIDTH, num_blocks)
    maxima = blocks.max(axis=1)  # (B, num_blocks)
    chosen = np.argpartition(maxima, num_blocks - k, axis=1)[:, -k:]  # (B, k)
    columns = chosen[:, :, None] + np.arange(BLOCK_WIDTH) * num_blocks  # (B, k, BLOCK_WIDTH)
    rest = np.arange(num_blocks * BLOCK_WIDTH, num_columns)
    rest = np.broadcast_to(rest, (num_rows, len(rest)))
    return np.concatenate([columns.reshape(num_rows, -1), rest], axis=1)


def draw(row: FloatArray, normaliser: float, wanted: Draw) -> list[Candidate]:
    """Draws from `row` float32 (V,) once for each uniform number, by inverting the distribution
    function.

    The log-probability of a draw is the model's own, before temperature, top-k and top-p.
    """
    if wanted.top_k:
        ids = top_k(row[None], min(wanted.top_k, len(row)))[0][0]  # (C,)
    else:
        ids = np.arange(len(row))
    weights = _weights(row, wanted.temperature)  # (V,)
    ids = _nucleus(row, ids, weights, wanted.top_p) if wanted.top_p < 1.0 else ids  # (C,)
    cumulative = np.cumsum(weights[ids])
    positions = np.searchsorted(
        cumulative, np.asarray(wanted.uniforms) * cumulative[-1], side="right"
    )
    tokens = ids[np.minimum(positions, len(ids) - 1)]  # (number of draws,)
    return [(token, float(row[token] - np.float32(normaliser))) for token in tokens.tolist()]


def _weights(row: FloatArray, temperature: float) -> npt.NDArray[np.float64]:
    """Probabilities times a constant, float64 (V,)."""
    scaled = (row.astype(np.float64) - float(row.max())) / temperature  # (V,)
    weights: npt.NDArray[np.float64] = np.exp(scaled)
    return weights


def _nucleus(
    row: FloatArray, ids: IntArray, weights: npt.NDArray[np.float64], top_p: float
) -> IntArray:
    """Of `ids`, the fewest whose weights sum to `top_p` of theirs all, by falling weight."""
    threshold = top_p * weights[ids].sum()
    if len(ids) == len(row):  # not ordered by top-k: the first few hold the nucleus nearly always
        for count in (min(NUM_NUCLEUS_CANDIDATES, len(row)), len(row)):
            ids = top_k(row[None], count)[0][0]
            if weights[ids].sum() >= threshold:
                break
    last = int(np.searchsorted(np.cumsum(weights[ids]), threshold))
    return ids[: last + 1]
