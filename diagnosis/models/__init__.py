"""What the clinic remembers. Each fact has one writer, named in its model's docstring."""

from diagnosis.models.analysis import Analysis, ModelRelease, WorkerSeen
from diagnosis.models.audit import AuditEvent
from diagnosis.models.batch import Batch, BatchFile, IntakeRules, ManifestRow
from diagnosis.models.case import Case, CaseFlag, SavedView
from diagnosis.models.clinical import ClinicalData
from diagnosis.models.image import SmearImage
from diagnosis.models.label import LabelSettings
from diagnosis.models.notice import Event, Notice, NoticeChoice, OutgoingMail
from diagnosis.models.opinion import SecondOpinion
from diagnosis.models.patient import Patient
from diagnosis.models.repeat import KeptAnswer
from diagnosis.models.report import CommentTemplate, Report, ReportDraft
from diagnosis.models.review import Decision
from diagnosis.models.tally import AgreementDay, ReadingTally
from diagnosis.models.webhook import WebhookDelivery, WebhookEndpoint

__all__ = [
    "AgreementDay",
    "Analysis",
    "AuditEvent",
    "Batch",
    "BatchFile",
    "Case",
    "CaseFlag",
    "ClinicalData",
    "CommentTemplate",
    "Decision",
    "Event",
    "IntakeRules",
    "KeptAnswer",
    "LabelSettings",
    "ManifestRow",
    "ModelRelease",
    "Notice",
    "NoticeChoice",
    "OutgoingMail",
    "Patient",
    "ReadingTally",
    "Report",
    "ReportDraft",
    "SavedView",
    "SecondOpinion",
    "SmearImage",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WorkerSeen",
]
