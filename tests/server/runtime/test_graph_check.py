"""Graphs that would run or read what is not their package's, as files and as sessions."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from demos.bundled import PACKAGE as BUNDLED
from server.errors import PackageError
from server.package import _seal, open_package
from server.runtime.graph_check import check_graph, read_contents
from server.runtime.sessions import Sessions

X = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])
Y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
CONDITION = helper.make_tensor_value_info("b", TensorProto.BOOL, [])


def external(name: str, location: str) -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def model(nodes: list[Any], tensors: Any = (), inputs: Any = (X,), domains: Any = ()) -> bytes:
    graph = helper.make_graph(nodes, "graph", list(inputs), [Y], list(tensors))
    imports = [helper.make_opsetid("", 20), *(helper.make_opsetid(name, 1) for name in domains)]
    made: bytes = helper.make_model(graph, opset_imports=imports, ir_version=10).SerializeToString()
    return made


ADD = helper.make_node("Add", ["x", "w"], ["y"])


def plain(location: str) -> bytes:
    return model([ADD], [external("w", location)])


def constant(location: str) -> bytes:
    value = external("value", location)
    return model([helper.make_node("Constant", [], ["w"], value=value), ADD])


def branch(location: str) -> bytes:
    """An initializer of a branch of an If."""
    out = helper.make_tensor_value_info("o", TensorProto.FLOAT, [4])
    copy = helper.make_node("Identity", ["w"], ["o"])
    then = helper.make_graph([copy], "then", [], [out], [external("w", location)])
    other = helper.make_graph([helper.make_node("Identity", ["x"], ["o"])], "else", [], [out])
    node = helper.make_node("If", ["b"], ["y"], then_branch=then, else_branch=other)
    return model([node], inputs=(X, CONDITION))


def function(location: str) -> bytes:
    node = helper.make_node("Constant", [], ["w"], value=external("value", location))
    body = helper.make_function(
        "com.microsoft", "Own", ["x"], ["y"], [node, ADD], [helper.make_opsetid("", 20)]
    )
    call = helper.make_node("Own", ["x"], ["y"], domain="com.microsoft")
    found = onnx.load_from_string(model([call], domains=["com.microsoft"]))
    found.functions.append(body)
    made: bytes = found.SerializeToString()
    return made


def refusal_of(graph: bytes) -> str:
    with pytest.raises(PackageError, match=r"^graph: ") as caught:
        check_graph("graph", graph, "model.weights")
    return str(caught.value).removeprefix("graph: ")


@pytest.mark.parametrize("path", sorted(BUNDLED.glob("*/*.onnx")), ids=lambda path: path.name)
def test_the_bundled_graphs_are_what_is_allowed(path: Path) -> None:
    found = read_contents(path.read_bytes())
    assert found.domains == {"", "com.microsoft"}
    assert (found.locations, found.inner_locations) == ({"model.weights"}, set())
    check_graph("graph", path.read_bytes(), "model.weights")


@pytest.mark.parametrize("make", [plain, constant])
def test_the_packages_own_weights_are_allowed(make: Callable[[str], bytes]) -> None:
    check_graph("graph", make("model.weights"), "model.weights")


ELSEWHERE = ["secret", "./model.weights", "../model.weights", "/etc/passwd", ""]


@pytest.mark.parametrize("location", ELSEWHERE)
@pytest.mark.parametrize("make", [plain, constant, branch, function])
def test_external_data_elsewhere_is_refused(make: Callable[[str], bytes], location: str) -> None:
    assert refusal_of(make(location)) == f"external data in {location!r} is not allowed"


@pytest.mark.parametrize("make", [branch, function])
def test_inner_graphs_have_no_external_data_at_all(make: Callable[[str], bytes]) -> None:
    assert refusal_of(make("model.weights")) == "external data in 'model.weights' is not allowed"


def test_onnx_runtime_would_read_a_branchs_data_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why the check is ours. Should this fail one day, ONNX Runtime has learned to refuse it."""
    (tmp_path / "secret").write_bytes(b"\x00\x00\x80?" * 4)
    monkeypatch.chdir(tmp_path)
    options = ort.SessionOptions()
    options.add_external_initializers_from_files_in_memory(["model.weights"], [b"0" * 16], [16])
    session = ort.InferenceSession(branch("secret"), options)
    inputs = {"x": np.zeros(4, np.float32), "b": np.array(True)}
    found = session.run(None, inputs)[0]
    assert list(found) == [1.0] * 4


