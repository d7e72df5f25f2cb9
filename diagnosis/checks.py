"""Checks at start: limits that must fit one another, or work would be read twice or wait for ever."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured


@register()
def fit_limits(**_: Any) -> list[CheckMessage]:
    """One error for each limit of queue and workers that does not fit the others."""
    s = settings
    rules = [
        ("E001", 0 < s.ANALYSIS_SOFT_LIMIT < s.ANALYSIS_HARD_LIMIT,
         f"ANALYSIS_SOFT_LIMIT ({s.ANALYSIS_SOFT_LIMIT} s) must be above 0 and below "
         f"ANALYSIS_HARD_LIMIT ({s.ANALYSIS_HARD_LIMIT} s), so that a batch can hand its work back in time."),
        ("E002", s.ANALYSIS_HARD_LIMIT < s.ANALYSIS_LEASE,
         f"ANALYSIS_HARD_LIMIT ({s.ANALYSIS_HARD_LIMIT} s) must be below ANALYSIS_LEASE ({s.ANALYSIS_LEASE} s), "
         "so that no lease ends while its reader still reads."),
        ("E003", s.ANALYSIS_LEASE < s.BROKER_VISIBILITY,
         f"ANALYSIS_LEASE ({s.ANALYSIS_LEASE} s) must be below BROKER_VISIBILITY ({s.BROKER_VISIBILITY} s), "
         "so that the broker does not deliver again what is still being read."),
        ("E004", s.ANALYSIS_BATCH_MAX >= 1, f"ANALYSIS_BATCH_MAX ({s.ANALYSIS_BATCH_MAX}) must be at least 1."),
        ("E005", s.ANALYSIS_MAX_ATTEMPTS >= 1,
         f"ANALYSIS_MAX_ATTEMPTS ({s.ANALYSIS_MAX_ATTEMPTS}) must be at least 1."),
        ("E006", 0 < s.SWEEP_EVERY < s.ANALYSIS_LEASE,
         f"SWEEP_EVERY ({s.SWEEP_EVERY} s) must be above 0 and below ANALYSIS_LEASE ({s.ANALYSIS_LEASE} s), "
         "so that a lost lease is found soon."),
        ("E007", 0 < s.WORKER_HEARTBEAT < s.ANALYSIS_LEASE,
         f"WORKER_HEARTBEAT ({s.WORKER_HEARTBEAT} s) must be above 0 and below ANALYSIS_LEASE "
         f"({s.ANALYSIS_LEASE} s)."),
        ("E008", s.ANALYSIS_RETRY_DELAY >= 0,
         f"ANALYSIS_RETRY_DELAY ({s.ANALYSIS_RETRY_DELAY} s) must not be negative."),
        ("E009", s.INFERENCE_ENGINE in ("auto", "torch", "onnxruntime"),
         f"INFERENCE_ENGINE ({s.INFERENCE_ENGINE}) must be auto, torch or onnxruntime."),
    ]  # fmt: skip
    return [Error(sentence, id=f"diagnosis.{code}") for code, fits, sentence in rules if not fits]


def require_fit_limits() -> None:
    """Raise ImproperlyConfigured, naming every limit that does not fit: for processes that run no system checks."""
    errors = fit_limits()
    if errors:
        sentences = "\n".join(f"  - {error.msg} ({error.id})" for error in errors)
        raise ImproperlyConfigured(f"LeukoLens does not start with limits that do not fit one another:\n{sentences}")
