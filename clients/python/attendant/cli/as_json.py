"""A translation as an object of JSON, one a line."""

import json
from typing import Any

from attendant.options import Options
from attendant.translation import Hypothesis, Translation


def as_json(text: str, translation: Translation, options: Options) -> str:
    """Returns the line, with its end. What was not asked for is not in it."""
    found: dict[str, Any] = {
        "text": text,
        "translation": translation.text,
        "finish_reason": translation.finish_reason.value,
    }
    if translation.seed is not None:
        found["seed"] = translation.seed
    if translation.hypotheses:
        found["hypotheses"] = [_hypothesis(each, options) for each in translation.hypotheses]
    return json.dumps(found, ensure_ascii=False) + "\n"


def _hypothesis(hypothesis: Hypothesis, options: Options) -> dict[str, Any]:
    found: dict[str, Any] = {
        "text": hypothesis.text,
        "finish_reason": hypothesis.finish_reason.value,
    }
    if hypothesis.score is not None:
        found["score"] = hypothesis.score
    if options.scores and hypothesis.log_probability is not None:
        found["log_probability"] = hypothesis.log_probability
    if hypothesis.alignment is not None:
        found["alignment"] = hypothesis.alignment.words
    return found
