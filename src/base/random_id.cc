#include "base/random_id.h"

#include <random>

#include "base/hex.h"

namespace openllm::base {

std::string random_id(std::string_view prefix) {
  std::random_device device;
  std::string id(prefix);
  for (int word = 0; word < 4; ++word) {
    unsigned bits = device();
    for (int i = 0; i < 8; ++i, bits >>= 4U) id += kHexDigits[bits & 15U];
  }
  return id;
}

}  // namespace openllm::base
