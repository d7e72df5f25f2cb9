"""Why a file is not taken, and the bounds that are checked before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass


class ImageRefused(ValueError):  # noqa: N818 - it is the file that fails, not the program
    """A file that is not taken as a picture.

    ``code`` is a stable slug for programs; ``str(error)`` is a sentence for the technician that says
    what is wrong and, where something can be done, what to do. ``index`` is its place where
    several files were read at once.
    """

    index: int | None = None

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code

    def __reduce__(self) -> tuple[type[ImageRefused], tuple[str, str]]:
        # Exceptions are pickled by their single ``args``; this one crosses process pools.
        return type(self), (self.code, str(self))


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one file: bytes as it arrives, pixels and sides as its header declares them."""

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 100_000_000
    max_side: int = 20_000
    min_side: int = 32

    def check_bytes(self, size: int) -> None:
        """Raise ``ImageRefused`` for no bytes at all, or for more than ``max_bytes``."""
        if size == 0:
            raise ImageRefused("empty", "This file is empty (0 bytes). Export it again from the microscope.")
        if size > self.max_bytes:
            raise ImageRefused(
                "too_large",
                f"This file is larger than {self.max_bytes / 2**20:.0f} MiB. "
                "Export a smaller region, or save it as JPEG.",
            )

    def check_sides(self, width: int, height: int) -> None:
        """Raise ``ImageRefused`` for sides or a pixel count out of bounds."""
        if width <= 0 or height <= 0:
            raise corrupt(f"its header says {width} × {height} pixels")
        if width > self.max_side or height > self.max_side or width * height > self.max_pixels:
            raise ImageRefused(
                "too_many_pixels",
                f"This picture says it is {width} × {height} pixels; at most {self.max_side} pixels a side "
                f"and {self.max_pixels / 1e6:g} million in all are read. Export a smaller region.",
            )
        if width < self.min_side or height < self.min_side:
            raise ImageRefused(
                "too_small",
                f"This picture is only {width} × {height} pixels; at least {self.min_side} × {self.min_side} "
                "are needed. Export it in full size, not as a thumbnail.",
            )


DEFAULT_LIMITS = Limits()


def corrupt(what: str) -> ImageRefused:
    """The refusal of a damaged file; ``what`` completes "This file is damaged: …"."""
    return ImageRefused("corrupt", f"This file is damaged: {what}. Export it again from the microscope.")


def truncated(share: float | None = None) -> ImageRefused:
    """The refusal of a file that ends early, with the share (0..1) of the picture that is there, if known."""
    where = "before its end" if share is None else f"at {min(99, max(0, int(share * 100)))} %"
    return ImageRefused("truncated", f"This file is cut off {where}. Export or copy it again.")
