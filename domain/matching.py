"""Which budgets a call falls under: by its key, project, customer, tags and model. All that match must have room."""

from fnmatch import fnmatchcase

from domain.budgets import Budget, Scope, Subject

# What a budget with one sum calls its only member.
WHOLE = ""


def member_of(scope: Scope, subject: Subject) -> str | None:
    """Return whose sum a call counts in: a member's name where each has one, `""` where there is one for all, None where the scope does not match."""
    value = _value_of(scope, subject)
    if value is None or not _is_meant(scope, value, subject):
        return None
    return value if scope.share == "each" else WHOLE


def could_match(budget: Budget, *, key: str, project: str) -> bool:
    """Return whether some call of this key could fall under `budget`, whatever its labels and model are."""
    scope = budget.scope
    if scope.value is None or scope.kind not in {"key", "project"}:
        return True
    return scope.value == (key if scope.kind == "key" else project)


def shown_name(budget: Budget, member: str) -> str:
    """Return how a refusal calls a budget: with the member that is meant, where each member has a sum of its own."""
    if not member:
        return budget.name
    scope = budget.scope
    return f"tag:{scope.tag}={member}" if scope.kind == "tag" else f"{scope.kind}:{member}"


def _value_of(scope: Scope, subject: Subject) -> str | None:
    if scope.kind == "tag":
        return subject.tags.get(scope.tag or "")
    if scope.kind == "all":
        return WHOLE
    value: str | None = getattr(subject, scope.kind)
    return value


def _is_meant(scope: Scope, value: str, subject: Subject) -> bool:
    if scope.value is None:
        return True
    if scope.kind == "model":
        return fnmatchcase(value, scope.value) or fnmatchcase(f"{subject.upstream}/{value}", scope.value)
    return value == scope.value
