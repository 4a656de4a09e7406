"""Compile the modules that every call goes through: `python -m tools.compiling FOLDER`.

mypyc makes C of typed Python, and a C compiler makes extension modules of that, which Python takes instead of the files of the same name.
The files stay what is read, tested and changed; compiled, they cost the gate a quarter less (docs/decisions/0008). Which modules: those that
run for each call, and that mypyc can take. It cannot take classes that inherit from what is not compiled; what reads annotations
when it runs (msgspec, pydantic) cannot read compiled ones; and bytes must not be sliced backwards (`data[5:2]` raises SystemError there).
"""

import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GROUP = "faregate"

MODULES = (
    "domain.ids",
    "gateway.gate",
    "gateway.identity",
    "gateway.proxy",
    "gateway.sending.outgoing",
    "gateway.sending.plans",
    "gateway.sending.shaping",
    "gateway.sending.upstreams",
    "gateway.tee.barrier",
    "gateway.tee.recording",
    "gateway.tee.relay",
    "gateway.wire.again",
    "gateway.wire.answer",
    "gateway.wire.caller",
    "gateway.wire.deadlines",
    "gateway.wire.engine",
    "gateway.wire.heads",
    "gateway.wire.peek",
    "gateway.wire.pools",
    "gateway.wire.steps",
    "gateway.wire.wire_caller",
    "pricing.book",
    "pricing.costing",
    "pricing.quantities",
    "pricing.tiers",
    "recorder.apis.choices",
    "recorder.apis.events",
    "recorder.apis.openai_chat",
    "recorder.apis.reading",
    "recorder.apis.repeats",
    "recorder.bodies",
    "recorder.interpret",
    "recorder.parameters",
    "recorder.pricing",
    "recorder.recorder",
    "recorder.spans",
    "recorder.unpacking",
    "storage.journal.committer",
    "storage.journal.frames",
    "storage.journal.segments",
    "storage.journal.writer",
)


def compile_into(folder: Path) -> list[Path]:
    """Compile `MODULES` into `folder`, laid out as the packages are; return what was made.

    Raises:
        SystemExit: mypyc or the compiler does not take them, and has said why.

    """
    # Only who compiles has these.
    from mypyc.build import mypycify  # noqa: PLC0415
    from setuptools import Distribution  # noqa: PLC0415
    from setuptools.command.build_ext import build_ext  # noqa: PLC0415

    os.chdir(ROOT)  # the names of modules follow from where their files stand
    files = [f"{module.replace('.', '/')}.py" for module in MODULES]
    with tempfile.TemporaryDirectory(prefix="faregate-compiling-") as scratch:
        extensions = mypycify(
            ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", f"{scratch}/types", *files],
            opt_level="2",
            debug_level="0",
            group_name=GROUP,
            target_dir=f"{scratch}/c",
        )
        build = build_ext(Distribution({"name": GROUP, "ext_modules": extensions}))
        build.build_lib, build.build_temp = str(folder), f"{scratch}/o"
        build.ensure_finalized()
        build.run()
    return sorted(folder.rglob("*.so"))


if __name__ == "__main__":
    for made in compile_into(Path(sys.argv[1]).resolve()):
        print(made)  # noqa: T201 - what it was started for
