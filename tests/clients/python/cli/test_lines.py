"""Lines of the input, and what is said about input that cannot be read."""

from pathlib import Path

import pytest
from attendant.cli.lines import (
    MAX_LINE_BYTES,
    InputError,
    Line,
    lines_of_arguments,
    lines_of_file,
    split_lines,
)
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.binary(max_size=6)))
def test_where_the_chunks_end_does_not_matter(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    lines = list(split_lines(chunks))
    assert b"".join(lines) == whole
    assert all(line.endswith(b"\n") for line in lines[:-1])
    assert all(line and b"\n" not in line[:-1] for line in lines)


def test_a_line_is_there_before_the_next_chunk_is_read() -> None:
    def chunks() -> object:
        yield b"one\ntw"
        raise AssertionError("read on though a line was there")

    assert next(split_lines(chunks())) == b"one\n"  # type: ignore[arg-type]


def test_a_line_without_end_stops_at_the_limit() -> None:
    num_read = 0

    def chunks() -> object:
        nonlocal num_read
        while True:
            num_read += 1
            yield b"a" * 1024 * 1024

    (line,) = split_lines(chunks())  # type: ignore[arg-type]
    assert len(line) > MAX_LINE_BYTES
    assert num_read == 5


def test_lines_of_a_file_have_their_place(tmp_path: Path) -> None:
    path = tmp_path / "texts"
    path.write_bytes("Füße\r\n\na\rb\nlast".encode())
    assert list(lines_of_file(str(path))) == [
        Line(f"{path}:1", "Füße", "\r\n"),
        Line(f"{path}:2", "", "\n"),
        Line(f"{path}:3", "a\rb", "\n"),
        Line(f"{path}:4", "last", ""),
    ]


def test_undecodable_bytes_are_named_by_file_line_and_byte(tmp_path: Path) -> None:
    path = tmp_path / "texts"
    path.write_bytes(b"one\ntwo\nab\xffcd\n")
    lines = lines_of_file(str(path))
    assert [next(lines).text, next(lines).text] == ["one", "two"]
    with pytest.raises(InputError, match=f"^{path}:3: not UTF-8 at byte 3$"):
        next(lines)


def test_a_line_over_the_limit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "texts"
    path.write_bytes(b"one\n" + b"a" * (MAX_LINE_BYTES + 1))
    with pytest.raises(InputError, match=f"^{path}:2: the line is longer than"):
        list(lines_of_file(str(path)))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"^{tmp_path}/none: No such file"):
        next(lines_of_file(f"{tmp_path}/none"))


def test_a_folder_is_no_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"^{tmp_path}: Is a directory"):
        next(lines_of_file(str(tmp_path)))


def test_arguments_are_lines() -> None:
    assert list(lines_of_arguments(["a", ""])) == [Line("text 1", "a"), Line("text 2", "")]


@pytest.mark.parametrize(("text", "what"), [("a\nb", "has a line break"), ("a\udcff", "not UTF-8")])
def test_an_argument_that_is_no_line_is_named(text: str, what: str) -> None:
    with pytest.raises(InputError, match=f"^text 2: {what}"):
        list(lines_of_arguments(["fine", text]))
