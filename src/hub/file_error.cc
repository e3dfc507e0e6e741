#include "hub/file_error.h"

#include <cerrno>
#include <system_error>

#include "base/error.h"

namespace openllm::hub {
namespace {

std::string_view advice(int error) noexcept {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return "; make room, or have HF_HUB_CACHE name a folder on another disk";
    case EACCES:
    case EPERM:
    case EROFS:
    case ENOTDIR:
      return "; have HF_HUB_CACHE name a folder that can be written";
    case ENOENT:
    case ESTALE:
      return "; something deletes the cache, try again";
    default:
      return "";
  }
}

}  // namespace

void fail_of_file(const std::filesystem::path& path, std::string_view what, int error) {
  const bool is_full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  base::fail(is_full ? ErrorCode::kResourceExhausted : ErrorCode::kIo, "hub: ", path.string(),
             ": cannot ", what, ": ", std::generic_category().message(error), advice(error));
}

}  // namespace openllm::hub
