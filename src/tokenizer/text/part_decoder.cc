#include "tokenizer/text/part_decoder.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace openllm::tokenizer {

PartDecoder::PartDecoder(const Tokenizer& tokenizer, bool skip_special, bool continues)
    : tokenizer_(&tokenizer),
      skip_special_(skip_special),
      at_start_(!continues),
      first_token_(!continues) {}

std::vector<std::string> PartDecoder::push(TokenId id) {
  const std::size_t owner = n_taken_ + parts_.size();
  parts_.emplace_back();
  if (tokenizer_->token_piece(id).empty()) return take_known();
  if (skip_special_ && tokenizer_->is_special(id)) return take_known();
  if (tokenizer_->drops_repeats()) {
    const bool repeats =
        repeats_ && tokenizer_->token_piece(*repeats_) == tokenizer_->token_piece(id);
    repeats_ = id;
    if (repeats) return take_known();
  }
  const bool first = std::exchange(first_token_, false);
  if (tokenizer_->last_differs()) {
    if (held_)
      append(*held_, held_is_first_ ? tokenizer_->first_token_bytes(held_id_)
                                    : tokenizer_->token_bytes(held_id_));
    held_ = owner;
    held_id_ = id;
    held_is_first_ = first;
    return take_known();
  }
  if (tokenizer_->is_byte_token(id)) {
    if (byte_run_.empty()) run_is_first_ = first;
    byte_run_ += tokenizer_->token_bytes(id);
    run_owners_.resize(byte_run_.size(), owner);
  } else {
    append_byte_run();
    append(owner, first ? tokenizer_->first_token_bytes(id) : tokenizer_->token_bytes(id));
  }
  return take_known();
}

std::vector<std::string> PartDecoder::flush() {
  if (held_) append(*held_, tokenizer_->last_token_text(held_id_, held_is_first_));
  held_.reset();
  append_byte_run();
  if (!pending_.empty()) base::append_utf8(parts_[pending_owner_ - n_taken_], base::kReplacement);
  pending_.clear();
  return take_known();
}

void PartDecoder::append_byte_run() {
  if (byte_run_.empty()) return;
  const std::string run = std::exchange(byte_run_, {});
  const std::vector<std::size_t> owners = std::exchange(run_owners_, {});
  if (!base::is_valid_utf8(run)) {
    std::string replacement;
    base::append_utf8(replacement, base::kReplacement);
    for (std::size_t i = 0; i < run.size(); ++i)
      append(owners[i], tokenizer_->byte_run_text(replacement, run_is_first_ && i == 0));
    return;
  }
  const std::string text = tokenizer_->byte_run_text(run, run_is_first_);
  if (text != run) return append(owners.front(), text);  // rewritten: bytes have no owners any more
  for (std::size_t i = 0; i < run.size(); ++i) append(owners[i], text.substr(i, 1));
}

void PartDecoder::append(std::size_t owner, std::string_view bytes) {
  if (bytes.empty()) return;
  if (at_start_) {
    at_start_ = false;
    if (tokenizer_->strips_leading_space() && bytes.front() == ' ') bytes.remove_prefix(1);
  }
  const std::size_t n_pending = pending_.size();
  const std::string joined = pending_.append(bytes);
  const std::size_t end = joined.size() - base::incomplete_utf8_tail(joined);
  for (std::size_t pos = 0; pos < end;) {
    const std::size_t whose = pos < n_pending ? pending_owner_ : owner;
    base::append_utf8(parts_[whose - n_taken_], base::decode_utf8(joined, pos));
  }
  pending_ = joined.substr(end);
  if (end >= n_pending) pending_owner_ = owner;
}

std::vector<std::string> PartDecoder::take_known() {
  std::size_t end = n_taken_ + parts_.size();
  if (!run_owners_.empty()) end = run_owners_.front();
  if (held_) end = std::min(end, *held_);
  if (!pending_.empty()) end = std::min(end, pending_owner_);
  std::vector<std::string> known;
  for (; n_taken_ < end; ++n_taken_) {
    known.push_back(std::move(parts_.front()));
    parts_.pop_front();
  }
  return known;
}

}  // namespace openllm::tokenizer
