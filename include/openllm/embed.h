#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "openllm/co_await_safe.h"
#include "openllm/error.h"
#include "openllm/options.h"

namespace openllm {

/// What a model is for.
enum class ModelTask : std::uint8_t {
  kGenerate,  ///< Continues texts; gives embeddings too.
  kEmbed,     ///< Gives embeddings alone: an encoder.
  kClassify,  ///< Gives scores of classes alone: a cross-encoder.
};

/// How the hidden states of an input's tokens become one vector.
enum class Pooling : std::uint8_t {
  kMean,          ///< Their mean.
  kCls,           ///< That of the first token.
  kLast,          ///< That of the last token.
  kMax,           ///< The largest one, number by number.
  kMeanSqrtLen,   ///< Their sum over the square root of their number.
  kWeightedMean,  ///< Their mean, the first one counted once, the second one twice, ...
};
/// "mean", "cls", "last", "max", "mean_sqrt_len", "weighted_mean".
OPENLLM_API std::string_view to_string(Pooling pooling) noexcept;
/// The pooling of that name; nullopt when there is none.
OPENLLM_API std::optional<Pooling> pooling_named(std::string_view name) noexcept;

/// How inputs are embedded, and scored. Members that are unset are as the model's files say.
struct OPENLLM_API EmbedOptions {
  /// Unset: that of the model's sentence-transformers files; without them `kLast` of models that
  /// continue texts, `kMean` of encoders.
  std::optional<Pooling> pooling{};
  /// Vectors of length 1. Unset: as those files have it; without them true.
  std::optional<bool> normalize{};
  /// Leading numbers that are kept of each vector, before it is normalised; 0: all.
  int dimensions = 0;
  /// A prompt that the model has by that name ("query", "passage"): put before each text. Empty:
  /// its default one, if any.
  CoAwaitSafe<std::string> prompt_name{};
  /// The prompt itself; not together with `prompt_name`. An empty one takes the model's default
  /// away.
  CoAwaitSafe<std::optional<std::string>> prompt{};
  bool add_special_tokens = true;  ///< As TokenizeOptions.
  /// Cut texts that are too long at their end; else they are refused.
  bool truncate = false;
  /// Most tokens of an input that is cut; 0: the model's.
  int max_tokens = 0;

  // As in GenerateOptions.
  CoAwaitSafe<std::string> adapter_name{};
  int priority = 0;
  CoAwaitSafe<std::string> request_id{};
  CoAwaitSafe<std::string> tenant{};
  CoAwaitSafe<std::string> group{};
  std::optional<std::chrono::milliseconds> timeout{};
  std::optional<std::chrono::milliseconds> max_wait{};
  CoAwaitSafe<std::stop_token> stop_token{};
  CoAwaitSafe<Executor> executor{};
};

struct Embedding {
  std::vector<float> values{};
  std::int64_t n_tokens = 0;  ///< Of the input.
};

/// The embeddings of the inputs, in their order.
struct EmbedOutput {
  std::vector<Embedding> embeddings{};
  std::int64_t n_tokens = 0;  ///< Of all inputs.
};

/// The scores of the documents, in their order.
struct ScoreOutput {
  std::vector<float> scores{};
  std::int64_t n_tokens = 0;
};

struct RankedDocument {
  int index = 0;  ///< Among the documents that were given.
  float score = 0.0F;
};
struct RerankOutput {
  std::vector<RankedDocument> results{};  ///< Best first.
  std::int64_t n_tokens = 0;
};

}  // namespace openllm
