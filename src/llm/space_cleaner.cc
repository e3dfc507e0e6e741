#include "llm/space_cleaner.h"

#include <algorithm>
#include <utility>

namespace openllm::llm {
namespace {

/// Bytes at the end of `text` that are the beginning of `pattern`, but not all of it.
std::size_t n_begun(std::string_view text, std::string_view pattern) {
  std::size_t n = std::min(text.size(), pattern.size() - 1);
  while (n > 0 && !text.ends_with(pattern.substr(0, n))) --n;
  return n;
}

}  // namespace

SpaceCleaner::SpaceCleaner()
    : steps_{{" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
             {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}} {}

std::string SpaceCleaner::Replacement::push(std::string_view text) {
  held += text;
  std::string out;
  std::size_t done = 0;
  for (std::size_t at = held.find(from); at != std::string::npos; at = held.find(from, done)) {
    out.append(held, done, at - done).append(to);
    done = at + from.size();
  }
  const std::string_view rest = std::string_view(held).substr(done);
  const std::size_t n_held = n_begun(rest, from);
  out += rest.substr(0, rest.size() - n_held);
  held = std::string(rest.substr(rest.size() - n_held));
  return out;
}

std::string SpaceCleaner::push(std::string_view text) {
  std::string piece(text);
  for (Replacement& step : steps_) piece = step.push(piece);
  return piece;
}

std::string SpaceCleaner::flush() {
  std::string piece;
  for (Replacement& step : steps_) {
    piece = step.push(piece);
    piece += std::exchange(step.held, {});
  }
  return piece;
}

}  // namespace openllm::llm
