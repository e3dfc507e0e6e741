#include "llm/engine_request.h"

#include <string>

#include <gmock/gmock.h>

#include "base/error.h"
#include "fields/access.h"

namespace openllm::llm {
namespace {

std::string refusal(const GenerateOptions& options, const backend::Capabilities& capabilities,
                    const LLMConfig& config = fields::initial_config()) {
  try {
    require_capabilities(fields_of(options, config), capabilities, "plain");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_EQ(error.reason(), ErrorReason::kUnsupportedField);
    return std::string(error.where());
  }
  return "";
}

TEST(NotInherited, N13EachFieldReachesTheBackendOrIsRefusedByName) {
  EXPECT_EQ(refusal({}, {}), "");
  for (const fields::Field& field : fields::all()) {
    if (!fields::has_request(field)) continue;
    SCOPED_TRACE(field.name);
    // Any value that is not the initial one.
    GenerateOptions options;
    for (const char* text : {"true", "false", "2", "0.5", "\"x\"", "[\"x\"]", "[3]", "{\"3\":1.5}",
                             "[[3]]", "[[[3],1.5]]", "[3,1.5]", "[{}]"}) {
      options = {};
      try {
        fields::set(field, options, base::Json::parse(text, "value"), "value", {});
      } catch (const Error&) {
        continue;
      }
      const bool asks = fields::get(field, options) != fields::get(field, GenerateOptions{});
      if (asks && options.cleared.empty()) break;
    }
    EXPECT_EQ(refusal(options, {}), field.name);
    EXPECT_EQ(refusal(options, {.fields = {std::string(field.name)}}), "");
    EXPECT_EQ(refusal(options, {.all_fields = true}), "");
  }
}

TEST(NotInherited, N13WhoTakesADefaultBackAsksForNothing) {
  GenerateOptions none;
  none.cleared = {"stop", "logprobs", "seed", "temperature"};
  EXPECT_EQ(refusal(none, {}), "");
}

TEST(NotInherited, N13ARandomSeedAsksForNothing) {
  EXPECT_EQ(refusal({.seed = kRandomSeed}, {}), "");
}

TEST(NotInherited, N13DefaultsOfTheModelAreNotDroppedEither) {
  LLMConfig config = fields::initial_config();
  config.typical_p = 0.9F;
  EXPECT_EQ(refusal({}, {}, config), "typical_p");
  EXPECT_EQ(refusal({}, {.fields = {"typical_p"}}, config), "");
}

}  // namespace
}  // namespace openllm::llm
