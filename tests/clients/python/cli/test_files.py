"""`attendant translate`: files of every format through the command, to the byte."""

import json
from pathlib import Path

import grpc
import pytest
from attendant.cli.lines import MAX_LINE_BYTES
from attendant_protos.v1 import translation_pb2 as pb

from ..echo_server import EchoServer, refuse_text
from .test_decoding import detailed, run_here

CUE = "1\n00:00:01,000 --> 00:00:02,000\n"


def translated(server: EchoServer, folder: Path, name: str, data: bytes, *options: str) -> bytes:
    """What the command writes for a file of these bytes."""
    (folder / name).write_bytes(data)
    output = folder / f"{name}.out"
    files = ("--file", str(folder / name), "--output", str(output), "--overwrite")
    assert run_here(server.target, *files, *options) == 0
    assert sorted(path.name for path in folder.iterdir()) == sorted([name, output.name])
    return output.read_bytes()


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("texts", b"a\r\n\nb", b"A\n\nB\n"),
        ("a.txt", b"\xef\xbb\xbfa\n", b"\xef\xbb\xbfA\n"),
        ("a.tsv", b"\xef\xbb\xbfa\tb\r\nc", b"\xef\xbb\xbfa\tb\tA\r\nc\tC"),
        ("a.jsonl", b'{"text": "\\u0061"}\r\n', b'{"text": "\\u0061", "translation": "A"}\r\n'),
        ("a.ndjson", b'{"text": "a"}', b'{"text": "a", "translation": "A"}'),
        ("a.srt", f"{CUE}<i>a\nb</i>".encode(), f"{CUE}<i>A\nB</i>".encode()),
        ("a.SRT", f"\ufeff{CUE}a\n".encode(), f"\ufeff{CUE}A\n".encode()),
        ("a.md", b"# a\r\n\r\n    code\r\n\r\nb", b"# A\r\n\r\n    code\r\n\r\nB"),
        ("a.markdown", b"* a\n", b"* A\n"),
        ("empty.txt", b"", b""),
        ("empty.tsv", b"", b""),
        ("empty.jsonl", b"", b""),
        ("empty.srt", b"", b""),
        ("empty.md", b"", b""),
    ],
)
def test_the_format_is_known_by_the_ending(
    server: EchoServer, tmp_path: Path, name: str, data: bytes, expected: bytes
) -> None:
    assert translated(server, tmp_path, name, data) == expected


