"""The searches once more, as plainly as they can be written: one sentence, lists, float64, the
whole vocabulary looked at in every step. Shares no code with the engine's.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from server.engine.draws import uniform
from server.engine.hypothesis import FinishReason
from server.engine.options import DecodingOptions, EarlyStopping, Sampling
from tests.server.engine.toy_model import BOS, EOS, NEVER, Tokens, ToyModel

LONGEST_BLOCK = 16
LAST_RESORTS = [FinishReason.DEADLINE, FinishReason.LOOP]


@dataclass
class Ended:
    """A result; equal to another if every bit of it is."""

    tokens: list[int]
    log_probability: float
    score: float
    reason: FinishReason


def log_probs(
    model: ToyModel, source: Tokens, tokens: list[int], options: DecodingOptions
) -> list[float]:
    """Of each token of the vocabulary after `tokens`, as the model and the constraints have it."""
    row = model.logits(source, (BOS, *tokens)).copy()
    row[NEVER] = -np.inf
    if len(tokens) >= len(options.prefix):
        row = np.array([_constrained(x, v, tokens, options) for v, x in enumerate(row)], row.dtype)
        if all(x == -np.inf for x in row):
            row[EOS] = 0.0
    normaliser = np.log(np.exp(row - max(row)).sum()) + max(row)
    return [float(x - normaliser) for x in row]


def _constrained(
    logit: np.float32, token: int, tokens: list[int], options: DecodingOptions
) -> np.float32:
    if options.repetition_penalty != 1.0 and token in tokens:
        penalty = np.float32(options.repetition_penalty)
        logit = logit / penalty if logit > 0 else logit * penalty
    is_forbidden = (
        token in options.suppressed
        or (token == EOS and len(tokens) < options.min_target_tokens)
        or _repeats([*tokens, token], options.no_repeat_ngram_size)
    )
    return np.float32(-np.inf) if is_forbidden else logit


def _repeats(tokens: list[int], size: int) -> bool:
    """Whether the last n-gram has occurred before."""
    ngrams = [tokens[i : i + size] for i in range(len(tokens) - size + 1)] if size else []
    return len(ngrams) > 0 and ngrams[-1] in ngrams[:-1]


def ends_in_loop(tokens: list[int], num_repeats: int) -> bool:
    """Whether the last tokens are one block, so many times in a row."""
    return any(
        len(tokens) >= size * num_repeats
        and tokens[-size * num_repeats :] == tokens[-size:] * num_repeats
        for size in range(1, LONGEST_BLOCK + 1)
    )


def ending(tokens: list[int], options: DecodingOptions) -> FinishReason | None:
    """Why `tokens` are a whole translation, if they are."""
    if tokens[-1] == EOS:
        return FinishReason.STOP
    if len(tokens) == options.max_target_tokens:
        return FinishReason.LENGTH
    if options.loop_guard and ends_in_loop(tokens, options.loop_guard):
        return FinishReason.LOOP
    return None


def ended(tokens: list[int], total: float, reason: FinishReason, options: DecodingOptions) -> Ended:
    """A result with its score."""
    length = max(1, len(tokens) - len(options.prefix))
    return Ended(tokens, total, total / length**options.length_penalty, reason)


def goodness(result: Ended) -> tuple[int, float]:
    """What results are compared by; more is better."""
    is_last_resort = result.reason in LAST_RESORTS
    return -LAST_RESORTS.index(result.reason) - 1 if is_last_resort else 0, result.score


def beam_search(
    model: ToyModel,
    source: Tokens,
    options: DecodingOptions,
    num_steps: float = math.inf,
    never_stops: bool = False,
) -> list[Ended]:
    """The n best, best first; time running out after `num_steps`. With `never_stops`, every beam
    runs to the limit of tokens.
    """
    if num_steps < len(options.prefix):
        part = list(options.prefix[: int(num_steps)])
        return [ended(part, 0.0, FinishReason.DEADLINE, options)]
    num_wanted = max(1, round(options.beam_size * options.patience))
    running: list[tuple[list[int], float]] = [(list(options.prefix), 0.0)]
    all_ended: list[Ended] = []
    length = len(options.prefix)
    while running:
        if length == num_steps:
            all_ended += [ended(*row, FinishReason.DEADLINE, options) for row in running]
            break
        running, new = _beam_step(model, source, options, running)
        all_ended += new
        length += 1
        if running and not never_stops and len(all_ended) >= num_wanted:
            worst = _best(all_ended, num_wanted)[-1]
            if _gives_up(options, running[0][1], length, worst):
                break
    return _best(_best(all_ended, num_wanted), options.num_hypotheses)


def _best(results: list[Ended], count: int) -> list[Ended]:
    return sorted(results, key=goodness, reverse=True)[:count]


def _beam_step(
    model: ToyModel,
    source: Tokens,
    options: DecodingOptions,
    running: list[tuple[list[int], float]],
) -> tuple[list[tuple[list[int], float]], list[Ended]]:
    """What runs on, best first, and what ended."""
    candidates = [
        (total + log_prob, -row, -token)
        for row, (tokens, total) in enumerate(running)
        for token, log_prob in enumerate(log_probs(model, source, tokens, options))
        if log_prob > -math.inf
    ]
    candidates.sort(reverse=True)
    going: list[tuple[list[int], float]] = []
    new: list[Ended] = []
    for rank, (total, row, token) in enumerate(candidates[: 2 * options.beam_size]):
        longer = [*running[-row][0], -token]
        reason = ending(longer, options)
        if reason is None:
            going.append((longer, total))
        elif rank < options.beam_size:
            new.append(ended(longer, total, reason, options))
    return going[: options.beam_size], new


def _gives_up(options: DecodingOptions, best: float, length: int, worst: Ended) -> bool:
    """Whether the running ones, of which `best` is the best, are given up for a `worst` result."""
    if options.early_stopping is EarlyStopping.PATIENCE:
        return True
    now, penalty = length - len(options.prefix), options.length_penalty
    later = options.max_target_tokens - len(options.prefix)
    reachable = best / now**penalty
    if options.early_stopping is EarlyStopping.NEVER:
        reachable = max(reachable, best / later**penalty)
    return goodness(worst) >= (0, reachable)


Choice = Callable[[list[float], int], int]
"""Picks a token from log-probabilities, at a position."""


def grow(
    model: ToyModel,
    source: Tokens,
    options: DecodingOptions,
    beginning: list[int],
    choose: Choice,
) -> Ended:
    """Appends what `choose` picks to `beginning` until the translation is whole."""
    tokens, total = list(options.prefix), 0.0
    while True:
        position = len(tokens)
        probabilities = log_probs(model, source, tokens, options)
        is_given = position < len(beginning)
        token = beginning[position] if is_given else choose(probabilities, position)
        tokens.append(token)
        total += probabilities[token]
        if (reason := ending(tokens, options)) is not None:
            return ended(tokens, total, reason, options)


def best_token(probabilities: list[float], _position: int = 0) -> int:
    """Greedy search's choice."""
    return probabilities.index(max(probabilities))


