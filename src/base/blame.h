#pragma once

#include <string_view>

#include "base/error.h"

namespace openllm::base {

/// What goes wrong in `work` is about `where`, an option or a field that led there, and says so.
/// A call that was cancelled stays as it is.
template <typename Work>
auto blame(std::string_view where, const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    if (error.where() == where || error.code() == ErrorCode::kCancelled) throw;
    throw Error(error.code(), cat(where, ": ", error.what()), where, error.reason(),
                error.retry_after());
  }
}

}  // namespace openllm::base
