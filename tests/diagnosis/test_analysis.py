"""One claimed batch: read in passes, recorded once, with every trouble staying where it belongs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

import numpy as np
import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.core.files.storage import default_storage
from django.db import OperationalError

from diagnosis import analysis, assessment, audit, queue, registry, tasks, worker
from diagnosis.models import Analysis, Case, ModelRelease, SmearImage
from mlcore.bundle import TASKS, BundleError
from mlcore.engines import Opinion
from mlcore.images import ImageRefused, decode
from tests.cast import Cast
from tests.smears import make_image, make_release, picture

State = Analysis.State


class Reader:
    """Stands in for mlcore's Predictor: decodes for real and says the first class; `before` may interfere."""

    engine, device = "stand-in", "cpu"

    def __init__(self, releases: Sequence[ModelRelease]) -> None:
        self.releases = list(releases)
        self.passes: list[tuple[str, int]] = []
        self.before: Callable[[Sequence[bytes]], None] = lambda images: None

    def read(self, images: Sequence[bytes], task: str) -> list[list[Opinion]]:
        self.passes.append((task, len(images)))
        self.before(images)
        for index, image in enumerate(images):
            try:
                decode(image)
            except ImageRefused as refused:
                refused.index = index
                raise
        return [[self._opinion(r) for r in self.releases if r.task == task] for _ in images]

    def _opinion(self, release: ModelRelease) -> Opinion:
        classes = TASKS[release.task]
        probabilities = {name: float(name == classes[0]) for name in classes}
        maps = np.arange(len(classes) * 4, dtype=np.uint8).reshape(len(classes), 2, 2)
        return Opinion(
            release.task, release.network, release.version, release.digest, probabilities, 0.0, 0.1, False, maps
        )


@pytest.fixture
def reader(db: None, monkeypatch: pytest.MonkeyPatch) -> Reader:
    releases = [make_release(task, network) for task in ("cell", "field") for network in ("cnn", "mobilenet")]
    stand_in = Reader(releases)
    digests = frozenset(release.digest for release in releases)
    monkeypatch.setattr(analysis, "_loaded", analysis.Loaded(stand_in, digests, digests))  # type: ignore[arg-type]
    monkeypatch.setattr(analysis, "wake_workers", lambda messages=1: True)
    monkeypatch.setattr(queue, "wake_workers", lambda messages=1: True)
    return stand_in


@pytest.fixture
def case(cast: Cast) -> Case:
    return cast.case()


def waiting(case: Case, images: int, kind: str = "cell") -> list[SmearImage]:
    rows = [make_image(case, kind=kind) for _ in range(images)]
    for image in rows:
        queue.enqueue(image)
    return rows


def states(image: SmearImage | None = None) -> Counter[str]:
    rows = Analysis.objects.all() if image is None else image.analyses.all()
    return Counter(rows.values_list("state", flat=True))


def errors(image: SmearImage) -> set[str]:
    return set(image.analyses.values_list("error", flat=True))


def test_a_batch_is_read_by_both_networks_and_recorded_with_its_case(reader: Reader, case: Case) -> None:
    cells, fields = waiting(case, 3), waiting(case, 2, "field")
    assert analysis.run_batch(worker="w:1") == 10
    assert analysis.run_batch(worker="w:1") == 0
    assert reader.passes == [("cell", 3), ("field", 2)], "each image is decoded once for both networks"
    assert states() == {State.DONE: 10}

    one = cells[0].analyses.get(release__network="cnn")
    assert one.probabilities == {name: float(name == "basophil") for name in TASKS["cell"]}
    assert (one.malignant, one.novelty, one.novel, one.engine, one.worker) == (0.0, 0.1, False, "stand-in cpu", "w:1")
    maps = np.frombuffer(bytes(one.activation or b""), np.uint8).reshape(one.activation_shape)
    assert maps.shape == (12, 2, 2)
    assert maps[1, 0, 0] == 4
    assert one.seconds is not None
    assert 0 < one.seconds < 5

    case.refresh_from_db()
    assert case.status == Case.Status.READY
    assert case.image_count == 5
    read = case.audit_events.filter(action="image.read")
    assert sorted(read.values_list("subject", flat=True)) == sorted(f"image {i.pk}" for i in [*cells, *fields])
    assert set(map(tuple, read.values_list("detail__networks", flat=True))) == {("cnn 1.0.0", "mobilenet 1.0.0")}
    assert audit.verify(case=case) == []


def test_a_large_batch_goes_in_passes_with_results_after_each(reader: Reader, case: Case, settings: object) -> None:
    settings.ANALYSIS_BATCH_MAX = 80  # type: ignore[attr-defined]
    waiting(case, 40)
    done_before: list[int] = []
    reader.before = lambda images: done_before.append(states()[State.DONE])
    assert analysis.run_batch(worker="w") == 80
    assert reader.passes == [("cell", 16), ("cell", 16), ("cell", 8)]
    assert done_before == [0, 32, 64]


