#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/failure.h"
#include "engine/request.h"
#include "model/pooled_head.h"
#include "openllm/options.h"
#include "openllm/stats.h"

namespace openllm::backend {

/// What a backend can do. The layer above refuses what is missing instead of dropping it.
struct Capabilities {
  bool prompt_logits = false;  ///< engine::Request::prompt_logits.
  bool is_repeatable = true;   ///< The same request with the same seed gives the same answer.
  /// Draws depend on seed, choice and position alone, as in the engine: an answer may go on from
  /// one such backend to another.
  bool draws_as_engine = true;
  bool continues_answers = true;  ///< engine::Request::n_answered and first_choice.
  /// Not every part of it honours all of `fields`: it needs engine::Request::fields.
  bool is_mixed = false;
  bool adapters = false;  ///< Backend::mount_adapter.
  /// Honours every field of requests, also those that are yet to come.
  bool all_fields = false;
  /// Else those that it honours, by their names in the table of fields; fields that act above the
  /// backend, on texts and prompts, are among them too.
  std::vector<std::string> fields{};

  bool honours(std::string_view field) const noexcept {
    return all_fields || std::find(fields.begin(), fields.end(), field) != fields.end();
  }
};

/// What a loaded model gives besides tokens, or instead of them.
struct HiddenStates {
  int size = 0;            ///< Columns of engine::Request::hidden's rows; 0: it gives none.
  bool alone = false;      ///< It continues no text: an encoder, a classifier, a decoder's body.
  bool is_causal = false;  ///< Rows see those before them alone, so that the last one knows most.
  /// Of a classifier: what its vector is made of and goes through; else null. They live as long as
  /// the backend.
  const model::PooledHeadSpec* classifier = nullptr;
  const model::PooledHead* head = nullptr;
};

/// Throws kNotFound where "adapter_name", naming what is mounted.
[[noreturn]] void fail_no_adapter(const std::string& name,
                                  const std::vector<AdapterOptions>& mounted);

/// An adapter, or a sum of some, as a request has it.
struct AdapterUse {
  std::int32_t number = 0;              ///< engine::Request::adapter.
  std::shared_ptr<const void> keeps{};  ///< engine::Request::keeps.
};

/// How a model reads prompts with an encoder.
struct SourceFacts {
  int max_len = 0;                  ///< Longest prompt; 0: the model has no encoder.
  std::int32_t decoder_start = -1;  ///< What its answers begin with; -1: its files do not say.
};

/// A loaded model that runs requests: token ids in, tokens and logprobs out. Text lives above.
/// Thread safety: every method from any thread.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual Capabilities capabilities() const noexcept = 0;
  virtual int vocab_size() const noexcept = 0;
  /// Longest sequence, prompt and answer.
  virtual int max_model_len() const noexcept = 0;
  /// Prompts go to engine::Request::source_ids when there is an encoder.
  virtual SourceFacts source() const noexcept { return {}; }
  virtual std::string device() const = 0;
  virtual std::string isa() const = 0;
  /// How keys and values are kept: "f32", "f16", "int8"; empty where that is not known.
  virtual std::string kv_dtype() const { return {}; }
  virtual HiddenStates hidden_states() const noexcept { return {}; }
  /// Sequences that run at once; 0: not known.
  virtual int n_slots() const { return 0; }
  /// As engine::Engine.
  virtual void submit(engine::Request request) = 0;
  virtual void cancel(const std::string& id) = 0;
  virtual void stop_choice(const std::string& id, int choice) = 0;
  virtual EngineStats stats() const = 0;

  /// Whether the files of an adapter are read by this process: AdapterOptions::id is a path then.
  virtual bool reads_adapters() const noexcept { return false; }
  /// Makes a LoRA adapter ready for requests. One that is there already, from the same place,
  /// stays. Throws kUnsupported where the backend has none; kInvalidArgument where "adapters" for a
  /// name that is taken; kNotFound for one that is not there.
  virtual void mount_adapter(const AdapterOptions& adapter);
  /// Requests that use it go on. Throws kNotFound where "adapter_name".
  virtual void unmount_adapter(const std::string& name);
  /// Those that requests can name, by name. May ask a server.
  virtual std::vector<AdapterOptions> adapters() const { return {}; }
  /// The same, as far as that is known without asking.
  virtual std::vector<AdapterOptions> known_adapters() const { return adapters(); }
  /// What requests have the adapter by; the number is above 0, and the same as long as it is
  /// mounted. Throws kNotFound where "adapter_name". May ask a server.
  virtual AdapterUse find_adapter(const std::string& name);
  /// As LLM::packed_copy, and the next two; `stops` is asked now and then.
  virtual std::string packed_copy() const { return {}; }
  virtual bool is_writing_packed_copy() const { return false; }
  virtual void finish_packed_copy(const std::function<bool()>& /*stops*/) {}
  /// Ends every request with FinishReason::kError and `failure`; later ones are refused with
  /// kUnavailable. Returns once no thread of the backend runs. Called at most once, and not by an
  /// EventSink.
  virtual void shut_down(const base::Failure& failure) = 0;
};

}  // namespace openllm::backend
