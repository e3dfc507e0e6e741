#include "base/random_id.h"

#include <gtest/gtest.h>

#include <set>

#include "base/hex.h"

namespace openllm::base {
namespace {

TEST(RandomId, HasThePrefixAnd32DigitsAndComesOnce) {
  std::set<std::string> ids;
  for (int i = 0; i < 100; ++i) {
    const std::string id = random_id("req-");
    EXPECT_EQ(id.size(), 36U);
    EXPECT_EQ(id.substr(0, 4), "req-");
    EXPECT_EQ(id.find_first_not_of(kHexDigits, 4), std::string::npos) << id;
    EXPECT_TRUE(ids.insert(id).second) << id;
  }
}

TEST(Hex, TwoDigitsForEachByte) {
  std::string text;
  for (const int byte : {0x00, 0x0F, 0xA5, 0xFF})
    append_hex(text, static_cast<unsigned char>(byte));
  EXPECT_EQ(text, "000fa5ff");
}

}  // namespace
}  // namespace openllm::base
