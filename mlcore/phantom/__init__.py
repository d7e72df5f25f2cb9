"""Rendered smears: pictures of cells and fields drawn from scratch, the same for the same seed.

They are the demo's pictures, the installation check and a small, declared share of the training data. They
are drawings, not specimens: `save_rendered` marks every file as rendered, in its metadata and in a corner.
Seeds below one million may have been trained on; pictures that check a network use seeds from one million on.
"""

from mlcore.phantom.fields import FIELDS, render_cell, render_field
from mlcore.phantom.files import STORIES, RenderedImage, rendered_smear, save_rendered

__all__ = [
    "FIELDS",
    "STORIES",
    "RenderedImage",
    "render_cell",
    "render_field",
    "rendered_smear",
    "save_rendered",
]
