#include "openllm/text.h"

#include <filesystem>

#include "base/error.h"
#include "base/json.h"
#include "chat/render_text.h"
#include "llm/model_files.h"
#include "llm/tokenizer_files.h"

namespace openllm {
namespace {

format::ModelSource open_model(const std::string& model) {
  llm::WantedModel wanted;
  wanted.model = model;
  return llm::open_source(llm::resolve_model(wanted), "auto");
}

std::shared_ptr<const tokenizer::Tokenizer> load(const std::string& model_or_file,
                                                 const LoadOptions& options) {
  std::error_code ignored;
  const bool is_file = std::filesystem::is_regular_file(model_or_file, ignored);
  if (is_file) {
    if (auto found = llm::load_file_tokenizer(model_or_file)) return found;
  }
  if (std::filesystem::is_directory(model_or_file, ignored)) {
    if (auto found = llm::load_folder_tokenizer(model_or_file)) return found;
  }
  const format::ModelSource source = open_model(model_or_file);
  auto found = llm::load_tokenizer(source, options.tokenizer_pre);
  if (found == nullptr)
    base::fail_at(ErrorCode::kUnsupported, model_or_file, "the model has no tokenizer");
  return found;
}

}  // namespace

struct TextTokenizer::Impl {
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
};

TextTokenizer::TextTokenizer(const std::string& model_or_file, const LoadOptions& options)
    : impl_(std::make_shared<Impl>(Impl{load(model_or_file, options)})) {}

Encoding TextTokenizer::encode(std::string_view text, const TokenizeOptions& options) const {
  tokenizer::EncodeOptions encode;
  encode.add_special_tokens = options.add_special_tokens;
  encode.parse_special = options.parse_special;
  Encoding out;
  for (const auto& token : impl_->tokenizer->encode_with_offsets(text, encode)) {
    out.ids.push_back(token.id);
    out.tokens.emplace_back(token.name.empty() ? impl_->tokenizer->token_piece(token.id)
                                               : std::string_view(token.name));
    out.offsets.push_back({token.begin, token.end});
  }
  return out;
}

std::string TextTokenizer::decode(const std::vector<std::int32_t>& token_ids,
                                  bool skip_special_tokens) const {
  for (const std::int32_t id : token_ids) {
    if (id >= 0 && id < vocab_size()) continue;
    base::fail_at(ErrorCode::kInvalidArgument, "token_ids", "no such token (expected 0 to ",
                  vocab_size() - 1, ", got ", id, ")");
  }
  return impl_->tokenizer->decode(token_ids, skip_special_tokens);
}

std::string TextTokenizer::token_text(std::int32_t token_id) const {
  return std::string(impl_->tokenizer->token_bytes(token_id));
}

int TextTokenizer::vocab_size() const { return impl_->tokenizer->vocab_size(); }

std::string chat_template_source(const std::string& model) {
  const format::ModelSource source = open_model(model);
  for (const format::NamedTemplate& named : source.chat_templates) {
    if (named.name == "default") return named.source;
  }
  if (source.chat_templates.empty())
    base::fail_at(ErrorCode::kUnsupported, model, "the model has no chat template");
  return source.chat_templates.front().source;
}

std::string render_template(const std::string& source, const std::string& data_json,
                            const std::string& place) {
  const base::Json data = base::Json::parse(data_json, "data");
  if (!data.is_object())
    base::fail_at(ErrorCode::kInvalidArgument, "data", "wrong type (expected object, got ",
                  data.type_name(), ")");
  return chat::render_text(source, data, place);
}

}  // namespace openllm
