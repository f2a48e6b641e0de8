"""The SDK and the command against the real server."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attendant import (
    AsyncClient,
    Client,
    FinishReason,
    InvalidRequestError,
    ModelState,
    NotFoundError,
    Options,
    Priority,
    Sampling,
    TextsRefusedError,
)

from demos.server_process import ServerProcess, running_server


@pytest.fixture(scope="module")
def server(numbers_package: Path) -> Iterator[ServerProcess]:
    with running_server(numbers_package.parent.parent, "--drain-delay-s", "0") as server:
        yield server


def attendant(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "attendant", *arguments]
    return subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, timeout=60
    )


def test_lines_come_back_in_order_and_as_one_by_one(server: ServerProcess) -> None:
    lines = [f"{n} hundred and {m}" for n in ("one", "two", "six") for m in ("four", "ten", "")]
    result = attendant(
        "translate", "--target", server.target, "--from", "en", "--to", "de", text="\n".join(lines)
    )
    assert result.returncode == 0, result.stderr
    with Client(server.target) as client:
        alone = [client.translate(x, source_language="en", target_language="de") for x in lines]
    assert result.stdout.splitlines() == [translation.text for translation in alone]


def test_texts_that_are_wrong_keep_no_others_back(server: ServerProcess) -> None:
    with Client(server.target) as client:
        alone = client.translate("six", source_language="en", target_language="de")
        with pytest.raises(TextsRefusedError, match=r"^texts\[1\]: control") as caught:
            client.translate(["six", "\a"], source_language="en", target_language="de")
        good, bad = caught.value.translations
        assert good == alone
        assert (bad.text, bad.finish_reason) == ("", FinishReason.REFUSED)


def test_a_page_comes_back_with_its_sentences(server: ServerProcess) -> None:
    text = "six\n\n- seven\n"
    options = Options(split_sentences=True)
    with Client(server.target) as client:
        languages = {"source_language": "en", "target_language": "de"}
        page = client.translate(text, options=options, **languages)
        six, seven = client.translate(["six", "seven"], **languages)
    assert page.text == f"{six}\n\n- {seven}\n"
    assert [text[slice(*sentence.source)] for sentence in page.sentences] == ["six", "seven"]
    assert [sentence.translation for sentence in page.sentences] == [six, seven]


def test_models_are_described(server: ServerProcess) -> None:
    with Client(server.target) as client:
        (model,) = client.list_models()
        assert model == client.get_model() == client.get_model("numbers")
        with pytest.raises(NotFoundError, match="there is no model 'x'; there are: numbers"):
            client.get_model("x")
    assert (model.name, model.version, model.state) == ("numbers", "1", ModelState.READY)
    assert (model.variant, model.reason) == ("cpu-int8", "")
    assert set(model.directions) == {"en-de"}
    assert (model.defaults.beam_size, model.defaults.num_hypotheses) == (1, 1)
    assert {evidence.implementation for evidence in model.evidence} >= {"pytorch", "cpu-int8"}
    assert all(evidence.num_sentences > 0 for evidence in model.evidence)


async def ask_for_pieces(target: str, texts: list[str]) -> tuple[Any, Any, Any]:
    async with AsyncClient(target) as client:
        pieces = await client.tokenize(texts)
        whole = await client.tokenize(texts, target_language="de")
        return pieces, whole, await client.detokenize([text.pieces for text in pieces])


def test_texts_are_cut_into_pieces_and_put_together(server: ServerProcess) -> None:
    texts = ["six", "nine hundred and one", ""]
    with Client(server.target) as client:
        pieces = client.tokenize(texts)
        whole = client.tokenize(texts, target_language="de")
        together = client.detokenize([text.pieces for text in pieces])
    assert together == texts
    assert all(len(text.pieces) == len(text.ids) for text in pieces)
    assert whole[0].pieces[1:-1] == pieces[0].pieces  # the language's tag and the end beside them
    assert asyncio.run(ask_for_pieces(server.target, texts)) == (pieces, whole, together)


def test_the_command_lists_models(server: ServerProcess) -> None:
    result = attendant("models", "--target", server.target)
    head, line = result.stdout.splitlines()
    assert head.split() == ["MODEL", "STATE", "VARIANT", "BLEU", "DIRECTIONS"]
    assert re.fullmatch(r"numbers/1 +ready +cpu-int8 +[\d.]+ +en-de", line)
    (model,) = json.loads(
        attendant("models", "numbers", "--json", "--target", server.target).stdout
    )
    assert (model["name"], model["state"], model["directions"]) == ("numbers", "ready", ["en-de"])
    result = attendant("models", "absent", "--target", server.target)
    assert (result.returncode, result.stdout) == (1, "")
    assert "NOT_FOUND: model: there is no model 'absent'; there are: numbers" in result.stderr


def test_the_command_shows_pieces(server: ServerProcess) -> None:
    texts = ["six", "nine hundred"]
    with Client(server.target) as client:
        pieces = client.tokenize(texts)
        whole = client.tokenize(texts, target_language="de")
    at = ("--target", server.target)
    result = attendant("tokenize", *at, text="\n".join(texts))
    assert result.stdout.splitlines() == [" ".join(text.pieces) for text in pieces]
    result = attendant("tokenize", *at, "--ids", "--to", "de", *texts)
    assert result.stdout.splitlines() == [" ".join(map(str, text.ids)) for text in whole]
    result = attendant("tokenize", *at, "--to", "xx", *texts)
    assert (result.returncode, result.stdout) == (1, "")
    assert "target_language" in result.stderr


def test_a_refusal_names_the_field(server: ServerProcess) -> None:
    with Client(server.target) as client:
        empty = client.translate("", source_language="en", target_language="de")
        assert empty.finish_reason is FinishReason.EMPTY
        with pytest.raises(InvalidRequestError, match=r"texts\[0\]: control character U\+0007"):
            client.translate("\a", source_language="en", target_language="de")
        with pytest.raises(NotFoundError, match="it has en, de"):
            client.translate("one", source_language="en", target_language="fr")


EN_DE: Any = {"source_language": "en", "target_language": "de"}
TEXT = "nine thousand, nine hundred and ninety-nine"


def test_a_beam_answers_hypotheses_with_scores_and_alignments(server: ServerProcess) -> None:
    options = Options(beam_size=4, num_hypotheses=3, scores=True, alignment=True)
    with Client(server.target) as client:
        found = client.translate(TEXT, options=options, **EN_DE)
        plain = client.translate(TEXT, **EN_DE)
    assert str(found.hypotheses[0]) == found.text
    scores = [hypothesis.score for hypothesis in found.hypotheses]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    for hypothesis in found.hypotheses:
        assert hypothesis.tokens[-1].piece == "</s>"
        assert hypothesis.alignment is not None
        assert len(hypothesis.alignment.source_tokens) == found.source_tokens
        assert len(hypothesis.alignment.links) == len(hypothesis.tokens) - 1
    assert plain.hypotheses == ()
    assert plain.seed is None


def test_a_seed_that_the_server_told_gives_the_same_again(server: ServerProcess) -> None:
    with Client(server.target) as client:
        options = Options(sampling=Sampling(temperature=3.0))
        first, other = client.translate([TEXT, TEXT], options=options, **EN_DE)
        assert first == other
        again = Options(sampling=Sampling(temperature=3.0, seed=first.seed))
        assert client.translate(TEXT, options=again, **EN_DE) == first


def test_prefixes_limits_and_priorities_are_kept(server: ServerProcess) -> None:
    options = Options(target_prefix=["neun", ""], priority=Priority.BULK, max_target_tokens=3)
    with Client(server.target) as client:
        first, second = client.translate([TEXT, TEXT], options=options, **EN_DE)
    assert first.text.startswith("neun")
    assert {first.finish_reason, second.finish_reason} == {FinishReason.LENGTH}
    assert first.target_tokens == second.target_tokens == 3


def test_a_refused_option_is_named(server: ServerProcess) -> None:
    message = r"^options\.beam_size: it is 17, 1 to 16 is allowed$"
    with Client(server.target) as client, pytest.raises(InvalidRequestError, match=message):
        client.translate(TEXT, options=Options(beam_size=17), **EN_DE)


def test_both_clients_stream_what_translate_answers(server: ServerProcess) -> None:
    async def read_async(options: Options | None) -> list[str]:
        async with AsyncClient(server.target) as client:
            parts = client.translate_stream(TEXT, options=options, **EN_DE)
            return [str(part) async for part in parts]

    for options in (None, Options(beam_size=3, scores=True), Options(target_prefix="neun")):
        with Client(server.target) as client:
            answer = client.translate(TEXT, options=options, **EN_DE)
            parts = list(client.translate_stream(TEXT, options=options, **EN_DE))
        assert "".join(map(str, parts)) == answer.text
        assert parts[-1].translation == answer
        assert len(parts) > (2 if options is None else 1)
        assert asyncio.run(read_async(options)) == [str(part) for part in parts]


def test_lines_are_written_as_they_grow(server: ServerProcess) -> None:
    address = ("--target", server.target, "--from", "en", "--to", "de")
    plain = attendant("translate", *address, TEXT, "", "six")
    streamed = attendant("translate", *address, "--stream", TEXT, "", "six")
    assert (streamed.returncode, streamed.stderr) == (0, "")
    assert streamed.stdout == plain.stdout


def test_columns_follow_the_text(server: ServerProcess) -> None:
    result = attendant(
        *("translate", "--target", server.target, "--from", "en", "--to", "de"),
        *("--beam-size", "4", "--num-hypotheses", "2", "--scores", "--alignment", TEXT, "six"),
    )
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [row[0] for row in rows] == ["1", "1", "2", "2"]
    with Client(server.target) as client:
        options = Options(beam_size=4, num_hypotheses=2, scores=True, alignment=True)
        found = client.translate([TEXT, "six"], options=options, **EN_DE)
    expected = [
        [hypothesis.text, f"{hypothesis.score:.4f}", hypothesis.alignment.words]
        for translation in found
        for hypothesis in translation.hypotheses
        if hypothesis.alignment is not None
    ]
    assert [row[1:] for row in rows] == expected


TIMES = "00:00:01,000 --> 00:00:02,000"
FILES = {
    "a.txt": "{six}\n\n{nine}\n",
    "a.tsv": "1\t{six}\r\n2\t{nine}\r\n",
    "a.jsonl": '{"n": 1.0, "text": "{six}"}\n',
    "a.srt": f"1\n{TIMES}\n<i>{{six}}</i>\n\n2\n{TIMES}\n- {{six}}\n- {{nine}}\n",
    "a.md": "# {six}\n\n```\nsix\n```\n\n1. **{nine}**\n2. `six`\n\n| {six} | 9 |\n|---|---|\n",
}
"""Files of each format, their texts in braces."""
WRITTEN = {"a.tsv": "{text}\t{translation}", "a.jsonl": '{text}", "translation": "{translation}'}
"""What becomes of a text where it is more than its translation."""


@pytest.mark.parametrize("name", FILES)
def test_files_of_every_format_keep_all_but_their_texts(
    server: ServerProcess, tmp_path: Path, name: str
) -> None:
    texts = ["six", "nine"]
    with Client(server.target) as client:
        found = dict(zip(texts, client.translate(texts, **EN_DE), strict=True))

    def filled(form: str) -> str:
        six, nine = (form.format(text=text, translation=found[text]) for text in texts)
        return FILES[name].replace("{six}", six).replace("{nine}", nine)

    source, expected = filled("{text}"), filled(WRITTEN.get(name, "{translation}"))
    (tmp_path / name).write_bytes(source.encode())
    files = ("--file", str(tmp_path / name), "--output", str(tmp_path / "out"))
    column = ("--column", "2") if name == "a.tsv" else ()
    address = ("--target", server.target, "--from", "en", "--to", "de")
    result = attendant("translate", *address, *files, *column)
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "out").read_bytes().decode() == expected


def test_load_counts_every_request_of_a_real_run(server: ServerProcess, tmp_path: Path) -> None:
    (tmp_path / "texts").write_text("one hundred and four\nseven thousand and nine\n")
    result = attendant(
        *("load", "--target", server.target, "--rate", "40", "--duration", "2", "--json"),
        *("--file", str(tmp_path / "texts")),
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["errors"] == {}
    assert 40 < report["answered"] < 130


def test_health_is_an_exit_code(server: ServerProcess) -> None:
    assert attendant("health", "--target", server.target).returncode == 0
