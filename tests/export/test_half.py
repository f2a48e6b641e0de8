"""cuda-fp16: what is exported, what it is worth, and that nobody vouches for it without a GPU."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto

from export import __main__ as command
from export import verify
from export.build import ExportOptions, build_package
from export.verify import Sentence
from server import package as names
from server.errors import ConfigError
from server.package import EVIDENCE_LIMITS, ModelPackage
from training.checkpoint import load_model
from training.generated import generate
from training.tokenizer import Tokenizer

TEXT = generate("numbers", ("en", "de"), "val")
SENTENCES = [
    Sentence("en", "de", s, t) for s, t in zip(TEXT.sides["en"], TEXT.sides["de"], strict=True)
][:60]


def graph(package: ModelPackage, file: str) -> onnx.ModelProto:
    return onnx.load(package.folder / "cuda-fp16" / file, load_external_data=False)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])


def test_weights_and_caches_are_fp16_and_what_the_server_reads_is_fp32(
    half_package: ModelPackage,
) -> None:
    decoder, encoder = (graph(half_package, f) for f in (names.DECODER_FILE, names.ENCODER_FILE))
    kinds = {value.name: value.type.tensor_type.elem_type for value in decoder.graph.output}
    assert kinds.pop(names.LOGITS) == kinds.pop(names.CROSS_QUERIES) == TensorProto.FLOAT
    kinds |= {value.name: value.type.tensor_type.elem_type for value in encoder.graph.output}
    assert set(kinds.values()) == {TensorProto.FLOAT16}
    weights = [t for g in (decoder, encoder) for t in g.graph.initializer if len(t.dims) == 2]
    assert {tensor.data_type for tensor in weights} == {TensorProto.FLOAT16}
    sizes = [
        (half_package.folder / variant / names.WEIGHTS_FILE).stat().st_size
        for variant in ("cuda-fp16", "cpu-fp32")
    ]
    assert sizes[0] / sizes[1] == pytest.approx(0.5, abs=0.02)


def test_attention_is_fused_and_how_far_rows_read_needs_no_device(
    half_package: ModelPackage,
) -> None:
    decoder, encoder = (graph(half_package, f) for f in (names.DECODER_FILE, names.ENCODER_FILE))
    operators = [node.op_type for node in (*decoder.graph.node, *encoder.graph.node)]
    layers = half_package.manifest.architecture
    assert operators.count("GroupQueryAttention") == 2 * layers.num_decoder_layers
    assert operators.count("MultiHeadAttention") == layers.num_encoder_layers
    assert not {"Softmax", "ReduceMax", "ArgMax"} & set(operators)
    attention = next(n for n in encoder.graph.node if n.op_type == "MultiHeadAttention")
    assert attention.input[4] == ""  # no padding mask, which CUDA's fused kernels do not take
    assert attention.input[5] != ""


def test_it_passes_its_limits_where_a_cpu_runs_it(
    half_package: ModelPackage, numbers_checkpoint: Path
) -> None:
    model, _ = load_model(numbers_checkpoint)
    tokenizer = Tokenizer(numbers_checkpoint.parent / "tokenizer.model")
    reference = verify.make_reference(model, tokenizer, SENTENCES)
    evidence, _ = verify.verify_variant(
        half_package, "cuda-fp16", model, reference, SENTENCES, device="cpu"
    )
    limits = EVIDENCE_LIMITS["cuda-fp16"]
    assert evidence.token_exact_rate >= limits.min_token_exact_rate
    assert 0 < evidence.max_logit_difference < limits.max_logit_difference
    assert evidence.bleu == pytest.approx(reference.scores.bleu, abs=limits.max_bleu_loss)


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_there_is_no_evidence_and_no_package(
    tmp_path: Path, numbers_checkpoint: Path
) -> None:
    request = ExportOptions(
        numbers_checkpoint, tmp_path / "numbers" / "1", variants=("cpu-int8", "cuda-fp16")
    )
    with pytest.raises(ConfigError, match="device is 'cuda'"):
        build_package(request, report=lambda _line: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_gpu")
def test_the_command_says_it_in_one_line(
    tmp_path: Path, numbers_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--variants", "cuda-fp16", "--default-variant", "cuda-fp16"]
    assert command.main([str(numbers_checkpoint), str(tmp_path / "numbers" / "1"), *flags]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: device is 'cuda': this onnxruntime")
    assert error.count("\n") == 1
