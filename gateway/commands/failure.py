"""How commands fail: what was wrong, why, and the command that mends it."""

import click


class Failed(click.ClickException):
    """A command could not do what it was asked: exit code 1, no traceback."""

    def show(self, file: object = None) -> None:
        """Write the message; its first line says what was wrong."""
        del file
        click.echo(f"faregate: {self.message}", err=True)


class WrongUsage(Failed):
    """A command was asked in a way that it cannot be: exit code 2."""

    exit_code = 2
