"""The platforms that have oddities of their own."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.destinations.simulators.receiver import PROTOBUF, Receiver, Seen, taken
from tests.destinations.sink import Got, Reply

DAY = 86_400 * 10**9


@dataclass
class Collector(Receiver):
    """An OpenTelemetry collector that drops some spans (a processor's limit, say) and says so: `drops` tells which."""

    drops: Callable[[Seen], bool] = lambda _: False

    def take(self, spans: list[Seen]) -> Reply:
        good = [span for span in spans if not self.drops(span)]
        self.keep(good)
        return taken(len(spans) - len(good), "dropped by a processor" if len(good) < len(spans) else "")


@dataclass
class Phoenix(Receiver):
    """Protobuf alone; the first span of an id wins, in whatever trace; a trace stays in its first span's project; 503 and 507 when it is full."""

    takes: tuple[str, ...] = (PROTOBUF,)
    unreadable: int = 422
    full: int | None = None
    projects: dict[str, str] = field(default_factory=dict)

    def __call__(self, got: Got) -> Reply:
        return super().__call__(got) if self.full is None else Reply(self.full, b"no room", "text/plain")

    def keep(self, spans) -> None:
        known = {span_id for _, span_id in self.kept}
        for span in spans:
            if span.span_id not in known:
                known.add(span.span_id)
                self.kept[span.trace_id, span.span_id] = span
                self.projects.setdefault(span.trace_id, span.sender.get("openinference.project.name", "default"))


@dataclass
class LangWatch(Receiver):
    """Answers JSON whatever it was asked in; refuses old spans one by one; 402 when the plan is used up; 429 for too many spans at once."""

    path: str = "/api/otel/v1/traces"
    largest: int = 10 * 1024 * 1024
    now: int = 0
    most: int = 200
    used_up: bool = False

    def take(self, spans: list[Seen]) -> Reply:
        if self.used_up:
            return Reply(402, b'{"message":"Monthly limit reached"}')
        if len(spans) > self.most:
            return Reply(429, b'{"message":"Too many spans, maximum of 200 per request"}')
        good = [span for span in spans if span.whole.start_time_unix_nano > self.now - 31 * DAY]
        known = self.kept.keys()
        self.keep([span for span in good if (span.trace_id, span.span_id) not in known])
        refused = len(spans) - len(good)
        partial = {"rejectedSpans": refused, "errorMessage": "spans older than 31 days" if refused else ""}
        return Reply(200, json.dumps({"message": "Trace received", "partialSuccess": partial}).encode())


@dataclass
class Mlflow(Receiver):
    """Wants the id of an experiment that it has, and takes a request whole or not at all: `bad` tells what it cannot keep."""

    experiments: tuple[str, ...] = ("7",)
    bad: Callable[[Seen], bool] = lambda _: False

    def __call__(self, got: Got) -> Reply:
        experiment = got.headers.get("x-mlflow-experiment-id")
        if got.path == self.path and experiment is None:
            return Reply(422, b'{"detail":"missing header x-mlflow-experiment-id"}')
        if got.path == self.path and experiment not in self.experiments:
            return Reply(404, b'{"error_code":"RESOURCE_DOES_NOT_EXIST"}')
        return super().__call__(got)

    def take(self, spans: list[Seen]) -> Reply:
        if any(self.bad(span) for span in spans):
            return Reply(400, b'{"detail":"Invalid span"}')
        return super().take(spans)


@dataclass
class Dynatrace(Receiver):
    """Protobuf alone, at most 8 MB; spans that ended more than 60 minutes ago are taken and not kept, without a word."""

    path: str = "/api/v2/otlp/v1/traces"
    takes: tuple[str, ...] = (PROTOBUF,)
    largest: int = 8_000_000
    now: int = 0

    def keep(self, spans) -> None:
        super().keep(span for span in spans if span.whole.end_time_unix_nano >= self.now - 3_600 * 10**9)
