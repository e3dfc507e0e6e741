#pragma once

#if __cplusplus < 202002L
#error "openllm needs C++20 (compile with -std=c++20 or later)"
#endif

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "openllm/error.h"

namespace openllm {

/// The seed that stands for a random one, also over a default: -1.
constexpr std::uint64_t kRandomSeed = ~std::uint64_t{0};

/// From `start` tokens of the answer on, each further token multiplies what the end-of-sequence
/// tokens gain by `factor`: they gain |score| * (factor^(length - start) - 1).
struct LengthDecay {
  int start = 0;        ///< At least 0.
  float factor = 1.0F;  ///< Above 0; above 1 answers get shorter.
  friend bool operator==(const LengthDecay&, const LengthDecay&) = default;
};

/// When a beam search is over, as transformers has it; in JSON `false`, `true` or "never".
enum class EarlyStopping : std::uint8_t {
  kFalse,  ///< When no running beam is likely to get better than the worst finished one.
  kTrue,   ///< As soon as there are as many finished ones as beams.
  kNever,  ///< When no running beam can get better, however long it becomes.
};

struct GenerationConfig;
struct SamplingParams;

/// Defaults of a model's requests, as a patch: a field that is unset leaves the layer below as it
/// is.
///
/// Each layer overrides those before it, field by field:
///   1. the numbers in parentheses below,
///   2. those of the model's family, if it has any,
///   3. the model's files: generation_config.json; in GGUF the metadata `general.sampling.*`,
///   4. the environment: OPENLLM_CONFIG (a JSON object), then OPENLLM_GENERATION_<FIELD>, then
///      OPENLLM_SAMPLING_<FIELD>; a field that does not exist is an error,
///   5. LoadOptions::config,
///   6. the request (GenerateOptions).
/// docs/fields.md lists every field with its range.
struct OPENLLM_API LLMConfig {
  /// Tokens to generate at most (20); -1: to the end of the context, where conversations go anyway
  /// unless the request has a limit.
  std::optional<int> max_new_tokens{};
  /// No end-of-sequence or stop token before so many tokens (0).
  std::optional<int> min_new_tokens{};
  /// Tokens of prompt and answer together at most, instead of max_new_tokens: of the two the later
  /// layer decides, and a layer with both is kInvalidArgument (but for a model's files, where
  /// max_new_tokens counts, as in transformers). Conversations do not heed a configuration's.
  std::optional<int> max_length{};
  /// No end of the answer before prompt and answer have so many tokens together, instead of
  /// min_new_tokens: by the same rules.
  std::optional<int> min_length{};
  /// Divides the logits before the choice; <= 1e-5 means greedy (1).
  std::optional<float> temperature{};
  /// Keep the k most likely tokens; 0 or less: all (50).
  std::optional<int> top_k{};
  /// Keep the smallest set of tokens with this probability mass; < 1e-8 means greedy (1).
  std::optional<float> top_p{};
  /// Keep tokens with at least min_p times the top probability (0).
  std::optional<float> min_p{};
  /// Keep the tokens whose surprise is nearest to the expected one, with this probability mass
  /// (locally typical sampling); 1: all (1).
  std::optional<float> typical_p{};
  /// Leave out tokens less probable than this, but for the most likely one; 0: none (0).
  std::optional<float> epsilon_cutoff{};
  /// The same with min(eta, sqrt(eta) * exp(-entropy)); 0: none (0).
  std::optional<float> eta_cutoff{};
  /// Over prompt and output, as in CTRL; 1: off (1).
  std::optional<float> repetition_penalty{};
  /// Subtracted once from each token seen in the output (0).
  std::optional<float> presence_penalty{};
  /// Subtracted per occurrence in the output (0).
  std::optional<float> frequency_penalty{};
  /// No run of so many tokens occurs twice in prompt and answer; 0: off (0).
  std::optional<int> no_repeat_ngram_size{};
  // The following as in transformers; lists that are empty are unset, unless `cleared` has them.
  /// Runs of tokens that do not come, also where the prompt has begun one.
  std::vector<std::vector<std::int32_t>> bad_words_ids{};
  /// Added to the logit of the last token of a run where prompt and answer end with the others.
  std::map<std::vector<std::int32_t>, float> sequence_bias{};
  /// Tokens that never come.
  std::vector<std::int32_t> suppress_tokens{};
  /// Tokens that do not come first.
  std::vector<std::int32_t> begin_suppress_tokens{};
  /// The token that follows a prompt of one token.
  std::optional<int> forced_bos_token_id{};
  /// One of these is the last token that the length allows.
  std::vector<std::int32_t> forced_eos_token_id{};
  /// Makes the end likelier beyond a length.
  std::optional<LengthDecay> exponential_decay_length_penalty{};
  /// Tokens that end an answer. Empty: unset, and then the model's own.
  std::vector<std::int32_t> eos_token_ids{};
  /// Beam search: so many texts are made side by side, and the `n` best are given, best first; 1:
  /// none (1). Nothing is drawn then: `temperature` and the like have no influence.
  std::optional<int> num_beams{};
  /// Groups that the beams are divided into, of which later ones keep from what earlier ones say
  /// (1).
  std::optional<int> num_beam_groups{};
  /// Subtracted from a token's score for each beam of the groups before that takes it (0).
  std::optional<float> diversity_penalty{};
  /// Beams are ranked by the sum of their logprobs divided by length^length_penalty (1).
  std::optional<float> length_penalty{};
  std::optional<EarlyStopping> early_stopping{};  ///< (kFalse)
  // The following as in GenerateOptions.
  std::optional<int> n{};        ///< Number of choices (1).
  std::optional<int> best_of{};  ///< Makes so many, gives the n best. Streams fail with it.
  std::optional<std::uint64_t> seed{};
  std::map<std::int32_t, float> logit_bias{};
  std::vector<std::int32_t> allowed_token_ids{};
  std::vector<std::string> bad_words{};
  std::vector<std::string> stop{};
  std::vector<std::int32_t> stop_token_ids{};
  std::optional<bool> include_stop_in_output{};         ///< (false)
  std::optional<bool> ignore_eos{};                     ///< (false)
  std::optional<int> logprobs{};                        ///< Unset: none.
  std::optional<int> prompt_logprobs{};                 ///< Unset: none.
  std::optional<bool> skip_special_tokens{};            ///< (true)
  std::optional<bool> spaces_between_special_tokens{};  ///< (true)
  std::optional<bool> clean_up_tokenization_spaces{};   ///< (false)
  std::optional<int> stream_interval{};                 ///< (1)
  std::optional<bool> truncate_prompt{};                ///< (false)
  std::optional<std::chrono::milliseconds> timeout{};   ///< Unset: none.
  /// Names of fields (docs/fields.md) that the layers below do not count for: a list is empty
  /// again, any other field as if no layer had set it. In JSON an empty list, and `false` for a
  /// field without a default in parentheses, say the same.
  std::vector<std::string> cleared{};

