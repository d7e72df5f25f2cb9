"""What the clinic remembers. Each fact has one writer, named in its model's docstring."""

from diagnosis.models.analysis import Analysis, ModelRelease, WorkerSeen
from diagnosis.models.audit import AuditEvent
from diagnosis.models.case import Case
from diagnosis.models.image import SmearImage
from diagnosis.models.patient import Patient
from diagnosis.models.review import Decision

__all__ = ["Analysis", "AuditEvent", "Case", "Decision", "ModelRelease", "Patient", "SmearImage", "WorkerSeen"]
