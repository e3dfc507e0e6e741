"""ik_llama.cpp through the bindings of its package. As llama-bench does, it follows random tokens instead of choosing them."""
import random

from common import main

N_BATCH = 2048


class Context:
    def __init__(self, c, path, threads):
        self.c = c
        c.llama_backend_init()
        self.model = c.llama_model_load_from_file(path.encode(), c.llama_model_default_params())
        if not self.model:
            raise SystemExit(f"{path}: cannot be loaded")
        params = c.llama_context_default_params()
        params.n_ctx = 8192
        params.n_batch = N_BATCH
        params.n_ubatch = 512
        params.n_seq_max = 32
        params.n_threads = params.n_threads_batch = threads
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = file.read()
        params.flash_attn = "avx_vnni" in flags or "avx512_vnni" in flags  # it fails an assertion elsewhere
        self.context = c.llama_init_from_model(self.model, params)
        if not self.context:
            raise SystemExit(f"{path}: no context")
        self.batch = c.llama_batch_init(N_BATCH, 0, 1)

    def decode(self, entries):
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
            code = self.c.llama_decode(self.context, batch)
            if code:
                raise SystemExit(f"llama_decode: error {code}")

    def generate(self, prompts, n_new):
        self.c.llama_kv_cache_clear(self.context)
        length = len(prompts[0])
        self.decode([(token, i, s, i == length - 1) for s, prompt in enumerate(prompts) for i, token in enumerate(prompt)])
        for step in range(n_new - 1):
            self.decode([(random.randrange(300, 30000), length + step, s, True) for s in range(len(prompts))])
        self.c.llama_get_logits_ith(self.context, -1)  # waits for them


def load(path, threads):
    from ik_llama_cpp import _ctypes_api

    return Context(_ctypes_api, path, threads).generate


def version():
    import importlib.metadata

    import ik_llama_cpp  # noqa: F401  (does it load?)

    try:
        return importlib.metadata.version("ik-llama-cpp-python")
    except importlib.metadata.PackageNotFoundError:
        return getattr(ik_llama_cpp, "__version__", "unknown")


if __name__ == "__main__":
    main(load, version)
