#include "tokenizer/text/aligned_text.h"

#include <algorithm>

#include "base/utf8.h"
#include "tokenizer/unicode/fast_utf8.h"

namespace openllm::tokenizer {
namespace {

std::size_t utf8_length(char32_t code) noexcept {
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  return code < 0x10000 ? 3 : 4;
}

}  // namespace

AlignedText::AlignedText(std::string_view text, std::size_t offset) : offset_(offset), text_(text) {
  origins_.reserve(text.size());
  for (std::size_t pos = 0; pos < text.size();) {
    const std::size_t begin = pos;
    decode_valid(text, pos);
    origins_.insert(origins_.end(), pos - begin, Origin{offset + begin, offset + pos});
  }
}

std::vector<char32_t> AlignedText::chars() const {
  std::vector<char32_t> out;
  for (std::size_t pos = 0; pos < text_.size();) out.push_back(base::decode_utf8(text_, pos));
  return out;
}

void AlignedText::rewrite(const std::vector<Rewritten>& chars, std::size_t n_dropped) {
  std::string text;
  std::vector<Origin> origins;
  std::size_t at = 0;  // what comes next of the text before
  const auto skip = [&](std::size_t n) {
    for (; n > 0 && at < text_.size(); --n) decode_valid(text_, at);
  };
  skip(n_dropped);
  for (const Rewritten& next : chars) {
    Origin origin{offset_, offset_};
    if (next.change > 0) {
      if (at > 0) origin = origins_[at - 1];
    } else {
      if (!origins_.empty()) origin = origins_[std::min(at, origins_.size() - 1)];
      skip(1 + static_cast<std::size_t>(-next.change));
    }
    base::append_utf8(text, next.code);
    origins.insert(origins.end(), utf8_length(next.code), origin);
  }
  text_ = std::move(text);
  origins_ = std::move(origins);
}

void AlignedText::replace(const std::vector<Match>& matches, std::string_view by) {
  std::string text;
  std::vector<Origin> origins;
  std::size_t done = 0;
  const auto copy_to = [&](std::size_t end) {
    text.append(text_, done, end - done);
    origins.insert(origins.end(), origins_.begin() + static_cast<std::ptrdiff_t>(done),
                   origins_.begin() + static_cast<std::ptrdiff_t>(end));
  };
  for (const Match& match : matches) {
    copy_to(match.begin);
    done = match.end;
    text += by;
    origins.insert(origins.end(), by.size(),
                   match.end > 0 ? origins_[match.end - 1] : Origin{offset_, offset_});
  }
  copy_to(text_.size());
  text_ = std::move(text);
  origins_ = std::move(origins);
}

void AlignedText::prepend(std::string_view prefix) {
  if (text_.empty()) return;
  text_.insert(0, prefix);
  origins_.insert(origins_.begin(), prefix.size(), Origin(origins_.front()));
}

void AlignedText::keep(std::size_t begin, std::size_t end) {
  text_ = text_.substr(begin, end - begin);
  origins_.erase(origins_.begin() + static_cast<std::ptrdiff_t>(end), origins_.end());
  origins_.erase(origins_.begin(), origins_.begin() + static_cast<std::ptrdiff_t>(begin));
}

}  // namespace openllm::tokenizer
