"""Hugging Face transformers on torch, in BF16, on folders of safetensors."""
from common import main


def load(path, threads):
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16)
    model.eval()

    def generate(prompts, n_new):
        ids = torch.tensor(prompts)
        with torch.inference_mode():
            model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=n_new, min_new_tokens=n_new,
                           pad_token_id=0)

    return generate


def version():
    import torch
    import transformers

    return f"{transformers.__version__}, torch {torch.__version__}"


if __name__ == "__main__":
    main(load, version)
