"""Marks within a text: kept by the model, or else by translating what is between them."""

from pathlib import Path

import grpc
import pytest
from attendant_protos.v1 import translation_pb2 as pb

from ..echo_server import EchoServer
from .test_decoding import run_here


def translated(server: EchoServer, folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    output = Path(f"{path}.out")
    options = ("--file", str(path), "--output", str(output), "--overwrite")
    assert run_here(server.target, *options) == 0
    return output.read_text(encoding="utf-8")


def asked_for(server: EchoServer) -> list[list[str]]:
    return [list(request.texts) for request in server.requests]


@pytest.mark.parametrize(
    ("name", "text", "expected", "pieces"),
    [
        (
            "a.md",
            "Run `make all`, see [the page](http://a.b/c).",
            "RUN `make all`, SEE [THE PAGE](http://a.b/c).",
            [", see ", "the page"],
        ),
        ("a.md", "<b>a</b>  `b`", "<b>A</b>  `b`", ["a"]),
        ("a.md", "a\n`b c`\nd", "A\n`b c`\nD", ["a ", " d"]),
        (
            "a.srt",
            "1\n00:00:01,000 --> 00:00:02,000\nI <i>am</i> he\n",
            "1\n00:00:01,000 --> 00:00:02,000\nI <i>AM</i> HE\n",
            ["I ", "am", " he"],
        ),
    ],
)
def test_marks_cut_the_text_where_nothing_says_where_they_belong(
    server: EchoServer, tmp_path: Path, name: str, text: str, expected: str, pieces: list[str]
) -> None:
    assert translated(server, tmp_path, name, text) == expected
    assert asked_for(server)[-1] == pieces


def test_marks_around_words_follow_the_alignment(server: EchoServer, tmp_path: Path) -> None:
    def answer(request: pb.TranslateRequest, context: grpc.ServicerContext) -> object:
        best = pb.Hypothesis(text="Hund, rot.", alignment=pb.Alignment(words="1-1 2-0"))
        sentence = pb.TranslatedSentence(
            source=pb.TextSpan(start=0, end=12),
            target=pb.TextSpan(start=0, end=10),
            translation=pb.Translation(text="Hund, rot.", hypotheses=[best]),
        )
        found = pb.Translation(text="Hund, rot.", sentences=[sentence])
        return pb.TranslateResponse(translations=[found])

    server.answer = answer  # type: ignore[assignment]
    text = "The **red** [dog](http://a.b)."
    assert translated(server, tmp_path, "a.md", text) == "[Hund](http://a.b), **rot**."
    (request,) = server.requests
    assert list(request.texts) == ["The red dog."]
    assert (request.split_sentences, request.output.alignment) == (True, True)


def test_marks_alone_are_not_sent(server: EchoServer, tmp_path: Path) -> None:
    assert translated(server, tmp_path, "a.md", "`code` <https://a.b>") == "`code` <https://a.b>"
    assert server.requests == []


def test_many_pieces_are_sent_in_some_calls(server: EchoServer, tmp_path: Path) -> None:
    text = " ".join(f"word {chr(97 + n % 26)} `{n}a`" for n in range(130))
    expected = " ".join(f"WORD {chr(65 + n % 26)} `{n}a`" for n in range(130))
    assert translated(server, tmp_path, "a.md", text) == expected
    assert [len(texts) for texts in asked_for(server)] == [64, 64, 2]


def test_a_piece_that_is_refused_names_the_line(
    server: EchoServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(request: pb.TranslateRequest, context: grpc.ServicerContext) -> object:
        status = pb.TextStatus(code=3, field="texts[1]", message="texts[1]: too bad")
        wrong = pb.Translation(finish_reason=pb.FINISH_REASON_REFUSED, status=status)
        right = pb.Translation(text="x")
        return pb.TranslateResponse(translations=[right, wrong][: len(request.texts)])

    server.answer = answer  # type: ignore[assignment]
    path = tmp_path / "a.md"
    path.write_text("# one\n\ntwo `b` three\n")
    assert run_here(server.target, "--file", str(path)) == 1
    message = f"attendant: {path}:3: INVALID_ARGUMENT: texts[1]: too bad\n"
    assert capsys.readouterr().err == message