@pytest.mark.parametrize("location", ["secret", "../secret", "/etc/passwd"])
@pytest.mark.parametrize("make", [plain, constant])
def test_onnx_runtime_itself_reads_no_other_file_for_the_graph(
    make: Callable[[str], bytes], location: str
) -> None:
    options = ort.SessionOptions()
    options.add_external_initializers_from_files_in_memory(["model.weights"], [b"0" * 16], [16])
    with pytest.raises(Exception, match="not found from the table user provided"):
        ort.InferenceSession(make(location), options)


def run(domain: str) -> list[Any]:
    return [helper.make_node("Run", ["x"], ["y"], domain=domain)]


@pytest.mark.parametrize("domain", ["evil", "ai.onnx.ml", "ai.onnx.contrib", "com.microsoft.nchwc"])
def test_other_domains_are_refused_imported_used_or_in_a_function(domain: str) -> None:
    message = f"operators of the domain {domain!r} are not allowed"
    assert refusal_of(model(run(""), domains=[domain])) == message
    assert refusal_of(model(run(domain))) == message
    inner = helper.make_graph(run(domain), "inner", [], [Y])
    node = helper.make_node("If", ["b"], ["y"], then_branch=inner, else_branch=inner)
    assert refusal_of(model([node], inputs=(X, CONDITION))) == message
    found = onnx.load_from_string(model(run("")))
    body = helper.make_function(domain, "Own", ["x"], ["y"], run(""), [helper.make_opsetid("", 20)])
    found.functions.append(body)
    assert refusal_of(found.SerializeToString()) == message


@pytest.mark.parametrize("domain", ["evil", "ai.onnx.contrib"])
def test_onnx_runtime_refuses_operators_that_nobody_registered(domain: str) -> None:
    with pytest.raises(Exception, match="is not a registered function/op"):
        ort.InferenceSession(model(run(domain), domains=[domain]))


@pytest.mark.parametrize(
    "content",
    [b"\xff" * 20, b"\x0a\x05ab", b"\x0b", b"\x3a\xff\xff\xff\xff\x0f", b"\x42\x02\x0a\x09"],
)
def test_bytes_that_are_no_graph_are_refused(content: bytes) -> None:
    assert refusal_of(content).startswith("no ONNX graph: ")


def test_a_graph_nested_too_deeply_is_refused() -> None:
    content = b""
    for _ in range(40):  # graph, node, attribute, graph ...
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            content = tag + _length(len(content)) + content
    assert (
        refusal_of(b"\x3a" + _length(len(content)) + content) == "no ONNX graph: nested too deeply"
    )


def _length(value: int) -> bytes:
    encoded = b""
    while value >= 0x80:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_verdict(content: bytes) -> None:
    with contextlib.suppress(PackageError):  # and in no other exception
        check_graph("graph", content, "model.weights")


def with_file(folder: Path, path: str, content: bytes) -> Path:
    """The bundled package with another file, sealed as its maker could."""
    copy = Path(shutil.copytree(BUNDLED, folder / "multi30k" / BUNDLED.name))
    (copy / path).write_bytes(content)
    manifest = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
    del manifest["seal"]
    manifest["files"][path] = sha256(content).hexdigest()
    manifest["seal"] = _seal(manifest)
    (copy / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return copy


@pytest.mark.parametrize(
    ("graph", "problem"),
    [
        (branch("secret"), "external data in 'secret' is not allowed"),
        (model(run("evil"), domains=["evil"]), "operators of the domain 'evil' are not allowed"),
        (model(run("com.microsoft")), "ONNX Runtime refuses it: "),
        (b"", "ONNX Runtime refuses it: "),
        (b"garbage", "no ONNX graph: "),
    ],
)
def test_a_package_with_such_a_graph_is_refused_by_name(
    tmp_path: Path, graph: bytes, problem: str
) -> None:
    path = "cpu-int8/encoder_model.onnx"
    folder = with_file(tmp_path, path, graph)
    with pytest.raises(PackageError) as caught:
        Sessions(open_package(folder), "cpu-int8", 1)
    assert str(caught.value).startswith(f"{folder / path}: {problem}")
