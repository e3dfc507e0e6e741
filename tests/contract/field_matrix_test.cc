// The table of fields and backends that `openllm fields` prints: each cell is true. What works is
// taken by the library and by servers, and changes the answer; what does not is refused by name.

#include <gmock/gmock.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "fields/access.h"
#include "fields/body.h"
#include "openllm/backends.h"
#include "server_fixture.h"

namespace openllm::contract {
namespace {

using fields::AbsentField;
using fields::Field;

constexpr const char* kBackend = "native";
constexpr const char* kReadingTemplate =
    "{{ mood }}{% if tools %}{{ tools | length }}{% endif %}{% for m in messages %}{{ m.role }}: "
    "{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";

bool works(std::string_view field) {
  for (const Availability& answer : ask_backends_for_field(std::string(field))) {
    if (answer.name == kBackend) return answer.available;
  }
  ADD_FAILURE() << field << ": the native backend says nothing";
  return false;
}

/// A value of each field that is not its initial one, and what stands beside it.
class Sample {
 public:
  explicit Sample(const Field& field) {
    static const base::Json all = base::Json::parse(
        base::read_file(OPENLLM_TEST_DATA "/field_values.json"), "field_values.json");
    const base::Json* found = all.find(field.name);
    if (found == nullptr) {
      ADD_FAILURE() << field.name << ": put a value of it into tests/data/field_values.json";
      return;
    }
    json_ = *found;
  }
  const base::Json& value() const { return *json_.find("value"); }
  bool acts() const { return *json_.find("acts")->if_bool(); }
  bool is_refused() const { return json_.find("refused") != nullptr; }
  bool has_messages() const { return json_.find("messages") != nullptr; }
  Prompt prompt() const {
    if (has_messages()) return std::vector<Message>{{.role = "user", .content = "Hi</s>"}};
    return "Once upon";
  }
  /// The options of all samples, with what stands beside this one.
  base::Json base_options() const {
    base::Json options = base::Json::object();
    options["max_new_tokens"] = 12;
    options["temperature"] = 1.0;
    options["top_k"] = 0;
    options["seed"] = 5;
    options["ignore_eos"] = true;
    if (const base::Json* beside = json_.find("beside")) {
      for (const auto& [name, value] : *beside->if_object()) options[name] = value;
    }
    return options;
  }

 private:
  base::Json json_;
};

GenerateOptions options_of(const base::Json& json) {
  GenerateOptions options;
  for (const auto& [name, value] : *json.if_object()) {
    const Field* field = fields::find(name);
    if (!value.is_null()) fields::set(*field, options, value, name, field->range);
  }
  return options;
}

/// The output without what differs from call to call.
std::string shown(GenerationOutput output) {
  output.request_id.clear();
  output.timing = {};
  output.usage = {};
  output.n_cached_tokens = 0;
  // Receipts name their request: whether there is one, and with tokens, is what counts.
  const bool has_tokens = output.receipt.find("\"token_ids\"") != std::string::npos;
  output.receipt = output.receipt.empty() ? "" : has_tokens ? "true" : "false";
  return to_json(output);
}

class FieldMatrix : public ServerTest {
 protected:
  FieldMatrix() {
    LoadOptions load{.n_threads = 1};
    load.chat_template = kReadingTemplate;
    load.config = {.temperature = 1.0F, .top_k = 50, .top_p = 1.0F, .presence_penalty = 0.0F};
    llm_ = LLM(OPENLLM_TEST_DATA "/stories260K/hf", load);
  }

  std::string answer(const base::Json& options, const Prompt& prompt) const {
    return shown(llm_.generate(prompt, options_of(options)));
  }

  void expect_works(const Field& field, const Sample& sample) const {
    base::Json options = sample.base_options();
    const std::string before = answer(options, sample.prompt());
    options[field.name] = sample.value();
    EXPECT_NE(fields::get(field, options_of(options)), fields::get(field, GenerateOptions{}));
    const std::string after = answer(options, sample.prompt());
    if (sample.acts()) {
      EXPECT_NE(after, before);
    }
  }

  void expect_default_works(const Field& field, const Sample& sample) const {
    LoadOptions load{.n_threads = 1};
    const base::Json options = sample.base_options();
    const std::string before = answer(options, sample.prompt());
    fields::set(field, load.config, sample.value(), field.name);
    const LLM other(OPENLLM_TEST_DATA "/stories260K/hf", load);
    EXPECT_NE(shown(other.generate(sample.prompt(), options_of(options))), before);
  }

