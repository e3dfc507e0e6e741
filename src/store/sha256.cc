#include "store/sha256.h"

#include <openssl/evp.h>

#include <array>

#include "base/error.h"
#include "base/hex.h"

namespace openllm::store {

struct Digest::Context {
  EVP_MD_CTX* md = EVP_MD_CTX_new();
  Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { EVP_MD_CTX_free(md); }
};

Digest::Digest(Kind kind) : context_(std::make_unique<Context>()) {
  const EVP_MD* const type = kind == Kind::kSha1 ? EVP_sha1() : EVP_sha256();
  base::check(context_->md != nullptr && EVP_DigestInit_ex(context_->md, type, nullptr) == 1,
              "digest: cannot start");
}
Digest::~Digest() = default;

void Digest::update(const void* data, std::size_t size) {
  base::check(EVP_DigestUpdate(context_->md, data, size) == 1, "digest: cannot add data");
}

std::string Digest::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  base::check(EVP_DigestFinal_ex(context_->md, digest.data(), &size) == 1, "digest: cannot finish");
  std::string out;
  for (unsigned i = 0; i < size; ++i) base::append_hex(out, digest[i]);
  return out;
}

}  // namespace openllm::store
