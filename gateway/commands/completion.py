"""`faregate completion SHELL`: the script that lets a shell complete our commands and options."""

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(ctx: click.Context, *, shell: str) -> None:
    """Print the script for SHELL: eval "$(faregate completion bash)"."""
    found = get_completion_class(shell)
    if found is None:  # pragma: no cover - click has these three
        raise click.UsageError(f"there is no completion for {shell}")
    script = found(ctx.find_root().command, {}, "faregate", "_FAREGATE_COMPLETE").source()
    click.echo(script)
