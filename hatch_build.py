"""What hatchling does beside packing: with FAREGATE_COMPILE=1, the wheel has compiled modules (tools/compiling.py), and is for one platform.

Without it the wheel is pure Python, and runs anywhere.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Bounded: what a compiler gets wrong, tests of what it made have to find.
_COMPILING = ("mypy[mypyc]>=2.4,<2.5", "setuptools>=80", "types-protobuf>=6")


def _asked() -> bool:
    return os.environ.get("FAREGATE_COMPILE", "") not in {"", "0"}


class CustomBuildHook(BuildHookInterface[Any]):
    """Puts compiled modules beside the files that they were made of."""

    def dependencies(self) -> list[str]:
        """Return what compiling needs: mypyc, and the types of everything that compiled modules import, or what they import does."""
        if not _asked():
            return []
        core = self.metadata.core
        return [*_COMPILING, *core.dependencies, *core.optional_dependencies["redis"]]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, unless this is for a checkout, where files are edited."""
        if not _asked() or version == "editable":
            return
        self._scratch = tempfile.TemporaryDirectory(prefix="faregate-wheel-")
        folder = Path(self._scratch.name)
        subprocess.run([sys.executable, "-m", "tools.compiling", folder], cwd=self.root, check=True)  # noqa: S603 - ourselves
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        for made in folder.rglob("*.so"):
            build_data["force_include"][str(made)] = f"faregate/_app/{made.relative_to(folder)}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Take away what is in the wheel now."""
        del version, build_data, artifact_path
        if hasattr(self, "_scratch"):
            self._scratch.cleanup()
