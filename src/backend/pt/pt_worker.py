"""Forward passes of Hugging Face transformers for the backend "pt" of openllm.

Started as `python pt_worker.py SOCKET LOGITS`: descriptors of a stream socket and of a memory file. Messages are the
length of a JSON text as a 32-bit little-endian number, and the text. Logits go into the memory file as f32 [rows,
vocab]. It samples nothing and knows no requests, only sequences, by number.

    {"op": "load", "path": ..., "dtype": ..., "device": ..., ...} -> {"vocab_size": ..., "way": ..., ...}
    {"op": "step", "sequences": [{"id": 1, "past": 0, "tokens": [...], "outputs": [2], "rope": 40}], "free": [...]}
        -> {"rows": n}
    {"op": "mount", "adapter": 3, "path": ...} -> {"mounted": 3}; sequences have then "adapters": [[3, factor], ...]
    {"op": "free", "ids": [...]} and {"op": "drop", "adapters": [...]}, which have no answer
    an answer may be {"error": message, "kind": "unavailable", "unsupported", "invalid", "out_of_memory" or "failed"}
"""

import inspect
import json
import mmap
import os
import re
import select
import socket
import sys
import threading
import traceback

CACHE_NAMES = ("cache", "past_key_values", "cache_params", "state")


class Refused(Exception):
    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


def end_with(peer):
    """Ends this process as soon as the other side is gone, whatever is computed meanwhile."""
    poll = select.poll()
    poll.register(peer, select.POLLRDHUP)
    poll.poll()
    os._exit(0)


def receive(peer):
    def exactly(n):
        data = bytearray()
        while len(data) < n:
            part = peer.recv(n - len(data))
            if not part:
                os._exit(0)
            data += part
        return bytes(data)

    return json.loads(exactly(int.from_bytes(exactly(4), "little")))


def send(peer, message):
    data = json.dumps(message).encode()
    peer.sendall(len(data).to_bytes(4, "little") + data)


