#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/tokenizer.h"

namespace openllm::tokenizer {
namespace {

constexpr std::string_view kReplacementUtf8 = "\xEF\xBF\xBD";

}  // namespace

IncrementalDecoder::IncrementalDecoder(const Tokenizer& tokenizer, bool skip_special,
                                       bool continues)
    : tokenizer_(&tokenizer),
      skip_special_(skip_special),
      at_start_(!continues),
      first_token_(!continues) {}

std::string IncrementalDecoder::push(TokenId id) {
  std::string out;
  if (tokenizer_->token_piece(id).empty()) return out;
  const bool is_special = tokenizer_->is_special(id);
  if (skip_special_ && is_special) return out;
  if (tokenizer_->drops_repeats()) {
    const bool repeats =
        repeats_ && tokenizer_->token_piece(*repeats_) == tokenizer_->token_piece(id);
    repeats_ = id;
    if (repeats) return out;
  }
  const bool is_joined = joins_special_ && is_special && last_is_special_;
  last_is_special_ = is_special;
  const bool first = first_token_;
  first_token_ = false;
  if (tokenizer_->last_differs()) {
    if (held_)
      append(out, held_is_first_ ? tokenizer_->first_token_bytes(*held_)
                                 : tokenizer_->token_bytes(*held_));
    held_ = id;
    held_is_first_ = first;
    return out;
  }
  if (tokenizer_->is_byte_token(id)) {
    if (byte_run_.empty()) run_is_first_ = first;
    byte_run_ += tokenizer_->token_bytes(id);
    return out;
  }
  append_byte_run(out);
  if (is_joined) {
    append(out, tokenizer_->token_piece(id));
  } else {
    append(out, first ? tokenizer_->first_token_bytes(id) : tokenizer_->token_bytes(id));
  }
  return out;
}

std::string IncrementalDecoder::flush() {
  std::string out;
  if (held_) append(out, tokenizer_->last_token_text(*held_, held_is_first_));
  held_.reset();
  append_byte_run(out);
  if (!pending_.empty()) out += kReplacementUtf8;
  pending_.clear();
  return out;
}

void IncrementalDecoder::append_byte_run(std::string& out) {
  if (byte_run_.empty()) return;
  std::string run;
  run.swap(byte_run_);
  if (base::is_valid_utf8(run))
    return append(out, tokenizer_->byte_run_text(std::move(run), run_is_first_));
  for (std::size_t i = 0; i < run.size(); ++i)
    append(out, tokenizer_->byte_run_text(std::string(kReplacementUtf8), run_is_first_ && i == 0));
}

void IncrementalDecoder::append(std::string& out, std::string_view bytes) {
  if (bytes.empty()) return;
  if (at_start_) {
    at_start_ = false;
    if (tokenizer_->strips_leading_space() && bytes.front() == ' ') bytes.remove_prefix(1);
  }
  std::string joined;
  if (!pending_.empty()) {
    joined = pending_;
    joined += bytes;
    bytes = joined;
  }
  const std::size_t tail = base::incomplete_utf8_tail(bytes);
  out += base::sanitize_utf8(bytes.substr(0, bytes.size() - tail));
  pending_ = std::string(bytes.substr(bytes.size() - tail));
}

std::vector<LocatedToken> Tokenizer::encode_with_offsets(std::string_view,
                                                         const EncodeOptions&) const {
  base::fail(ErrorCode::kUnsupported, "tokenizer: it does not know the places of its tokens");
}

base::Json Tokenizer::special_tokens_map() const {
  base::Json map = base::Json::object();
  if (!bos_piece().empty()) map["bos_token"] = bos_piece();
  if (!eos_piece().empty()) map["eos_token"] = eos_piece();
  return map;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  IncrementalDecoder decoder(*this, skip_special);
  std::string text;
  for (const TokenId id : ids) text += decoder.push(id);
  text += decoder.flush();
  return text;
}

}  // namespace openllm::tokenizer
