"""ik_llama.cpp through the bindings of its package. As llama-bench does, it follows random tokens instead of choosing them."""
import random

from common import main

N_BATCH = 2048


class Contexts:
    """One for a single sequence and one for several: flash attention fails an assertion with several, and on CPUs without VNNI."""

    def __init__(self, c, path, threads):
        self.c = c
        self.path = path
        self.threads = threads
        self.contexts = {}
        c.llama_backend_init()
        self.model = c.llama_model_load_from_file(path.encode(), c.llama_model_default_params())
        if not self.model:
            raise SystemExit(f"error: {path}: cannot be loaded")
        self.batch = c.llama_batch_init(N_BATCH, 0, 1)

    def make(self, several):
        params = self.c.llama_context_default_params()
        params.n_ctx = 8192
        params.n_batch = N_BATCH
        params.n_ubatch = 512
        params.n_seq_max = 32 if several else 1
        params.n_threads = params.n_threads_batch = self.threads
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = file.read()
        params.flash_attn = not several and ("avx_vnni" in flags or "avx512_vnni" in flags)
        context = self.c.llama_init_from_model(self.model, params)
        if not context:
            raise SystemExit(f"error: {self.path}: no context")
        return context

    def decode(self, context, entries):
        """Of (token, position, sequence, wants logits)."""
        batch = self.batch
        for begin in range(0, len(entries), N_BATCH):
            part = entries[begin : begin + N_BATCH]
            batch.n_tokens = len(part)
            for i, (token, position, sequence, wanted) in enumerate(part):
                batch.token[i] = token
                batch.pos[i] = position
                batch.n_seq_id[i] = 1
                batch.seq_id[i][0] = sequence
                batch.logits[i] = wanted
            code = self.c.llama_decode(context, batch)
            if code:
                raise SystemExit(f"error: llama_decode: {code}")

    def generate(self, prompts, n_new):
        several = len(prompts) > 1
        if several not in self.contexts:
            self.contexts[several] = self.make(several)
        context = self.contexts[several]
        self.c.llama_kv_cache_clear(context)
        length = len(prompts[0])
        self.decode(context, [(token, i, s, i == length - 1) for s, prompt in enumerate(prompts) for i, token in enumerate(prompt)])
        for step in range(n_new - 1):
            self.decode(context, [(random.randrange(300, 30000), length + step, s, True) for s in range(len(prompts))])
        self.c.llama_get_logits_ith(context, -1)  # waits for them


def load(path, threads):
    from ik_llama_cpp import _ctypes_api

    return Contexts(_ctypes_api, path, threads).generate


def version():
    import importlib.metadata

    import ik_llama_cpp  # noqa: F401  (does it load?)

    try:
        return importlib.metadata.version("ik-llama-cpp-python")
    except importlib.metadata.PackageNotFoundError:
        return getattr(ik_llama_cpp, "__version__", "unknown")


if __name__ == "__main__":
    main(load, version)
