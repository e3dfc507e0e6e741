#include "llm/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace openllm::llm {
namespace {

/// A text, and where each of its bytes lies in the text that it was made from.
struct Projection {
  std::string text;
  std::vector<std::size_t> places;
};

Projection without_hidden(const std::string& text, const std::vector<bool>& hidden) {
  Projection shown;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (hidden[i]) continue;
    shown.text += text[i];
    shown.places.push_back(i);
  }
  return shown;
}

/// Length of the longest end of `text` that begins a stop string without being all of it.
std::size_t partial_length(std::string_view text, const std::vector<std::string>& stops) {
  std::size_t longest = 0;
  for (const std::string& stop : stops) {
    for (std::size_t n = std::min(stop.size() - 1, text.size()); n > longest; --n) {
      if (text.substr(text.size() - n) == std::string_view(stop).substr(0, n)) longest = n;
    }
  }
  return longest;
}

}  // namespace

StopMatcher::StopMatcher(std::vector<std::string> stops, bool include_stop)
    : stops_(std::move(stops)), include_stop_(include_stop) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string StopMatcher::push(std::string_view piece) {
  if (stopped_) return {};
  if (stops_.empty()) return std::string(piece);
  held_ += piece;
  hidden_.resize(held_.size(), false);
  return search();
}

std::string StopMatcher::push_hidden(std::string_view piece) {
  if (stopped_ || stops_.empty()) return {};
  held_ += piece;
  hidden_.resize(held_.size(), true);
  n_hidden_ += piece.size();
  return search();
}

/// `held_` began as a possible beginning of a stop string, so every match lies inside it.
std::string StopMatcher::search() {
  const Match match = find_match();
  if (match.begin == std::string::npos) return take(partial_begin());
  stopped_ = true;
  std::string released = take(match.begin);
  if (include_stop_) released.append(held_, 0, match.end - match.begin);
  take(held_.size());
  return released;
}

StopMatcher::Match StopMatcher::find_match() const {
  Match best;
  const auto consider = [&best](std::size_t begin, std::size_t end) {
    if (begin < best.begin || (begin == best.begin && end > best.end)) best = {begin, end};
  };
  for (const std::string& stop : stops_) {
    if (const std::size_t at = held_.find(stop); at != std::string::npos)
      consider(at, at + stop.size());
  }
  if (n_hidden_ == 0) return best;
  const Projection shown = without_hidden(held_, hidden_);
  for (const std::string& stop : stops_) {
    if (const std::size_t at = shown.text.find(stop); at != std::string::npos)
      consider(shown.places[at], shown.places[at + stop.size() - 1] + 1);
  }
  return best;
}

std::size_t StopMatcher::partial_begin() const {
  std::size_t begin = held_.size() - partial_length(held_, stops_);
  if (n_hidden_ == 0) return begin;
  const Projection shown = without_hidden(held_, hidden_);
  const std::size_t length = partial_length(shown.text, stops_);
  if (length > 0) begin = std::min(begin, shown.places[shown.places.size() - length]);
  return begin;
}

std::string StopMatcher::take(std::size_t size) {
  std::string shown;
  if (n_hidden_ == 0) {
    shown = held_.substr(0, size);
  } else {
    for (std::size_t i = 0; i < size; ++i) {
      if (hidden_[i]) {
        --n_hidden_;
      } else {
        shown += held_[i];
      }
    }
  }
  held_.erase(0, size);
  hidden_.erase(hidden_.begin(), hidden_.begin() + static_cast<std::ptrdiff_t>(size));
  return shown;
}

std::string StopMatcher::push_unchecked(std::string_view piece) {
  held_ += piece;
  hidden_.resize(held_.size(), false);
  return flush();
}

std::string StopMatcher::flush() { return take(held_.size()); }

}  // namespace openllm::llm
