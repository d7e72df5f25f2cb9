"""Bundles become releases; one of each task and network is active, and nothing that waits is forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import call_command

from diagnosis import queue, registry
from diagnosis.models import Analysis, ModelRelease
from mlcore import bundle as bundles
from mlcore.bundle import TASKS, Bundle, BundleError, Card
from mlcore.preprocessing import Preprocessing
from tests.cast import Cast
from tests.diagnosis.test_queue import RESULT
from tests.smears import make_image

pytestmark = pytest.mark.django_db


def make_bundle(
    folder: Path, *, task: str = "cell", network: str = "cnn", version: str = "1.0.0", grade: str = "A"
) -> Bundle:
    path = folder / f"{task}-{network}-{version}"
    path.mkdir(parents=True)
    (path / bundles.WEIGHTS).write_bytes(version.encode())
    (path / bundles.GRAPH).write_bytes(b"graph")
    card = Card(
        task=task, network=network, version=version, classes=TASKS[task],
        malignant_classes=tuple(sorted(bundles.MALIGNANT[task])), preprocessing=Preprocessing(size=128),
        temperature=1.0, thresholds={"malignant": 0.5, "novelty": 0.99}, training={"split_grade": grade}, metrics={},
    )  # fmt: skip
    bundles.write_card(path, card)
    return bundles.load_bundle(path)


def test_what_ships_is_active_once_however_often_it_is_registered(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("register_models")
    call_command("register_models")
    assert "active: cell cnn" in capsys.readouterr().out
    active = ModelRelease.objects.filter(stage="active")
    assert {(r.task, r.network) for r in active} == {(t, n) for t in TASKS for n in ("cnn", "mobilenet")}
    assert ModelRelease.objects.count() == 4
    for release in active:
        assert release.bundle == f"{release.task}-{release.network}", "by name: the folder differs between machines"
        assert registry.bundle_of(release).card.digest == release.digest
        assert release.card["classes"] == list(TASKS[release.task])
    assert [r.network for r in registry.active("cell")] == ["cnn", "mobilenet"]


def test_a_new_version_retires_the_old_and_reads_what_it_left(cast: Cast, tmp_path: Path) -> None:
    old = registry.register(make_bundle(tmp_path))
    case = cast.case()
    read, failed, waiting = (make_image(case) for _ in range(3))
    for image in (read, failed, waiting):
        queue.enqueue(image)
    batch = queue.claim(worker="w", limit=2)
    queue.complete(batch_token=batch.token, analysis_id=batch.analyses[0].pk, result=RESULT)
    queue.fail(batch_token=batch.token, analysis_ids=[batch.analyses[1].pk], error="x", final=True)

    new = registry.register(make_bundle(tmp_path, version="2.0.0"))
    old.refresh_from_db()
    assert (old.stage, new.stage) == ("retired", "active")
    assert read.analyses.get().release == old, "what was read stays as it was read"
    assert set(Analysis.objects.filter(image__in=[failed, waiting]).values_list("release", "state", "attempts")) == {
        (new.pk, "queued", 0)
    }
    assert [a.release for a in queue.enqueue(make_image(case))] == [new]

    back = registry.register(bundles.load_bundle(tmp_path / "cell-cnn-1.0.0"))
    new.refresh_from_db()
    assert (back.pk, back.stage, new.stage) == (old.pk, "active", "retired")


def test_what_comes_back_for_a_retired_release_goes_to_the_active_one(cast: Cast, tmp_path: Path) -> None:
    old = registry.register(make_bundle(tmp_path))
    image = make_image(cast.case())
    queue.enqueue(image)
    batch = queue.claim(worker="w")
    new = registry.register(make_bundle(tmp_path, version="2.0.0"))
    assert image.analyses.get().release == old, "somebody reads it at this moment"
    assert queue.reclaim_from({"w"}) == 1
    queue.sweep()
    assert image.analyses.get().release == new
    assert not queue.complete(batch_token=batch.token, analysis_id=batch.analyses[0].pk, result=RESULT)


def test_a_shadow_leaves_the_active_one_in_place(tmp_path: Path) -> None:
    active = registry.register(make_bundle(tmp_path))
    shadow = registry.register(make_bundle(tmp_path, version="2"), stage=ModelRelease.Stage.SHADOW)
    assert registry.active("cell") == [active]
    assert set(registry.reading()) == {active, shadow}


@pytest.mark.parametrize("stage", ModelRelease.Stage)
def test_a_network_that_was_split_by_picture_is_never_released(tmp_path: Path, stage: ModelRelease.Stage) -> None:
    before = registry.register(make_bundle(tmp_path))
    with pytest.raises(BundleError, match="grade D"):
        registry.register(make_bundle(tmp_path, version="2.0.0", grade="D"), stage=stage)
    assert list(ModelRelease.objects.all()) == [before]
    assert registry.active("cell") == [before]


def test_images_from_before_the_models_are_read_after_all(cast: Cast) -> None:
    case = cast.case()
    early = [make_image(case, kind=kind) for kind in ("cell", "field")]
    assert all(queue.enqueue(image) == [] for image in early)
    registry.register_shipped()
    assert [image.analyses.count() for image in early] == [2, 2]


def test_a_bundle_that_was_changed_is_not_read_with(tmp_path: Path) -> None:
    release = registry.register(make_bundle(tmp_path))
    folder = Path(release.bundle)
    (folder / bundles.WEIGHTS).write_bytes(b"other weights")
    with pytest.raises(BundleError, match="digest"):
        registry.bundle_of(release)
    ModelRelease.objects.filter(pk=release.pk).update(bundle="cell-cnn")
    release.refresh_from_db()
    with pytest.raises(BundleError, match="not the one that was registered"):
        registry.bundle_of(release)
