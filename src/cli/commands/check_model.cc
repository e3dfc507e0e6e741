#include "cli/commands/check_model.h"

#include <openllm/llm.h>

#include <cstdio>

#include "base/error.h"
#include "cli/terminal.h"

namespace openllm::cli {

void check_model(const std::string& path) {
  // Without "./" it could be the name of a stored model.
  const bool is_clear = path.starts_with('/') || path.starts_with('.') || path.starts_with('~');
  try {
    const LLM model(is_clear ? path : "./" + path);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUnsupported) throw;
    note(base::cat("openllm: note: this version cannot run it: ", error.what(), "\n"));
  }
}

std::string readable_size(std::int64_t bytes) {
  char text[32];
  const double size = static_cast<double>(bytes);
  std::snprintf(text, sizeof(text), "%.1f %s", size < 1e9 ? size * 1e-6 : size * 1e-9,
                size < 1e9 ? "MB" : "GB");
  return text;
}

}  // namespace openllm::cli
