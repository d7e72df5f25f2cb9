"""Rendered smears: pictures of cells and fields drawn from scratch, the same for the same seed.

They are the demo's pictures, the installation check and a small, declared share of the training data. They
are drawings, not specimens: `save_rendered` marks every file as rendered, in its metadata and in a corner.
"""

from mlcore.phantom.fields import FIELDS, FIRST_UNTRAINED_SEED, render_cell, render_field
from mlcore.phantom.files import STORIES, RenderedImage, rendered_smear, save_rendered

__all__ = [
    "FIELDS",
    "FIRST_UNTRAINED_SEED",
    "STORIES",
    "RenderedImage",
    "render_cell",
    "render_field",
    "rendered_smear",
    "save_rendered",
]
