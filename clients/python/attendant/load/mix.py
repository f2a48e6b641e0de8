"""What requests ask for: texts in turn, options drawn by weight. Knows no times and no server."""

import dataclasses
import itertools
import random
import types
import typing
from collections.abc import Iterator
from enum import StrEnum

from attendant.load.config import Content, Request, Share, WeightedOptions
from attendant.options import Options, Sampling

_NUMBERS = (int, float)


def requests_of(content: Content, seed: int, share: Share) -> Iterator[Request]:
    """Yields requests without end. The same seed gives the same; workers take texts in turn."""
    draws = random.Random(f"{seed}/{share.index}")
    is_mixed = len(content.mix) > 1
    kinds = [(e.options, describe_options(e.options) if is_mixed else "") for e in content.mix]
    weights = [entry.weight for entry in content.mix]
    texts = itertools.islice(itertools.cycle(content.texts), share.index, None, share.count)
    for text in texts:
        ((options, entry),) = draws.choices(kinds, weights)
        yield Request(text, content.source_language, content.target_language, options, entry)


def parse_weighted_options(text: str) -> WeightedOptions:
    """Reads "WEIGHT" or "WEIGHT:NAME=VALUE,NAME=VALUE", as in "1:beam_size=4,priority=bulk".

    Names are those of `Options` and of `Sampling`. Raises ValueError.
    """
    weight, _, rest = text.partition(":")
    try:
        number = float(weight)
    except ValueError:
        raise ValueError(f"weight: must be a number above 0, not {weight}") from None
    given: dict[str, str] = {}
    for pair in filter(None, rest.split(",")):
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"{pair}: must be NAME=VALUE")
        given[name.strip()] = value.strip()
    return WeightedOptions(number, parse_options(given))


def parse_options(given: dict[str, str]) -> Options:
    """Reads options by name, those of `Sampling` among them. Raises ValueError."""
    of_sampling = {name for name in given if name in _SAMPLING_KINDS}
    unknown = sorted(set(given) - of_sampling - set(_OPTION_KINDS))
    if unknown:
        known = ", ".join([*_OPTION_KINDS, *_SAMPLING_KINDS])
        raise ValueError(f"{unknown[0]}: there is no such option; there are {known}")
    values = {n: _value(n, given[n], kind) for n, kind in _OPTION_KINDS.items() if n in given}
    draws = {n: _value(n, given[n], kind) for n, kind in _SAMPLING_KINDS.items() if n in given}
    sampling = Sampling(**draws) if draws else None
    return Options(**values, sampling=sampling)


def describe_options(options: Options) -> str:
    """Returns options as `parse_options` reads them; those that are left to the server are not in
    it."""
    given = _described(options)
    if options.sampling is not None:
        given |= _described(options.sampling)
    return ",".join(f"{name}={value}" for name, value in given.items()) or "defaults"


def _described(options: Options | Sampling) -> dict[str, str]:
    return {
        field.name: _spelled(getattr(options, field.name))
        for field in dataclasses.fields(options)
        if field.name != "sampling" and getattr(options, field.name) != field.default
    }


def _spelled(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return " ".join(map(str, value))
    return str(value)


def _value(name: str, text: str, kind: type) -> typing.Any:
    try:
        return _parse(text, kind)
    except (ValueError, KeyError):
        raise ValueError(f"{name}: must be {_wanted(kind)}, not {text!r}") from None


def _parse(text: str, kind: type) -> object:
    if kind is bool:
        return {"true": True, "false": False}[text]
    if kind is tuple:
        return tuple(text.split())
    return kind(text)


def _wanted(kind: type) -> str:
    if issubclass(kind, StrEnum):
        return " or ".join(kind)
    return {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "text")


def _kinds(of: type) -> dict[str, type]:
    hints = typing.get_type_hints(of)
    return {field.name: _kind(hints[field.name]) for field in dataclasses.fields(of)}


def _kind(hint: typing.Any) -> type:
    """What a field takes besides None: a plain type; a sequence of pieces as a tuple."""
    choices = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    plain = [choice for choice in choices if choice is not types.NoneType]
    return plain[0] if isinstance(plain[0], type) else tuple


_OPTION_KINDS = {name: kind for name, kind in _kinds(Options).items() if name != "sampling"}
_SAMPLING_KINDS = _kinds(Sampling)