def test_the_format_can_be_told(
    server: EchoServer, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert translated(server, tmp_path, "a.md", b"# a\n", "--format", "txt") == b"# A\n"
    assert run_here(server.target, "--format", "tsv", "--column", "2", "a\tb") == 0
    assert capsysbinary.readouterr().out == b"a\tb\tB\n"


@pytest.mark.parametrize(
    ("name", "data", "options", "expected"),
    [
        ("a.tsv", b"a\tb\n", ["--column", "2"], b"a\tb\tB\n"),
        ("a.tsv", b"id\na\n", ["--header"], b"id\ttranslation\na\tA\n"),
        ("a.tsv", b"id\na\n", ["--header", "--output-field", "de"], b"id\tde\na\tA\n"),
        ("a.jsonl", b'{"en":"a"}', ["--field", "en"], b'{"en":"a", "translation": "A"}'),
        ("a.jsonl", b'{"text":"a"}', ["--output-field", "text"], b'{"text":"A"}'),
    ],
)
def test_what_is_translated_can_be_told(
    server: EchoServer, tmp_path: Path, name: str, data: bytes, options: list[str], expected: bytes
) -> None:
    assert translated(server, tmp_path, name, data, *options) == expected


@pytest.mark.parametrize(
    ("name", "data", "is_split"),
    [
        ("a.txt", b"a", False),
        ("a.tsv", b"a", False),
        ("a.jsonl", b'{"text": "a"}', False),
        ("a.srt", f"{CUE}a".encode(), True),
        ("a.md", b"a", True),
    ],
)
def test_documents_are_split_into_sentences_and_lines_are_if_asked_for(
    server: EchoServer, tmp_path: Path, name: str, data: bytes, is_split: bool
) -> None:
    translated(server, tmp_path, name, data)
    translated(server, tmp_path, name, data, "--split-sentences")
    assert [request.split_sentences for request in server.requests] == [is_split, True]


@pytest.mark.parametrize(
    ("name", "before", "wrong", "message"),
    [
        ("a.txt", "a\n", b"\xff", "2: not UTF-8 at byte 1"),
        ("a.tsv", "a\n", b"ab\xe4", "2: not UTF-8 at byte 3"),
        ("a.jsonl", '{"text": "a"}\n', b"\xe4", "2: not UTF-8 at byte 1"),
        ("a.srt", f"{CUE}a\n", b"\xe4", "4: not UTF-8 at byte 1"),
        ("a.md", "a\n", b"\xe4", "2: not UTF-8 at byte 1"),
        ("a.jsonl", '{"text": "a"}\n', b"[]", "2: no JSON object"),
        ("a.txt", "a\n", b"a" * (MAX_LINE_BYTES + 1), "2: the line is longer than 4,194,304 bytes"),
        ("a.tsv", "a\n", b"a" * (MAX_LINE_BYTES + 1), "2: the line is longer than 4,194,304 bytes"),
    ],
)
def test_input_that_is_wrong_is_named_by_its_line(
    server: EchoServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    before: str,
    wrong: bytes,
    message: str,
) -> None:
    path = tmp_path / name
    path.write_bytes(before.encode() + wrong + b"\n")
    assert run_here(server.target, "--file", str(path)) == 2
    assert capsys.readouterr().err == f"attendant: {path}:{message}\n"


@pytest.mark.parametrize(
    ("name", "data", "line"),
    [
        ("a.txt", b"a\nbad\nc\n", 2),
        ("a.tsv", b"a\nbad\nc\n", 2),
        ("a.jsonl", b'{"text": "a"}\n\n{"text": "bad"}\n', 3),
        ("a.srt", f"{CUE}a\n\n{CUE}bad\n".encode(), 7),
        ("a.md", b"# a\n\n---\n\n- bad\n", 5),
    ],
)
def test_a_text_that_is_refused_is_named_by_its_line(
    server: EchoServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    data: bytes,
    line: int,
) -> None:
    server.answer = refuse_text("bad", grpc.StatusCode.INVALID_ARGUMENT, "texts[0]: too bad")
    path = tmp_path / name
    path.write_bytes(data)
    assert run_here(server.target, "--file", str(path)) == 1
    message = f"attendant: {path}:{line}: INVALID_ARGUMENT: texts[0]: too bad\n"
    assert capsys.readouterr().err == message


def test_a_text_that_no_protobuf_can_say_is_named(
    server: EchoServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "\\ud800"}\n')
    assert run_here(server.target, "--file", str(path)) == 1
    assert f"{path}:1: INVALID_ARGUMENT: texts[0]: not valid Unicode" in capsys.readouterr().err


def test_json_has_a_line_a_text(
    server: EchoServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run_here(server.target, "--json", "ü\\", "") == 0
    assert capsys.readouterr().out == (
        '{"text": "ü\\\\", "translation": "Ü\\\\", "finish_reason": "stop"}\n'
        '{"text": "", "translation": "", "finish_reason": "empty"}\n'
    )
    (tmp_path / "a.tsv").write_text("\ufeffid\na\tb\n", encoding="utf-8")
    assert run_here(server.target, "--json", "--header", "--file", f"{tmp_path}/a.tsv") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["text"] == "a"


def test_json_has_what_was_asked_for(
    server: EchoServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer = detailed
    assert run_here(server.target, "--json", "--scores", "--alignment", "--sample", "a") == 0
    assert json.loads(capsys.readouterr().out)["hypotheses"] == [
        {"text": "A", "finish_reason": "unknown", "score": -0.25, "alignment": "0-0"},
        {"text": "A!", "finish_reason": "unknown", "score": -1.5, "alignment": "0-0 0-1"},
    ]


def test_json_tells_the_seed(server: EchoServer, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(request: pb.TranslateRequest, context: grpc.ServicerContext) -> object:
        return pb.TranslateResponse(translations=[pb.Translation(text="b")], seed=7)

    server.answer = answer  # type: ignore[assignment]
    assert run_here(server.target, "--json", "--sample", "a") == 0
    assert json.loads(capsys.readouterr().out)["seed"] == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--column", "2"], "--column: is for tsv, and the input is txt"),
        (["--header", "--format", "md"], "--header: is for tsv, and the input is md"),
        (["--field", "a"], "--field: is for jsonl, and the input is txt"),
        (["--output-field", "a"], "--output-field: is for jsonl and tsv, and the input is txt"),
        (["--format", "md", "--json"], "--json: is for lines, not for documents"),
        (
            ["--format", "tsv", "--scores"],
            "--num-hypotheses, --scores, --alignment: are for txt, or with --json",
        ),
        (["--stream", "--json"], "--stream: writes one translation a line"),
        (["--stream", "--format", "tsv"], "--stream: writes one translation a line"),
        (["--stream", "--output", "out"], "--stream: writes to standard output"),
        (["--stream", "--split-sentences"], "--stream: translates sentences, it cannot split"),
        (["--resume"], "--resume: is for --output"),
        (["--overwrite"], "--overwrite: is for --output"),
        (["--output", "no/such/out"], "no/such/out: there is no such folder"),
        (["--output", "."], ".: is no file"),
    ],
)
def test_options_that_exclude_each_other_are_refused(
    nowhere: str, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert run_here(nowhere, *options, "a") == 2
    assert capsys.readouterr().err == f"attendant: {message}\n"


def test_the_input_is_not_overwritten(
    nowhere: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"a\n")
    assert run_here(nowhere, "--file", str(path), "--output", str(path), "--overwrite") == 2
    assert capsys.readouterr().err == "attendant: --output: is the file that is read\n"
    assert path.read_bytes() == b"a\n"
