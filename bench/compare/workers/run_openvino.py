"""OpenVINO GenAI on GGUF files."""
from common import main


def load(path, threads):
    import numpy as np
    import openvino as ov
    import openvino_genai as genai

    pipeline = genai.LLMPipeline(path, "CPU", INFERENCE_NUM_THREADS=threads)

    def generate(prompts, n_new):
        ids = np.array(prompts, np.int64)
        config = genai.GenerationConfig()
        config.max_new_tokens = n_new
        config.ignore_eos = True
        config.do_sample = False
        pipeline.generate(genai.TokenizedInputs(ov.Tensor(ids), ov.Tensor(np.ones_like(ids))), config)

    return generate


def version():
    import openvino_genai

    return openvino_genai.__version__.split("-")[0]


if __name__ == "__main__":
    main(load, version)
