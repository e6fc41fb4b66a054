"""Hand the cffi extension to setuptools; everything else stands in setup.cfg. Called by pip and _build.py."""

import os
from concurrent.futures import ThreadPoolExecutor

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist


class BuildExt(build_ext):
    """Compile the files of an extension at the same time, which distutils does one by one."""

    def build_extension(self, ext: Extension) -> None:
        # What the interpreter was linked with, such as pyenv's own folder: an extension links no libpython, and a
        # wheel must not look for libraries in the home of who built it.
        self.compiler.linker_so = [word for word in self.compiler.linker_so if not word.startswith("-Wl,-rpath")]
        compile_one_by_one = self.compiler.compile

        def compile_all(sources: list[str], **options: object) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                objects = pool.map(lambda source: compile_one_by_one([source], **options), sources)
                return [name for names in objects for name in names]

        self.compiler.compile = compile_all
        try:
            super().build_extension(ext)
        finally:
            self.compiler.compile = compile_one_by_one


class Sdist(sdist):
    """Keep greendpdk/monkey the symlink that it is, where setuptools would make copies of its files."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        os.symlink("../monkey", os.path.join(base_dir, "greendpdk", "monkey"))


setup(cffi_modules=["greendpdk/_build.py:ffibuilder"], cmdclass={"build_ext": BuildExt, "sdist": Sdist})
