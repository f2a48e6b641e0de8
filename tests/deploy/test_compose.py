"""The container deployment against the server it runs: what can be seen without an engine. The rest
is deploy/smoke.sh, which needs one.
"""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from server.config import ENVIRONMENT_PREFIX, ServerConfig, parse_config
from server.errors import CredentialsError
from server.security.exposure import check_exposure

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()
SERVICE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"][
    "server"
]
MIN_MARGIN_S = 5


class Instruction(NamedTuple):
    name: str
    arguments: str


def instructions_of(dockerfile: str) -> list[Instruction]:
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


INSTRUCTIONS = instructions_of(DOCKERFILE)


def arguments_of(name: str) -> list[str]:
    return [instruction.arguments for instruction in INSTRUCTIONS if instruction.name == name]


def environment_of_image() -> dict[str, str]:
    return dict(
        pair.split("=", 1) for arguments in arguments_of("ENV") for pair in arguments.split()
    )


def deployed_environment() -> dict[str, str]:
    return environment_of_image() | SERVICE["environment"]


def deployed_config() -> ServerConfig:
    return parse_config(SERVICE.get("command", []), deployed_environment())


def seconds(duration: str) -> int:
    match = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", duration)
    assert match, duration
    return 60 * int(match[1] or 0) + int(match[2] or 0)


def test_ports_are_published_on_loopback_and_are_those_the_server_listens_on() -> None:
    config = deployed_config()
    published = {tuple(port.rsplit(":", 2)) for port in SERVICE["ports"]}
    assert published == {("127.0.0.1", str(p), str(p)) for p in (config.port, config.metrics_port)}
    assert arguments_of("EXPOSE") == [str(config.port)]
    for host in (config.host, config.metrics_host):
        assert host == "0.0.0.0", "nothing outside the container could reach it"


def test_plain_text_is_asked_for_by_name_where_ports_are_loopbacks_and_not_in_the_image() -> None:
    check_exposure(deployed_config())
    with pytest.raises(CredentialsError, match="other machines can reach"):
        check_exposure(parse_config([], environment_of_image()))


def test_every_setting_is_an_option_of_the_server() -> None:
    """One with a slip of the pen would be ignored in silence."""
    set_ones = {name for name in deployed_environment() if name.startswith(ENVIRONMENT_PREFIX)}
    options = {ENVIRONMENT_PREFIX + name.upper() for name in ServerConfig.__dataclass_fields__}
    assert set_ones <= options


def test_the_engine_waits_for_the_whole_drain_before_it_kills() -> None:
    config = deployed_config()
    drain_s = config.drain_delay_s + config.drain_timeout_s
    assert seconds(SERVICE["stop_grace_period"]) >= drain_s + MIN_MARGIN_S


def test_the_image_installs_no_torch() -> None:
    (install,) = (run for run in arguments_of("RUN") if "pip" in run and "install" in run)
    (extras,) = re.findall(r"'\.\[([\w,]+)\]'", install)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = list(project["dependencies"])
    for extra in extras.split(","):
        requirements += project["optional-dependencies"][extra]
    names = {re.split(r"[^\w.-]", requirement)[0] for requirement in requirements}
    assert "onnxruntime" in names
    assert not names & {"torch", "onnx", "onnxscript", "safetensors"}
    assert "torch" not in install


def test_the_builder_gets_what_is_copied_and_nothing_else() -> None:
    copies = [a.split() for a in arguments_of("COPY") if not a.startswith("--from")]
    copied = {source for *sources, _target in copies for source in sources}
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in ignore if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied


def test_a_number_that_is_not_root_runs_it() -> None:
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    (user,) = re.findall(r"^USER (.*)$", last_stage, re.MULTILINE)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_the_container_has_no_more_rights_than_it_needs() -> None:
    assert SERVICE["read_only"] is True
    assert SERVICE["cap_drop"] == ["ALL"]
    assert SERVICE["security_opt"] == ["no-new-privileges:true"]
    assert not SERVICE.keys() & {"privileged", "cap_add", "network_mode", "pid", "volumes"}


@pytest.mark.parametrize("name", ["HEALTHCHECK", "ENTRYPOINT"])
def test_the_modules_it_runs_exist(name: str) -> None:
    (arguments,) = arguments_of(name)
    _python, _m, module = json.loads(arguments[arguments.index("[") :])
    assert importlib.util.find_spec(module) is not None


def test_nothing_is_reported_to_the_maker_of_onnx_runtime() -> None:
    assert deployed_environment()["ORT_DISABLE_TELEMETRY"] == "1"
