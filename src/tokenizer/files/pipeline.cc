#include "tokenizer/files/pipeline.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/files/located.h"
#include "tokenizer/unicode/unicode.h"

namespace openllm::tokenizer {
namespace {

/// Strings by token id, in one block.
class TokenTexts {
 public:
  void reserve(std::size_t n_texts, std::size_t n_bytes) {
    ends_.reserve(n_texts);
    bytes_.reserve(n_bytes);
  }
  /// `append` adds the next text to the string that it gets.
  void push_back(base::FunctionRef<void(std::string&)> append) {
    append(bytes_);
    ends_.push_back(bytes_.size());
  }
  std::string_view at(TokenId id) const noexcept {
    const auto index = static_cast<std::size_t>(id);
    if (id < 0 || index >= ends_.size()) return {};
    const std::size_t begin = index == 0 ? 0 : ends_[index - 1];
    return std::string_view(bytes_).substr(begin, ends_[index] - begin);
  }
  void shrink() { bytes_.shrink_to_fit(); }

 private:
  std::string bytes_;
  std::vector<std::size_t> ends_;
};

/// Moves places in `text` to where they are in its normal form, by normalizing it once more with a
/// mark at each. False, without guards, when the normalizer did more to the marked text than it did
/// to the other.
bool follow_guards(std::string_view text, std::string_view normalized,
                   std::vector<std::size_t>& guards,
                   base::FunctionRef<std::string(std::string)> normalize) {
  constexpr std::string_view kMark = "\xF0\xAB\x9D\x80";  // an ideograph, U+2B740
  const std::size_t n_guards = guards.size();
  std::string marked;
  std::size_t done = 0;
  for (const std::size_t guard : guards) {
    marked.append(text.substr(done, guard - done)).append(kMark);
    done = guard;
  }
  marked.append(text.substr(done));
  marked = normalize(std::move(marked));
  guards.clear();
  if (text.find(kMark) != std::string_view::npos) return false;
  for (std::size_t at = marked.find(kMark); at != std::string::npos; at = marked.find(kMark, at)) {
    marked.erase(at, kMark.size());
    guards.push_back(at);
  }
  if (guards.size() == n_guards && marked == normalized) return true;
  guards.clear();
  return false;
}

constexpr std::size_t kMaxScanners = 8;  // one calls the other

enum Flag : unsigned char { kSpecial = 1, kByte = 2 };

class Pipeline final : public Tokenizer {
 public:
  explicit Pipeline(PipelineParts parts) : parts_(std::move(parts)) {
    size_ = parts_.vocab->size();
    for (const AddedToken& token : parts_.added) size_ = std::max(size_, token.id + 1);
    flags_.resize(static_cast<std::size_t>(size_));
    add_tokens();
    make_texts();
    for (const auto* ids : {&parts_.frame.before, &parts_.frame.after, &parts_.eos_ids}) {
      for (const TokenId id : *ids) require_id(id);
    }
    if (parts_.bos_id) require_id(*parts_.bos_id);
    if (parts_.frame.pair) {
      for (const PairPart& part : *parts_.frame.pair) {
        if (part.kind == PairPart::Kind::kToken) require_id(part.id);
      }
    }
    max_token_bytes_ = find_max_token_bytes();
    for (unsigned byte = 0; byte < 256; ++byte) {
      const bool is_utf8 = byte < 0xC0 || (byte > 0xC1 && byte < 0xF5);
      vanishing_bytes_[byte] =
          is_utf8 && parts_.model->may_vanish(static_cast<unsigned char>(byte));
      some_bytes_vanish_ = some_bytes_vanish_ || vanishing_bytes_[byte];
    }
    std::vector<WordScanner> scanners;
    const bool has_all =
        parts_.pre_tokenizer == nullptr || parts_.pre_tokenizer->add_scanners(scanners);
    if (has_all && scanners.size() <= kMaxScanners) scanners_ = std::move(scanners);
  }

  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const override;
  std::vector<LocatedToken> encode_with_offsets(std::string_view text,
                                                const EncodeOptions& options) const override;