  /// The body of a request by this way, with options under their own names.
  static std::string body(fields::Way way, const Sample* sample, const base::Json& options) {
    base::Json json = base::Json::object();
    const bool has_messages = sample != nullptr && sample->has_messages();
    if (way == fields::kChat || has_messages) {
      json["messages"] = base::Json::parse(R"([{"role":"user","content":"Hi"}])", "messages");
    } else {
      json["prompt"] = "Once upon";
    }
    for (const auto& [name, value] : *options.if_object()) {
      const bool is_beside = name == "stop" || name == "stop_token_ids" || name == "adapter_name" ||
                             name == "request_id" || name.starts_with("receipt");
      const Field* field = fields::find(name);
      const bool is_hand_read = way == fields::kChat && name == "logprobs";
      if (way == fields::kNative && !is_beside) {
        json["llm_config"][name] = value;
      } else if (is_hand_read) {
        json["logprobs"] = true;
        json["top_logprobs"] = value;
      } else {
        const bool is_openai = way != fields::kNative && field != nullptr && !field->openai.empty();
        json[is_openai ? field->openai : name] = value;
      }
    }
    return json.dump();
  }
  Answer ask_by(fields::Way way, const std::string& body) const {
    if (way == fields::kChat) return chat(body);
    return way == fields::kCompletions ? complete(body) : ask(post("/v1/generate", body));
  }
  /// "status code": the error must name the field.
  static std::string refusal(const Answer& answer, std::string_view name) {
    const base::Json json = answer.json();
    EXPECT_THAT(str(json, {"error", "param"}), ::testing::HasSubstr(std::string(name)))
        << answer.body;
    return base::cat(answer.status, " ", str(json, {"error", "code"}));
  }
};

constexpr fields::Way kWays[] = {fields::kCompletions, fields::kChat, fields::kNative};

TEST_F(FieldMatrix, N13EveryFieldThatWorksActsInTheLibrary) {
  for (const Field& field : fields::all()) {
    SCOPED_TRACE(field.name);
    ASSERT_TRUE(works(field.name));
    const Sample sample(field);
    if (!fields::has_request(field)) {
      expect_default_works(field, sample);
    } else if (!sample.is_refused()) {
      expect_works(field, sample);
    }
  }
}

TEST_F(FieldMatrix, N13EveryFieldThatWorksIsTakenByServersOrRefusedByName) {
  start();
  for (const Field& field : fields::all()) {
    const Sample sample(field);
    for (const fields::Way way : kWays) {
      SCOPED_TRACE(base::cat(field.name, " by way ", static_cast<int>(way)));
      // Chats alone have messages, and what belongs to texts is not theirs.
      if (sample.has_messages() && way == fields::kCompletions) continue;
      base::Json options = sample.base_options();
      options[field.name] = sample.value();
      const Answer answer = ask_by(way, body(way, &sample, options));
      const bool is_taken = ((field.ways | field.by_hand) & way) != 0;
      if (is_taken && !sample.is_refused() && answer.status == 200) continue;
      EXPECT_TRUE(!is_taken || sample.is_refused() || (field.by_hand & way) != 0) << answer.body;
      EXPECT_NE(answer.status, 200);
      (void)refusal(answer, field.name);
    }
  }
}

TEST_F(FieldMatrix, N13EveryFieldThatDoesNotWorkIsRefusedByName) {
  start();
  for (const AbsentField& field : fields::absent()) {
    SCOPED_TRACE(field.name);
    EXPECT_FALSE(works(field.name));
    if (field.name.find('.') != std::string_view::npos) continue;  // within other objects
    base::Json value = 7;
    for (const char* other : {"true", "\"x\"", "[[1]]"}) {
      if (fields::is_neutral(field, value)) value = base::Json::parse(other, "value");
    }
    base::Json options = base::Json::object();
    options[field.name] = value;
    for (const fields::Way way : {fields::kCompletions, fields::kChat})
      EXPECT_EQ(refusal(ask_by(way, body(way, nullptr, options)), field.name),
                "400 unsupported_parameter");
    if (!field.is_option) continue;
    EXPECT_EQ(refusal(ask_by(fields::kNative, body(fields::kNative, nullptr, options)), field.name),
              "400 unsupported_parameter");
  }
}

TEST(FieldMatrixOfTheLibrary, N13ConfigurationsWithFieldsThatDoNotWorkAreRefused) {
  for (const AbsentField& field : fields::absent()) {
    if (!field.is_option) continue;
    SCOPED_TRACE(field.name);
    base::Json config = base::Json::object();
    config[field.name] = fields::is_neutral(field, 7) ? base::Json(true) : base::Json(7);
    ::setenv("OPENLLM_CONFIG", config.dump().c_str(), 1);
    try {
      (void)make_llm();
      ADD_FAILURE() << "was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << error.what();
      EXPECT_THAT(error.what(), ::testing::HasSubstr(std::string(field.name)));
    }
    ::unsetenv("OPENLLM_CONFIG");
  }
}

TEST(FieldMatrixOfTheLibrary, ABackendThatIsNotHereSaysWhyAndUnknownFieldsHaveNoRow) {
  for (const Availability& backend : list_backends()) {
    if (backend.available) continue;
    bool is_listed = false;
    for (const Availability& answer : ask_backends_for_field("top_k")) {
      if (answer.name != backend.name) continue;
      is_listed = true;
      EXPECT_FALSE(answer.available);
      EXPECT_EQ(answer.reason, backend.reason);
    }
    EXPECT_TRUE(is_listed) << backend.name;
  }
  EXPECT_TRUE(ask_backends_for_field("max_tokens")[1].available);  // another name of it
  EXPECT_THROW((void)ask_backends_for_field("temprature"), Error);
}

}  // namespace
}  // namespace openllm::contract
