#include "tokenizer/unigram/unigram.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "tokenizer/unicode/fast_utf8.h"
#include "tokenizer/vocab/byte_tokens.h"
#include "tokenizer/vocab/cached_session.h"

namespace openllm::tokenizer {
namespace {

constexpr double kUnknownPenalty = 10;
// SentencePiece looks for the highest score from here on, so that it is this for log-probabilities.
constexpr double kLeastHighest = std::numeric_limits<float>::min();
constexpr std::size_t kMaxWordBytes = std::size_t{1} << 31U;

std::size_t char_length(char lead) noexcept {
  const auto byte = static_cast<unsigned char>(lead);
  if (byte < 0xC0) return 1;
  if (byte < 0xE0) return 2;
  return byte < 0xF0 ? 3 : 4;
}

bool is_set(const std::vector<bool>& flags, TokenId id) {
  return !flags.empty() && flags[static_cast<std::size_t>(id)];
}

}  // namespace

Unigram::Unigram(const Vocab& vocab, std::vector<double> scores, UnigramOptions options)
    : vocab_(&vocab), scores_(std::move(scores)), options_(std::move(options)) {
  scores_.resize(static_cast<std::size_t>(vocab.size()));
  double lowest = std::numeric_limits<double>::infinity();
  double highest = kLeastHighest;
  std::vector<ByteTrie::Entry> entries;
  for (TokenId id = 0; id < vocab.size(); ++id) {
    if (is_set(options_.unused, id)) continue;
    const double score = scores_[static_cast<std::size_t>(id)];
    if (!is_set(options_.preferred, id)) {
      lowest = std::min(lowest, score);
      highest = std::max(highest, score);
    }
    if (vocab.is_found(id)) entries.push_back({vocab.piece(id), id});
  }
  trie_ = ByteTrie(std::move(entries));
  unknown_score_ = lowest - kUnknownPenalty;
  for (TokenId id = 0; id < vocab.size(); ++id) {
    // Worth more than all tokens that it could be cut into.
    if (is_set(options_.preferred, id))
      scores_[static_cast<std::size_t>(id)] =
          static_cast<double>(vocab.piece(id).size()) * highest - 0.1;
  }
  if (options_.byte_fallback) byte_tokens_ = find_byte_tokens(vocab);
}

void Unigram::find_steps(std::string_view word, std::vector<Step>& steps) const {
  steps.assign(word.size() + 1, Step{});
  for (std::size_t begin = 0; begin < word.size();) {
    const double so_far = steps[begin].score;
    const std::size_t n_char = std::min(char_length(word[begin]), word.size() - begin);
    bool has_char = false;
    const auto offer = [&](std::size_t length, TokenId id, double score) {
      Step& step = steps[begin + length];
      double sum = so_far + score;
      if (options_.single_precision) sum = static_cast<double>(static_cast<float>(sum));
      if (step.id != kNone && !(sum > step.score)) return;
      step = {sum, static_cast<std::uint32_t>(begin), id};
    };
    trie_.for_prefixes(word.substr(begin), [&](std::size_t length, TokenId id) {
      offer(length, id, scores_[static_cast<std::size_t>(id)]);
      has_char = has_char || length == n_char;
    });
    if (!has_char) offer(n_char, kUnknown, unknown_score_);
    begin += n_char;
  }
}

void Unigram::append_unknown(std::string_view word, std::size_t begin, std::size_t end,
                             std::vector<Piece>& out) const {
  // Characters that are unknown alone may be known together.
  const std::string_view text = word.substr(begin, end - begin);
  const auto id = options_.finds_unknown ? vocab_->find(text) : std::nullopt;
  if (id) {
    out.push_back({*id, begin, end});
  } else if (!byte_tokens_.empty()) {
    // The last one first: the caller works from the end.
    for (auto c = text.rbegin(); c != text.rend(); ++c)
      out.push_back({byte_tokens_[static_cast<unsigned char>(*c)], begin, end});
  } else if (options_.unk_id) {
    out.push_back({*options_.unk_id, begin, end, true});
  } else {
    base::fail(ErrorCode::kInvalidArgument, "tokenizer: no token for \"", text.substr(0, 100),
               "\", and none for unknown text");
  }
}

void Unigram::locate(std::string_view word, std::vector<Piece>& out) const {
  if (word.size() > kMaxWordBytes) {
    base::fail(ErrorCode::kInvalidArgument, "tokenizer: word is too long (at most ", kMaxWordBytes,
               " bytes, got ", word.size(), ")");
  }
  std::vector<Step> steps;
  find_steps(word, steps);
  const auto first = static_cast<std::ptrdiff_t>(out.size());
  constexpr std::size_t kNowhere = ~std::size_t{0};
  std::size_t unknown_end = kNowhere;
  for (std::size_t end = word.size(); end > 0;) {
    const Step& step = steps[end];
    const bool unknown = step.id == kUnknown || (step.id == options_.unk_id);
    if (unknown && unknown_end == kNowhere) unknown_end = end;
    if (!unknown) {
      if (unknown_end != kNowhere) append_unknown(word, end, unknown_end, out);
      unknown_end = kNowhere;
      out.push_back({step.id, step.begin, end});
    }
    end = step.begin;
  }
  if (unknown_end != kNowhere) append_unknown(word, 0, unknown_end, out);
  std::reverse(out.begin() + first, out.end());
}

std::size_t Unigram::max_token_bytes() const noexcept {
  return byte_tokens_.empty() ? 0 : vocab_->longest_bytes();
}

std::unique_ptr<Model::Session> Unigram::start(std::size_t text_bytes) const {
  return std::make_unique<CachedSession>(*this, text_bytes);
}

}  // namespace openllm::tokenizer