  /// The environment's layer, and over it the members of a JSON object: fields by any of their
  /// names, or groups of them in `generation_config`, `sampling_config` and `llm_config`. Nulls say
  /// nothing. Throws kInvalidArgument for wrong values, for a field that is given twice and, with
  /// the nearest name, for one that does not exist; kUnsupported naming one whose value cannot be
  /// honoured.
  static LLMConfig model_construct_env(std::string_view attrs_json = "{}");

  /// With the numbers in parentheses where nothing else is set.
  LLMConfig resolved() const;
  /// The fields of `resolved()` that transformers has.
  GenerationConfig to_generation_config() const;
  /// `resolved()` as the engine gets it: greedy is temperature 0 and top_p 1.
  SamplingParams to_sampling_config() const;
  /// `resolved()` as the options of a backend, a JSON object: for "native" by the names of this
  /// struct's fields, for "vllm" those of its SamplingParams, for "pt" those of transformers. What
  /// is done before or after the backend is left out. Throws kNotFound for another backend,
  /// kUnsupported naming a field that it does not have.
  std::string inference_options(const std::string& backend) const;
  /// The fields that are set, a JSON object that `model_construct_env` reads. Those that
  /// transformers has stand in `generation_config`, unless `flatten`.
  std::string model_dump_json(bool flatten = false) const;
  /// The value of a field, by any of its names, as a JSON text: of `resolved()`, so it is "null"
  /// only where there is no default. Throws kInvalidArgument, with the nearest name, for an unknown
  /// one.
  std::string operator[](std::string_view name) const;

