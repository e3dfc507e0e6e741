#include "client/metadata.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "fields/access.h"

namespace openllm::client {
namespace {

using ::testing::HasSubstr;

std::string answer_with(const std::string& configuration) {
  base::Json answer = base::Json::object();
  answer["model_id"] = "me/m";
  answer["timeout"] = 36'000'000;
  answer["model_name"] = "me--m";
  answer["backend"] = "native";
  answer["configuration"] = configuration;
  return answer.dump();
}

TEST(Metadata, TheConfigurationComesBackAsItWas) {
  LLMConfig config;
  config.max_new_tokens = 77;
  config.temperature = 0.25F;
  config.suppress_tokens = {3, 4};
  config.bad_words_ids = {{5, 6}, {7}};
  config.sequence_bias = {{{8, 9}, -1.5F}};
  config.exponential_decay_length_penalty = LengthDecay{15, 1.5F};
  base::Json configuration = base::Json::object();
  configuration["generation_config"] = fields::to_json(config);
  const MetadataAnswer answer(answer_with(configuration.dump()));
  EXPECT_EQ(answer.fields().model_id, "me/m");
  EXPECT_EQ(answer.fields().model_name, "me--m");
  EXPECT_EQ(answer.fields().backend, "native");
  EXPECT_EQ(answer.fields().timeout, 36'000'000);
  EXPECT_EQ(answer.fields().configuration_json, configuration.dump());
  EXPECT_EQ(fields::to_json(answer.fields().configuration).dump(), fields::to_json(config).dump());
}

TEST(Metadata, ItemsHaveTheirNamesAndAliases) {
  const MetadataAnswer answer(answer_with(
      R"({"generation_config":{"max_new_tokens":77,"top_k":null,"penalty_alpha":0,"suppress_tokens":[3]},)"
      R"("presence_penalty":0.5})"));
  EXPECT_EQ(answer.item("backend"), "native");
  EXPECT_EQ(answer.item("timeout"), "36000000");
  EXPECT_EQ(answer.item("max_new_tokens"), "77");
  EXPECT_EQ(answer.item("max_tokens"), "77");
  EXPECT_EQ(answer.item("top_k"), "null");
  EXPECT_EQ(answer.item("suppress_tokens"), "[3]");
  EXPECT_EQ(answer.item("penalty_alpha"), "0") << "a field that only other servers have";
  EXPECT_EQ(answer.item("presence_penalty"), "0.5") << "OpenLLM had these outside";
  EXPECT_EQ(answer.fields().configuration.presence_penalty, 0.5F);
  try {
    answer.item("max_new_token");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("did you mean max_new_tokens?"));
  }
}

TEST(Metadata, OtherShapesAreTheServersFault) {
  for (const std::string& text :
       {std::string("{}"), answer_with("{"), answer_with("[]"), answer_with(R"({"top_p":"high"})"),
        std::string(R"({"model_id":5})")}) {
    try {
      const MetadataAnswer answer(text);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kIo) << text;
    }
  }
}

}  // namespace
}  // namespace openllm::client
