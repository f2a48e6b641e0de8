"""Triton's own client against our server: everything that it does works unchanged.

It needs an older protobuf, and its messages would clash with ours: it runs in an environment of its
own (tritonclient_session.py), once, and the tests look at what came of it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from attendant_protos.v1 import translation_pb2 as native
from attendant_protos.v1.translation_pb2_grpc import TranslationServiceStub
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

from server.package import open_package
from server.rpc.app import running
from server.rpc.inference_stubs import inference_pb2
from tests.server.rpc.calls import EN_DE, until
from tests.server.rpc.conftest import BUNDLED, config_for

pytestmark = pytest.mark.asyncio(loop_scope="module")

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = REPOSITORY / ".venv-tritonclient" / "bin" / "python"
SESSION = Path(__file__).with_name("tritonclient_session.py")
PAGE = (REPOSITORY / "docs" / "kserve.md").read_text()
TEXTS = ["Two dogs are playing.", "", "A man is riding a bicycle. 🚲", "Ein Hündchen"]
TIMEOUT_S = 90
MANIFEST = open_package(BUNDLED).manifest
VERSION = MANIFEST.version

Report = dict[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def report() -> Report:
    """What the session saw; under `ours`, what the native service answers, and what was left."""
    assert PYTHON.exists(), "make .venv-tritonclient/installed makes the environment of the client"
    config = config_for(BUNDLED, num_slots=32, without_keys="translate,admin")
    async with running(config) as app:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{app.port}") as channel:
            ours = await native_answers(TranslationServiceStub(channel))
        target = f"127.0.0.1:{app.port}"
        found: Report = json.loads(await run(str(SESSION), target, VERSION))
        example = await run("-c", python_of(PAGE).replace("127.0.0.1:50051", target))
        (model,) = app.models.all()
        await until(lambda: model.engine.num_pending == 0)
        num_in_flight = app._drain.num_in_flight
    return {**found, "ours": ours, "num_in_flight": num_in_flight, "example": example}


def python_of(page: str) -> str:
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert isinstance(code, str)
    return code


async def run(*arguments: str) -> str:
    """What the client's Python prints."""
    process = await asyncio.create_subprocess_exec(
        str(PYTHON),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode == 0, errors.decode()
    return output.decode()


async def native_answers(stub: TranslationServiceStub) -> dict[str, native.TranslateResponse]:
    options = {
        "greedy": native.DecodingOptions(),
        "beam": native.DecodingOptions(beam_size=3, num_hypotheses=2, length_penalty=0.6),
        "sampled": native.DecodingOptions(sampling=native.Sampling(temperature=1.5, seed=7)),
    }
    return {
        name: await stub.Translate(native.TranslateRequest(texts=TEXTS, options=how, **EN_DE))
        for name, how in options.items()
    }


def greedy(report: Report) -> list[str]:
    return [translation.text for translation in report["ours"]["greedy"].translations]


async def test_questions_are_answered(report: Report) -> None:
    found = report["questions"]
    assert all(found[name] for name in ("live", "ready", "model_ready", "version_ready"))
    assert found["absent_ready"] is False
    assert found["server"]["name"] == "attendant"
    assert found["server"]["extensions"] == [
        "model_configuration",
        "model_repository",
        "parameters",
        "schedule_policy",
        "statistics",
    ]
    assert found["index"] == {
        "models": [{"name": "multi30k", "version": VERSION, "state": "READY"}]
    }
    assert found["metadata"]["inputs"][0] == {
        "name": "text",
        "datatype": "BYTES",
        "shape": ["-1", "1"],
    }
    config = found["config"]["config"]
    assert config["max_batch_size"] == 256
    assert config["input"][0] == {"name": "text", "data_type": "TYPE_STRING", "dims": ["1"]}
    assert config["input"][1]["optional"] is True
    assert config["parameters"]["directions"] == {"string_value": " ".join(MANIFEST.directions)}
    assert config["dynamic_batching"]["priority_levels"] == "3"


async def test_statistics_count_what_the_client_did(report: Report) -> None:
    (found,) = report["questions"]["statistics"]["model_stats"]
    stats = found["inference_stats"]
    # 3 of the native service, 8 of infer, 1 of async_infer, 5 + 1 of streams, 4 of asyncio.
    assert int(stats["success"]["count"]) == 22
    assert int(stats["fail"]["count"]) >= 3
    assert int(stats["success"]["ns"]) > int(stats["compute_infer"]["ns"]) > 0
    assert int(found["execution_count"]) == sum(
        int(batch["compute_infer"]["count"]) for batch in found["batch_stats"]
    )


@pytest.mark.parametrize("form", ["flat", "urgent"])
async def test_a_row_of_texts_is_translated(report: Report, form: str) -> None:
    assert report["inference"][form] == {"shape": [4], "values": greedy(report)}
    assert len(set(greedy(report))) == 4


@pytest.mark.parametrize("form", ["column", "contents"])
async def test_a_column_of_texts_is_translated(report: Report, form: str) -> None:
    assert report["inference"][form] == {"shape": [4, 1], "values": greedy(report)}


async def test_ids_and_versions_come_back(report: Report) -> None:
    assert report["inference"]["id"] == "flat"
    assert report["inference"]["version"] == VERSION
    assert report["inference"]["nothing"] == {"shape": [0], "values": []}
    assert report["inference"]["absent_output"] is None


async def test_options_and_outputs_are_those_of_the_native_service(report: Report) -> None:
    found, ours = report["inference"]["rich"], report["ours"]["beam"].translations
    assert found["translation"]["shape"] == found["score"]["shape"] == [4, 2]
    for i, translation in enumerate(ours):
        rows = slice(2 * i, 2 * i + 2)
        expected = [h.text for h in translation.hypotheses] or ["", ""]
        assert found["translation"]["values"][rows] == expected
        scores = [h.score for h in translation.hypotheses]
        if scores:
            assert found["score"]["values"][rows] == pytest.approx(scores, rel=1e-6)
    assert found["num_source_tokens"] == {
        "shape": [4],
        "values": [translation.source_tokens for translation in ours],
    }
    assert found["num_target_tokens"]["values"] == [t.target_tokens for t in ours]
    assert found["finish_reason"]["values"][:4] == ["stop", "stop", "empty", ""]
    sampled = report["ours"]["sampled"].translations[0].text
    assert report["inference"]["sampled"]["values"] == [sampled]
    assert report["inference"]["seed"] == 7
    assert report["inference"]["prefixed"]["values"][0].startswith("Drei")


ERRORS = {
    "model": ("NOT_FOUND", "model: there is no model 'absent'; there are: multi30k"),
    "version": (
        "NOT_FOUND",
        f"model_version: model multi30k has no version 'no-such'; it has {VERSION}",
    ),
    "tensor": ("INVALID_ARGUMENT", "inputs: there is no tensor 'texts'; there are text, "),
    "datatype": ("INVALID_ARGUMENT", "text.datatype: it is 'FP32', BYTES is allowed"),
    "shape": ("INVALID_ARGUMENT", "text.shape: it is [1, 2], [N] and [N, 1] are allowed"),
    "parameter": ("INVALID_ARGUMENT", "parameters: there is no parameter 'beams'; there are "),
    "type": ("INVALID_ARGUMENT", "parameters.beam_size: it is a string_param, int64_param or "),
    "value": ("INVALID_ARGUMENT", "parameters.beam_size: it is 99, 1 to 16 is allowed"),
    "output": ("INVALID_ARGUMENT", "outputs: there is no tensor 'logits'; there are translation"),
    "classes": ("INVALID_ARGUMENT", "score.parameters: there is no parameter 'classification'"),
    "shared": ("INVALID_ARGUMENT", "text.parameters: there is no parameter 'shared_memory_byte"),
    "sequence": ("INVALID_ARGUMENT", "parameters: there is no parameter 'sequence_end'"),
    "timeout": ("DEADLINE_EXCEEDED", "the deadline passed, or was too close for this text"),
    "client_timeout": ("DEADLINE_EXCEEDED", ""),  # said by whichever side notices first
    "load_config": ("INVALID_ARGUMENT", "parameters: 'config' is set; a package is loaded as "),
    "load_files": ("INVALID_ARGUMENT", "parameters: 'config' is set; a package is loaded as "),
    "system_memory": ("UNIMPLEMENTED", "shared memory is not supported: send tensors in the "),
    "register": ("UNIMPLEMENTED", "shared memory is not supported: send tensors in the request"),
    "cuda_memory": ("UNIMPLEMENTED", "shared memory is not supported: send tensors in the "),
    "trace": ("UNIMPLEMENTED", "trace settings are not supported: "),
    "log": ("UNIMPLEMENTED", "log settings are not supported: "),
}


@pytest.mark.parametrize("name", ERRORS)
async def test_errors_surface(report: Report, name: str) -> None:
    status, message = report["errors"][name]
    code, beginning = ERRORS[name]
    assert status == f"StatusCode.{code}"
    assert message.startswith(beginning)


async def test_no_error_is_forgotten(report: Report) -> None:
    assert set(report["errors"]) == set(ERRORS)


async def test_a_model_goes_and_comes_back(report: Report) -> None:
    found = report["loading"]
    assert found["ready_without"] is False
    assert found["index"] == [
        {"name": "multi30k", "version": VERSION, "state": "UNAVAILABLE", "reason": "unloaded"}
    ]
    assert found["error"] == ["StatusCode.NOT_FOUND", "model multi30k has been unloaded"]
    assert found["ready"] is True
    assert found["texts"] == greedy(report)


async def test_async_infer_answers_times_out_and_is_cancelled(report: Report) -> None:
    found = report["async"]
    assert found["good"]["texts"] == greedy(report)
    assert found["good"]["id"] == "a"
    assert found["late"]["error"][0] == "StatusCode.DEADLINE_EXCEEDED"
    assert found["cancelled"]["error"][0] == "StatusCode.CANCELLED"


async def test_a_stream_answers_every_request(report: Report) -> None:
    errors = [answer["error"] for answer in report["stream"] if "error" in answer]
    message = "model: there is no model 'absent'; there are: multi30k"
    assert errors == [[None, f"[request id: bad] NOT_FOUND: {message}"]]
    answers: dict[str, list[Any]] = {}
    for answer in report["stream"]:
        if "error" not in answer:
            answers.setdefault(answer["id"], []).append(answer)
    assert set(answers) == {"0", "1", "2", "3", "grow"}
    growing = answers.pop("grow")
    for i, text in enumerate(greedy(report)):
        (answer,) = answers[str(i)]
        assert answer == {"id": str(i), "texts": [text], "final": True}
    assert [answer["final"] for answer in growing] == [False] * (len(growing) - 1) + [True]
    assert len(growing) > 2
    assert "".join(answer["texts"][0] for answer in growing) == greedy(report)[0]


async def test_a_stream_that_is_cancelled_leaves_nothing(report: Report) -> None:
    first, *rest = report["cancelled_stream"]
    assert first["texts"] == greedy(report)[:1]
    assert [answer["error"][0] for answer in rest] == ["StatusCode.CANCELLED"]
    assert report["num_in_flight"] == 0


async def test_the_example_of_the_page_prints_what_the_page_says(report: Report) -> None:
    assert f"```\n{report['example']}```" in PAGE


async def test_the_client_of_asyncio_works_too(report: Report) -> None:
    assert report["aio"] == greedy(report)


async def test_names_and_numbers_are_the_protocols(report: Report) -> None:
    """Ours has all messages and methods of the client's; of its configuration the part we set."""
    ours = FileDescriptorProto()
    inference_pb2.DESCRIPTOR.CopyToProto(ours)
    config, service = [
        FileDescriptorProto.FromString(base64.b64decode(file)) for file in report["descriptors"]
    ]
    (our_service,), (their_service,) = ours.service, service.service
    for method in their_service.method:
        method.ClearField("options")  # it is there, and empty
    methods = {method.name: method for method in their_service.method}
    assert {method.name: method for method in our_service.method} == methods
    messages = {message.name: message for message in ours.message_type}
    for message in service.message_type:
        assert fields_of(messages.pop(message.name)) == fields_of(message)
    theirs = {message.name: message for message in config.message_type}
    assert "ModelConfig" in messages
    for name, message in messages.items():
        assert fields_of(message).items() <= fields_of(theirs[name]).items()
    assert ours.enum_type == config.enum_type


def fields_of(message: DescriptorProto, prefix: str = "") -> dict[str, Any]:
    """Number, type, label and oneof of every field, those of nested messages and enums too."""
    oneofs = [oneof.name for oneof in message.oneof_decl]
    found: dict[str, Any] = {}
    for field in message.field:
        choice = oneofs[field.oneof_index] if field.HasField("oneof_index") else ""
        found[prefix + field.name] = (
            field.number,
            field.type,
            field.type_name,
            field.label,
            choice,
        )
    for enum in message.enum_type:
        found[prefix + enum.name] = [(value.name, value.number) for value in enum.value]
    for nested in message.nested_type:
        found |= fields_of(nested, f"{prefix}{nested.name}.")
    return found
