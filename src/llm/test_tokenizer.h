#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace openllm::llm {

/// A double: a list of tokens, each with its text. Those in angle brackets are special.
class TestTokenizer : public tokenizer::Tokenizer {
 public:
  explicit TestTokenizer(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {}

  std::vector<tokenizer::TokenId> encode(
      std::string_view /*text*/, const tokenizer::EncodeOptions& /*options*/) const override {
    return {};
  }
  std::vector<tokenizer::LocatedToken> encode_with_offsets(
      std::string_view /*text*/, const tokenizer::EncodeOptions& /*options*/) const override {
    return {};
  }
  int vocab_size() const noexcept override { return static_cast<int>(tokens_.size()); }
  std::string_view token_bytes(tokenizer::TokenId id) const noexcept override {
    return tokens_[static_cast<std::size_t>(id)];
  }
  std::string_view token_piece(tokenizer::TokenId id) const noexcept override {
    return token_bytes(id);
  }
  std::optional<tokenizer::TokenId> find_token(std::string_view piece) const noexcept override {
    const auto found = std::find(tokens_.begin(), tokens_.end(), piece);
    if (found == tokens_.end()) return std::nullopt;
    return static_cast<tokenizer::TokenId>(found - tokens_.begin());
  }
  bool is_special(tokenizer::TokenId id) const noexcept override {
    return token_bytes(id).front() == '<' && token_bytes(id).back() == '>';
  }
  bool strips_leading_space() const noexcept override { return false; }
  std::optional<tokenizer::TokenId> bos_id() const noexcept override { return std::nullopt; }
  const std::vector<tokenizer::TokenId>& eos_ids() const noexcept override { return eos_ids_; }
  std::string_view bos_piece() const noexcept override { return {}; }
  std::string_view eos_piece() const noexcept override { return {}; }

 private:
  std::vector<std::string> tokens_;
  std::vector<tokenizer::TokenId> eos_ids_;
};

}  // namespace openllm::llm
