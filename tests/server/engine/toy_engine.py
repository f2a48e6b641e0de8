"""An engine over a toy model, jobs of every kind for it, and what the reference makes of them."""

from __future__ import annotations

import dataclasses
import random

import numpy as np

from server.engine.engine import Engine
from server.engine.hypothesis import Hypothesis
from server.engine.options import DecodingOptions, EarlyStopping, Sampling
from server.engine.sequence import Job
from tests.server.engine import reference
from tests.server.engine.toy_model import (
    BOS,
    EOS,
    NEVER,
    Tokens,
    ToyModel,
    ToyRunner,
    toy_attention,
)

MODELS = [
    ToyModel(),
    ToyModel(vocabulary_size=7, spread=2.0, eos_bias=-1.0),
    ToyModel(vocabulary_size=40, spread=8.0, eos_bias=1.0),
    ToyModel(spread=6.0, eos_bias=-2.0, habit=0.95),
    ToyModel(eos_bias=0.5, step=0.5),
]
"""Plain; nearly flat over few tokens; sharp over many; prone to loops; full of ties."""


def make_engine(model: ToyModel, num_slots: int, **arguments: object) -> Engine:
    return Engine(ToyRunner(model, num_slots), BOS, EOS, NEVER, **arguments)


def decode(model: ToyModel, source: Tokens, options: DecodingOptions) -> list[Hypothesis]:
    """Hypotheses of a job that has the engine to itself."""
    engine = make_engine(model, options.num_rows)
    engine.add(Job(list(source), options))
    while True:
        if ended := engine.step().ended:
            return ended[0].hypotheses


def results(hypotheses: list[Hypothesis], options: DecodingOptions) -> list[reference.Ended]:
    """`hypotheses` as the reference writes them."""
    return [
        reference.Ended(
            hypothesis.tokens,
            hypothesis.log_probability,
            hypothesis.score(len(options.prefix), options.length_penalty),
            hypothesis.finish_reason,
        )
        for hypothesis in hypotheses
    ]


def check_traces(
    model: ToyModel, source: Tokens, options: DecodingOptions, hypotheses: list[Hypothesis]
) -> None:
    """What a hypothesis carries for each token is what the model says of that token, exactly."""
    for hypothesis in hypotheses:
        tokens = hypothesis.tokens
        beginnings = [tokens[:i] for i in range(len(tokens))]
        for beginning, token, log_prob in zip(
            beginnings, tokens, hypothesis.log_probs, strict=True
        ):
            if options.is_scored:
                every = reference.log_probs(model, source, beginning, options)
                assert log_prob == every[token]
        expected = [toy_attention(source, (BOS, *beginning)) for beginning in beginnings]
        expected = expected if options.is_aligned else []
        assert len(hypothesis.attention) == len(expected)
        assert all(map(np.array_equal, hypothesis.attention, expected))


def any_beam(draw: random.Random, model: ToyModel) -> DecodingOptions:
    """Options of a beam search, as requests may combine them."""
    beam_size = draw.choice([2, 2, 3, 3, 4, 4, 5, *range(6, 17)])
    rule = draw.choice(list(EarlyStopping))
    is_patient = rule is EarlyStopping.PATIENCE
    patience = draw.choice([0.5, 1.0, 2.0]) if is_patient else 1.0
    most = min(beam_size, max(1, round(beam_size * patience)))
    return dataclasses.replace(
        any_constraints(draw, model),
        beam_size=beam_size,
        early_stopping=rule,
        patience=patience,
        num_hypotheses=draw.randint(1, most),
    )


def any_constraints(draw: random.Random, model: ToyModel) -> DecodingOptions:
    """Options of a greedy search; each constraint is off more often than on."""
    words = range(3, model.vocabulary_size)
    prefix = tuple(draw.choices(words, k=draw.choice([0, 0, 1, 3])))
    longest = len(prefix) + draw.choice([1, 4, 10, 20])
    return DecodingOptions(
        max_target_tokens=longest,
        min_target_tokens=draw.choice([0, 0, 0, draw.randrange(longest)]),
        length_penalty=draw.choice([-1.0, 0.0, 1.0, 2.0]),
        prefix=prefix,
        no_repeat_ngram_size=draw.choice([0, 0, 0, 0, 1, 2, 3]),
        repetition_penalty=draw.choice([1.0, 1.0, 0.5, 1.3]),
        suppressed=tuple(draw.sample(words, draw.choice([0, 0, 2]))),
        loop_guard=draw.choice([0, 2, 3]),
        is_scored=draw.choice([False, True]),
        is_aligned=draw.choice([False, True]),
    )


def any_sampling(draw: random.Random, model: ToyModel) -> DecodingOptions:
    """Options of one sample or several."""
    sampling = Sampling(
        seed=draw.getrandbits(64),
        temperature=draw.choice([0.5, 1.0, 2.0]),
        top_k=draw.choice([0, 1, 5, 1000]),
        top_p=draw.choice([1.0, 0.9, 0.3]),
    )
    num_hypotheses = draw.choice([1, 2, 5, 16])
    return dataclasses.replace(
        any_constraints(draw, model), sampling=sampling, num_hypotheses=num_hypotheses
    )


def any_alternatives(draw: random.Random, model: ToyModel) -> DecodingOptions:
    """Options of alternatives, at times more than there are words to choose from."""
    return dataclasses.replace(any_constraints(draw, model), num_alternatives=draw.randint(1, 16))


def any_options(draw: random.Random, model: ToyModel) -> DecodingOptions:
    """Options of any search."""
    kind = draw.choice([any_beam, any_beam, any_constraints, any_sampling, any_alternatives])
    return kind(draw, model)


def any_source(draw: random.Random) -> Tokens:
    return tuple(draw.choices(range(1000), k=draw.randint(1, 6)))
