"""vLLM's CPU backend, without a server, on folders of safetensors."""
from common import main


def load(path, threads):  # its threads come from the environment
    from vllm import LLM, SamplingParams

    llm = LLM(path, skip_tokenizer_init=True, dtype="bfloat16", max_model_len=2048, max_num_seqs=64, enable_prefix_caching=False)

    def generate(prompts, n_new):
        params = SamplingParams(temperature=0.0, max_tokens=n_new, ignore_eos=True, detokenize=False)
        llm.generate([{"prompt_token_ids": prompt} for prompt in prompts], params, use_tqdm=False)

    return generate


def version():
    import vllm

    return vllm.__version__


if __name__ == "__main__":
    main(load, version)
