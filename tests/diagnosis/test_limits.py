"""Limits that do not fit one another stop every kind of process before it works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from diagnosis import checks

ROOT = Path(__file__).resolve().parents[2]


def test_the_limits_that_ship_fit() -> None:
    assert checks.fit_limits() == []
    checks.require_fit_limits()


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("ANALYSIS_SOFT_LIMIT", 150, "E001"),
        ("ANALYSIS_SOFT_LIMIT", 0, "E001"),
        ("ANALYSIS_HARD_LIMIT", 240, "E002"),
        ("ANALYSIS_LEASE", 900, "E003"),
        ("ANALYSIS_BATCH_MAX", 0, "E004"),
        ("ANALYSIS_MAX_ATTEMPTS", 0, "E005"),
        ("SWEEP_EVERY", 240, "E006"),
        ("SWEEP_EVERY", 0, "E006"),
        ("WORKER_HEARTBEAT", 240, "E007"),
        ("ANALYSIS_RETRY_DELAY", -1, "E008"),
        ("INFERENCE_ENGINE", "abacus", "E009"),
    ],
)
def test_each_misfit_is_named(settings: object, name: str, value: object, code: str) -> None:
    setattr(settings, name, value)
    errors = checks.fit_limits()
    assert [error.id for error in errors] == [f"diagnosis.{code}"]
    assert name in errors[0].msg
    with pytest.raises(ImproperlyConfigured, match=name):
        checks.require_fit_limits()


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "celery", "-A", "config", "worker", "--pool", "solo"],
        ["-m", "celery", "-A", "config", "beat"],
        ["-c", "import config.wsgi"],
    ],
    ids=["worker", "beat", "web"],
)
def test_no_process_starts_with_them(command: list[str], tmp_path: Path) -> None:
    environment = {**os.environ, "EMBEDDED": "1", "VAR_DIR": str(tmp_path), "ANALYSIS_LEASE": "20"}
    environment["DJANGO_SETTINGS_MODULE"] = "config.settings"
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode != 0
    assert "ANALYSIS_HARD_LIMIT (150 s) must be below ANALYSIS_LEASE (20 s)" in done.stdout + done.stderr
