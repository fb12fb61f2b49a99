"""Compiles the hot path to C while Fiveways is installed, where that can be done; otherwise it runs as the Python it is.

The modules named under `[tool.hatch.build.hooks.custom]` in pyproject.toml are compiled by mypyc from their type annotations: the
same source, about a third less CPU per request. It takes a C compiler and a minute. FIVEWAYS_PURE=1 leaves it out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_COMPILE = """
import os, sys
from multiprocessing.pool import ThreadPool
from setuptools import setup
from setuptools._distutils.ccompiler import CCompiler
from mypyc.build import mypycify


def compile(self, sources, output_dir=None, macros=None, include_dirs=None, debug=False, pre=None, post=None, depends=None):
    macros, objects, post, options, build = self._setup_compile(output_dir, macros, include_dirs, sources, depends, post)
    arguments = self._get_cc_args(options, debug, pre)
    with ThreadPool(os.cpu_count()) as pool:
        pool.map(lambda made: self._compile(made, *build[made], arguments, post, options), objects)
    return objects


CCompiler.compile = compile
modules = mypycify(sys.argv[1:], opt_level="3", debug_level="0")
setup(name="fiveways", ext_modules=modules, script_args=["build_ext", "--inplace"])
"""
"""What mypyc's own command does, but with as many C files compiled at once as there are processors."""


class Accelerate(BuildHookInterface):  # type: ignore[type-arg]
    """The build hook: puts extension modules beside their sources, or takes away what an earlier build has left there."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say what was done."""
        source = Path(self.root) / "src"
        for old in source.rglob(f"*{sysconfig.get_config_var('EXT_SUFFIX')}"):
            old.unlink()
        if os.environ.get("FIVEWAYS_PURE"):
            self.app.display_info("pure Python, as FIVEWAYS_PURE asks")
            return
        compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
        if shutil.which(compiler) is None:
            self.app.display_warning(f"there is no C compiler ({compiler}): pure Python, which takes more CPU per request")
            return
        with tempfile.TemporaryDirectory() as temporary:
            made = self._compile(source, Path(temporary))
        if made and version != "editable":
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
            build_data["force_include"] |= {str(source / name): str(name) for name in made}

    def _compile(self, source: Path, work: Path) -> list[Path]:
        """The extension modules made, relative to `source`; none where the compiler did not succeed."""
        shutil.copytree(source / "fiveways", work / "fiveways", ignore=shutil.ignore_patterns("__pycache__"))
        modules: list[str] = self.config["modules"]
        built = subprocess.run(  # noqa: S603 (our own interpreter, our own modules)
            [sys.executable, "-c", _COMPILE, *modules], cwd=work, capture_output=True, text=True, check=False
        )
        if built.returncode:
            self.app.display_warning(
                f"the hot path could not be compiled: pure Python\n{built.stdout[-1000:]}{built.stderr[-1000:]}"
            )
            return []
        made = [file.relative_to(work) for file in work.rglob("*.so") if "build" not in file.relative_to(work).parts]
        for name in made:
            shutil.copy2(work / name, source / name)
        self.app.display_info(f"compiled {len(modules)} modules")
        return made
