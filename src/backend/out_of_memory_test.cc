// A lack of memory while a model loads is told as such, and with the model's name.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "backend/native.h"
#include "base/failing_new.h"

namespace openllm::backend {
namespace {

TEST(NativeBackend, EachAllocationOfALoadMayFail) {
  const std::string path = std::string(OPENLLM_TEST_DATA) + "/models/llama";
  const format::ModelSource source = format::open_model(path);
  const BackendEntry entry = native_backend();
  LoadOptions options;
  options.device = "cpu";
  options.n_threads = 1;
  options.kv_cache_bytes = 1 << 20;
  int n_failed = 0;
  for (long n = 0;; ++n) {
    std::unique_ptr<Backend> backend;
    std::optional<Error> error;
    const base::FailingNew failing(n);
    try {
      backend = entry.load(source, options);
    } catch (const Error& e) {
      const base::PauseFailingNew pause;
      error = e;
    }
    if (!failing.has_failed()) {
      EXPECT_FALSE(error.has_value()) << error->what();
      break;
    }
    if (!error) continue;  // done without
    const base::PauseFailingNew pause;
    ++n_failed;
    EXPECT_EQ(error->code(), ErrorCode::kResourceExhausted) << n << ": " << error->what();
    EXPECT_THAT(error->what(), testing::HasSubstr(path)) << n;
  }
  EXPECT_GT(n_failed, 30);
}

}  // namespace
}  // namespace openllm::backend
