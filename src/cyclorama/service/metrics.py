"""The service in numbers, for Prometheus; no ids, names or prompts in labels."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cyclorama.service.events import Feed
from cyclorama.service.health import measure_load, measure_presets
from cyclorama.service.store import Store

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Counts requests, and reads the rest from the store when it is asked."""

    def __init__(self, store: Store, feed: Feed) -> None:
        self._store, self._feed = store, feed
        self._registry = CollectorRegistry()
        labels = ("method", "route")
        self.requests = Counter("cyclorama_requests", "Requests", (*labels, "code"), registry=self._registry)
        self.seconds = Histogram(
            "cyclorama_request_seconds",
            "Time to the answer's head",
            labels,
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(self)

    def describe(self) -> list[Any]:
        """Nothing, so that registering asks no store."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """What the store says now."""
        load = measure_load(self._store)
        by_lane: dict[str, Mapping[str, float]] = {"waiting": load.waiting, "oldest_seconds": load.oldest}
        for name, values in by_lane.items():
            gauge = GaugeMetricFamily(f"cyclorama_queue_{name}", "Images that wait, by lane", labels=["lane"])
            for lane in ("interactive", "bulk"):
                gauge.add_metric([lane], values.get(lane, 0))
            yield gauge
        crew = GaugeMetricFamily("cyclorama_workers", "Workers heard of lately", labels=["state"])
        for state in ("loading", "ready"):
            crew.add_metric([state], load.workers.get(state, 0))
        yield crew
        times = GaugeMetricFamily("cyclorama_image_seconds", "Median of the model, lately", labels=["preset"])
        for preset, seconds in measure_presets(self._store).items():
            times.add_metric([preset], seconds)
        yield times
        plain = {
            "images_running": ("Images being made", load.running),
            "disk_free_bytes": ("Of the data folder", load.free_bytes),
            "events_readers": ("Clients that follow events", self._feed.readers),
        }
        for name, (text, value) in plain.items():
            yield GaugeMetricFamily(f"cyclorama_{name}", text, value=value)

    def write(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)


class Meter:
    """Counts every request by route and code."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on and note how it was answered."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                method = scope["method"] if scope["method"] in _METHODS else "other"
                self.metrics.requests.labels(method, route, message["status"]).inc()
                self.metrics.seconds.labels(method, route).observe(time.perf_counter() - start)
            await send(message)

        await self.app(scope, receive, note)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