  std::size_t n_tokens_after() const noexcept override { return parts_.frame.after.size(); }
  std::optional<std::span<const PairPart>> pair_parts() const noexcept override {
    if (!parts_.frame.pair) return std::nullopt;
    return std::span<const PairPart>(*parts_.frame.pair);
  }
  std::size_t min_tokens(std::string_view text) const noexcept override;

  int vocab_size() const noexcept override { return size_; }
  std::string_view token_bytes(TokenId id) const noexcept override { return texts_.at(id); }
  std::string_view first_token_bytes(TokenId id) const noexcept override {
    return parts_.decoder.first_differs() ? first_texts_.at(id) : texts_.at(id);
  }
  std::string_view token_piece(TokenId id) const noexcept override {
    const std::string_view added = added_.piece(id);
    return added.empty() ? parts_.vocab->piece(id) : added;
  }
  std::optional<TokenId> find_token(std::string_view piece) const noexcept override {
    const auto added = added_.find(piece);
    return added ? added : parts_.vocab->find(piece);
  }
  bool is_special(TokenId id) const noexcept override { return has_flag(id, kSpecial); }
  bool is_byte_token(TokenId id) const noexcept override { return has_flag(id, kByte); }
  std::string byte_run_text(std::string text, bool first) const override {
    return parts_.decoder.apply_to_bytes(std::move(text), first);
  }
  bool last_differs() const noexcept override { return parts_.decoder.last_differs(); }
  std::string last_token_text(TokenId id, bool first) const override {
    return parts_.decoder.apply_last(spelling(id), first);
  }
  bool drops_repeats() const noexcept override { return parts_.decoder.drops_repeats(); }
  bool strips_leading_space() const noexcept override {
    return parts_.decoder.strips_leading_space();
  }

  std::optional<TokenId> bos_id() const noexcept override { return parts_.bos_id; }
  const std::vector<TokenId>& eos_ids() const noexcept override { return parts_.eos_ids; }
  std::string_view bos_piece() const noexcept override {
    return parts_.bos_id ? token_piece(*parts_.bos_id) : "";
  }
  std::string_view eos_piece() const noexcept override {
    return parts_.eos_id ? token_piece(*parts_.eos_id) : "";
  }
  base::Json special_tokens_map() const override { return parts_.special_tokens_map; }
  std::vector<AddedText> added_tokens() const override {
    std::vector<AddedText> all;
    for (const AddedToken& token : parts_.added) all.push_back({token.content, token.special});
    return all;
  }

 private:
  bool has_flag(TokenId id, Flag flag) const noexcept {
    return id >= 0 && id < size_ && (flags_[static_cast<std::size_t>(id)] & flag) != 0;
  }
  void require_id(TokenId id) const {
    if (id >= 0 && id < size_) return;
    base::fail(ErrorCode::kCorruptData, "tokenizer: special token id out of range (expected below ",
               size_, ", got ", id, ")");
  }
  void add_tokens();
  void make_texts();
  /// What the decoder makes its text of.
  std::string_view spelling(TokenId id) const {
    const auto found = respelled_.find(id);
    return found == respelled_.end() ? token_piece(id) : std::string_view(found->second);
  }
  void append_text(std::string& out, TokenId id, std::string_view piece, bool first);
  std::size_t find_max_token_bytes() const noexcept;

  /// One encode call.
  struct Call {
    std::vector<TokenId>& out;
    const EncodeOptions& options;
    std::unique_ptr<Model::Session> session;
  };
  /// `offset`: of `text` in the whole.
  void encode_raw(Call& call, std::string_view text, std::size_t offset) const;
  std::string normalize(std::string text, bool at_start, std::size_t& start) const;
  /// `start`: see Words.
  void encode_normalized(Call& call, std::string_view text, std::size_t start) const;
  void encode_scanned(Call& call, std::string_view text, std::size_t depth) const;

