#include "base/error.h"
#include "tokenizer/files/config_tokens.h"
#include "tokenizer/files/hf_model.h"
#include "tokenizer/files/pipeline.h"
#include "tokenizer/json_fields.h"

namespace openllm::tokenizer {
namespace {

constexpr std::string_view kFile = "tokenizer.json";

void read_added_tokens(const base::Json& json, AddedTokens& added) {
  const base::Json& list = field_or_null(json, "added_tokens");
  if (list.is_null()) return;
  for (const base::Json& token : require_array(json, "added_tokens", kFile)) {
    added.add(token, to_token_id(require_field(token, "id", kFile), kFile), kFile);
  }
}

}  // namespace

std::unique_ptr<Tokenizer> make_tokenizer(const base::Json& tokenizer_json,
                                          const base::Json& tokenizer_config) {
  const base::Json& model = require_field(tokenizer_json, "model", kFile);
  PipelineParts parts;
  parts.vocab = read_hf_vocab(model);
  AddedTokens added(*parts.vocab);
  read_added_tokens(tokenizer_json, added);
  added.add_config(tokenizer_config);

  parts.normalizer = make_normalizer(field_or_null(tokenizer_json, "normalizer"));
  PreTokenizerChoice choice = make_pre_tokenizer(field_or_null(tokenizer_json, "pre_tokenizer"));
  parts.pre_tokenizer = std::move(choice.pre_tokenizer);
  parts.model = read_hf_model(model, *parts.vocab, choice.byte_level);
  parts.frame = parse_post_processor(field_or_null(tokenizer_json, "post_processor"));
  parts.decoder = DecodeRules::from_json(field_or_null(tokenizer_json, "decoder"));

  std::vector<std::string_view> eos_fallbacks;
  if (tokenizer_config.is_null()) {
    if (!parts.frame.before.empty()) parts.bos_id = parts.frame.before.front();
    eos_fallbacks = {"</s>", "<eos>", "<|endoftext|>", "<|end_of_text|>"};
  }
  finish_special_tokens(parts, added, tokenizer_config, std::move(eos_fallbacks));
  return make_pipeline(std::move(parts));
}

}  // namespace openllm::tokenizer
