"""What a simulated model says: the same for every API that can ask it."""

from dataclasses import dataclass, replace

from gateway.sim.dice import Dice
from gateway.sim.http import Json, encoded
from gateway.sim.models import Model
from gateway.sim.schemas import Maker
from gateway.sim.words import count, pieces, speech

_PER_MESSAGE = 4
_PER_CALL = 3
_ASKS_FOR_TOOLS = ("tools", "loop")


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the app declared."""

    name: str
    schema: Json


@dataclass(frozen=True, slots=True)
class Turn:
    """What a model was asked, whichever API asked.

    `texts` are the messages' texts in order; `said` is the last of the user's; `result` is what a tool said, if that came last.
    `choice` is `auto`, `none`, `required`, or the name of the tool to ask for. `limit` is the most tokens it may answer.
    """

    model: Model
    digest: bytes
    texts: tuple[str, ...] = ()
    said: str = ""
    result: str | None = None
    tools: tuple[Tool, ...] = ()
    choice: str = "auto"
    schema: Json | None = None
    limit: int | None = None

    @property
    def input_tokens(self) -> int:
        """The tokens of everything that was asked."""
        declared = sum(count(tool.name) + count(encoded(tool.schema).decode()) for tool in self.tools)
        return sum(count(text) + _PER_MESSAGE for text in self.texts) + declared + _PER_CALL


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answers: text, or a tool to call with its arguments as JSON. `pieces` are the tokens of either."""

    pieces: tuple[str, ...]
    tool: str | None = None
    cut: bool = False

    @property
    def text(self) -> str:
        """The text, or the arguments."""
        return "".join(self.pieces)

    @property
    def tokens(self) -> int:
        """How many tokens it has: at least one, as providers count the end."""
        return max(1, len(self.pieces)) + (count(self.tool) if self.tool else 0)


def reply(turn: Turn, index: int = 0) -> Reply:
    """Return the answer to `turn`; `index` tells the choices of one call apart."""
    dice = Dice(turn.digest + index.to_bytes(4, "big"))
    tool = _tool_wanted(turn, dice)
    if tool is not None:
        arguments = encoded(Maker(tool.schema or {"type": "object"}, dice).value()).decode()
        return Reply(tuple(pieces(arguments)), tool=tool.name)
    return _cut(Reply(tuple(pieces(_spoken(turn, dice)))), turn.limit)


def _tool_wanted(turn: Turn, dice: Dice) -> Tool | None:
    if not turn.tools or turn.choice == "none":
        return None
    named = next((tool for tool in turn.tools if tool.name == turn.choice), None)
    if named is not None:
        return named
    if turn.model.name == "loop":
        return turn.tools[0]
    wants = turn.choice == "required" or (turn.model.name in _ASKS_FOR_TOOLS and turn.result is None)
    return turn.tools[dice.below(len(turn.tools))] if wants else None


def _spoken(turn: Turn, dice: Dice) -> str:
    if turn.schema is not None:
        return encoded(Maker(turn.schema, dice).value()).decode()
    if turn.model.name == "echo":
        return turn.said
    if turn.model.name == "tools" and turn.result is not None:
        return f"The tool answered: {turn.result}"
    return speech(dice, turn.model.tokens)


def _cut(whole: Reply, limit: int | None) -> Reply:
    if limit is None or len(whole.pieces) <= limit:
        return whole
    return replace(whole, pieces=whole.pieces[:limit], cut=True)
