"""Bring pictures to a LeukoLens portal and take their readings home: as a library, and as the command `leukolens`.

*Research use only – not for diagnostic use.* `Client` is where to begin; what it answers are plain values, what it
raises has `LeukoLensError` as its base. `Watcher` is what `leukolens watch` runs.
"""

from leukolens_client._version import __version__
from leukolens_client.client import Client
from leukolens_client.errors import (
    FieldError,
    FileChanged,
    LeukoLensError,
    NotSignedIn,
    Refused,
    Stopped,
    TimedOut,
    Unreachable,
)
from leukolens_client.records import (
    RESEARCH_USE_ONLY,
    Assessment,
    Batch,
    BatchFile,
    Case,
    Decision,
    Flag,
    Image,
    Interval,
    Me,
    Outcome,
    Patient,
    Reading,
)
from leukolens_client.uploading import Result, Sent, Told
from leukolens_client.watching import Watch, Watcher

__all__ = [
    "RESEARCH_USE_ONLY",
    "Assessment",
    "Batch",
    "BatchFile",
    "Case",
    "Client",
    "Decision",
    "FieldError",
    "FileChanged",
    "Flag",
    "Image",
    "Interval",
    "LeukoLensError",
    "Me",
    "NotSignedIn",
    "Outcome",
    "Patient",
    "Reading",
    "Refused",
    "Result",
    "Sent",
    "Stopped",
    "TimedOut",
    "Told",
    "Unreachable",
    "Watch",
    "Watcher",
    "__version__",
]
