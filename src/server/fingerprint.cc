#include "server/fingerprint.h"

#include <cstdint>

#include "base/error.h"
#include "base/hex.h"
#include "openllm/version.h"

namespace openllm::server {

std::string fingerprint(std::string_view text) {
  std::uint64_t hash = 0xCBF29CE484222325U;  // FNV-1a
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  std::string digits;
  for (int shift = 56; shift >= 0; shift -= 8)
    base::append_hex(digits, static_cast<unsigned char>(hash >> static_cast<unsigned>(shift)));
  return digits;
}

std::string model_fingerprint(const LLM& llm) {
  return "fp_" + fingerprint(base::cat(llm.tag(), "\n", version())).substr(0, 10);
}

}  // namespace openllm::server
