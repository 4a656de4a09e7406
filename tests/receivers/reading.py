"""What real servers show of what they were sent, read by their own APIs."""

import base64
from collections.abc import Mapping
from typing import Any, Self

import httpx

from destinations.mlflow import MlflowConfig
from destinations.phoenix import PhoenixConfig
from tests.receivers.calls import eventually
from tests.receivers.servers import Server

COSTS = """query ($id: ID!) { node(id: $id) { ... on Project { spans(first: 100) { edges { node {
  spanId tokenCountPrompt tokenCountCompletion costSummary { total { cost } }
  costDetailSummaryEntries { tokenType isPrompt value { cost tokens } } } } } } } }"""


PRICES = "mutation ($told: CreateModelMutationInput!) { createModel(input: $told) { model { name } } }"


class Project:
    """A project of a Phoenix server, and what is in it."""

    def __init__(self, server: Server, project: str) -> None:
        self.project = project
        self.config = PhoenixConfig(url=server.url, project=project, allow_private=True, timeout=60)
        self._client = httpx.Client(base_url=server.url, trust_env=False, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def listed(self, what: str, **asked: Any) -> list[dict[str, Any]]:
        """Return spans, traces or sessions; none as long as there is no such project."""
        answer = self._client.get(f"/v1/projects/{self.project}/{what}", params={"limit": 100, **asked})
        if answer.status_code == 404:
            return []
        answer.raise_for_status()
        return answer.json()["data"]

    def spans(self, count: int) -> dict[str, dict[str, Any]]:
        """Return the project's spans by id, as soon as there are `count`."""
        found = eventually(
            lambda: self.listed("spans"), lambda spans: len(spans) >= count, f"fewer than {count} spans came to {self.project}"
        )
        return {span["context"]["span_id"]: span for span in found}

    def costs(self) -> dict[str, dict[str, Any]]:
        """Return what Phoenix counts for each span, by span id."""
        found = [one["id"] for one in self._client.get("/v1/projects").json()["data"] if one["name"] == self.project]
        told = [self._asked(COSTS, id=id_)["node"]["spans"]["edges"] for id_ in found]
        return {edge["node"]["spanId"]: edge["node"] for edges in told for edge in edges}

    def set_prices(self, model: str, prompt: Mapping[str, float], completion: Mapping[str, float]) -> None:
        """Tell Phoenix what a model costs, in US dollars per million tokens, as its page of settings does."""
        costs = [
            {"tokenType": name, "kind": kind, "costPerMillionTokens": price}
            for kind, prices in (("PROMPT", prompt), ("COMPLETION", completion))
            for name, price in prices.items()
        ]
        self._asked(PRICES, told={"name": model, "namePattern": f"^{model}$", "costs": costs})

    def _asked(self, query: str, **variables: Any) -> dict[str, Any]:
        told = self._client.post("/graphql", json={"query": query, "variables": variables}).raise_for_status().json()
        assert "errors" not in told, told["errors"]
        return told["data"]


class Experiment:
    """An experiment of an MLflow server, and what is in it."""

    def __init__(self, server: Server, name: str) -> None:
        self._client = httpx.Client(base_url=server.url, trust_env=False, timeout=60)
        made = self._client.post("/api/2.0/mlflow/experiments/create", json={"name": name}).raise_for_status().json()
        self.id = made["experiment_id"]
        self.config = MlflowConfig(url=server.url, experiment_id=self.id, allow_private=True, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def trace(self, trace_id: str) -> dict[str, Any]:
        """Return a trace with its spans."""
        answer = self._client.get("/api/3.0/mlflow/traces/get", params={"trace_id": f"tr-{trace_id}"})
        return answer.raise_for_status().json()["trace"]

    def search(self, condition: str = "") -> list[dict[str, Any]]:
        """Return the experiment's traces for which a condition in MLflow's own language holds."""
        places = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": self.id}}]
        asked = {"locations": places, "max_results": 100, **({"filter": condition} if condition else {})}
        return self._client.post("/api/3.0/mlflow/traces/search", json=asked).raise_for_status().json().get("traces", [])


def plain(value: dict[str, Any]) -> Any:
    """Return a value of OTLP as Python's."""
    [(kind, inner)] = value.items()
    if kind == "array_value":
        return [plain(one) for one in inner.get("values", [])]
    if kind == "kvlist_value":
        return {one["key"]: plain(one["value"]) for one in inner.get("values", [])}
    return inner


def id_of(span: dict[str, Any]) -> str:
    return base64.b64decode(span["span_id"]).hex()
