"""Parameters of a request: which there are, of which type, and the options that they mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.engine.options import EarlyStopping
from server.engine.sequence import Priority
from server.errors import InvalidRequestError, shown
from server.request import RequestedOptions, RequestedSampling
from server.rpc.inference_stubs import inference_pb2 as pb

_PLAIN: dict[str, type] = {
    "max_target_tokens": int,
    "min_target_tokens": int,
    "max_length_ratio": float,
    "min_length_ratio": float,
    "beam_size": int,
    "num_hypotheses": int,
    "length_penalty": float,
    "patience": float,
    "num_alternatives": int,
    "no_repeat_ngram_size": int,
    "repetition_penalty": float,
    "loop_guard": int,
}
_SAMPLING: dict[str, type] = {"temperature": float, "top_k": int, "top_p": float, "seed": int}
PARAMETERS: dict[str, type] = {
    "source_language": str,
    "target_language": str,
    **_PLAIN,
    **_SAMPLING,
    "early_stopping": str,
    "suppressed_tokens": str,
    "priority": int,
    "timeout": int,
    "partial_at_deadline": bool,
    "split_sentences": bool,
    "stream": bool,
    # Triton's client sends it with streams; here every last answer says that it is the last.
    "triton_enable_empty_final_response": bool,
}
_FIELDS = {
    bool: ("bool_param",),
    int: ("int64_param", "uint64_param"),
    float: ("double_param", "int64_param", "uint64_param"),
    str: ("string_param",),
}
_PRIORITIES = {
    0: Priority.STANDARD,
    1: Priority.INTERACTIVE,
    2: Priority.STANDARD,
    3: Priority.BULK,
}
MAX_SEED = 2**64 - 1


def read_parameters(given: Mapping[str, pb.InferParameter]) -> dict[str, Any]:
    """Values by name. Raises InvalidRequestError for an unknown name or another type."""
    return {name: _value(name, given[name]) for name in sorted(given)}


def _value(name: str, parameter: pb.InferParameter) -> bool | int | float | str:
    if name not in PARAMETERS:
        problem = f"there is no parameter {shown(name)}; there are {', '.join(PARAMETERS)}"
        raise InvalidRequestError("parameters", problem)
    kind = PARAMETERS[name]
    field = parameter.WhichOneof("parameter_choice")
    if field not in _FIELDS[kind]:
        what = f"a {field}" if field else "empty"
        problem = f"it is {what}, {' or '.join(_FIELDS[kind])} is allowed"
        raise InvalidRequestError(f"parameters.{name}", problem)
    value: bool | int | float | str = kind(getattr(parameter, field))
    return value


def read_options(values: Mapping[str, Any]) -> RequestedOptions:
    """How to decode. Raises InvalidRequestError for an unknown rule or a seed out of range."""
    sampling = None
    if chosen := {name: values[name] for name in _SAMPLING if name in values}:
        if not 0 <= chosen.get("seed", 0) <= MAX_SEED:
            problem = f"it is {chosen['seed']}, 0 to {MAX_SEED} is allowed"
            raise InvalidRequestError("parameters.seed", problem)
        sampling = RequestedSampling(**chosen)
    return RequestedOptions(
        **{name: values[name] for name in _PLAIN if name in values},
        early_stopping=_early_stopping(values),
        sampling=sampling,
        suppressed_tokens=values.get("suppressed_tokens", "").split(),
    )


def _early_stopping(values: Mapping[str, Any]) -> EarlyStopping | None:
    if "early_stopping" not in values:
        return None
    rules = {rule.name.lower(): rule for rule in EarlyStopping}
    name = values["early_stopping"]
    if name not in rules:
        problem = f"it is {shown(name)}, known are {', '.join(rules)}"
        raise InvalidRequestError("parameters.early_stopping", problem)
    return rules[name]


def read_priority(values: Mapping[str, Any]) -> Priority:
    """How urgent it is. Raises InvalidRequestError for a level that does not exist."""
    level = values.get("priority", 0)
    if level not in _PRIORITIES:
        known = ", ".join(map(str, _PRIORITIES))
        raise InvalidRequestError("parameters.priority", f"it is {level}, known are {known}")
    return _PRIORITIES[level]


def read_timeout(values: Mapping[str, Any], remaining_s: float | None) -> float | None:
    """Seconds until the caller gives up: the shorter of its call's time and what it asks for, in
    microseconds, 0 for nothing. Raises InvalidRequestError for a negative time.
    """
    timeout = values.get("timeout", 0)
    if timeout < 0:
        problem = f"it is {timeout}, at least 0 microseconds are allowed"
        raise InvalidRequestError("parameters.timeout", problem)
    limits = [timeout / 1e6] if timeout else []
    if remaining_s is not None:
        limits.append(remaining_s)
    return min(limits, default=None)


SAMPLING_FIELD = "/".join(_SAMPLING)


def as_named_here(field: str) -> str:
    """What this protocol calls a field that the use case has refused."""
    if field == "split_sentences":
        return f"parameters.{field}"
    if field == "options.sampling":
        return f"parameters.{SAMPLING_FIELD}"
    for theirs in ("options.sampling.", "options."):
        if field.startswith(theirs):
            return "parameters." + field.removeprefix(theirs)
    return {"texts": "text", "target_prefixes": "target_prefix"}.get(field, field)
