"""The gateway's own figures for /metrics. No label per node; labels are closed enums."""

from typing import Final

from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0)


class Metrics:
    """Held by the process and handed to its parts; nothing is global, so that tests have their own."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(PLATFORM_COLLECTOR)
        self.registry.register(GC_COLLECTOR)
        self.requests = self._counter("gridlight_requests", "Requests answered.", "route", "code")
        self.replies_rejected = self._counter(
            "gridlight_replies_rejected", "Replies of nodes that broke the protocol.", "reason"
        )
        self.deadline_missed = self._counter(
            "gridlight_deadline_missed", "Requests without a result by their deadline.", "stage"
        )
        self.enrolments = self._counter("gridlight_enrolments", "Nodes that asked to join.", "code")
        self.picture_restarts = self._counter(
            "gridlight_picture_process_restarts", "Times that a picture process was started anew."
        )
        self.request_seconds = self._histogram("gridlight_request_seconds", "From request to answer.")
        self.picture_seconds = self._histogram("gridlight_picture_seconds", "Waiting for and preparing the picture.")
        self.queue_seconds = self._histogram("gridlight_task_queue_seconds", "From submission to assignment.")
        self.ack_seconds = self._histogram("gridlight_task_ack_seconds", "From sending an assignment to its ack.")
        self.result_seconds = self._histogram("gridlight_task_result_seconds", "From an assignment to its result.")
        self.jobs_open = Gauge("gridlight_jobs_open", "Requesters who wait.", registry=self.registry)
        self.inputs_kept = Gauge(
            "gridlight_inputs_kept", "Inputs held beyond their jobs.", ["kind"], registry=self.registry
        )
        build = Gauge("gridlight_build_info", "Always 1.", ["version"], registry=self.registry)
        build.labels(version).set(1)

    def text(self) -> bytes:
        """The exposition, as Prometheus scrapes it."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, buckets=BUCKETS, registry=self.registry)
