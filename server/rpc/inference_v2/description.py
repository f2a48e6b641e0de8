"""What this server says of itself and its models: metadata, configuration, statistics."""

from __future__ import annotations

from server.config import ServerConfig
from server.loaded_model import LoadedModel
from server.package import device_of
from server.rpc.inference_stubs import inference_pb2 as pb
from server.rpc.inference_v2.outputs import OUTPUTS, TextOutput
from server.rpc.inference_v2.tensors import INPUTS, TEXT
from server.statistics import Duration
from server.version import server_version

SERVER_NAME = "attendant"
PLATFORM = "onnxruntime_onnx"
EXTENSIONS = (
    "model_configuration",
    "model_repository",
    "parameters",
    "schedule_policy",
    "statistics",
)
"""Of Triton's, those that are here whole."""
PRIORITY_LEVELS, DEFAULT_PRIORITY = 3, 2
_DATA_TYPES = {"BYTES": pb.TYPE_STRING, "FP32": pb.TYPE_FP32, "INT32": pb.TYPE_INT32}
_NANOSECONDS = 1_000_000_000


def server_metadata() -> pb.ServerMetadataResponse:
    """Who answers."""
    return pb.ServerMetadataResponse(
        name=SERVER_NAME, version=server_version(), extensions=EXTENSIONS
    )


def model_metadata(model: LoadedModel) -> pb.ModelMetadataResponse:
    """The tensors of `model`; the first dimension is that of the texts."""
    response = pb.ModelMetadataResponse(
        name=model.name, versions=[model.package.manifest.version], platform=PLATFORM
    )
    for name in INPUTS:
        response.inputs.add(name=name, datatype="BYTES", shape=[-1, 1])
    for name, output in OUTPUTS.items():
        response.outputs.add(name=name, datatype=output.datatype, shape=[-1, *_dims(name)])
    return response


def _dims(output: str) -> list[int]:
    """Without the batch's."""
    return [1] if isinstance(OUTPUTS[output], TextOutput) else [-1]


def model_config(model: LoadedModel, config: ServerConfig) -> pb.ModelConfig:
    """How `model` serves."""
    answer = pb.ModelConfig(
        name=model.name,
        platform=PLATFORM,
        backend=SERVER_NAME,
        version_policy=pb.ModelVersionPolicy(latest={"num_versions": 1}),
        max_batch_size=config.max_texts,
        dynamic_batching=_batching(config),
        model_transaction_policy=pb.ModelTransactionPolicy(decoupled=False),
    )
    for name in INPUTS:
        answer.input.add(name=name, data_type=pb.TYPE_STRING, dims=[1], optional=name != TEXT)
    for name, output in OUTPUTS.items():
        answer.output.add(name=name, data_type=_DATA_TYPES[output.datatype], dims=_dims(name))
    kind = pb.ModelInstanceGroup.KIND_CPU
    if device_of(model.variant) != "cpu":
        kind = pb.ModelInstanceGroup.KIND_GPU
    answer.instance_group.add(name=model.variant, count=config.workers, kind=kind)
    for name, value in _facts(model, config).items():
        answer.parameters[name].string_value = value
    return answer


def _batching(config: ServerConfig) -> pb.ModelDynamicBatching:
    return pb.ModelDynamicBatching(
        priority_levels=PRIORITY_LEVELS,
        default_priority_level=DEFAULT_PRIORITY,
        default_queue_policy=pb.ModelQueuePolicy(
            timeout_action=pb.ModelQueuePolicy.REJECT,
            allow_timeout_override=True,
            max_queue_size=config.max_waiting,
        ),
    )


def _facts(model: LoadedModel, config: ServerConfig) -> dict[str, str]:
    manifest = model.package.manifest
    return {
        "languages": " ".join(manifest.languages),
        "directions": " ".join(manifest.directions),
        "variant": model.variant,
        "rows": str(config.num_slots),
        "max_source_tokens": str(manifest.architecture.max_length),
        "max_text_characters": str(config.max_text_characters),
        "max_request_tokens": str(config.max_request_tokens),
    }


def model_statistics(model: LoadedModel) -> pb.ModelStatistics:
    """What `model` has done since it was loaded."""
    counts = model.statistics
    answer = pb.ModelStatistics(
        name=model.name,
        version=model.package.manifest.version,
        last_inference=int(counts.last_ended * 1000),
        inference_count=counts.num_texts,
        execution_count=sum(steps.count for steps in counts.steps.values()),
        inference_stats=pb.InferStatistics(
            success=_duration(counts.success),
            fail=_duration(counts.failure),
            queue=_duration(counts.waiting),
            compute_input=_duration(counts.reading),
            compute_infer=_duration(counts.decoding),
            compute_output=_duration(counts.writing),
        ),
    )
    for num_rows, steps in sorted(counts.steps.items()):
        answer.batch_stats.add(batch_size=num_rows, compute_infer=_duration(steps))
    return answer


def _duration(duration: Duration) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=duration.count, ns=int(duration.seconds * _NANOSECONDS))
