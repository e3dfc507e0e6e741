// A lack of memory while the families are set up is told, whatever was there already.

#include <gtest/gtest.h>

#include <new>
#include <optional>

#include "base/failing_new.h"
#include "model/arch/family.h"

namespace openllm::model {

#define FAMILY(name) Family name##_family();
#include "model/arch/families.def"
#undef FAMILY

namespace {

/// How many allocations a family takes, each of which failed once.
long fail_each(Family (*make)()) {
  for (long n = 0;; ++n) {
    std::optional<Family> family;
    const base::FailingNew failing(n);
    try {
      family.emplace(make());
      EXPECT_FALSE(failing.has_failed());
      return n;
    } catch (const std::bad_alloc&) {
      EXPECT_TRUE(failing.has_failed());
    }
  }
}

TEST(Families, EachAllocationMayFail) {
#define FAMILY(name) EXPECT_GT(fail_each(name##_family), 2) << #name;
#include "model/arch/families.def"
#undef FAMILY
}

}  // namespace
}  // namespace openllm::model
