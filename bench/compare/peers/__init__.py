"""The engines, in the order in which each round asks them."""
from peers.llama_cpp import LlamaCpp
from peers.openllm import OpenLLM, OpenLLMFast
from peers.python_peers import VLLM, IkLlama, OpenVINO, Transformers

ALL = [OpenLLM, OpenLLMFast, LlamaCpp, IkLlama, OpenVINO, VLLM, Transformers]
OURS = [OpenLLM.name, OpenLLMFast.name]
