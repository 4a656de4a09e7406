"""The process that has Presidio and its models in it. It is started by its path, knows nothing of Faregate, and reaches nobody.

Its argument is a JSON object: `models` (language to name or path), `entities`, `score` and `memory` (bytes). It says one line of JSON when it is ready, and one for
each line that it reads: `{"texts": [...]}` is answered by `{"found": [[[begin, end, entity], ...], ...]}`, and what fails by `{"failed": why}`.
"""

import json
import os
import socket
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NoReturn, TextIO

Found = list[list[tuple[int, int, str]]]


def main() -> None:
    """Answer until nobody asks any more."""
    replies = _own_output()
    options = json.loads(sys.argv[1])
    try:
        _bound_memory(options["memory"])
        _forbid_network()
        found = finder(options)
    except Exception as error:  # noqa: BLE001 - whoever asked says what it means
        _say(replies, {"failed": str(error) if isinstance(error, _NotReady) else f"it cannot be started: {type(error).__name__}"})
        return
    _say(replies, {"ready": True})
    for line in sys.stdin:
        try:
            answer: dict[str, Any] = {"found": found(json.loads(line)["texts"])}
        except Exception as error:  # noqa: BLE001 - the text of an error may have the prompt in it
            answer = {"failed": type(error).__name__}
        _say(replies, answer)


class _NotReady(Exception):
    """Something is missing; says what to do."""


def finder(options: dict[str, Any]) -> Callable[[list[str]], Found]:
    """Return what finds entities in texts, in each of the languages."""
    try:
        from presidio_analyzer import AnalyzerEngine  # noqa: PLC0415 - takes seconds, and may not be there
        from presidio_analyzer.nlp_engine import NlpEngineProvider  # noqa: PLC0415
    except ImportError as error:
        raise _NotReady("presidio-analyzer is not installed: pip install 'faregate[presidio]'") from error
    models, entities, score = options["models"], options["entities"], options["score"]
    for name in models.values():
        # Presidio would fetch it.
        if not (_is_installed(name) or Path(name).is_dir()):
            raise _NotReady(f"there is no model {name!r}: python -m spacy download {name}, or name a folder that has one")
    listed = [{"lang_code": language, "model_name": name} for language, name in models.items()]
    provider = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": listed})
    engine = AnalyzerEngine(nlp_engine=provider.create_engine(), supported_languages=list(models))
    known = {language: frozenset(engine.get_supported_entities(language)) for language in models}
    every = frozenset().union(*known.values())
    for entity in entities:
        if entity not in every:
            raise _NotReady(f"there is no entity {entity!r}; there are {', '.join(sorted(every))}")
    wanted = {language: sorted(known[language].intersection(entities)) for language in models}

    def in_text(text: str) -> list[tuple[int, int, str]]:
        return [
            (one.start, one.end, one.entity_type)
            for language, some in wanted.items()
            if some
            for one in engine.analyze(text, language=language, entities=some, score_threshold=score)
        ]

    return lambda texts: [in_text(text) for text in texts]


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except (PackageNotFoundError, ValueError):
        return False
    return True


def _own_output() -> TextIO:
    """Return where answers go; what libraries print goes elsewhere."""
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    return replies


def _say(replies: TextIO, answer: dict[str, Any]) -> None:
    replies.write(json.dumps(answer) + "\n")
    replies.flush()


def _bound_memory(most: int) -> None:
    import resource  # noqa: PLC0415 - not on Windows, where nothing of this runs

    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _forbid_network() -> None:
    """Let nothing in this process reach anybody: a list of domains, say, that one recogniser would fetch."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise OSError("this process has no network")

    socket.getaddrinfo = refuse
    socket.socket.connect = refuse  # type: ignore[method-assign]  # that is what it is for


if __name__ == "__main__":
    main()
