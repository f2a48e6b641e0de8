"""What the API says of models: those of the repository, loaded or not."""

from __future__ import annotations

from attendant_protos.v1 import translation_pb2 as pb

from server.decoding import DEFAULTS, max_hypotheses
from server.loaded_model import LoadedModel
from server.model_entry import ModelEntry, ModelState
from server.package import Evidence

_STATES = {
    ModelState.AVAILABLE: pb.MODEL_STATE_AVAILABLE,
    ModelState.LOADING: pb.MODEL_STATE_LOADING,
    ModelState.READY: pb.MODEL_STATE_READY,
    ModelState.FAILED: pb.MODEL_STATE_FAILED,
    ModelState.UNLOADED: pb.MODEL_STATE_UNLOADED,
}


def model_message(entry: ModelEntry) -> pb.Model:
    """A model as the API tells of it."""
    message = pb.Model(
        name=entry.name, version=entry.version, state=_STATES[entry.state], reason=entry.reason
    )
    if entry.serving is not None:
        _add_serving(message, entry.serving)
    return message


def _add_serving(message: pb.Model, model: LoadedModel) -> None:
    manifest = model.package.manifest
    message.variant = model.variant
    message.languages.extend(manifest.languages)
    message.directions.extend(manifest.directions)
    message.max_tokens = manifest.architecture.max_length
    message.max_hypotheses = max_hypotheses(model.engine.num_rows)
    for name, value in DEFAULTS.items():
        setattr(message.defaults, name, value)
    message.defaults.early_stopping = pb.EARLY_STOPPING_PATIENCE
    message.evidence.extend(_evidence(*found) for found in manifest.evidence.items())


def _evidence(implementation: str, evidence: Evidence) -> pb.Evidence:
    return pb.Evidence(
        implementation=implementation,
        bleu=evidence.bleu,
        bleu_signature=evidence.bleu_signature,
        chrf=evidence.chrf,
        chrf_signature=evidence.chrf_signature,
        token_exact_rate=evidence.token_exact_rate,
        num_sentences=evidence.num_sentences,
    )