def import_packages():
    global torch, transformers, Growing
    for package in ("torch", "transformers"):
        try:
            globals()[package] = __import__(package)
        except ImportError as error:
            raise Refused("unavailable", "%s cannot be imported by %s (%s)" % (package, sys.executable, error))
    version = transformers.__version__
    if int(version.split(".")[0]) < 5:
        raise Refused("unavailable", "transformers is %s (expected 5 or later; %s -m pip install -U transformers)"
                      % (version, sys.executable))
    transformers.utils.logging.disable_progress_bar()
    torch.set_grad_enabled(False)

    class Growing(transformers.cache_utils.DynamicLayer):
        """Keys and values [sequences, heads, tokens, size] with room for more, so that a token costs no copy of all."""

        def __init__(self, *held, **kwargs):
            super().__init__(**kwargs)
            self.rooms = [None, None]
            if held:
                self.lazy_initialization(*held)
                self.keys, self.values = held

        def update(self, keys, values, *args, **kwargs):
            begin = self.keys.shape[-2] if self.is_initialized else 0
            end = begin + keys.shape[-2]
            held = [self.keys, self.values]
            if not self.is_initialized:
                self.lazy_initialization(keys, values)
            for i, new in enumerate((keys, values)):
                if self.rooms[i] is None or self.rooms[i].shape[-2] < end:
                    self.rooms[i] = new.new_empty((*new.shape[:-2], end + end // 4 + 16, new.shape[-1]))
                    if begin > 0:
                        self.rooms[i][:, :, :begin] = held[i]
                self.rooms[i][:, :, begin:end] = new
            self.keys, self.values = (room[:, :, :end] for room in self.rooms)
            return self.keys, self.values


def plain_cache(layers=()):
    cache = transformers.DynamicCache()
    cache.layer_class_to_replicate = Growing
    cache.layers.extend(layers)
    return cache


class Sequence:
    def __init__(self, cache):
        self.tokens, self.cache, self.batch = [], cache, None  # a batch holds the cache instead


class Batch:
    """Sequences in one cache, filled up on the left; `ids` in the order of its rows."""

    def __init__(self, ids, sequences):
        longest = max(len(s.tokens) for s in sequences)
        self.ids, self.pads = ids, [longest - len(s.tokens) for s in sequences]
        self.cache = plain_cache()
        for layers in zip(*(s.cache.layers for s in sequences)):
            rows = [[torch.nn.functional.pad(tensor, (0, 0, pad, 0)) for tensor in (layer.keys, layer.values)]
                    for layer, pad in zip(layers, self.pads)]
            self.cache.layers.append(Growing(*(torch.cat(tensors) for tensors in zip(*rows))))
        for s in sequences:
            s.cache, s.batch = None, self

    def take_apart(self, sequences):
        for row, (number, pad) in enumerate(zip(self.ids, self.pads)):
            s = sequences.get(number)
            if s is not None and s.batch is self:
                s.batch, s.cache = None, plain_cache(
                    Growing(layer.keys[row:row + 1, :, pad:], layer.values[row:row + 1, :, pad:])
                    for layer in self.cache.layers)


class Adapters:
    """LoRA adapters, by the numbers that orders have. peft puts its layers into the model and switches them; one sum of
    adapters is in use at a time, or none."""

    def __init__(self, model):
        self.model, self.peft, self.in_use = model, None, ()
        self.scales = {}  # by number: layers, and the scale of the adapter there
        self.own = dict(model.named_parameters(remove_duplicate=False))

    @staticmethod
    def name_of(number):
        return "adapter%d" % number

    def mount(self, number, path):
        global peft
        try:
            import peft
        except ImportError as error:
            raise Refused("unavailable", "the Python package peft cannot be imported (%s -m pip install peft; %s)"
                          % (sys.executable, error))
        name = self.name_of(number)
        self.in_use = None  # peft makes a new one the one in use
        try:
            self.load(name, path)
        except Exception as error:
            self.remove(name)
            kind = failure(error)["kind"]
            if kind != "failed":
                raise
            kind = "unsupported" if "support" in str(error) or "target_parameters" in str(error) else "invalid"
            raise Refused(kind, "%s: %s: %s" % (path, type(error).__name__, " ".join(str(error).split())))
        self.scales[number] = [(layer, layer.scaling[name]) for layer in self.model.modules()
                               if isinstance(getattr(layer, "scaling", None), dict) and name in layer.scaling]

    def load(self, name, path):
        config = peft.PeftConfig.from_pretrained(path)
        config.inference_mode = True
        self.refuse_changes_of_the_model(config, peft.load_peft_weights(path, device="cpu"))
        version = re.match(r"(\d+)\.(\d+)", config.peft_version or "")
        if config.target_parameters and (not version or tuple(map(int, version.groups())) < (0, 19)):
            raise Refused("unsupported", "%s: target_parameters as peft wrote them before 0.19, with inputs for outputs "
                          "(got peft_version %s)" % (path, config.peft_version))
        others = self.peft.peft_config.values() if self.peft else ()
        if not config.trainable_token_indices and any(other.trainable_token_indices for other in others):
            raise Refused("unsupported", "%s: peft reads no adapter after one with trainable_token_indices that has none "
                          "itself (expected it to be mounted before)" % path)
        if self.peft is None:
            self.peft = peft.PeftModel(self.model, config, adapter_name=name)
        else:
            self.peft.add_adapter(name, config)
        found = self.peft.load_adapter(path, name, torch_device=str(self.model.device),
                                       key_mapping=getattr(self.model, "_checkpoint_conversion_mapping", None))
        for what, keys in (("lacks", found.missing_keys), ("has what the model has no place for:", found.unexpected_keys)):
            if keys:
                raise Refused("invalid", "%s: the adapter %s %s" % (path, what, ", ".join(sorted(keys)[:3])))

    def refuse_changes_of_the_model(self, config, weights):
        """What is neither an adapter's nor a copy of its own, peft writes over the model's, for all requests."""
        for key, value in weights.items():
            module = key.removeprefix("base_model.model.").rpartition(".")[0]
            saved = any(re.fullmatch(r"(.*\.)?" + re.escape(one), module) for one in config.modules_to_save or ())
            if "lora_" in key or "token_adapter" in key or saved:
                continue
            own = self.own.get(key.removeprefix("base_model.model.").replace(".base_layer.", "."))
            if own is None or own.shape != value.shape or not torch.equal(own.cpu(), value.to(own.dtype)):
                raise Refused("unsupported", "tensor %s: is the model's own, which all requests share "
                              "(expected the same numbers, or modules_to_save)" % key)

    def remove(self, name):
        if self.peft is None:  # it may have begun
            self.take_out()
        elif name in self.peft.peft_config:
            self.peft.delete_adapter(name)

    def take_out(self):
        for module in list(self.model.modules()):
            for name, child in list(module.named_children()):
                if hasattr(child, "base_layer") and hasattr(child, "active_adapters"):
                    setattr(module, name, child.get_base_layer())
                elif hasattr(child, "original_module"):
                    setattr(module, name, child.original_module)

    def drop(self, numbers):
        for number in numbers:
            if self.scales.pop(number, None) is not None:
                self.in_use = None
                self.peft.delete_adapter(self.name_of(number))

    def use(self, parts):
        """`parts`: numbers and factors."""
        if parts == self.in_use or self.peft is None:
            return
        self.in_use = None
        if parts:
            for number, factor in parts:
                for layer, scale in self.scales[number]:
                    layer.scaling[self.name_of(number)] = scale * factor
            names = [self.name_of(number) for number, _ in parts]
            self.peft.base_model.enable_adapter_layers()
            self.peft.base_model.set_adapter(names if len(names) > 1 else names[0])
        else:
            self.peft.base_model.disable_adapter_layers()
        self.in_use = parts


class Runner:
    def __init__(self, order, logits_file):
        import_packages()
        self.logits_file, self.logits = logits_file, None
        if order["threads"] > 0:
            torch.set_num_threads(order["threads"])
        self.device = order["device"] or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = order["dtype"]
        if dtype == "auto":  # half types are slow on CPUs, and round more
            dtype = "float32" if self.device == "cpu" else "auto"
        self.model, problems = transformers.AutoModelForCausalLM.from_pretrained(
            order["path"], local_files_only=True, trust_remote_code=order["trust_remote_code"], dtype=dtype,
            use_safetensors=order["use_safetensors"], output_loading_info=True)
        lacks = sorted(str(key) for kind in ("missing_keys", "mismatched_keys") for key in problems[kind])
        if lacks:
            raise Refused("unsupported", "transformers would make up %d weights that the files lack: %s"
                          % (len(lacks), ", ".join(lacks[:3])))
        if getattr(self.model.config, "is_encoder_decoder", False):
            raise Refused("unsupported", "is an encoder-decoder model, which the backend pt cannot run yet")
        self.model.to(self.device).eval()
        self.accepts = inspect.signature(self.model.forward).parameters
        self.cache_name = next((name for name in CACHE_NAMES if name in self.accepts), None)
        self.has_cache_class = self.cache_name in CACHE_NAMES[:2]
        self.sequences = {}
        self.adapters = Adapters(self.model)
        # Of RoPE scalings that depend on length, the engine says for which one a sequence is; transformers would take
        # the longest position of a pass, and so change its mind within an answer.
        self.ropes = [(m, m.rope_type) for m in self.model.modules()
                      if getattr(m, "rope_type", None) in ("dynamic", "longrope")]
        for module, _ in self.ropes:
            module.rope_type = "default"
        self.choose_way()

    def facts(self):
        return {"vocab_size": self.vocab_size, "way": self.way, "device": str(self.model.device),
                "n_layers": int(getattr(self.model.config.get_text_config(), "num_hidden_layers", 0) or 0),
                "dtype": str(self.model.dtype).replace("torch.", ""),
                "versions": "transformers %s, torch %s" % (transformers.__version__, torch.__version__)}

    # How sequences are computed: "batches" (decoding ones together, filled up on the left), "chunks" (each by itself),
    # "tokens" (each by itself, and after its first rows token by token: states that only take one), "whole" (all of a
    # sequence again in each step: nothing of it is kept). What a family can do is tried out, as no list of families
    # would be true for long.
    def choose_way(self):
        self.way, self.is_plain = "whole", False
        some = [(7 * i + 3) % 61 for i in range(9)]
        right = self.forward(None, some, 0, list(range(len(some))))[0]
        self.vocab_size = right.shape[-1]
        for way in ("batches", "chunks", "tokens"):
            self.way, self.is_plain = way, way == "batches"
            if self.cache_name is None or (self.is_plain and not self.has_plain_caches()):
                continue
            try:
                if self.is_right(some, right):
                    return
            except Exception:  # of any kind, as each family has its own
                traceback.print_exc()
            finally:
                self.sequences.clear()
        self.way = "whole"

    def is_right(self, some, right):
        near = 1e-4 if right.dtype == torch.float32 else 5e-2
        parts = [((1, 0, 6), (2, 0, 2)), ((1, 6, 7), (2, 2, 3)), ((1, 7, 9), (2, 3, 5))]
        for step in parts:
            orders = [{"id": number, "past": begin, "tokens": some[begin:end], "outputs": [end - begin - 1],
                       "rope": len(some)}
                      for number, begin, end in step]
            got = torch.cat([rows for rows in self.compute(orders)])
            wanted = right[[end - 1 for _, _, end in step]]
            if not torch.isfinite(got).all() or (got - wanted).abs().max() > near * wanted.abs().max():
                return False
        return True

    def has_plain_caches(self):
        """Nothing but keys and values. Those of windows are kept whole then; masks leave out what is outside."""
        has_chunks = getattr(self.model.config.get_text_config(), "attention_chunk_size", None)
        if not self.has_cache_class or self.ropes or has_chunks:
            return False
        layers = transformers.DynamicCache(config=self.model.config).layers
        return all(type(layer).__name__ in ("DynamicLayer", "DynamicSlidingWindowLayer") for layer in layers)

    def new_cache(self):
        if self.way == "whole" or not self.has_cache_class:
            return None
        return plain_cache() if self.is_plain else transformers.DynamicCache(config=self.model.config)

    def call(self, ids, positions, cache, keep, mask=None):
        """Logits [sequences, len(keep), vocab] and the cache."""
        arguments = {"input_ids": torch.tensor(ids, device=self.device), "use_cache": self.way != "whole"}
        if "position_ids" in self.accepts:
            arguments["position_ids"] = torch.tensor(positions, device=self.device)
        if mask is not None:
            arguments["attention_mask"] = mask
        if cache is not None:
            arguments[self.cache_name] = cache
        if "logits_to_keep" in self.accepts:
            arguments["logits_to_keep"] = torch.tensor(keep or [0], device=self.device)
        out = self.model(**arguments)
        logits = out.logits if "logits_to_keep" in self.accepts else out.logits[:, keep or [0]]
        return logits[:, :len(keep)], next((out[name] for name in CACHE_NAMES if name in out), None)

    def forward(self, cache, tokens, past, outputs):
        """One sequence's rows: the logits of those in `outputs`, and its cache."""
        found, step = [], 1 if past > 0 and self.way == "tokens" else len(tokens)
        for begin in range(0, len(tokens), step):
            part = tokens[begin:begin + step]
            keep = [i - begin for i in outputs if begin <= i < begin + step]
            logits, cache = self.call([part], [list(range(past + begin, past + begin + len(part)))], cache, keep)
            found.append(logits[0])
        return torch.cat(found), cache

    def decode_together(self, entries):
        ids = tuple(entry["id"] for entry in entries)
        sequences = [self.sequences[number] for number in ids]
        batch = sequences[0].batch
        if batch is None or batch.ids != ids:
            for other in {s.batch for s in sequences if s.batch is not None}:
                other.take_apart(self.sequences)
            batch = Batch(ids, sequences)
        length = len(sequences[0].tokens) + batch.pads[0] + 1
        mask = torch.ones((len(ids), length), dtype=torch.long, device=self.device)
        for row, pad in enumerate(batch.pads):
            mask[row, :pad] = 0
        logits, _ = self.call([e["tokens"] for e in entries], [[e["past"]] for e in entries], batch.cache, [0], mask)
        for s, entry in zip(sequences, entries):
            s.tokens += entry["tokens"]
        return logits

    def alone(self, entry):
        s, outputs, past = self.sequences[entry["id"]], entry["outputs"], entry["past"]
        for module, kind in self.ropes:
            compute = transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS[kind]
            module.inv_freq, module.attention_scaling = compute(module.config, self.device, seq_len=entry["rope"])
        if s.batch is not None:
            s.batch.take_apart(self.sequences)
        if self.way == "whole":
            wanted = [past + i for i in outputs]
            logits = self.forward(None, s.tokens + entry["tokens"], 0, wanted)[0] if wanted else []
        else:
            logits, s.cache = self.forward(s.cache, entry["tokens"], past, outputs)
        s.tokens += entry["tokens"]
        return logits

    def compute(self, entries):
        """For each entry the logits of its outputs."""
        for entry in entries:
            if entry["past"] == 0:
                self.sequences[entry["id"]] = Sequence(self.new_cache())
            have = len(self.sequences[entry["id"]].tokens)
            if have != entry["past"]:
                raise ValueError("sequence %d has %d tokens here (expected %d)" % (entry["id"], have, entry["past"]))
        by_adapters = {}
        for entry in entries:
            by_adapters.setdefault(tuple(map(tuple, entry.get("adapters", ()))), []).append(entry)
        results = {}
        for parts, some in by_adapters.items():
            self.adapters.use(parts)
            for group in self.groups(some) if self.way == "batches" else []:
                results.update(zip((entry["id"] for entry in group), self.decode_together(group)))
            results.update((e["id"], self.alone(e)) for e in some if e["id"] not in results)
        return [results[entry["id"]] for entry in entries]

    def groups(self, entries):
        """Decoding sequences of like lengths, so that not much is filled up; never one alone."""
        decodes = [e for e in entries if e["past"] > 0 and len(e["tokens"]) == 1 and e["outputs"] == [0]]
        groups = []
        for entry in sorted(decodes, key=lambda e: (e["past"], e["id"])):
            if not groups or entry["past"] > 2 * groups[-1][0]["past"] + 64:
                groups.append([])
            groups[-1].append(entry)
        return [sorted(group, key=lambda e: e["id"]) for group in groups if len(group) > 1]

    def free(self, ids):
        for number in ids:
            self.sequences.pop(number, None)

    def step(self, order):
        self.free(order["free"])
        if self.logits is None:
            memory = mmap.mmap(self.logits_file, 0)
            self.logits = torch.frombuffer(memory, dtype=torch.float32).view(-1, self.vocab_size)
        try:
            row = 0
            for logits in self.compute(order["sequences"]):
                if len(logits) > 0:
                    self.logits[row:row + len(logits)].copy_(logits)
                row += len(logits)
            return {"rows": row}
        except BaseException:
            self.free([entry["id"] for entry in order["sequences"]])
            raise


def failure(error):
    kind = "unavailable" if isinstance(error, ImportError) else getattr(error, "kind", "failed")
    if "OutOfMemory" in type(error).__name__ or isinstance(error, MemoryError) or "not enough memory" in str(error):
        kind = "out_of_memory"
        if "torch" in globals():
            torch.cuda.empty_cache()
    text = str(error) if isinstance(error, Refused) else "%s: %s" % (type(error).__name__, error)
    return {"error": text[:4000], "kind": kind}


def main():
    sys.path.pop(0)  # the folder of this file, where no packages are
    peer, logits_file = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    threading.Thread(target=end_with, args=(peer,), daemon=True).start()
    os.dup2(2, 1)  # what libraries print is no answer
    runner = None
    while True:
        order = receive(peer)
        if order["op"] == "free":
            runner.free(order["ids"])
            continue
        if order["op"] == "drop":
            runner.adapters.drop(order["adapters"])
            continue
        try:
            if order["op"] == "load":
                runner = Runner(order, logits_file)
                answer = runner.facts()
            elif order["op"] == "mount":
                runner.adapters.mount(order["adapter"], order["path"])
                answer = {"mounted": order["adapter"]}
            else:
                answer = runner.step(order)
        except Exception as error:
            traceback.print_exc()
            answer = failure(error)
        send(peer, answer)


if __name__ == "__main__":
    main()
