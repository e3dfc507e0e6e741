#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "openllm/error.h"
#include "openllm/llm.h"
#include "openllm/options.h"

namespace openllm {

/// One of those that are compared: a backend with its options of loading.
struct CompareTarget {
  std::string name{};   ///< As the comparison shows it.
  std::string model{};  ///< Given as for LLM; empty: the model that is compared.
  LoadOptions load{};   ///< `backend` is named.
};

/// Reads targets with commas between them, each "BACKEND[:SETTING]...", a setting being
/// "NAME=VALUE", or the name of a device, or "fast-activations": "native", "native:reference",
/// "native:cpu:kv-dtype=int8", "pt:cuda:1", "vllm:url=http://gpu1:8000", "native:model=./q4.gguf".
/// Names are `device`, `dtype`, `quantize`, `kv-dtype`, `url` and `model`; the value of the last
/// two goes on to the end. All else is as in `base`, whose options of one backend are for that one
/// alone.
///
/// Throws kInvalidArgument for what is no target, and for an option of `base` that none of them
/// has.
OPENLLM_API std::vector<CompareTarget> parse_compare_targets(const std::string& list,
                                                             const LoadOptions& base = {});

struct CompareOptions {
  int max_new_tokens = 32;  ///< Of each greedy answer; 0: the prompts alone are compared.
  /// Tokens to ask for at each position where a backend gives no logits: 1 to 128. A vLLM server
  /// gives at most 20 unless it was started with more.
  int top = 20;
  /// Most memory, in bytes, for the logits of the first backend, which are kept while the others
  /// are asked. What does not fit is compared by the likeliest tokens.
  std::int64_t max_bytes = std::int64_t{1} << 30U;
};

/// A token, and how clear the choice of it was.
struct ComparedToken {
  std::int32_t token_id = -1;  ///< -1: the answer had ended.
  std::string text{};          ///< As LLM::token_text; empty without a tokenizer.
  /// Its logprob minus that of the second likeliest token, or of the likeliest other one.
  std::optional<double> gap{};
};

/// Where a greedy answer leaves that of the first backend.
struct TokenDifference {
  std::size_t prompt = 0;    ///< Index in Comparison::prompts.
  std::size_t position = 0;  ///< Index in the answer.
  ComparedToken expected{};  ///< Of the first backend.
  ComparedToken got{};
};

/// What one target said, beside the first. Positions are those of all prompts and of the first
/// backend's answers to them: every token but the first of each sequence, given all before it.
struct ComparedBackend {
  std::string name{};
  std::optional<ErrorCode> code{};  ///< It could not be compared, because of `error`.
  std::string error{};
  BackendInfo info{};
  std::int64_t n_positions = 0;
  /// Whether all logits were compared; else the tokens that both list at a position, and the rest
  /// of the vocabulary as if it were one token. The divergence is then a lower bound.
  bool has_all_logits = false;
  /// Probability by the first backend of the tokens that were not compared one by one.
  double missing_mean = 0.0;
  double missing_max = 0.0;
  /// Kullback-Leibler divergence from the first backend's distribution to this one's, in nats;
  /// infinite where this one rules out what the first one does not.
  double kl_mean = 0.0;
  double kl_max = 0.0;
  /// Share of the positions at which both have the same likeliest token (of equal ones the lowest
  /// id).
  double top1_agreement = 1.0;
  /// Of the logprobs of the tokens that stand there.
  double logprob_difference_mean = 0.0;
  double logprob_difference_max = 0.0;
  std::size_t n_same_answers = 0;
  std::vector<TokenDifference> differences{};  ///< Of the other answers, by prompt.
};

struct ComparedPrompt {
  std::vector<std::int32_t> token_ids{};
  std::vector<std::int32_t> answer_token_ids{};  ///< Of the first backend.
  std::string answer{};
};

struct Comparison {
  std::vector<ComparedPrompt> prompts{};
  /// In the order of the targets.
  std::vector<ComparedBackend> backends{};
  /// Index of the backend that the others are compared with: the first that runs. Unset: none does.
  std::optional<std::size_t> first{};
};

/// A few texts of several kinds and languages, for comparisons that bring none.
OPENLLM_API std::vector<Prompt> compare_prompts();

/// Asks every target the same: greedy answers, without any of the model's rules of sampling, and
/// the distribution of each token of the first target's sequences given the tokens before it.
/// Targets are loaded one after the other. One that cannot be loaded, or fails, is listed with its
/// error. `prompts` are tokenized by the first target that runs.
///
/// Throws kInvalidArgument for fewer than two targets, no prompt, or options out of their range.
OPENLLM_API Comparison compare(const std::string& model, const std::vector<CompareTarget>& targets,
                               const std::vector<Prompt>& prompts = compare_prompts(),
                               const CompareOptions& options = {});

}  // namespace openllm