def test_while_more_of_a_case_is_read_it_is_assessed_now_and_then_and_at_the_end(
    reader: Reader, case: Case, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ANALYSIS_BATCH_MAX = 80  # type: ignore[attr-defined]
    waiting(case, 40)
    refresh = assessment.refresh
    known: list[int] = []

    def counted(case_id: int) -> assessment.Assessment:
        said = refresh(case_id)
        known.append(said.progress.done)
        return said

    monkeypatch.setattr(assessment, "refresh", counted)
    analysis.run_batch(worker="w")
    assert known == [16, 40]  # the second of three passes brought nothing that the third would not say a moment later
    monkeypatch.setattr(queue, "_ASSESS_EVERY", timedelta(0))
    waiting(case, 40)
    analysis.run_batch(worker="w")
    assert known[2:] == [56, 72, 80]
    case.refresh_from_db()
    assert (case.status, case.image_count) == (Case.Status.READY, 80)


def test_large_pictures_get_smaller_passes(reader: Reader, case: Case) -> None:
    waiting(case, 3)
    SmearImage.objects.update(width=9_000, height=9_000)
    analysis.run_batch(worker="w")
    assert reader.passes == [("cell", 1)] * 3


def test_a_refused_picture_fails_alone_at_once_and_says_why(reader: Reader, case: Case) -> None:
    good = waiting(case, 2)
    bad = make_image(case, data=picture(7)[:300])
    queue.enqueue(bad)
    more = waiting(case, 1)
    analysis.run_batch(worker="w")
    assert states(bad) == {State.FAILED: 2}
    assert all("cut off" in error or "damaged" in error for error in errors(bad))
    assert all(states(image) == {State.DONE: 2} for image in [*good, *more])
    assert set(Analysis.objects.values_list("attempts", flat=True)) == {1}
    assert case.audit_events.filter(action="image.failed").count() == 1


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (
            lambda name: default_storage.delete(name),
            "The stored file of this picture is missing. Upload the picture again.",
        ),
        (
            lambda name: default_storage.open(name, "ab").write(b"!"),
            "The stored file of this picture is damaged. Upload the picture again.",
        ),
    ],
)
def test_a_lost_or_altered_file_is_tried_again_and_then_fails_alone(
    reader: Reader, case: Case, settings: object, harm: Callable[[str], object], says: str
) -> None:
    settings.ANALYSIS_RETRY_DELAY = 0  # type: ignore[attr-defined]
    image, neighbour = waiting(case, 2)
    harm(image.file.name)
    claimed = [analysis.run_batch(worker="w") for _ in range(4)]
    assert claimed == [4, 2, 2, 0]
    assert states(neighbour) == {State.DONE: 2}
    assert states(image) == {State.FAILED: 2}
    assert errors(image) == {says}


def test_trouble_of_a_whole_pass_is_sorted_out_one_by_one(reader: Reader, case: Case, settings: object) -> None:
    settings.ANALYSIS_RETRY_DELAY = 0  # type: ignore[attr-defined]
    images = waiting(case, 5)
    guilty = open(images[3].file.path, "rb").read()  # noqa: SIM115

    def stumble(contents: Sequence[bytes]) -> None:
        if guilty in contents:
            raise RuntimeError("bad allocation")

    reader.before = stumble
    while analysis.run_batch(worker="w"):
        pass
    assert states(images[3]) == {State.FAILED: 2}
    assert errors(images[3]) == {"The reading stopped with an error: bad allocation"}
    assert all(states(image) == {State.DONE: 2} for image in images if image != images[3])


def test_a_batch_out_of_time_goes_back_and_comes_smaller(reader: Reader, case: Case, settings: object) -> None:
    settings.ANALYSIS_RETRY_DELAY = 0  # type: ignore[attr-defined]
    images = waiting(case, 20)

    def run_out(contents: Sequence[bytes]) -> None:
        if len(contents) > 1:
            raise SoftTimeLimitExceeded

    reader.before = run_out
    assert analysis.run_batch(worker="w") == 40
    assert states() == {State.QUEUED: 40}
    attempts = Counter(Analysis.objects.values_list("attempts", flat=True))
    assert attempts == {1: 32, 0: 8}, "what was not begun keeps its attempts"
    reader.before = lambda contents: None
    while analysis.run_batch(worker="w"):
        pass
    assert states() == {State.DONE: 40}
    assert reader.passes[1:] == [("cell", 1)] * 16 + [("cell", 4)]
    assert errors(images[0]) == {""}


