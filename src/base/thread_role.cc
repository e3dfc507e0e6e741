#include "base/thread_role.h"

namespace openllm::base {
namespace {

thread_local ThreadRole role = ThreadRole::kForeign;

}  // namespace

ThreadRole thread_role() noexcept { return role; }
void set_thread_role(ThreadRole value) noexcept { role = value; }

}  // namespace openllm::base
