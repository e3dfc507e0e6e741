"""The virtual environment that the other engines live in."""
import os
import subprocess
import sys
import venv

from peers.base import Absent, last_words

QUERY = "import importlib.metadata as m, sys\nfor name in sys.argv[1:]: print(m.version(name))"


class Venv:
    def __init__(self, path, may_install=True):
        self.path = os.path.abspath(path)
        self.may_install = may_install
        self.python = os.path.join(self.path, "bin", "python")

    def version_of(self, package):
        """None where it is not installed."""
        if not os.path.exists(self.python):
            return None
        done = subprocess.run([self.python, "-c", QUERY, package], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def install(self, packages, env=None):
        """The path of its Python, once it has the packages. Raises Absent; pip's own words lie in PATH/PACKAGE.log."""
        missing = [name for name in packages if self.version_of(name.split(">")[0]) is None]
        if not missing:
            return self.python
        if not self.may_install:
            raise Absent(f"{' and '.join(missing)} not installed in {self.path} (--no-install)")
        if not os.path.exists(self.python):
            venv.create(self.path, with_pip=True)
        print(f"installing {', '.join(missing)} into {self.path}", file=sys.stderr)
        log = os.path.join(self.path, f"{missing[0].split('>')[0]}.log")
        done = subprocess.run([self.python, "-m", "pip", "install", *missing], capture_output=True, text=True,
                              env=dict(os.environ, **(env or {})), check=False)
        with open(log, "w", encoding="utf-8") as file:
            file.write(done.stdout + done.stderr)
        if done.returncode:
            raise Absent(f"pip install {' '.join(missing)} failed: {last_words(done.stderr)} ({log})")
        return self.python
