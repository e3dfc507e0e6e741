#pragma once

#if __cplusplus < 202002L
#error "openllm needs C++20 (compile with -std=c++20 or later)"
#endif

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "openllm/error.h"
#include "openllm/options.h"
#include "openllm/store.h"

namespace openllm {

/// ModelScope's hub and cache. Empty members are what the environment says, by the names that its
/// own client has.
struct ModelScopeOptions {
  std::string cache{};     ///< Empty: $MODELSCOPE_CACHE, else ~/.cache/modelscope.
  std::string endpoint{};  ///< Empty: $MODELSCOPE_ENDPOINT, else https://modelscope.cn.
  std::string token{};     ///< Empty: $MODELSCOPE_API_TOKEN.
};

/// Which hub, whose cache, and who asks. Empty members are what the environment says, by the names
/// that huggingface_hub has.
struct HubOptions {
  /// Folder of the cache. Empty: $HF_HUB_CACHE, $HUGGINGFACE_HUB_CACHE, $HF_HOME/hub,
  /// $XDG_CACHE_HOME/huggingface/hub, ~/.cache/huggingface/hub.
  std::string cache{};
  /// Folder of files that come from other addresses. Empty: `downloads` in the model store.
  std::string downloads{};
  std::string endpoint{};  ///< Empty: $HF_ENDPOINT, else https://huggingface.co.
  /// Empty: $HF_TOKEN, $HUGGING_FACE_HUB_TOKEN, or the file that `hf auth login` wrote.
  std::string token{};
  /// No network at all. Unset: $HF_HUB_OFFLINE, $TRANSFORMERS_OFFLINE.
  std::optional<bool> offline{};
  int n_connections = 4;  ///< For one file; 1 to 16.
  int timeout_s = 30;     ///< Longest silence of the hub; >= 1.
  /// Which hub a name without a scheme is fetched from, and whose cache is looked into first:
  /// "huggingface" or "modelscope". Empty: $OPENLLM_HUB; $VLLM_USE_MODELSCOPE=1 is "modelscope".
  std::string hub{};
  ModelScopeOptions modelscope{};
  /// Folders of Ollama's models, ':' between them. Empty: $OLLAMA_MODELS, else ~/.ollama/models and
  /// /usr/share/ollama/.ollama/models.
  std::string ollama{};
  /// Folder in which llama.cpp keeps what it fetched. Empty: $LLAMA_CACHE,
  /// $XDG_CACHE_HOME/llama.cpp, ~/.cache/llama.cpp.
  std::string llama_cpp{};
  /// File with the certificates, PEM, of the authorities that hubs are trusted by. Empty:
  /// $REQUESTS_CA_BUNDLE, $CURL_CA_BUNDLE, $SSL_CERT_FILE, else those of the system.
  std::string ca_file{};
};

/// A model on this machine that a hub, or another program, brought.
struct HubModel {
  /// "owner/name"; of a file from elsewhere its name; of Ollama's models "ollama://llama3.2:1b".
  std::string id{};
  std::string commit{};  ///< 40 hexadecimal digits; empty outside of the hub's cache.
  std::string url{};     ///< Where a file from elsewhere came from.
  /// Branches and tags that this commit was: "main". Of ModelScope's the revision, of Ollama's the
  /// tag.
  std::vector<std::string> refs{};
  std::string variant{};        ///< Of a GGUF file, for example "Q4_K_M".
  std::string path{};           ///< Folder or .gguf file to load.
  std::string format{};         ///< "safetensors", "gguf", "pytorch", "flax" or "tensorflow".
  std::int64_t bytes = 0;       ///< Of a folder of all files, of a .gguf file of all parts.
  std::int64_t changed_ns = 0;  ///< When the newest file of this commit came, since 1970.
  std::int64_t used_ns = 0;     ///< When it was last loaded, as the file system tells it.
  /// Who keeps it: "hub" (the Hugging Face cache), "url" (files from elsewhere), "modelscope",
  /// "ollama" or "llama.cpp".
  std::string origin = "hub";
  /// What tells this version from others: the commit, the revision, or the first 12 digits of the
  /// file's SHA-256. Empty: not known.
  std::string version{};
};

/// What the Hugging Face cache has of a model that is not whole: a download that was cut or goes
/// on, or a commit without some of its files.
struct PartialModel {
  std::string id{};
  std::string commit{};    ///< Empty for downloads.
  std::string reason{};    ///< For example "its download was cut".
  std::int64_t bytes = 0;  ///< That are there.
};

/// A file of a model that is not what the hub gave.
struct DamagedFile {
  std::string path{};
  std::string reason{};
};

struct PullOptions {
  /// Which form of weights where there are several: "auto" (safetensors, GGUF, pickles, files of
  /// Flax, of TensorFlow, in this order), "safetensors", "gguf", "legacy", "flax" or "tensorflow";
  /// "none": all that is read with a model but its weights.
  std::string serialisation = "auto";
  PullCallback progress{};
  /// Ends the download with kCancelled; what came stays, and a later call goes on with it.
  std::stop_token stop_token{};
};

/// Models of the Hugging Face Hub, and of servers like it, in the cache that transformers, vLLM and
/// others share: what they fetched is found, and what is fetched here they find. A model appears
/// whole or not at all. ModelScope and its client's cache are a second hub; what Ollama and
/// llama.cpp fetched is found and never changed.
///
/// A model is named "owner/name", with ":REVISION" or "@REVISION" (a branch, tag or commit) behind,
/// or ":Q4_K_M" for one of several GGUF files; "hf://owner/name@REVISION/FILE", or the address of
/// its page; "modelscope://owner/name" for ModelScope's alone, "ollama://NAME:TAG" for Ollama's.
/// The address of a .gguf file elsewhere ("https://host/....gguf") is a model too; such files lie
/// in a folder of ours.
///
/// Thread safety: every method from any thread, and from several processes at once.
class OPENLLM_API Hub {
 public:
  /// Throws kInvalidArgument for options that cannot be; kNotFound when nothing says where the
  /// cache is.
  explicit Hub(HubOptions options = {});

