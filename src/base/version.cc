#include "openllm/version.h"

namespace openllm {

const char* version() noexcept { return OPENLLM_VERSION; }

}  // namespace openllm
