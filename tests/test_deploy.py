"""What is served by Docker, checked as far as it goes without an engine: schemas, linters, and that names agree."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVED = {
    "SECRET_KEY": "a-key-of-the-tests-that-is-long-enough-0123456789-abcdef",
    "ALLOWED_HOSTS": "leukolens.example",
    "DATABASE_URL": "postgresql://user@localhost/leukolens",
    "BROKER_URL": "redis://localhost/0",
}


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    tools = Path(sys.executable).parent
    base = {"PATH": f"{tools}:/usr/bin:/bin", "EMBEDDED": "0", "DEBUG": "0"}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=base | environment)


@pytest.mark.parametrize("file", ["docker-compose.yml", "deploy/gpu.yml"])
def test_compose_files_obey_the_compose_specification(file: str) -> None:
    done = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_dockerfile_is_clean_under_hadolint() -> None:
    done = run("hadolint", "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


def test_proxy_configuration_parses_and_denies_metrics() -> None:
    import crossplane

    parsed = crossplane.parse(str(ROOT / "deploy/nginx.conf"))
    assert parsed["status"] == "ok", parsed["errors"]
    assert "location = /metrics { deny all; }" in (ROOT / "deploy/nginx.conf").read_text()


def test_every_service_has_a_health_check_and_every_target_exists() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\w+)", (ROOT / "Dockerfile").read_text(), re.M))
    assert set(COMPOSE["services"]) == {"migrate", "web", "worker", "beat", "postgres", "redis", "proxy"}
    for name, service in COMPOSE["services"].items():
        target = service.get("build", {}).get("target")
        assert target is None or target in stages
        assert "healthcheck" in service or target in {"web", "worker"}, name
    assert "container_name" not in COMPOSE["services"]["worker"]  # else --scale cannot work


def test_images_do_not_run_as_root() -> None:
    text = (ROOT / "Dockerfile").read_text()
    for stage in ("web", "worker"):
        body = text.split(f"AS {stage}\n", 1)[1].split("\nFROM ", 1)[0]
        assert "USER 10001" in body


def test_compose_names_only_variables_that_the_settings_read() -> None:
    read = set(re.findall(r'env\.\w+\("(\w+)"', (ROOT / "config/settings.py").read_text()))
    assert set(COMPOSE["x-portal"]["environment"]) <= read


@pytest.mark.parametrize("name", SERVED)
def test_served_refuses_to_start_without(name: str) -> None:
    done = run(sys.executable, "manage.py", "check", **{k: v for k, v in SERVED.items() if k != name})
    assert done.returncode != 0
    assert f"{name}:" in done.stderr
    others = set(SERVED) - {name}
    assert not any(f"- {other}:" in done.stderr for other in others)


def test_served_refuses_sqlite_and_a_short_key() -> None:
    done = run(
        sys.executable,
        "manage.py",
        "check",
        **SERVED | {"DATABASE_URL": "sqlite:///x.db", "SECRET_KEY": "short"},
    )
    assert "DATABASE_URL:" in done.stderr
    assert "SECRET_KEY:" in done.stderr


def test_served_is_clean_under_the_deployment_checks() -> None:
    done = run(sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING", **SERVED)
    assert done.returncode == 0, done.stderr
