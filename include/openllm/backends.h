#pragma once

#include <string>
#include <vector>

#include "openllm/error.h"

namespace openllm {

/// A backend or a device that LoadOptions can name.
struct Availability {
  std::string name{};
  bool available = false;
  std::string reason{};  ///< What it is, or why it cannot be used here.
};

/// What LoadOptions::backend can name, in the order of preference.
OPENLLM_API std::vector<Availability> list_backends();
/// What LoadOptions::device can name, in the order of preference.
OPENLLM_API std::vector<Availability> list_devices();

}  // namespace openllm