  /// Appends tokens at bytes of the whole text.
  using Located = std::vector<LocatedToken>;
  /// See LocatedToken::name: white space that the token took belongs to it.
  std::string added_name(const AddedTokenMatcher::Segment& segment) const {
    return segment.text == token_piece(*segment.id) ? std::string() : std::string(segment.text);
  }
  void locate_raw(std::string_view text, std::size_t offset, bool parse_special,
                  Located& out) const;
  void locate_normalized(const AlignedText& text, AddedTokenMatcher::Segment segment,
                         std::size_t start, Located& out) const;

  PipelineParts parts_;
  int size_ = 0;
  std::unordered_map<TokenId, std::string> respelled_;  // where it is not token_piece()
  std::array<bool, 256> vanishing_bytes_{};
  bool some_bytes_vanish_ = false;
  std::size_t max_token_bytes_ = 0;  // that a token stands for, white space beside it apart
  Vocab added_;
  AddedTokenMatcher raw_matcher_;
  AddedTokenMatcher normalized_matcher_;
  std::optional<std::vector<WordScanner>> scanners_;  // that do all of the pre-tokenizer's work
  std::vector<unsigned char> flags_;
  TokenTexts texts_;
  TokenTexts first_texts_;
};

/// Gives the added tokens that the normalizer changes: they stand for what they match.
void Pipeline::add_tokens() {
  for (const AddedToken& token : parts_.added) {
    added_.set(token.id, token.content);
    auto& flags = flags_[static_cast<std::size_t>(token.id)];
    flags = static_cast<unsigned char>(token.special ? flags | kSpecial : flags & ~kSpecial);
    respelled_.erase(token.id);
    if (token.hidden) continue;
    if (!token.normalized || parts_.normalizer == nullptr) {
      (token.normalized ? normalized_matcher_ : raw_matcher_).add(token, token.content);
      continue;
    }
    std::string content = parts_.normalizer->apply(base::sanitize_utf8(token.content));
    normalized_matcher_.add(token, content);
    if (content != token.content) respelled_[token.id] = std::move(content);
  }
}

void Pipeline::make_texts() {
  const bool differs = parts_.decoder.first_differs();
  for (TokenTexts* texts : {&texts_, &first_texts_}) {
    if (texts == &first_texts_ && !differs) continue;
    texts->reserve(static_cast<std::size_t>(size_), parts_.vocab->n_bytes());
    for (TokenId id = 0; id < size_; ++id) {
      const std::string_view piece = spelling(id);
      texts->push_back(
          [&](std::string& out) { append_text(out, id, piece, texts == &first_texts_); });
    }
    texts->shrink();
  }
}

void Pipeline::append_text(std::string& out, TokenId id, std::string_view piece, bool first) {
  if (first) return parts_.decoder.append(out, piece, true);
  if (const auto byte = parts_.decoder.byte_of(piece)) {
    if (parts_.decoder.joins_bytes()) flags_[static_cast<std::size_t>(id)] |= kByte;
    out.push_back(static_cast<char>(*byte));
  } else if (parts_.raw_added_text && !added_.piece(id).empty()) {
    out += piece;
  } else if (!piece.empty()) {
    parts_.decoder.append(out, piece, false);
  }
}

std::size_t Pipeline::find_max_token_bytes() const noexcept {
  if (parts_.pre_tokenizer != nullptr && !parts_.pre_tokenizer->keeps_text()) return 0;
  const std::size_t longest = parts_.model->max_token_bytes();
  if (longest == 0) return 0;
  return std::max({longest, raw_matcher_.longest_bytes(), normalized_matcher_.longest_bytes()});
}

std::size_t Pipeline::min_tokens(std::string_view text) const noexcept {
  if (max_token_bytes_ == 0) return 0;
  const bool is_ascii =
      std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
  const std::size_t shrink =
      parts_.normalizer == nullptr ? 1 : parts_.normalizer->max_shrink(is_ascii);
  if (shrink == 0) return 0;
  const bool blanks_vanish = raw_matcher_.takes_blanks() || normalized_matcher_.takes_blanks();
  const std::size_t n_bytes = blanks_vanish ? count_non_blank(text) : text.size();
  std::size_t n_vanish = 0;
  if (some_bytes_vanish_) {
    // Other bytes may become those that vanish.
    if (parts_.normalizer != nullptr || !base::is_valid_utf8(text)) return 0;
    for (const char c : text) n_vanish += vanishing_bytes_[static_cast<unsigned char>(c)] ? 1 : 0;
  }
  return n_bytes < n_vanish ? 0 : (n_bytes - n_vanish) / shrink / max_token_bytes_;
}

std::vector<TokenId> Pipeline::encode(std::string_view text, const EncodeOptions& options) const {
  std::string sanitized;
  if (!base::is_valid_utf8(text)) {
    sanitized = base::sanitize_utf8(text);
    text = sanitized;
  }
  std::vector<TokenId> out;
  out.reserve(text.size() / 3 + 4);
  if (options.add_special_tokens) out = parts_.frame.before;
  Call call{out, options, parts_.model->start(text.size())};
  const auto visit = [&](const AddedTokenMatcher::Segment& segment) {
    if (segment.id) {
      out.push_back(*segment.id);
    } else {
      encode_raw(call, segment.text, segment.offset);
    }
  };
  raw_matcher_.split(text, options.parse_special, options.guards, visit);
  if (options.add_special_tokens)
    out.insert(out.end(), parts_.frame.after.begin(), parts_.frame.after.end());
  return out;
}

std::string Pipeline::normalize(std::string text, bool at_start, std::size_t& start) const {
  return at_start ? parts_.normalizer->apply_at_start(std::move(text), start)
                  : parts_.normalizer->apply(std::move(text));
}

void Pipeline::encode_raw(Call& call, std::string_view text, std::size_t offset) const {
  const bool at_start = offset == 0;
  const auto& all = call.options.guards;
  std::vector<std::size_t> guards;
  for (auto next = std::upper_bound(all.begin(), all.end(), offset);
       next != all.end() && *next < offset + text.size(); ++next)
    guards.push_back(*next - offset);
  std::size_t start = 0;
  if (at_start && !text.empty()) base::decode_utf8(text, start);
  std::string normalized;
  bool parse_special = call.options.parse_special;
  if (parts_.normalizer != nullptr) {
    std::size_t first = start;
    normalized = normalize(std::string(text), at_start, start);
    // Where the guards are now. Where that cannot be known no special token is found.
    const bool can_guard =
        guards.empty() || follow_guards(text, normalized, guards, [&](std::string marked) {
          std::size_t ignored = first;
          return normalize(std::move(marked), at_start, ignored);
        });
    parse_special = parse_special && can_guard;
    text = normalized;
  }
  const auto visit = [&](const AddedTokenMatcher::Segment& segment) {
    if (segment.id) {
      call.out.push_back(*segment.id);
    } else {
      encode_normalized(call, segment.text, start - std::min(start, segment.offset));
    }
  };
  normalized_matcher_.split(text, parse_special, guards, visit);
}

void Pipeline::encode_normalized(Call& call, std::string_view text, std::size_t start) const {
  if (scanners_) {
    encode_scanned(call, text, 0);
    return call.session->finish(call.out);
  }
  Words words(std::string(text), start);
  parts_.pre_tokenizer->split(words);
  for (const Words::Word& word : words.words()) call.session->tokenize(words.view(word), call.out);
  call.session->finish(call.out);
}

void Pipeline::encode_scanned(Call& call, std::string_view text, std::size_t depth) const {
  if (depth == scanners_->size()) return call.session->tokenize(text, call.out);
  const WordScanner scanner = (*scanners_)[depth];
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = scanner(text, begin);
    encode_scanned(call, text.substr(begin, end - begin), depth + 1);
    begin = end;
  }
}

std::vector<LocatedToken> Pipeline::encode_with_offsets(std::string_view text,
                                                        const EncodeOptions& options) const {
  if (!options.guards.empty())
    base::fail(ErrorCode::kInvalidArgument, "tokenizer: places of tokens in a text with guards");
  std::string sanitized;
  if (!base::is_valid_utf8(text)) {
    sanitized = base::sanitize_utf8(text);
    text = sanitized;
  }
  Located out;
  raw_matcher_.split(text, options.parse_special, {},
                     [&](const AddedTokenMatcher::Segment& segment) {
                       if (segment.id) {
                         out.push_back({*segment.id, segment.offset,
                                        segment.offset + segment.text.size(), added_name(segment)});
                       } else {
                         locate_raw(segment.text, segment.offset, options.parse_special, out);
                       }
                     });
  count_code_points(text, out);
  for (const SpecialFrame::Trim& trim : parts_.frame.trims)
    trim_places(
        trim, [&](TokenId id) { return token_piece(id); }, out);
  if (!options.add_special_tokens) return out;
  Located framed;
  for (const TokenId id : parts_.frame.before) framed.push_back({id, 0, 0, {}});
  framed.insert(framed.end(), out.begin(), out.end());
  for (const TokenId id : parts_.frame.after) framed.push_back({id, 0, 0, {}});
  return framed;
}

void Pipeline::locate_raw(std::string_view text, std::size_t offset, bool parse_special,
                          Located& out) const {
  AlignedText aligned(text, offset);
  std::size_t start = 0;
  if (offset == 0 && !text.empty()) base::decode_utf8(text, start);
  if (parts_.normalizer != nullptr) {
    if (offset == 0) parts_.normalizer->apply_at_start(std::string(text), start);
    parts_.normalizer->apply_aligned(aligned);
  }
  normalized_matcher_.split(aligned.text(), parse_special, {},
                            [&](const AddedTokenMatcher::Segment& segment) {
                              locate_normalized(aligned, segment, start, out);
                            });
}

void Pipeline::locate_normalized(const AlignedText& text, AddedTokenMatcher::Segment segment,
                                 std::size_t start, Located& out) const {
  const auto first = text.origins().begin() + static_cast<std::ptrdiff_t>(segment.offset);
  const auto end = first + static_cast<std::ptrdiff_t>(segment.text.size());
  if (segment.id)
    return out.push_back({*segment.id, first->begin, (end - 1)->end, added_name(segment)});
  Words words(std::string(segment.text), start - std::min(start, segment.offset),
              std::vector<Origin>(first, end));
  if (parts_.pre_tokenizer != nullptr) parts_.pre_tokenizer->split(words);
  std::vector<Model::Piece> pieces;
  for (const Words::Word& word : words.words()) {
    pieces.clear();
    parts_.model->locate(words.view(word), pieces);
    for (const Model::Piece& piece : pieces) {
      const std::size_t from = std::min(word.begin + piece.begin, word.end - 1);
      const std::size_t to = word.begin + std::max(piece.end, std::size_t{1}) - 1;
      const auto& origins = words.origins();
      LocatedToken token{
          piece.id, origins[from].begin, std::max(origins[to].end, origins[from].begin), {}};
      if (piece.is_text) token.name = words.view(word).substr(piece.begin, piece.end - piece.begin);
      out.push_back(std::move(token));
    }
  }
}

}  // namespace

std::unique_ptr<Tokenizer> make_pipeline(PipelineParts parts) {
  if (parts.vocab->size() == 0 && parts.added.empty()) {
    base::fail(ErrorCode::kCorruptData, "tokenizer: empty vocabulary");
  }
  return std::make_unique<Pipeline>(std::move(parts));
}

}  // namespace openllm::tokenizer
