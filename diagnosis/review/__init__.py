"""What people decide, image by image: the one writer of decisions.

A decision is added, never changed; the newest one of an image counts, and one that withdraws leaves it undecided. All
that one act of a person decided is one *step*, which they can undo and redo, also after a reload or on another
machine. Nobody overwrites what they have not seen: each image carries the decision that the person saw.
"""

from diagnosis.review.deciding import Choice, Outcome, current, decide, decide_many, standings, withdraw
from diagnosis.review.refusals import UNSET, ReviewConflict, ReviewRefused
from diagnosis.review.undoing import Steps, redo, steps, undo

__all__ = [
    "UNSET",
    "Choice",
    "Outcome",
    "ReviewConflict",
    "ReviewRefused",
    "Steps",
    "current",
    "decide",
    "decide_many",
    "redo",
    "standings",
    "steps",
    "undo",
    "withdraw",
]