def independent_search(model: ToyModel, source: Tokens, options: DecodingOptions) -> list[Ended]:
    """What greedy search, sampling or alternatives come to."""
    prefix = list(options.prefix)
    if options.num_alternatives:
        first = log_probs(model, source, prefix, options)
        possible = [token for token, log_prob in enumerate(first) if log_prob > -math.inf]
        ranked = sorted(possible, key=lambda token: (-first[token], token))
        return [
            grow(model, source, options, [*prefix, token], best_token)
            for token in ranked[: options.num_alternatives]
        ]
    if options.sampling is None:
        return [grow(model, source, options, prefix, best_token)]
    samples = [
        grow(model, source, options, prefix, _chooser(options.sampling, index))
        for index in range(options.num_hypotheses)
    ]
    return sorted(samples, key=goodness, reverse=True)


def _chooser(sampling: Sampling, index: int) -> Choice:
    def choose(probabilities: list[float], position: int) -> int:
        number = uniform(sampling.seed, index, position)
        return draw_token(probabilities, number, sampling)

    return choose


def draw_token(log_probabilities: list[float], number: float, sampling: Sampling) -> int:
    """The token at which the running sum of probabilities passes `number`: temperature, then
    top-k, then top-p; in the order of ids, or of probabilities where only the best may be drawn.
    """
    scaled = [value / sampling.temperature for value in log_probabilities]
    tokens = list(range(len(scaled)))
    if sampling.top_k or sampling.top_p < 1.0:
        tokens.sort(key=lambda token: (-scaled[token], token))
    tokens = tokens[: sampling.top_k or None]
    weights = _shares([scaled[token] for token in tokens])
    if sampling.top_p < 1.0:
        sums = list(itertools.accumulate(weights))
        count = next((n for n, total in enumerate(sums, 1) if total >= sampling.top_p), len(sums))
        tokens = tokens[:count]
        weights = _shares([scaled[token] for token in tokens])
    total = 0.0
    for token, weight in zip(tokens, weights, strict=True):
        total += weight
        if total > number:
            return token
    raise AssertionError("the probabilities do not sum to one")


def _shares(log_weights: list[float]) -> list[float]:
    largest = max(log_weights)
    weights = [math.exp(weight - largest) for weight in log_weights]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def search(model: ToyModel, source: Tokens, options: DecodingOptions) -> list[Ended]:
    """Whatever `options` ask for."""
    if options.beam_size > 1:
        return beam_search(model, source, options)
    return independent_search(model, source, options)
