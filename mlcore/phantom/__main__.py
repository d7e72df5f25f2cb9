"""`python -m mlcore.phantom sheet | smear | pictures`: rendered smears as files, from a shell."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from mlcore.phantom import FIELDS, STORIES, render_cell, render_field, rendered_smear, save_rendered
from mlcore.phantom.cells import CELLS
from mlcore.phantom.fields import FIRST_UNTRAINED_SEED


def sheet(out: Path, *, seed: int) -> None:
    """Write one picture with a cell of each class and a strip of each field, with their names."""
    side, caption, gap, columns = 192, 24, 8, 6
    width = columns * (side + gap) + gap
    rows = -(-len(CELLS) // columns)
    strip = (width - gap) // len(FIELDS) - gap
    pictures = [(label, render_cell(label, seed=seed, size=side)) for label in CELLS]
    pictures += [(label, render_field(label, seed=seed, size=(strip, side))) for label in FIELDS]
    page = Image.new("RGB", (width, (rows + 1) * (side + caption + gap) + gap + caption), (255, 255, 255))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=14)
    for index, (label, pixels) in enumerate(pictures):
        row, place = divmod(index, columns) if index < len(CELLS) else (rows, index - len(CELLS))
        x = gap + place * (pixels.shape[1] + gap)
        y = gap + row * (side + caption + gap)
        page.paste(Image.fromarray(pixels), (x, y))
        draw.text((x, y + side + 4), label.replace("_", " "), font=font, fill=(40, 34, 52))
    note = "Rendered by mlcore.phantom: drawings, not specimens"
    draw.text((width - gap, page.height - 6), note, font=font, anchor="rb", fill=(110, 100, 120))
    out.parent.mkdir(parents=True, exist_ok=True)
    page.save(out, optimize=True, quality=90)


def write_manifest(folder: Path, rows: Iterable[tuple[str, str, str]]) -> None:
    """Write manifest.csv with path, kind and label of each picture."""
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "kind", "label"])
        writer.writerows(rows)


def smear(story: str, out: Path, *, seed: int) -> None:
    """Write the files of one story's smear and their manifest."""
    out.mkdir(parents=True, exist_ok=True)
    images = rendered_smear(story, seed=seed)
    for image in images:
        (out / image.filename).write_bytes(image.data)
    write_manifest(out, [(image.filename, image.kind, image.label) for image in images])


def pictures(kind: str, out: Path, *, count: int, seed: int) -> None:
    """Write `count` marked pictures of each class of cells or fields and their manifest."""
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for label in CELLS if kind == "cell" else FIELDS:
        for number in range(count):
            name = f"{label}-{seed + number}.jpg"
            render = render_cell if kind == "cell" else render_field
            save_rendered(render(label, seed=seed + number), out / name, kind=kind)
            rows.append((name, kind, label))
    write_manifest(out, rows)


def main() -> None:
    """Parse the command line and write the files."""
    parser = argparse.ArgumentParser(prog="python -m mlcore.phantom", description="Write rendered smears.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, words in (
        ("sheet", "one picture with every class and its name"),
        ("smear", "the pictures of one named case, with a manifest"),
        ("pictures", "many pictures of every class, with a manifest"),
    ):
        command = commands.add_parser(name, help=words)
        command.add_argument("--out", type=Path, required=True)
        command.add_argument("--seed", type=int, default=FIRST_UNTRAINED_SEED, help="below 1 000 000: trained on")
        if name == "smear":
            command.add_argument("story", choices=list(STORIES))
        if name == "pictures":
            command.add_argument("--kind", choices=["cell", "field"], required=True)
            command.add_argument("--count", type=int, default=50, help="of each class")
    a = parser.parse_args()
    if a.command == "sheet":
        sheet(a.out, seed=a.seed)
    elif a.command == "smear":
        smear(a.story, a.out, seed=a.seed)
    else:
        pictures(a.kind, a.out, count=a.count, seed=a.seed)


if __name__ == "__main__":
    main()
