"""Evaluation reports: figures as JSON, and the page made of it."""

from mlcore.report.building import build, write
from mlcore.report.data import Data
from mlcore.report.evidence import Evidence

__all__ = ["Data", "Evidence", "build", "write"]
