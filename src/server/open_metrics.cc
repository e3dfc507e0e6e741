#include "server/open_metrics.h"

#include <algorithm>
#include <cstdlib>

#include "server/http/message.h"

namespace openllm::server {
namespace {

/// The weight of a media range with its parameters; 1 if it has none.
double weight(std::string_view range) {
  for (std::size_t at = range.find(';'); at != std::string_view::npos;) {
    range.remove_prefix(at + 1);
    while (range.starts_with(' ')) range.remove_prefix(1);
    if (range.starts_with("q=") || range.starts_with("Q="))
      return std::strtod(std::string(range.substr(2)).c_str(), nullptr);
    at = range.find(';');
  }
  return 1.0;
}

/// The line that tells of a family, with the name that it has in OpenMetrics.
void append_comment(std::string& out, std::string_view line, std::string_view prometheus) {
  constexpr std::string_view kTotal = "_total";
  const std::size_t begin = line.find(' ', 2) + 1;
  const std::string_view name = line.substr(begin, line.find(' ', begin) - begin);
  const bool is_counter =
      name.ends_with(kTotal) &&
      prometheus.find("# TYPE " + std::string(name) + " counter\n") != std::string_view::npos;
  out += line.substr(0, begin);
  out += is_counter ? name.substr(0, name.size() - kTotal.size()) : name;
  out += line.substr(begin + name.size());
}

void append_sample(std::string& out, std::string_view line) {
  constexpr std::string_view kBound = "_bucket{le=\"";
  const std::size_t at = line.find(kBound);
  const std::size_t end = at == std::string_view::npos ? at : line.find('"', at + kBound.size());
  if (end == std::string_view::npos) {
    out += line;
    return;
  }
  const std::string_view bound = line.substr(at + kBound.size(), end - at - kBound.size());
  out += line.substr(0, end);
  if (bound.find_first_not_of("0123456789") == std::string_view::npos) out += ".0";
  out += line.substr(end);
}

}  // namespace

bool wants_open_metrics(std::string_view accept) {
  double open = 0.0;
  double plain = 0.0;
  while (!accept.empty()) {
    const std::size_t comma = std::min(accept.find(','), accept.size());
    std::string_view range = accept.substr(0, comma);
    accept.remove_prefix(std::min(comma + 1, accept.size()));
    while (range.starts_with(' ')) range.remove_prefix(1);
    const std::string type = media_type(range);
    if (type == "application/openmetrics-text") open = std::max(open, weight(range));
    if (type == "text/plain") plain = std::max(plain, weight(range));
  }
  return open > 0.0 && open >= plain;
}

std::string to_open_metrics(std::string_view prometheus) {
  std::string out;
  out.reserve(prometheus.size() + 64);
  for (std::size_t pos = 0; pos < prometheus.size();) {
    const std::size_t end = std::min(prometheus.find('\n', pos), prometheus.size());
    const std::string_view line = prometheus.substr(pos, end - pos);
    pos = end + 1;
    if (line.starts_with('#')) {
      append_comment(out, line, prometheus);
    } else {
      append_sample(out, line);
    }
    out += '\n';
  }
  return out + "# EOF\n";
}

}  // namespace openllm::server
