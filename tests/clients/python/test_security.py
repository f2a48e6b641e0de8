"""TLS and keys: both clients against a real server, and the command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from attendant import (
    TLS,
    Client,
    OverloadedError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
)
from attendant.cli.main import main
from attendant.security import is_loopback

from tests.certificates import Authority, Pair

from .echo_server import PATIENCE_S, EchoServer, echo_stream, refuse
from .secure_server import Caller, add_tls
from .test_clients import Call, call_async_client, call_client

EN_DE: Any = {"source_language": "en", "target_language": "de"}
KEY = "att_" + "k" * 43


@pytest.fixture(params=[call_client, call_async_client], ids=["Client", "AsyncClient"])
def call(request: pytest.FixtureRequest) -> Call:
    made: Call = request.param
    return made


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@contextmanager
def secure_server(pair: Pair, clients: Authority | None = None) -> Iterator[tuple[str, Caller]]:
    """A target that speaks TLS, and who called."""
    caller, server = Caller(), EchoServer()
    server.answer, server.stream_answer = caller, caller.streamed(echo_stream)
    target = add_tls(server, pair, clients)
    with server:
        yield target, caller


def test_tls_with_an_authority_of_ones_own(authority: Authority, call: Call) -> None:
    options = {"tls": TLS(ca=authority.file), "api_key": KEY}
    with secure_server(authority.issue("server")) as (target, caller):
        assert str(call(target, "translate", "a", client=options, **EN_DE)) == "A"
        assert call(target, "is_serving", client=options) is True
    assert caller.metadata[0]["authorization"] == f"Bearer {KEY}"


def test_a_server_of_another_authority_is_not_talked_to(
    authority: Authority, tmp_path: Path, call: Call
) -> None:
    stranger = Authority(tmp_path, "stranger").issue("stranger")
    with secure_server(stranger) as (target, caller):
        for tls in (TLS(ca=authority.file), TLS()):
            options = {"tls": tls, "api_key": KEY}
            with pytest.raises(UnavailableError):
                call(target, "translate", "a", client=options, timeout_s=5, **EN_DE)
    assert caller.metadata == []


def test_a_server_of_another_name_is_not_talked_to_unless_it_is_expected(
    authority: Authority, call: Call
) -> None:
    with secure_server(authority.issue("server", "attendant.example")) as (target, _):
        tls = TLS(ca=authority.file)
        with pytest.raises(UnavailableError):
            call(target, "translate", "a", client={"tls": tls}, timeout_s=5, **EN_DE)
        tls = TLS(ca=authority.file, server_name="attendant.example")
        assert str(call(target, "translate", "a", client={"tls": tls}, **EN_DE)) == "A"


def test_mutual_tls(authority: Authority, tmp_path: Path, call: Call) -> None:
    clients = Authority(tmp_path, "clients")
    own = clients.issue("own", "someone")
    with secure_server(authority.issue("server"), clients) as (target, caller):
        tls = TLS(ca=authority.file, certificate=own.certificate, certificate_key=own.key)
        assert str(call(target, "translate", "a", client={"tls": tls}, **EN_DE)) == "A"
        assert caller.names == [[b"someone"]]
        bare = TLS(ca=authority.file)
        with pytest.raises(UnavailableError):
            call(target, "translate", "a", client={"tls": bare}, timeout_s=5, **EN_DE)


def test_half_a_pair_is_refused_by_name() -> None:
    for half in ({"certificate": "a"}, {"certificate_key": "a"}):
        with pytest.raises(ValueError, match=r"^certificate and certificate_key"):
            TLS(**half)


def test_a_file_that_is_not_there_is_named(call: Call) -> None:
    with pytest.raises(FileNotFoundError, match="/no/such/file"):
        call("localhost:1", "is_serving", client={"tls": TLS(ca="/no/such/file")})


# Keys


def test_a_key_goes_with_calls_and_streams_on_this_machine(server: EchoServer, call: Call) -> None:
    server.answer = caller = Caller()
    server.stream_answer = caller.streamed(echo_stream)
    call(server.target, "translate", "a", client={"api_key": KEY}, **EN_DE)
    with Client(server.target, api_key=KEY) as client:
        assert list(client.translate_stream("a", **EN_DE))
    assert [shown["authorization"] for shown in caller.metadata] == [f"Bearer {KEY}"] * 2


BEYOND = ["attendant.example:50051", "10.0.0.7:50051", "dns:///10.0.0.7:1", "0.0.0.0:1", "[::]:1"]


@pytest.mark.parametrize("target", BEYOND)
def test_a_key_goes_to_no_other_machine_in_plain_text(target: str, call: Call) -> None:
    with pytest.raises(ValueError, match="could be read on its way") as caught:
        call(target, "is_serving", client={"api_key": KEY})
    assert KEY not in str(caught.value)
    for allowed in ({"allow_plaintext_key": True}, {"tls": TLS()}):
        call(target, "close", client={"api_key": KEY, **allowed})


@pytest.mark.parametrize(
    "target",
    [
        *(
            "localhost:1",
            "LOCALHOST:1",
            "localhost",
            "127.0.0.1:1",
            "127.9.9.9:1",
            "[::1]:1",
            "::1",
        ),
        *("ipv4:127.0.0.1:1", "ipv6:[::1]:1", "dns:localhost:1", "dns:///localhost:1"),
        *("unix:/run/attendant", "unix:///run/attendant", "unix-abstract:attendant"),
    ],
)
def test_what_is_this_machine(target: str) -> None:
    assert is_loopback(target)


@pytest.mark.parametrize(
    "target",
    [
        *(*BEYOND, "", ":1", "localhost.example:1", "127.0.0.1.example:1", "xds:///localhost:1"),
        *("ipv4:127.0.0.1:1,10.0.0.7:1", "dns://10.0.0.7/localhost:1", "::", "::2"),
    ],
)
def test_what_may_be_another(target: str) -> None:
    assert not is_loopback(target)


def test_a_proxy_of_the_environment_gets_no_key(
    server: EchoServer, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert str(call(server.target, "translate", "a", client={"api_key": KEY}, **EN_DE)) == "A"


@pytest.mark.parametrize("key", ["", "a b", "a\nb", "clé", "a\x00"])
def test_what_can_be_no_key_is_refused(key: str, call: Call) -> None:
    with pytest.raises(ValueError, match=r"^api_key: must be printable ASCII without spaces$"):
        call("localhost:1", "is_serving", client={"api_key": key})


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, UnauthenticatedError),
        (grpc.StatusCode.PERMISSION_DENIED, PermissionDeniedError),
    ],
)
def test_who_is_not_let_in_is_told_so(
    server: EchoServer, call: Call, code: grpc.StatusCode, kind: type[Exception]
) -> None:
    server.answer = refuse(code, "the server's words")
    with pytest.raises(kind, match=r"^the server's words$"):
        call(server.target, "translate", "a", **EN_DE)


@pytest.mark.parametrize(("told", "understood"), [("350", 0.35), ("soon", None), (None, None)])
def test_an_overload_says_when_to_come_again(
    server: EchoServer, call: Call, told: str | None, understood: float | None
) -> None:
    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        if told is not None:
            context.set_trailing_metadata((("grpc-retry-pushback-ms", told),))
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")

    server.answer = answer
    with pytest.raises(OverloadedError) as caught:
        call(server.target, "translate", "a", **EN_DE)
    assert caught.value.retry_after_s == understood


# The command


def translate(target: str, *options: str) -> int:
    return main(["translate", "--target", target, "--from", "en", "--to", "de", *options, "a"])


def test_the_command_speaks_tls_and_shows_the_key_of_a_file(
    authority: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clients, file = Authority(tmp_path, "clients"), tmp_path / "key"
    own = clients.issue("own", "someone")
    file.write_text(KEY + "\n")
    tls = ["--ca", str(authority.file), "--cert", str(own.certificate), "--cert-key", str(own.key)]
    with secure_server(authority.issue("server"), clients) as (target, caller):
        assert translate(target, *tls, "--key-file", str(file)) == 0
        assert main(["health", "--target", target, *tls]) == 0
    assert capsys.readouterr().out == "A\nserving\n"
    assert caller.metadata[0]["authorization"] == f"Bearer {KEY}"


def test_the_command_takes_the_key_of_the_environment(
    server: EchoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer = caller = Caller()
    monkeypatch.setenv("ATTENDANT_API_KEY", KEY)
    assert translate(server.target) == 0
    assert main(["load", "--target", server.target, "--rate", "1", "--duration", "0.01"]) == 0
    assert {shown["authorization"] for shown in caller.metadata} == {f"Bearer {KEY}"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "not on this machine and the connection is not encrypted"),
        (["--key-file", "/no/such/file"], "/no/such/file: No such file"),
        (["--ca", "/no/such/file"], "/no/such/file: No such file"),
        (["--cert", "/no/such/file"], "--cert and --cert-key: one is given without the other"),
    ],
)
def test_the_command_refuses_what_is_not_safe(
    options: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ATTENDANT_API_KEY", KEY)
    assert translate("10.0.0.7:1", *options) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert KEY not in output.err + output.out
    assert len(output.err.splitlines()) == 1


def test_no_option_takes_a_key_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "attendant", "translate", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
        env=os.environ,
    )
    assert "--key-file FILE" in done.stdout
    assert "--api-key" not in done.stdout
    assert "--key KEY" not in done.stdout


def test_health_needs_no_key_and_minds_none(nowhere: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTENDANT_API_KEY", KEY)
    assert main(["health", "--target", nowhere.replace("127.0.0.1", "0.0.0.0")]) == 1