  const std::string& cache() const noexcept { return options_.cache; }
  /// Where files from other addresses are.
  const std::string& downloads() const noexcept { return options_.downloads; }
  const std::string& endpoint() const noexcept { return options_.endpoint; }
  bool is_offline() const noexcept { return options_.offline.value_or(false); }

  /// What is on this machine, whole.
  std::vector<HubModel> list() const;
  /// What is on this machine of that name. Asks nobody. Throws kInvalidArgument for hf:// and
  /// https:// that name no model.
  std::optional<HubModel> find(const std::string& model) const;
  /// Fetches what is not in the cache. Throws kNotFound saying what to do for missing, private and
  /// gated models, for missing ones with names that may have been meant; kUnavailable when offline;
  /// kCorruptData for bytes other than the hub lists; kResourceExhausted for a full disk;
  /// kCancelled; kIo.
  HubModel pull(const std::string& model, const PullOptions& options = {}) const;
  /// What is on this machine, but not whole, sorted.
  std::vector<PartialModel> partial() const;
  /// Deletes the commit, or, if the name is that of one of several GGUF files, this file; and what
  /// no other one needs. False when it is not there. What lies outside of the model's folder in the
  /// cache stays. Throws kUnsupported for what other programs keep, and where that folder, or one
  /// in it, is a link; kBusy while it is being downloaded; kIo.
  bool remove(const std::string& model) const;
  /// Computes the digests of all files of a commit in the cache, whole or not, and compares them
  /// with what the hub listed. Asks nobody. Files from elsewhere, of ModelScope and of llama.cpp
  /// have none to be compared with. Throws kNotFound; kCancelled for an exception from `progress`.
  std::vector<DamagedFile> verify(const std::string& model,
                                  const ProgressCallback& progress = {}) const;
  /// What no model needs: parts of files whose download was cut (another program's once they are a
  /// day old), files that no commit has, links that lead to nothing. Nothing of models that are
  /// being downloaded.
  std::vector<Leftover> leftovers() const;
  /// Deletes one of them. False when it is gone, or needed again. Throws kIo.
  bool remove_leftover(const Leftover& leftover) const;

 private:
  HubOptions options_;
};

/// The model that the name of a family stands for, as OpenLLM had it ("llama", "flan-t5"), unless
/// the file families.json in the model store's folder ({"llama": "owner/name"}) says another one.
/// Nothing for other names. Throws kCorruptData when that file is none.
OPENLLM_API std::optional<std::string> model_of_family(const std::string& name);

}  // namespace openllm
