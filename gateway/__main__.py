"""The command line. Each command is imported when it is used, and no sooner."""

import importlib
from typing import Any

import click

from gateway.commands.failure import Failed

# name: module under gateway/commands, object in it, what it does.
COMMANDS = {
    "up": ("up", "up", "Start everything: gate and office."),
    "gate": ("serve", "gate", "Start the gate alone."),
    "office": ("serve", "office", "Start the office alone."),
    "run": ("run", "run", "Run a program with its calls going through the gate."),
    "env": ("env", "env", "Print the lines that send a shell's programs through the gate."),
    "demo": ("demo", "demo", "Make sample calls to the simulated provider."),
    "doctor": ("doctor", "doctor", "Check everything, and say what mends it."),
    "keys": ("keys", "keys", "Make, list, rotate and revoke keys."),
    "budgets": ("budgets", "budgets", "Set, list, show, raise and remove budgets."),
    "usage": ("usage", "usage", "Sum up calls, tokens and cost."),
    "tail": ("tail", "tail", "Show each call as it ends."),
    "calls": ("calls", "calls", "List recorded calls."),
    "call": ("call", "call", "Show one call."),
    "prices": ("prices", "prices", "Show what models cost, set prices of your own, price the past again."),
    "rules": ("rules", "rules", "Check rules, list them, and try them on recorded calls."),
    "destinations": ("destinations", "destinations", "Show, test and mend where spans are sent."),
    "config": ("config", "config", "Show and check the settings."),
    "db": ("db", "db", "Upgrade, prune, back up and restore the store."),
    "completion": ("completion", "completion", "Print the script that completes commands in a shell."),
}


class CommandLine(click.Group):
    """A group that knows its commands by name only, until one is used."""

    def list_commands(self, ctx: click.Context | None) -> list[str]:
        """Return the names, in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported now."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, name, _ = COMMANDS[cmd_name]
        found: click.Command = getattr(importlib.import_module(f"gateway.commands.{module}"), name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table, without importing a command."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what it did not foresee is told in a line, with a traceback only for those who ask for it."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort, click.ClickException, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            said = str(error).strip().splitlines()
            raise Failed(
                f"{type(error).__name__}: {said[0] if said else 'no more is known'}\n"
                "This was not foreseen. `faregate --debug …` shows where it happened."
            ) from error


def _version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    del parameter
    if value:
        from gateway.commands.version import version  # noqa: PLC0415 - costs what few need

        click.echo(f"faregate {version()}")
        ctx.exit()


@click.group(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show where an error happened.")
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Print the version.")
def command_line(*, debug: bool) -> None:
    """Faregate: every call to a language model passes byte for byte, and leaves a record."""
    del debug  # read where errors are told


def main() -> None:
    """Run the command line with the arguments of the process."""
    command_line(prog_name="faregate")


if __name__ == "__main__":
    main()
