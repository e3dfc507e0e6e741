#include "store/sha256.h"

#include <openssl/evp.h>

#include <array>

#include "base/error.h"
#include "base/hex.h"

namespace openllm::store {

struct Sha256::Context {
  EVP_MD_CTX* md = EVP_MD_CTX_new();
  Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { EVP_MD_CTX_free(md); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  base::check(
      context_->md != nullptr && EVP_DigestInit_ex(context_->md, EVP_sha256(), nullptr) == 1,
      "sha256: cannot start");
}
Sha256::~Sha256() = default;

void Sha256::update(const void* data, std::size_t size) {
  base::check(EVP_DigestUpdate(context_->md, data, size) == 1, "sha256: cannot add data");
}

std::string Sha256::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  base::check(EVP_DigestFinal_ex(context_->md, digest.data(), &size) == 1, "sha256: cannot finish");
  std::string out;
  for (unsigned i = 0; i < size; ++i) base::append_hex(out, digest[i]);
  return out;
}

}  // namespace openllm::store
