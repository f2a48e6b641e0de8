"""Applies a row's own constraints to its logits."""

from __future__ import annotations

from server.engine.options import DecodingOptions
from server.runtime import logits as processors
from server.runtime.kv_cache import FloatArray


def constrain(row: FloatArray, tokens: list[int], options: DecodingOptions, eos_id: int) -> None:
    """Changes `row`, the float32 (V,) logits of what follows `tokens`, as `options` ask.

    Where nothing is possible any more the sentence may end, whatever the options say.
    """
    if len(tokens) < len(options.prefix):
        return
    if options.repetition_penalty != 1.0 and tokens:
        processors.penalise_repetition(row, tokens, options.repetition_penalty)
    if options.no_repeat_ngram_size:
        processors.forbid(row, processors.repeating_tokens(tokens, options.no_repeat_ngram_size))
    if options.suppressed:
        processors.forbid(row, options.suppressed)
    if len(tokens) < options.min_target_tokens:
        processors.forbid(row, [eos_id])
    if row.max() == -float("inf"):
        row[eos_id] = 0.0
