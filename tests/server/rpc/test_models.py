"""ListModels, GetModel, Tokenize and Detokenize, over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from attendant_protos.v1 import translation_pb2 as pb

from server.decoding import DEFAULTS
from server.package import open_package
from tests.server.rpc.calls import Server, refusal, request
from tests.server.rpc.conftest import BUNDLED, config_for, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANIFEST = open_package(BUNDLED).manifest
INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lazy(numbers_package: Path) -> AsyncIterator[Server]:
    """A server that has loaded nothing."""
    limits = {"max_texts": 4, "max_document_characters": 5000}
    async with serving(config_for(numbers_package, load="none", **limits)) as server:
        yield server


async def test_a_model_tells_what_it_is(captions: Server) -> None:
    (model,) = (await captions.stub.ListModels(pb.ListModelsRequest())).models
    assert (model.name, model.version) == ("multi30k", MANIFEST.version)
    assert (model.state, model.reason, model.variant) == (pb.MODEL_STATE_READY, "", "cpu-int8")
    assert list(model.languages) == MANIFEST.languages
    assert list(model.directions) == MANIFEST.directions
    assert model.max_tokens == MANIFEST.architecture.max_length
    assert model.max_hypotheses == 16
    shown = {evidence.implementation: evidence for evidence in model.evidence}
    assert shown.keys() == MANIFEST.evidence.keys()
    for name, sealed in MANIFEST.evidence.items():
        assert (shown[name].bleu, shown[name].chrf) == (sealed.bleu, sealed.chrf)
        assert shown[name].bleu_signature == sealed.bleu_signature
        assert shown[name].num_sentences == sealed.num_sentences
    for asked in ("", "multi30k", f"multi30k/{MANIFEST.version}"):
        found = await captions.stub.GetModel(pb.GetModelRequest(model=asked))
        assert found.model == model


async def test_its_defaults_are_what_a_request_that_says_nothing_means(captions: Server) -> None:
    defaults = (await captions.stub.GetModel(pb.GetModelRequest())).model.defaults
    assert {field.name for field, _ in defaults.ListFields()} == {*DEFAULTS, "early_stopping"}
    text = "A man with a hat is riding a bicycle."
    assert await captions.translate(text, options=defaults) == await captions.translate(text)
    beam = pb.DecodingOptions(beam_size=4)
    defaults.beam_size = 4
    assert await captions.translate(text, options=defaults) == await captions.translate(
        text, options=beam
    )


async def test_a_model_that_is_not_there_is_not_found(captions: Server) -> None:
    code, message = await refusal(captions.stub.GetModel(pb.GetModelRequest(model="absent")))
    assert (code, message) == (
        NOT_FOUND,
        "model: there is no model 'absent'; there are: multi30k",
    )


async def test_a_model_that_is_not_loaded_says_so_until_it_is(lazy: Server) -> None:
    model = (await lazy.stub.GetModel(pb.GetModelRequest())).model
    assert (model.name, model.version) == ("numbers", "1")
    assert (model.state, model.variant) == (pb.MODEL_STATE_AVAILABLE, "")
    await lazy.stub.Translate(request("seven"))
    model = (await lazy.stub.GetModel(pb.GetModelRequest())).model
    assert (model.state, model.variant) == (pb.MODEL_STATE_READY, "cpu-int8")


@pytest.mark.parametrize("text", ["A man in a red hat.", "", "🚲 Größe", "  two  spaces "])
async def test_pieces_are_those_that_the_model_reads(captions: Server, text: str) -> None:
    asked = pb.TokenizeRequest(texts=[text], target_language="de")
    response = await captions.stub.Tokenize(asked)
    (read,) = response.texts
    assert response.model == f"multi30k/{MANIFEST.version}"
    assert read.pieces[0] == "<2de>"
    assert read.pieces[-1] == "</s>"
    assert len(read.ids) == len(read.pieces)
    if text.strip():
        translation = await captions.translate(text, output=pb.OutputOptions(alignment=True))
        (hypothesis,) = translation.hypotheses
        assert list(hypothesis.alignment.source_tokens) == list(read.pieces)
        assert translation.source_tokens == len(read.pieces)
    (bare,) = (await captions.stub.Tokenize(pb.TokenizeRequest(texts=[text]))).texts
    assert list(bare.pieces) == read.pieces[1:-1]
    for pieces in (bare, read):
        back = await captions.stub.Detokenize(pb.DetokenizeRequest(texts=[pieces]))
        assert list(back.texts) == [" ".join(text.split())]


async def test_several_texts_keep_their_order(captions: Server) -> None:
    texts = ["A dog.", "", "Two dogs."]
    found = (await captions.stub.Tokenize(pb.TokenizeRequest(texts=texts))).texts
    back = await captions.stub.Detokenize(pb.DetokenizeRequest(texts=found))
    assert list(back.texts) == texts


@pytest.mark.parametrize(
    ("method", "asked", "code", "message"),
    [
        ("Tokenize", pb.TokenizeRequest(texts=["a"] * 5), INVALID, "texts: there are 5, at most 4"),
        ("Tokenize", pb.TokenizeRequest(texts=["a\0"]), INVALID, "texts[0]: control character"),
        (
            "Tokenize",
            pb.TokenizeRequest(texts=["", "a" * 5001]),
            INVALID,
            "texts[1]: it has 5001 characters, at most 5000 are allowed",
        ),
        (
            "Tokenize",
            pb.TokenizeRequest(texts=["a" * 3000] * 2),
            INVALID,
            "texts: together they have 6000 characters, at most 5000 are allowed",
        ),
        (
            "Tokenize",
            pb.TokenizeRequest(texts=["a"], target_language="xx"),
            NOT_FOUND,
            "target_language: model numbers has no language 'xx'; it has",
        ),
        ("Tokenize", pb.TokenizeRequest(model="absent"), NOT_FOUND, "model: there is no model"),
        (
            "Detokenize",
            pb.DetokenizeRequest(texts=[pb.Pieces(), pb.Pieces(pieces=["▁", "no such"])]),
            INVALID,
            "texts[1].pieces[1]: 'no such' is no piece of this model's vocabulary",
        ),
        (
            "Detokenize",
            pb.DetokenizeRequest(texts=[pb.Pieces(pieces=["a"] * 5001)]),
            INVALID,
            "texts: together they have 5001 characters, at most 5000 are allowed",
        ),
    ],
)
async def test_what_is_wrong_is_named(
    lazy: Server, method: str, asked: Any, code: grpc.StatusCode, message: str
) -> None:
    found, details = await refusal(getattr(lazy.stub, method)(asked))
    assert found is code
    assert details.startswith(message)


@pytest.mark.parametrize("method", ["ListModels", "GetModel", "Tokenize", "Detokenize"])
async def test_bytes_that_are_no_message_are_refused(captions: Server, method: str) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{captions.app.port}") as channel:
        call = channel.unary_unary(f"/attendant.v1.TranslationService/{method}")(b"\xff\xff")
        code, message = await refusal(call)
    assert code is INVALID
    assert message == f"request: these bytes are no {method}Request"
