#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/failure.h"
#include "engine/request.h"
#include "openllm/stats.h"

namespace openllm::backend {

/// What a backend can do. The layer above refuses what is missing instead of dropping it.
struct Capabilities {
  bool prompt_logits = false;  ///< engine::Request::prompt_logits.
  bool is_repeatable = true;   ///< The same request with the same seed gives the same answer.
  /// Honours every field of requests, also those that are yet to come.
  bool all_fields = false;
  /// Else those that it honours, by their names in the table of fields; fields that act above the
  /// backend, on texts and prompts, are among them too.
  std::vector<std::string> fields{};

  bool honours(std::string_view field) const noexcept {
    return all_fields || std::find(fields.begin(), fields.end(), field) != fields.end();
  }
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
  /// As engine::Engine.
  virtual void submit(engine::Request request) = 0;
  virtual void cancel(const std::string& id) = 0;
  virtual void stop_choice(const std::string& id, int choice) = 0;
  virtual EngineStats stats() const = 0;
  /// Ends every request with FinishReason::kError and `failure`; later ones are refused with
  /// kUnavailable. Returns once no thread of the backend runs. Called at most once, and not by an
  /// EventSink.
  virtual void shut_down(const base::Failure& failure) = 0;
};

}  // namespace openllm::backend
