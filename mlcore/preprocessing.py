"""How a picture becomes a network's input: the part of a model card that fixes it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

# Means and deviations of ImageNet (torchvision's reference values): MobileNetV2 starts from weights trained with them.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """The steps from RGB pixels to tensor, in order.

    `size`: the short side is resized to it (antialiased), then the centre square is taken, in pixels.
    `mask_width`, `mask_height`: share of the side that is blanked in the bottom-right corner, 0 for none.
    Microscope cameras burn a scale bar in there, from which a network could tell the source and not the disease.
    `mean`, `std`: of the RGB channels in 0..1. Masked pixels become the mean, which is 0 after normalising.
    `turns`: 4 for a network that reads all quarter turns of the picture and answers with the mean
    (networks.PooledNetwork), 1 for one that reads it as it lies.
    """

    size: int
    mask_width: float = 0.0
    mask_height: float = 0.0
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    turns: int = 1

    def mask_pixels(self) -> tuple[int, int]:
        """Width and height in pixels of the blanked corner of the prepared square, rounded up."""
        return int(np.ceil(self.mask_width * self.size)), int(np.ceil(self.mask_height * self.size))

    def square(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) -> uint8 (S, S, 3): short side resized to S, centre square taken."""
        height, width = pixels.shape[:2]
        short = min(height, width)
        left, top = (width - short) / 2, (height - short) / 2
        picture = Image.fromarray(pixels).resize(
            (self.size, self.size),
            Image.Resampling.BILINEAR,
            box=(left, top, left + short, top + short),
            reducing_gap=3.0,
        )
        return np.asarray(picture)

    def masked(self, squares: np.ndarray) -> np.ndarray:
        """uint8 (N, S, S, 3) with the corner that networks never see painted in the mean colour; a copy."""
        squares = squares.copy()
        width, height = self.mask_pixels()
        if width and height:
            squares[:, -height:, -width:] = np.rint(np.asarray(self.mean) * 255)
        return squares

    def normalise(self, square: np.ndarray) -> np.ndarray:
        """uint8 (S, S, 3) square -> float32 (3, S, S), the corner blanked."""
        mean = np.asarray(self.mean, dtype=np.float32)
        std = np.asarray(self.std, dtype=np.float32)
        tensor = (square.astype(np.float32) / np.float32(255) - mean) / std
        width, height = self.mask_pixels()
        if width and height:
            tensor[-height:, -width:] = 0
        return np.ascontiguousarray(tensor.transpose(2, 0, 1))

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a card; one turn is not told, or cards from before there were any would change."""
        values = asdict(self)
        return {name: value for name, value in values.items() if (name, value) != ("turns", 1)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocessing:
        return cls(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})


# Fields: 48 x 26 of 224 x 224 pixels hold the burned-in scale bar of the training pictures.
FIELD = Preprocessing(size=128, mask_width=48 / 224, mask_height=26 / 224)
CELL = Preprocessing(size=128, turns=4)
BY_TASK = {"field": FIELD, "cell": CELL}
