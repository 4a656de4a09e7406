"""`faregate doctor`: everything that must be right, a line each, with the command that mends it."""

import json
import os
import sys
from pathlib import Path

import click

from gateway.asking.checks import Checkup
from gateway.asking.findings import Finding
from gateway.commands.options import config_option, data_option, json_option
from gateway.commands.tables import clean


@click.command()
@config_option
@data_option
@click.option("--url", envvar="FAREGATE_URL", help="A gateway elsewhere; FAREGATE_ADMIN_TOKEN lets in.")
@json_option
def doctor(*, config: Path | None, data: Path | None, url: str | None, as_json: bool) -> None:
    """Check everything. The exit code is 1 if something must be mended."""
    findings = Checkup(config, data, url, os.environ).findings()
    good = True
    found = []
    for finding in findings:
        good = good and finding.ok
        found.append(finding)
        if not as_json:
            click.echo(_line(finding))
    if as_json:
        checks = [{"name": one.name, "ok": one.ok, "fact": one.fact, "mend": one.mend} for one in found]
        click.echo(json.dumps({"ok": good, "checks": checks}, indent=2))
    sys.exit(0 if good else 1)


def _line(finding: Finding) -> str:
    mark = "✓" if finding.ok else "✗"
    mend = f"\n  → {finding.mend}" if finding.mend else ""
    return f"{mark} {finding.name:12} {clean(finding.fact)}{mend}"
