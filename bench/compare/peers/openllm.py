"""Ourselves, by model_bench: rates beside the machine's limits of the same seconds."""
import hashlib
import json
import os
import subprocess

from peers.base import TOO_BUSY, Absent, Failed, Peer, Process, seconds_until

LIMITS = ["read_gb_per_s", "f32_gflop_per_s", "int8_gop_per_s", "bf16_gflop_per_s", "int8_tiles_gop_per_s", "bf16_tiles_gflop_per_s"]
FACTS = ["n_parameters", "n_embedding_parameters", "weight_bytes", "weight_types", "isa"]


class OpenLLM(Peer):
    name = "openllm"
    forms = ("folder", "gguf")
    options = []

    def program(self, name):
        return os.path.join(self.context.programs_folder, name)

    def prepare(self):
        for name in ("model_bench", "openllm"):
            if not os.access(self.program(name), os.X_OK):
                raise Absent(f"{self.program(name)} is not there: cmake --preset release && cmake --build build/release")

    def version(self):
        out = subprocess.run([self.program("openllm"), "--version"], capture_output=True, text=True, check=True).stdout
        return out.split()[-1]

    def fingerprint(self):
        """Of this build: results of two builds are not mixed."""
        digest = hashlib.sha256()
        library = os.path.join(os.path.dirname(self.context.programs_folder.rstrip("/")), "lib", "libopenllm.so")
        for path in (self.program("model_bench"), self.program("openllm"), library):
            if os.path.exists(path):
                with open(path, "rb") as file:
                    digest.update(file.read())
        return digest.hexdigest()[:16]

    def measure(self, model, what):
        path = self.file_of(model)
        streams = [name.split()[0] for name in what if name.endswith("streams")]
        command = [self.program("model_bench"), path, "--threads", str(self.context.threads), "--rounds", "1", "--json",
                   "--streams", ",".join(streams), *self.options]
        found = json.loads(Process(command, None, self.context.timeout).output())
        values = {name: found[name] for name in what if found.get(name)}
        noisy = [name for name in what if found.get(name) == 0]
        reason = f"{', '.join(noisy)}: {TOO_BUSY}" if noisy else None
        if "load" in what:
            ids = ",".join(str(300 + i) for i in range(8))
            run = [self.program("openllm"), "run", path, "--prompt-ids", ids, "--max-tokens", "1", "--temperature", "0", "--ignore-eos",
                   "--json", "--threads", str(self.context.threads), *self.options]
            try:
                values["load"] = seconds_until('"token_ids"', run, None, self.context.timeout)
            except Failed as failed:
                reason = f"load: {failed}"
        return values, {name: found[name] for name in LIMITS}, {name: found[name] for name in FACTS}, reason


class OpenLLMFast(OpenLLM):
    """With --fast-activations, which round as other engines do."""

    name = "openllm fast"
    options = ["--fast-activations"]
