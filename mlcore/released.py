"""The evaluation report that a bundle carries beside its card. Of the standard library alone, for the web process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlcore.bundle import SHIPPED, BundleError

REPORT = "report.json"


def report_path(path_or_name: str | Path) -> Path:
    """Where the report of a bundle lies if it has one; as in `load_bundle`, by folder or by a shipped one's name."""
    path = Path(path_or_name)
    if path.name == str(path_or_name) and (SHIPPED / path).is_dir():
        path = SHIPPED / path
    return path / REPORT


def load_report(path_or_name: str | Path) -> dict[str, Any] | None:
    """The report of a bundle as it was written, None where the bundle or its report is not on this machine.

    Whether it speaks of the bundle that lies there is for the caller to compare (`identity.digest`, the card's
    digest). Raises BundleError where the file is no report.
    """
    path = report_path(path_or_name)
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BundleError(f"the report {path} cannot be read: {error}") from error
    if not isinstance(report, dict) or not isinstance(report.get("identity"), dict):
        raise BundleError(f"{path} is not an evaluation report: it does not say which bundle it is about")
    return report
