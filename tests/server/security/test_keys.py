"""The file of keys: what is taken from it, and that nothing of a wrong one is repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.errors import CredentialsError
from server.keys import main
from server.security.keys import ApiKey, KeyRing, Limits, new_key, read_keys

HASH = "ab" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


def refusal_of(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(CredentialsError) as caught:
        read_keys(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_a_key_is_found_by_itself_and_by_nothing_else(path: Path) -> None:
    (web, web_hash), (bulk, bulk_hash) = new_key(), new_key()
    path.write_text(f'[keys.web]\nsha256 = "{web_hash}"\n[keys.bulk]\nsha256 = "{bulk_hash}"\n')
    ring = read_keys(path)
    for key, name in ((web, "web"), (bulk, "bulk")):
        found = ring.find(key)
        assert found is not None
        assert found.name == name
    wrong = ["", "att_", web[:-1], web + "x", web.upper(), web_hash, " " + web, "é", "\udc80"]
    assert [ring.find(key) for key in wrong] == [None] * len(wrong)


def test_all_that_an_entry_can_say(path: Path) -> None:
    path.write_text(f"""
        [keys.web]
        sha256 = ["{HASH}", "{"cd" * 32}"]
        permissions = ["translate", "admin"]
        requests_per_s = 5
        request_burst = 10
        characters_per_s = 2000.5
        character_burst = 9000
        max_concurrent = 16
    """)
    (key,) = {key for _, key in read_keys(path)._by_hash}
    limits = Limits(5, 10, 2000.5, 9000, 16)
    permissions = frozenset({"translate", "admin"})
    assert key == ApiKey("web", (bytes.fromhex(HASH), b"\xcd" * 32), permissions, limits)


def test_a_key_may_translate_without_limits_unless_it_says_otherwise(path: Path) -> None:
    path.write_text(f'[keys.web]\nsha256 = "{HASH}"\n')
    ((_, key),) = read_keys(path)._by_hash
    assert (key.permissions, key.limits) == (frozenset({"translate"}), Limits())


ENTRY = f'[keys.web]\nsha256 = "{HASH}"\n'


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff\xfe", "no TOML: not UTF-8"),
        ("[keys.web]\nsha256 = SECRET", "no TOML: at line 2, column 10"),
        ("", "there is no entry [keys.NAME]"),
        ("keys = 1", "there is no entry [keys.NAME]"),
        ("[keys]", "there is no entry [keys.NAME]"),
        ("[keys]\nweb = 1", "keys.web is no table"),
        (f"{ENTRY}[SECRET]", "there is something outside of [keys.NAME]"),
        ('[keys."a:b"]', "a name has letters"),
        ('[keys.""]', "a name has letters"),
        (f"[keys.{'a' * 65}]", "a name has letters"),
        ("[keys.web]", "keys.web.sha256 must be 64 digits"),
        ("[keys.web]\nsha256 = []", "keys.web.sha256 must be 64 digits"),
        ("[keys.web]\nsha256 = 'SECRET'", "keys.web.sha256 must be 64 digits"),
        ("[keys.web]\nsha256 = 7", "keys.web.sha256 must be a text"),
        (f"{ENTRY}permissions = ['SECRET']", "keys.web.permissions must be of translate, admin"),
        (f"{ENTRY}permissions = []", "keys.web.permissions must be of translate, admin"),
        (f"{ENTRY}SECRET = 1", "keys.web has an unknown entry; there are sha256"),
        (f"{ENTRY}requests_per_s = -1", "keys.web.requests_per_s must be a number"),
        (f"{ENTRY}requests_per_s = true", "keys.web.requests_per_s must be a number"),
        (f"{ENTRY}requests_per_s = inf", "keys.web.requests_per_s must be a number"),
        (f"{ENTRY}requests_per_s = nan", "keys.web.requests_per_s must be a number"),
        (f"{ENTRY}max_concurrent = 1.5", "keys.web.max_concurrent must be a number"),
        (f"{ENTRY}request_burst = 3", "keys.web.request_burst is given without requests_per_s"),
        (f'{ENTRY}[keys.other]\nsha256 = "{HASH}"', "the same sha256 is there twice"),
        ("a=" + "[" * 100_000, "no TOML: nested too deeply"),
        ("#" * (2 << 20), "it has more than 1048576 bytes"),
    ],
)
def test_what_is_wrong_is_named_and_never_quoted(
    path: Path, content: str | bytes, problem: str
) -> None:
    message = refusal_of(path, content)
    assert message.startswith(problem)
    assert "SECRET" not in message


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(CredentialsError, match=f"^{path}: No such file"):
        read_keys(path)


def test_too_many_hashes_are_refused(path: Path) -> None:
    hashes = ", ".join(f'"{number:064x}"' for number in range(1001))
    message = refusal_of(path, f"[keys.web]\nsha256 = [{hashes}]")
    assert message == "there are 1001 hashes, at most 1000 are allowed"


def test_no_hash_is_in_a_repr(path: Path) -> None:
    path.write_text(ENTRY)
    ring = read_keys(path)
    assert "ab" * 4 not in repr(ring) + repr(ring._by_hash[0][1])
    assert "xab" not in repr(ring._by_hash[0][1])


def test_the_command_shows_the_key_once_and_writes_its_hash(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", "web"]) == 0
    assert main(["new", "ops", "--permission", "admin", "--permission", "translate"]) == 0
    output = capsys.readouterr()
    path.write_text(output.out)
    ring = read_keys(path)
    keys = [line.rpartition(" ")[2] for line in output.err.splitlines()]
    found = [ring.find(key) for key in keys]
    assert [(key.name, set(key.permissions)) for key in found if key] == [
        ("web", {"translate"}),
        ("ops", {"admin", "translate"}),
    ]
    assert not any(key in output.out for key in keys)
    assert len({*keys}) == 2
    assert all(len(key) >= 47 for key in keys)


@pytest.mark.parametrize("arguments", [[], ["new"], ["new", "a b"], ["new", "a", "--permission=x"]])
def test_a_wrong_command_line_ends_with_two(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().out == ""


def test_every_hash_is_compared_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time must not tell where in the file a key is."""
    import server.security.keys as module

    pairs = [new_key() for _ in range(5)]
    keys = [ApiKey(f"k{i}", (bytes.fromhex(h),), frozenset()) for i, (_, h) in enumerate(pairs)]
    ring, num_compared = KeyRing(keys), 0

    def compare(one: bytes, other: bytes) -> bool:
        nonlocal num_compared
        num_compared += 1
        return one == other

    monkeypatch.setattr(module.hmac, "compare_digest", compare)
    for key in [pairs[0][0], pairs[4][0], "none"]:
        num_compared = 0
        ring.find(key)
        assert num_compared == 5
