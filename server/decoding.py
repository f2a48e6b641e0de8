"""Turns what a caller asked for into the engine's options, and says which field is out of range."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable

from server.engine.options import MAX_ROWS, DecodingOptions, EarlyStopping, Sampling
from server.errors import InvalidRequestError, shown
from server.package import Manifest
from server.request import RequestedSampling, TranslationRequest

DEFAULT_LOOP_GUARD = 8
MAX_SUPPRESSED = 256
DEFAULTS: dict[str, float] = {
    "beam_size": 1,
    "num_hypotheses": 1,
    "length_penalty": 1.0,
    "patience": 1.0,
    "num_alternatives": 0,
    "no_repeat_ngram_size": 0,
    "repetition_penalty": 1.0,
    "loop_guard": DEFAULT_LOOP_GUARD,
}
"""What a request that says nothing means, by the names of the fields."""
SEED_BITS = 53
"""Of a seed that the server picks: every JSON reader can hold it."""


class OptionsReader:
    """Checks the options of one request once, and makes the engine's for each of its texts.

    The constructor raises InvalidRequestError for a field that is wrong whatever the text.
    """

    def __init__(
        self,
        request: TranslationRequest,
        manifest: Manifest,
        num_rows: int,
        find_token: Callable[[str], int | None],
    ) -> None:
        self._asked = request.options
        self._request = request
        self._manifest = manifest
        self._max_length = manifest.architecture.max_length
        self._check_ranges(max_hypotheses(num_rows))
        self._check_combinations()
        self.seed, self._sampling = _sampling(request.options.sampling)
        self._suppressed = self._find_suppressed(find_token)

    def _check_ranges(self, max_rows: int) -> None:
        asked, longest = self._asked, self._max_length
        _check("max_target_tokens", asked.max_target_tokens, 1, longest)
        _check("min_target_tokens", asked.min_target_tokens, 0, longest)
        _check("max_length_ratio", asked.max_length_ratio, 0.01, 1000.0)
        _check("min_length_ratio", asked.min_length_ratio, 0.0, 1000.0)
        _check("beam_size", asked.beam_size, 1, max_rows)
        _check("num_hypotheses", asked.num_hypotheses, 1, max_rows)
        _check("num_alternatives", asked.num_alternatives, 0, max_rows)
        _check("length_penalty", asked.length_penalty, -10.0, 10.0)
        _check("patience", asked.patience, 0.01, 10.0)
        _check("no_repeat_ngram_size", asked.no_repeat_ngram_size, 0, longest)
        _check("repetition_penalty", asked.repetition_penalty, 0.01, 100.0)
        if asked.loop_guard:
            _check("loop_guard", asked.loop_guard, 2, longest)
        _check("suppressed_tokens", len(asked.suppressed_tokens), 0, MAX_SUPPRESSED)

    def _check_combinations(self) -> None:
        asked = self._asked
        beam_size, num_hypotheses = asked.beam_size or 1, asked.num_hypotheses or 1
        patience = 1.0 if asked.patience is None else asked.patience
        if beam_size > 1:
            most = min(beam_size, max(1, round(beam_size * patience)))
            what = f"beam_size {beam_size} with patience {patience:g} gives at most {most}"
            _refuse(num_hypotheses > most, "num_hypotheses", num_hypotheses, what)
            _refuse(asked.sampling is not None, "sampling", "set", "beam_size must be 1 then")
        elif asked.sampling is None:
            what = "greedy search has one; set beam_size, or sampling"
            _refuse(num_hypotheses > 1, "num_hypotheses", num_hypotheses, what)
        if asked.num_alternatives:
            is_other = beam_size > 1 or asked.sampling is not None or num_hypotheses > 1
            what = "beam_size, num_hypotheses and sampling must be left out then"
            _refuse(is_other, "num_alternatives", asked.num_alternatives, what)
        is_patient = asked.early_stopping in (None, EarlyStopping.PATIENCE)
        what = "it needs EARLY_STOPPING_PATIENCE"
        _refuse(patience != 1.0 and not is_patient, "patience", patience, what)

    def _find_suppressed(self, find_token: Callable[[str], int | None]) -> tuple[int, ...]:
        found = []
        for i, piece in enumerate(self._asked.suppressed_tokens):
            token = find_token(piece)
            if token is None:
                problem = f"{shown(piece)} is no token of text in this model's vocabulary"
                raise InvalidRequestError(f"options.suppressed_tokens[{i}]", problem)
            found.append(token)
        return tuple(sorted(set(found)))

    def read(self, num_source_tokens: int, prefix: list[int], i: int) -> DecodingOptions:
        """The options of the i-th text, of `num_source_tokens`, which begins with `prefix`.

        Raises InvalidRequestError for lengths that exclude each other.
        """
        asked = self._asked
        shortest, longest = self._lengths(num_source_tokens, i)
        if len(prefix) >= longest:
            problem = f"it has {len(prefix)} tokens, and the translation may have {longest}"
            raise InvalidRequestError(self._request.prefix_field.format(i), problem)
        return DecodingOptions(
            max_target_tokens=longest,
            min_target_tokens=shortest,
            beam_size=asked.beam_size or 1,
            length_penalty=1.0 if asked.length_penalty is None else asked.length_penalty,
            patience=1.0 if asked.patience is None else asked.patience,
            early_stopping=asked.early_stopping or EarlyStopping.PATIENCE,
            num_hypotheses=asked.num_hypotheses or 1,
            num_alternatives=asked.num_alternatives or 0,
            sampling=self._sampling,
            prefix=tuple(prefix),
            no_repeat_ngram_size=asked.no_repeat_ngram_size or 0,
            repetition_penalty=asked.repetition_penalty or 1.0,
            suppressed=self._suppressed,
            loop_guard=DEFAULT_LOOP_GUARD if asked.loop_guard is None else asked.loop_guard,
            is_scored=self._request.returns_scores,
            is_aligned=self._request.returns_alignment,
        )

    def _lengths(self, num_source_tokens: int, i: int) -> tuple[int, int]:
        """Least tokens before the end of sentence, and most tokens."""
        asked = self._asked
        limits = [asked.max_target_tokens] if asked.max_target_tokens is not None else []
        if asked.max_length_ratio is not None:
            limits.append(max(1, math.floor(asked.max_length_ratio * num_source_tokens)))
        usual = self._manifest.target_limit(num_source_tokens)
        longest = min(limits or [usual])
        relative = math.ceil((asked.min_length_ratio or 0.0) * num_source_tokens)
        wanted = max(asked.min_target_tokens or 0, relative)
        longest = min(max(longest, 0 if limits else wanted), self._max_length)
        if wanted > longest:
            problem = f"it asks for {wanted} tokens of text {i}, which may have {longest}"
            is_relative = relative > (asked.min_target_tokens or 0)
            name = "min_length_ratio" if is_relative else "min_target_tokens"
            raise InvalidRequestError(f"options.{name}", problem)
        return max(0, wanted - 1), longest


def max_hypotheses(num_rows: int) -> int:
    """The most that one text may have, in an engine of `num_rows`."""
    return min(MAX_ROWS, num_rows)


def _sampling(asked: RequestedSampling | None) -> tuple[int | None, Sampling | None]:
    """The seed in use, and the engine's options."""
    if asked is None:
        return None, None
    _check("sampling.temperature", asked.temperature, 0.01, 100.0)
    _check("sampling.top_k", asked.top_k, 0, 1 << 31)
    _check("sampling.top_p", asked.top_p, 0.0001, 1.0)
    seed = secrets.randbits(SEED_BITS) if asked.seed is None else asked.seed
    temperature = 1.0 if asked.temperature is None else asked.temperature
    top_p = 1.0 if asked.top_p is None else asked.top_p
    return seed, Sampling(seed, temperature, asked.top_k or 0, top_p)


def _check(name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:  # NaN is in no range
        problem = f"it is {value}, {least:g} to {most:g} is allowed"
        raise InvalidRequestError(f"options.{name}", problem)


def _refuse(is_wrong: bool, name: str, value: object, problem: str) -> None:
    if is_wrong:
        raise InvalidRequestError(f"options.{name}", f"it is {value}, but {problem}")
