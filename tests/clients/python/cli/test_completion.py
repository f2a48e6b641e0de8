"""`attendant completion`: what the scripts complete."""

import subprocess
import sys
from pathlib import Path

import pytest
from attendant.cli.main import build_parser, main

from ..echo_server import PATIENCE_S

COMPLETE = r"""
source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
function=$(complete -p attendant | sed 's/.*-F \([^ ]*\).*/\1/')
$function attendant "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script for bash, as the command prints it."""
    done = subprocess.run(
        [sys.executable, "-m", "attendant", "completion", "bash"],
        capture_output=True,
        timeout=PATIENCE_S,
        check=True,
    )
    path = tmp_path_factory.mktemp("completion") / "attendant"
    path.write_bytes(done.stdout)
    return path


def completed(script: Path, *words: str, folder: Path | None = None) -> list[str]:
    """What bash offers for the last of the words after `attendant`."""
    done = subprocess.run(
        ["bash", "--norc", "-c", COMPLETE, "bash", str(script), "attendant", *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
        cwd=folder,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands(script: Path) -> None:
    commands = {"translate", "load", "models", "tokenize", "health", "completion"}
    assert set(completed(script, "")) == commands
    assert completed(script, "tr") == ["translate"]


@pytest.mark.parametrize("command", ["translate", "models", "tokenize", "health"])
def test_bash_completes_every_option(script: Path, command: str) -> None:
    subcommands = build_parser()._subparsers
    assert subcommands is not None
    parser = subcommands._group_actions[0].choices[command]  # type: ignore[index]
    options = {option for action in parser._actions for option in action.option_strings}
    assert set(completed(script, command, "-")) == options
    assert "--target" in options


def test_bash_completes_options_and_their_values(script: Path) -> None:
    assert set(completed(script, "translate", "--re")) == {"--resume"}
    assert set(completed(script, "translate", "--format", "")) == {
        *("txt", "tsv", "jsonl", "srt", "md")
    }
    assert completed(script, "translate", "--beam-size", "2", "--priority", "b") == ["bulk"]
    assert set(completed(script, "completion", "")) == {"bash", "zsh", "fish"}


@pytest.mark.parametrize("option", ["--file", "--output", "--ca", "--key-file"])
def test_bash_completes_files(script: Path, tmp_path: Path, option: str) -> None:
    (tmp_path / "page.md").touch()
    (tmp_path / "other").touch()
    found = completed(script, "translate", option, "pa", folder=tmp_path)
    assert found == ["page.md"]


@pytest.mark.parametrize(
    ("shell", "part"), [("zsh", "#compdef attendant"), ("fish", "complete -c")]
)
def test_other_shells_get_theirs(capsys: pytest.CaptureFixture[str], shell: str, part: str) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert part in script
    assert "split-sentences" in script


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["completion", "tcsh"])
    assert "invalid choice: 'tcsh'" in capsys.readouterr().err


def test_the_library_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    message = "attendant: completion needs shtab: pip install 'attendant[completion]'\n"
    assert capsys.readouterr().err == message
