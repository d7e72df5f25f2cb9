"""Pictures as they arrive: read by content, bounded before decoding, stripped, judged for quality.

Everything here takes bytes or numpy arrays and needs only numpy and Pillow.
"""

from .decoding import Header, decode, read_header
from .likeness import look_alike, measure_likeness
from .quality import Quality, measure_quality
from .refusal import ImageRefused, Limits
from .stripping import strip_metadata

__all__ = [
    "Header",
    "ImageRefused",
    "Limits",
    "Quality",
    "decode",
    "look_alike",
    "measure_likeness",
    "measure_quality",
    "read_header",
    "strip_metadata",
]