def test_a_slow_batch_is_cut_short_and_the_rest_handed_back(
    reader: Reader, case: Case, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting(case, 20)
    clock = iter(range(0, 10_000, settings.ANALYSIS_SOFT_LIMIT // 4))  # type: ignore[attr-defined]
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    analysis.run_batch(worker="w")
    assert states() == {State.DONE: 32, State.QUEUED: 8}
    assert set(Analysis.objects.filter(state="queued").values_list("attempts", "alone")) == {(0, False)}


def test_a_lost_lease_loses_the_result(reader: Reader, case: Case) -> None:
    waiting(case, 1)

    def steal(contents: Sequence[bytes]) -> None:
        queue.reclaim_from({"slow"})
        reader.before = lambda contents: None
        analysis.run_batch(worker="quick")

    reader.before = steal
    analysis.run_batch(worker="slow")
    assert set(Analysis.objects.values_list("state", "worker", "attempts")) == {(State.DONE, "quick", 2)}
    assert case.audit_events.filter(action="image.read").count() == 1, "recorded once"


def test_a_database_that_goes_away_is_not_the_pictures_fault(reader: Reader, case: Case) -> None:
    waiting(case, 1)

    def gone(contents: Sequence[bytes]) -> None:
        raise OperationalError("server closed the connection")

    reader.before = gone
    with pytest.raises(OperationalError):
        analysis.run_batch(worker="w")
    assert states() == {State.RUNNING: 2}, "the lease will end and the sweep find it"


def test_what_this_worker_has_no_model_for_waits_for_another(
    reader: Reader, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = make_release("cell", "cnn", version="2.0.0", stage="shadow")
    (image,) = waiting(case, 1)

    def bundle_of(release: ModelRelease) -> object:
        if release == newer:
            raise BundleError("not here")
        return type("Bundle", (), {"card": type("Card", (), {"digest": release.digest})})

    monkeypatch.setattr(registry, "bundle_of", bundle_of)
    monkeypatch.setattr(analysis, "Predictor", lambda bundles, **options: reader)
    assert analysis.run_batch(worker="w") == 3
    left = image.analyses.get(release=newer)
    assert (left.state, left.attempts, left.alone) == (State.QUEUED, 0, False)
    assert left.error == "This worker does not have the model that is to read this picture."
    assert image.analyses.filter(state=State.DONE).count() == 2


def test_models_that_do_not_load_cost_no_attempts(reader: Reader, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    (image,) = waiting(case, 1)

    def broken(bundles: object, **options: object) -> None:
        raise RuntimeError("no such engine")

    monkeypatch.setattr(analysis, "_loaded", None)
    monkeypatch.setattr(analysis, "Predictor", broken)
    analysis.run_batch(worker="w")
    assert set(image.analyses.values_list("state", "attempts")) == {(State.QUEUED, 0)}
    assert errors(image) == {"This worker could not load the models: no such engine"}


# -- Celery's doors -------------------------------------------------------------------------------------------


def test_a_wake_reads_until_nothing_waits(reader: Reader, case: Case, settings: object) -> None:
    settings.ANALYSIS_BATCH_MAX = 4  # type: ignore[attr-defined]
    waiting(case, 7)
    tasks.wake()
    assert states() == {State.DONE: 14}
    assert {a.worker for a in Analysis.objects.all()} == {worker.name()}


def test_a_long_queue_is_read_in_turns(
    reader: Reader, case: Case, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ANALYSIS_BATCH_MAX = 2  # type: ignore[attr-defined]
    monkeypatch.setattr(tasks, "TURN", 0.0)
    sent: list[int] = []
    monkeypatch.setattr(tasks, "wake_workers", lambda: sent.append(1))
    waiting(case, 3)
    tasks.wake()
    assert states() == {State.DONE: 2, State.QUEUED: 4}
    assert sent == [1]


def test_a_turn_leaves_the_last_batch_its_time(
    reader: Reader, case: Case, settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turn and batch together stay within the time limit, or healthy batches would be cut in the middle."""
    settings.ANALYSIS_BATCH_MAX, settings.ANALYSIS_SOFT_LIMIT = 2, 6  # type: ignore[attr-defined]
    monkeypatch.setattr(tasks, "wake_workers", lambda: None)
    waiting(case, 9)
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    reader.before = lambda contents: clock.__setitem__(0, clock[0] + 0.9)
    tasks.wake()
    assert len(reader.passes) == 3
    assert clock[0] < settings.ANALYSIS_SOFT_LIMIT / 2  # type: ignore[attr-defined]


def test_a_starting_worker_takes_back_what_its_dead_predecessors_held(reader: Reader, case: Case) -> None:
    waiting(case, 3)
    host = worker.name().split(":")[0]
    for holder in (f"{host}:999999999", worker.name(), f"{host}:1"):  # gone, this one's namesake, alive
        queue.claim(worker=holder, limit=2)
    assert worker._dead_neighbours() == {f"{host}:999999999", worker.name()}


def test_messages_carry_nothing() -> None:
    from config.celery import app

    app.loader.import_default_modules()
    tasks = {name for name in app.tasks if name.startswith("diagnosis.")}
    beaten = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert tasks == beaten | {"diagnosis.tasks.wake"}, "whatever is a task is woken or beaten"
    assert all(not entry.get("args") and not entry.get("kwargs") for entry in app.conf.beat_schedule.values())
