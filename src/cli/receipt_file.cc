#include "cli/receipt_file.h"

#include <sys/stat.h>

#include "base/error.h"
#include "base/json.h"
#include "cli/chat_file.h"
#include "cli/terminal.h"

namespace openllm::cli {
namespace {

bool is_receipt(const std::string& path) {
  try {
    return base::Json::parse(read_text_file(path), path).find("receipt") != nullptr;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

void check_receipt_path(const std::string& path) {
  struct stat info {};
  if (path.empty() || path == "-" || ::lstat(path.c_str(), &info) != 0) return;
  if (S_ISREG(info.st_mode) && (info.st_size == 0 || is_receipt(path))) return;
  base::fail_at(ErrorCode::kInvalidArgument, path,
                "is there already and is no receipt (expected a new name)");
}

void write_receipt(const std::string& path, const GenerationOutput& output) {
  if (path.empty()) return;
  if (output.receipt.empty()) {
    note("openllm: note: there is no receipt, as the answer did not come to its end\n");
  } else if (path == "-") {
    print(output.receipt + "\n");
  } else {
    replace_file(path, output.receipt + "\n");
  }
}

}  // namespace openllm::cli
