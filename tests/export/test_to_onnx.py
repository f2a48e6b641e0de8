"""What is in the files: weights once, nothing of the machine that exported them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from onnx import ModelProto, TensorProto

from export.to_onnx import INLINE_BYTES, export_variant
from server import package as names
from tests.export.conftest import Exported
from tests.export.tiny_package import PAPER, make_model

TABLE = PAPER.vocabulary_size * PAPER.d_model
"""Numbers in the joint embedding."""
VARIANTS = ["cpu-fp32", "cpu-int8"]


def graph(exported: Exported, variant: str, file: str) -> ModelProto:
    return onnx.load(exported.package.folder / variant / file, load_external_data=False)


def graphs(exported: Exported, variant: str) -> list[ModelProto]:
    return [graph(exported, variant, file) for file in (names.ENCODER_FILE, names.DECODER_FILE)]


def external(proto: ModelProto) -> dict[int, TensorProto]:
    """Initialisers that lie in the weights file, by offset."""
    return {
        int(entry.value): tensor
        for tensor in proto.graph.initializer
        for entry in tensor.external_data
        if entry.key == "offset"
    }


def num_elements(tensor: TensorProto) -> int:
    count = 1
    for size in tensor.dims:
        count *= size
    return count


def weights_size(exported: Exported, variant: str) -> int:
    return (exported.package.folder / variant / names.WEIGHTS_FILE).stat().st_size


def table_offsets(proto: ModelProto) -> list[int]:
    """Where the tensors as large as the embedding lie."""
    return [offset for offset, tensor in external(proto).items() if num_elements(tensor) == TABLE]


@pytest.mark.parametrize("variant", VARIANTS)
def test_encoder_and_decoder_share_one_copy_of_the_tied_table(
    paper: Exported, variant: str
) -> None:
    encoder, decoder = graphs(paper, variant)
    assert table_offsets(encoder) == table_offsets(decoder)  # and so no transposed copy
    assert len(table_offsets(decoder)) == 1


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_untied_projection_is_a_second_table(other: Exported, variant: str) -> None:
    encoder, decoder = graphs(other, variant)
    assert len(table_offsets(encoder)) == 1
    assert len(table_offsets(decoder)) == 2
    assert {*table_offsets(encoder)} < {*table_offsets(decoder)}


def test_fp32_weights_are_stored_once(exported: Exported) -> None:
    config = exported.model.config
    count = sum(parameter.numel() for parameter in exported.model.parameters())
    if config.positions == "sinusoidal":
        count += config.max_length * config.d_model
    size = weights_size(exported, "cpu-fp32")
    assert 0.9 * 4 * count < size <= 4 * count  # small tensors are in the graphs


def test_int8_weights_take_about_a_quarter(exported: Exported) -> None:
    ratio = weights_size(exported, "cpu-int8") / weights_size(exported, "cpu-fp32")
    assert 0.2 < ratio < 0.4


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_large_tensor_is_left_in_a_graph(exported: Exported, variant: str) -> None:
    for proto in graphs(exported, variant):
        inline = [t for t in proto.graph.initializer if not t.external_data]
        assert all(len(onnx.numpy_helper.to_array(t).tobytes()) <= INLINE_BYTES for t in inline)
        locations = {
            entry.value
            for tensor in external(proto).values()
            for entry in tensor.external_data
            if entry.key == "location"
        }
        assert locations == {names.WEIGHTS_FILE}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_graph_says_nothing_of_the_machine_it_was_made_on(
    exported: Exported, variant: str
) -> None:
    here = [str(Path(__file__).parents[2]), sys.prefix, str(exported.package.folder), ".py"]
    for proto in graphs(exported, variant):
        content = proto.SerializeToString()
        assert [text for text in here if text.encode() in content] == []
        assert not any(node.metadata_props or node.doc_string for node in proto.graph.node)


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_decoder_graph_serves_the_first_and_every_later_step(
    exported: Exported, variant: str
) -> None:
    for proto in graphs(exported, variant):
        assert not {"If", "Loop", "Scan"} & {node.op_type for node in proto.graph.node}


@pytest.mark.parametrize("variant", VARIANTS)
def test_inputs_and_outputs_have_the_names_of_the_contract(
    exported: Exported, variant: str
) -> None:
    encoder, decoder = (proto.graph for proto in graphs(exported, variant))
    assert [i.name for i in encoder.input] == [names.INPUT_IDS, names.ATTENTION_MASK]
    assert [o.name for o in encoder.output] == names.cross_cache_names(2)
    lengths = [names.PAST_LENGTHS, names.SOURCE_LENGTHS]
    past = names.cache_names(2, "past_key_values")
    assert [i.name for i in decoder.input] == [names.INPUT_IDS, *lengths, *past]
    scores = [names.LOGITS, names.CROSS_QUERIES]
    assert [o.name for o in decoder.output] == [*scores, *names.cache_names(2, "present")]


@pytest.mark.parametrize("variant", VARIANTS)
def test_queries_of_the_last_cross_attention_come_as_one_vector_a_row(
    exported: Exported, variant: str
) -> None:
    outputs = {
        o.name: o.type.tensor_type
        for o in graph(exported, variant, names.DECODER_FILE).graph.output
    }
    queries, logits = outputs[names.CROSS_QUERIES], outputs[names.LOGITS]
    assert queries.elem_type == TensorProto.FLOAT
    batch, width = queries.shape.dim
    assert batch.dim_param == logits.shape.dim[0].dim_param != ""
    assert width.dim_value == exported.model.config.d_model


def test_a_head_width_that_the_serving_kernels_refuse_is_refused_at_once(tmp_path: Path) -> None:
    model = make_model(replace(PAPER, d_model=24, num_heads=2))
    with pytest.raises(ValueError, match=r"model\.d_model / model\.num_heads is 12"):
        export_variant(model, "cpu-fp32", tmp_path / "cpu-fp32")
    assert list(tmp_path.iterdir()) == []
