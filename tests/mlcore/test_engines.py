"""The shipped networks through both engines: the same answers, on rendered pictures the right ones."""

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from mlcore.bundle import TASKS, load_bundle, shipped_bundles
from mlcore.engines import MICRO_BATCH, Opinion, Predictor
from mlcore.images import ImageRefused
from mlcore.phantom import FIRST_UNTRAINED_SEED, render_cell, render_field

RENDER = {"cell": render_cell, "field": render_field}
SEED = FIRST_UNTRAINED_SEED + 77_000


def rendered(task: str, each: int) -> list[tuple[str, np.ndarray]]:
    return [(label, RENDER[task](label, seed=SEED + i, size=224)) for label in TASKS[task] for i in range(each)]


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def top(opinion: Opinion) -> str:
    return max(opinion.probabilities, key=opinion.probabilities.__getitem__)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(shipped_bundles(), engine="onnxruntime", threads=1)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_both_engines_give_the_same_answers(predictor: Predictor, task: str) -> None:
    reference = Predictor(predictor.bundles, engine="torch", threads=1)
    noise = np.random.default_rng(0).integers(0, 256, (200, 260, 3), dtype=np.uint8)
    pictures = [pixels for _, pixels in rendered(task, 1)] + [noise]
    for pair in zip(predictor.read(pictures, task), reference.read(pictures, task), strict=True):
        for ours, theirs in zip(*pair, strict=True):
            assert ours.digest == theirs.digest
            for label, probability in ours.probabilities.items():
                assert probability == pytest.approx(theirs.probabilities[label], abs=1e-4)
            assert ours.malignant == pytest.approx(theirs.malignant, abs=1e-4)
            assert ours.novelty == pytest.approx(theirs.novelty, abs=0.01)
            assert np.abs(ours.activation.astype(int) - theirs.activation).max() <= 1


def test_a_cell_is_read_alike_however_it_lies(predictor: Predictor) -> None:
    pictures = [pixels for _, pixels in rendered("cell", 1)]
    upright, lying = predictor.read(pictures, "cell"), predictor.read([np.rot90(each) for each in pictures], "cell")
    for pair in zip(upright, lying, strict=True):
        for one, other in zip(*pair, strict=True):
            assert one.probabilities == pytest.approx(other.probabilities, abs=0.005)  # resizing rounds


@pytest.mark.parametrize("task", sorted(TASKS))
def test_rendered_pictures_are_read_right_and_are_not_novel(predictor: Predictor, task: str) -> None:
    pictures = rendered(task, each=4 if task == "cell" else 8)
    opinions = predictor.read([pixels for _, pixels in pictures], task)
    for place in range(2):
        said = [(label, row[place]) for (label, _), row in zip(pictures, opinions, strict=True)]
        assert sum(top(opinion) == label for label, opinion in said) >= 0.85 * len(said), said[0][1].network
        assert sum(opinion.novel for _, opinion in said) <= 0.15 * len(said), said[0][1].network


@pytest.mark.parametrize("task", sorted(TASKS))
def test_what_is_no_blood_is_novel(predictor: Predictor, task: str) -> None:
    rng = np.random.default_rng(1)
    ramp = np.linspace(0, 255, 200)[:, None, None]
    alien = [rng.integers(0, 256, (200, 200, 3), dtype=np.uint8) for _ in range(4)]
    alien += [np.broadcast_to(ramp * shade, (200, 200, 3)).astype(np.uint8) for shade in rng.random((4, 3))]
    for row in predictor.read(alien, task):
        assert any(opinion.novel for opinion in row)


def test_an_opinion_is_whole(predictor: Predictor) -> None:
    (row,) = predictor.read([render_cell("blast", seed=SEED)], "cell")
    assert [opinion.network for opinion in row] == ["cnn", "mobilenet"]
    for opinion, side in zip(row, (8, 4), strict=True):
        assert list(opinion.probabilities) == list(TASKS["cell"])
        assert sum(opinion.probabilities.values()) == pytest.approx(1)
        shares = opinion.probabilities
        assert opinion.malignant == pytest.approx(shares["blast"] + shares["promyelocyte"])
        assert 0 <= opinion.novelty <= 1
        assert opinion.activation.dtype == np.uint8
        assert opinion.activation.shape == (12, side, side)
        assert opinion.activation.max() == 255


def test_files_and_pixels_read_alike_in_batches_of_any_size(predictor: Predictor) -> None:
    pictures = [render_cell("monocyte", seed=SEED + i, size=96) for i in range(MICRO_BATCH + 3)]
    from_files = predictor.read([png(pixels) for pixels in pictures], "cell")
    from_pixels = predictor.read(pictures, "cell")
    alone = [predictor.read([pixels], "cell")[0] for pixels in pictures[-2:]]
    assert len(from_files) == len(pictures)
    for one, other in zip(from_files + alone, from_pixels + from_pixels[-2:], strict=True):
        assert one[0].probabilities == pytest.approx(other[0].probabilities, abs=1e-5)
    assert predictor.read([], "cell") == []


def test_threads_may_share_a_predictor(predictor: Predictor) -> None:
    pictures = [pixels for _, pixels in rendered("field", 1)]
    expected = [row[0].probabilities for row in predictor.read(pictures, "field")]
    with ThreadPoolExecutor(4) as pool:
        for told in pool.map(lambda _: predictor.read(pictures, "field"), range(8)):
            for row, probabilities in zip(told, expected, strict=True):
                assert row[0].probabilities == pytest.approx(probabilities, abs=1e-5)


def test_a_bad_file_is_told_with_its_place(predictor: Predictor) -> None:
    good = png(render_cell("blast", seed=SEED))
    with pytest.raises(ImageRefused) as refused:
        predictor.read([good] * (MICRO_BATCH + 1) + [good[:200]], "cell")
    assert refused.value.index == MICRO_BATCH + 1


def test_an_engine_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="tensorflow"):
        Predictor([], engine="tensorflow")


def test_the_onnxruntime_engine_never_imports_torch() -> None:
    program = (
        "import sys, numpy as np\n"
        "from mlcore.bundle import load_bundle\n"
        "from mlcore.engines import Predictor\n"
        "p = Predictor([load_bundle('field-cnn')], engine='onnxruntime', threads=1)\n"
        "p.read([np.zeros((64, 64, 3), np.uint8)], 'field')\n"
        "heavy = {'torch', 'torchvision', 'sklearn', 'matplotlib', 'onnx', 'django'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_auto_takes_onnxruntime_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlcore.engines.Path.glob", lambda *_: iter(()))
    chosen = Predictor([load_bundle("cell-cnn")], threads=1)
    assert (chosen.engine, chosen.device) == ("onnxruntime", "cpu")