  friend bool operator==(const LLMConfig&, const LLMConfig&) = default;
};

/// What transformers' class of that name has, with its defaults. Fields without a remark are those
/// of LLMConfig.
struct GenerationConfig {
  int max_new_tokens = 20;
  std::optional<int> min_new_tokens{};
  std::optional<int> max_length{};  ///< Where it is set it stands for max_new_tokens.
  int min_length = 0;               ///< Stands back for min_new_tokens.
  std::optional<std::chrono::milliseconds> max_time{};  ///< LLMConfig::timeout.
  float temperature = 1.0F;
  int top_k = 50;
  float top_p = 1.0F;
  float min_p = 0.0F;
  float typical_p = 1.0F;
  float epsilon_cutoff = 0.0F;
  float eta_cutoff = 0.0F;
  float repetition_penalty = 1.0F;
  int no_repeat_ngram_size = 0;
  std::vector<std::vector<std::int32_t>> bad_words_ids{};
  std::map<std::vector<std::int32_t>, float> sequence_bias{};
  std::vector<std::int32_t> suppress_tokens{};
  std::vector<std::int32_t> begin_suppress_tokens{};
  std::optional<int> forced_bos_token_id{};
  std::vector<std::int32_t> forced_eos_token_id{};
  std::optional<LengthDecay> exponential_decay_length_penalty{};
  int num_return_sequences = 1;              ///< LLMConfig::n.
  std::vector<std::int32_t> eos_token_id{};  ///< Empty: the model's own.
  std::optional<int> logprobs{};
  std::optional<int> prompt_logprobs{};
  int num_beams = 1;
  int num_beam_groups = 1;
  float diversity_penalty = 0.0F;
  float length_penalty = 1.0F;
  EarlyStopping early_stopping = EarlyStopping::kFalse;
  // Only these values can be honoured; others are kUnsupported when a request is made of them.
  std::optional<float> penalty_alpha{};
  bool use_cache = true;
  float encoder_repetition_penalty = 1.0F;
  std::vector<std::vector<std::int32_t>> force_words_ids{};
  bool renormalize_logits = false;
  bool remove_invalid_values = false;
  std::vector<std::vector<std::int32_t>> forced_decoder_ids{};
  bool output_attentions = false;
  bool output_hidden_states = false;
  bool output_scores = false;
  std::optional<int> pad_token_id{};
  std::optional<int> bos_token_id{};
  int encoder_no_repeat_ngram_size = 0;
  std::optional<int> decoder_start_token_id{};

  friend bool operator==(const GenerationConfig&, const GenerationConfig&) = default;
};

/// What decides the tokens and the text of an answer, in vLLM's names and with its defaults; fields
/// that it does not have are named as in LLMConfig.
struct SamplingParams {
  int n = 1;
  std::optional<int> best_of{};
  int max_tokens = 16;  ///< -1: to the end of the context.
  int min_tokens = 0;
  std::optional<int> max_length{};  ///< Where it is set it stands for max_tokens.
  std::optional<int> min_length{};  ///< Where it is set it stands for min_tokens.
  float temperature = 1.0F;
  int top_k = -1;
  float top_p = 1.0F;
  float min_p = 0.0F;
  float typical_p = 1.0F;
  float epsilon_cutoff = 0.0F;
  float eta_cutoff = 0.0F;
  float repetition_penalty = 1.0F;
  float presence_penalty = 0.0F;
  float frequency_penalty = 0.0F;
  int no_repeat_ngram_size = 0;
  std::vector<std::vector<std::int32_t>> bad_words_ids{};
  std::vector<std::string> bad_words{};
  std::vector<std::int32_t> allowed_token_ids{};
  std::vector<std::int32_t> suppress_tokens{};
  std::vector<std::int32_t> begin_suppress_tokens{};
  std::optional<int> forced_bos_token_id{};
  std::vector<std::int32_t> forced_eos_token_id{};
  std::map<std::vector<std::int32_t>, float> sequence_bias{};
  std::map<std::int32_t, float> logit_bias{};
  std::optional<LengthDecay> exponential_decay_length_penalty{};
  std::optional<std::uint64_t> seed{};
  std::vector<std::string> stop{};
  std::vector<std::int32_t> stop_token_ids{};
  std::vector<std::int32_t> eos_token_ids{};  ///< Empty: the model's own.
  bool include_stop_str_in_output = false;
  bool ignore_eos = false;
  std::optional<int> logprobs{};
  std::optional<int> prompt_logprobs{};
  bool skip_special_tokens = true;
  bool spaces_between_special_tokens = true;
  bool clean_up_tokenization_spaces = false;
  int stream_interval = 1;
  bool truncate_prompt = false;
  std::optional<std::chrono::milliseconds> timeout{};
  int num_beams = 1;
  int num_beam_groups = 1;
  float diversity_penalty = 0.0F;
  float length_penalty = 1.0F;
  EarlyStopping early_stopping = EarlyStopping::kFalse;
  // Only this value can be honoured; another is kUnsupported when a request is made of it.
  bool use_beam_search = false;

  friend bool operator==(const SamplingParams&, const SamplingParams&) = default;
};

/// What the environment says of the defaults (layer 4 of LLMConfig). Throws kInvalidArgument and
/// kUnsupported naming the variable.
OPENLLM_API LLMConfig environment_config();

}  // namespace openllm
