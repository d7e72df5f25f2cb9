"""Is it alive, can it work, how is it doing: /healthz, /readyz and /metrics, for probes and Prometheus.

These three need no sign-in: they tell states and numbers of the installation, never a patient, a case, a person or an
address. Keep them from the public by the proxy where even that is too much.
"""

from __future__ import annotations

import functools
import logging
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from celery import current_app
from django.db import connection
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from diagnosis import registry, watching
from diagnosis.models import Analysis, ModelRelease
from mlcore.bundle import TASKS, BundleError

if TYPE_CHECKING:
    from prometheus_client import Metric

logger = logging.getLogger(__name__)

#: The speed of reading is told from what was read within this time, and of that from the newest so many.
RECENT = timedelta(minutes=10)
RECENT_ROWS = 5_000


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 as long as this web process answers, whatever the rest does."""
    return HttpResponse("ok\n", content_type="text/plain; charset=utf-8")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 where pictures can be uploaded and are read; 503 otherwise. Each part says how it is."""
    parts: dict[str, Callable[[], tuple[bool, str]]] = {
        "database": _database, "broker": _broker, "workers": _workers, "models": _models,
    }  # fmt: skip
    answer = {}
    for name, look in parts.items():
        try:
            ok, says = look()
        except Exception as error:  # a probe tells of any trouble; the text of it may hold addresses, so only the kind
            logger.warning("Not ready: %s: %s", name, error)
            ok, says = False, f"does not answer ({type(error).__name__})"
        answer[name] = {"ok": ok, "detail": says}
    ready = all(part["ok"] for part in answer.values())
    return JsonResponse({"ready": ready, **answer}, status=200 if ready else 503)


def _database() -> tuple[bool, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True, str(connection.vendor)


def _broker() -> tuple[bool, str]:
    with current_app.connection_for_write() as broker:
        broker.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=3)
        return True, str(broker.transport.driver_type)


def _workers() -> tuple[bool, str]:
    seen = watching.workers_seen()
    return seen > 0, f"{seen} seen within {watching.worker_silence():.0f} s"


def _models() -> tuple[bool, str]:
    releases = [release for task in TASKS for release in registry.active(task)]
    missing = sorted(set(TASKS) - {release.task for release in releases})
    if missing:
        return False, f"no active release for: {', '.join(missing)}; run manage.py register_models"
    broken = [str(release) for release in releases if not _loadable(release.pk, release.digest)]
    if broken:
        return False, f"not on this machine: {', '.join(broken)}; run manage.py register_models after an update"
    return True, ", ".join(map(str, releases))


@functools.lru_cache(maxsize=64)
def _verified(release_id: int, digest: str) -> bool:
    registry.bundle_of(ModelRelease.objects.get(pk=release_id))
    return True


def _loadable(release_id: int, digest: str) -> bool:
    """Whether the bundle is here and unaltered; what was once found good is not hashed again in this process."""
    try:
        return _verified(release_id, digest)
    except BundleError:
        return False


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text, counted from the database at each scrape, so that it is the same from every web process."""
    collectors = CollectorRegistry(auto_describe=False)
    collectors.register(_FromDatabase())
    return HttpResponse(generate_latest(collectors), content_type=CONTENT_TYPE_LATEST)


class _FromDatabase:
    def collect(self) -> Iterable[Metric]:
        counts = watching.counts()
        depth = GaugeMetricFamily("leukolens_queue_depth", "Analyses that wait or are being read.", labels=["state"])
        depth.add_metric(["queued"], counts.queued)
        depth.add_metric(["running"], counts.running)
        yield depth
        yield GaugeMetricFamily(
            "leukolens_queue_oldest_seconds", "How long the oldest unread analysis has waited.", counts.oldest_seconds
        )
        yield GaugeMetricFamily(
            "leukolens_workers_seen",
            f"Worker processes heard of within {watching.worker_silence():.0f} s.",
            watching.workers_seen(),
        )
        yield _outcomes()
        yield _speed()


def _outcomes() -> Metric:
    # A gauge, not a counter: a failed analysis that is retried leaves the failed ones.
    family = GaugeMetricFamily(
        "leukolens_analyses", "Analyses that ended, by outcome.", labels=["task", "network", "outcome"]
    )
    failed = Analysis.objects.filter(state=Analysis.State.FAILED).order_by().values_list("release")
    ended = {"done": watching.done_by_release(), "failed": dict(failed.annotate(n=Count("pk")))}
    names = {pk: names for pk, *names in ModelRelease.objects.values_list("pk", "task", "network")}
    for outcome, by_release in ended.items():
        numbers: Counter[tuple[str, ...]] = Counter()
        for release, number in by_release.items():
            numbers[tuple(names[release])] += number
        for labels, number in numbers.items():
            family.add_metric([*labels, outcome], number)
    return family


def _speed() -> Metric:
    """Of each network: seconds that one image took, and seconds from its upload to its reading."""
    family = GaugeMetricFamily(
        "leukolens_image_seconds",
        f"Seconds of one image by one network, of the last {RECENT.seconds // 60} minutes: reading; upload to done.",
        labels=["task", "network", "phase", "quantile"],
    )
    recent = Analysis.objects.filter(state=Analysis.State.DONE, finished_at__gte=timezone.now() - RECENT)
    rows = recent.order_by("-finished_at").values_list(
        "release__task", "release__network", "seconds", "queued_at", "finished_at"
    )
    samples: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for task, network, seconds, queued_at, finished_at in rows[:RECENT_ROWS]:
        samples[task, network, "reading"].append(seconds or 0.0)
        if finished_at is not None:
            samples[task, network, "total"].append((finished_at - queued_at).total_seconds())
    for labels, values in sorted(samples.items()):
        cuts = statistics.quantiles(values, n=100, method="inclusive") if len(values) > 1 else values * 99
        for quantile in (50, 95, 99):
            family.add_metric([*labels, f"{quantile / 100:g}"], cuts[quantile - 1])
    return family


urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
]
