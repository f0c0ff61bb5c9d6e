"""Build the wheel: ``pyproject.toml`` says all of it but the files that are copied into ``candor/shipped``."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("app.yaml", "gateway.yaml", "models/cxr")
"""Read by ``candor.files.shipped``: the settings and the demonstration bundle."""


class BuildWithShipped(build_py):
    """Copy what ships into the built package, never into the repository."""

    def run(self) -> None:
        """Build the packages, then copy; an editable installation reads the checkout's own files."""
        if self.editable_mode:
            super().run()
        else:
            shutil.rmtree(self.build_lib, ignore_errors=True)  # modules that an earlier build left would ship
            super().run()
            for source, target in self._copies():
                target.parent.mkdir(parents=True, exist_ok=True)
                self.copy_file(str(source), str(target))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Return the files that are built."""
        return [*super().get_outputs(include_bytecode), *(str(target) for _, target in self._copies())]

    def get_source_files(self) -> list[str]:
        """Return the files that a source distribution must hold."""
        return [*super().get_source_files(), *(str(source) for source, _ in self._copies())]

    def _copies(self) -> Iterator[tuple[Path, Path]]:
        folder = Path(self.build_lib, "candor", "shipped")
        for name in SHIPPED:
            for source in sorted((Path(name), *Path(name).rglob("*"))):
                if source.is_file():
                    yield source, folder / source


setup(cmdclass={"build_py": BuildWithShipped})
