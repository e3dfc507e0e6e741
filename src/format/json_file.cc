#include "format/json_file.h"

#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "base/mapped_file.h"
#include "format/recognise.h"

namespace openllm::format {

namespace fs = std::filesystem;

base::Json read_json_file(const std::string& folder, std::string_view name) {
  const fs::path path = fs::path(folder) / name;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return {};
  std::string text;
  try {
    text = base::read_file(path.string());
    return base::Json::parse_python(text, path.string());
  } catch (const Error& error) {
    // What is wrong with a file is not the caller's fault.
    if (error.code() != ErrorCode::kInvalidArgument) throw;
    throw Error(ErrorCode::kCorruptData, base::cat(error.what(), note_if_no_json(text)),
                error.where());
  }
}

}  // namespace openllm::format
