#include <gmock/gmock.h>

#include "base/error.h"
#include "tokenizer/test_data.h"

namespace openllm::tokenizer {
namespace {

/// A tokenizer whose tokens are the bytes of the text that reaches the model.
std::unique_ptr<Tokenizer> bytes_behind(const base::Json& normalizer,
                                        const base::Json& pre_tokenizer) {
  base::Json vocab = base::Json::object();
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (int byte = 0; byte < 256; ++byte) {
    vocab[base::cat("<0x", kDigits[static_cast<std::size_t>(byte / 16)],
                    kDigits[static_cast<std::size_t>(byte % 16)], ">")] = byte;
  }
  base::Json json = base::Json::object();
  json["model"]["type"] = "BPE";
  json["model"]["byte_fallback"] = true;
  json["model"]["vocab"] = std::move(vocab);
  json["model"]["merges"] = base::Json::array();
  json["normalizer"] = normalizer;
  json["pre_tokenizer"] = pre_tokenizer;
  return make_tokenizer(json, {});
}

std::string text_of(const Tokenizer& tokenizer, const std::string& text) {
  std::string bytes;
  for (const TokenId id : tokenizer.encode(text)) bytes += static_cast<char>(id);
  return bytes;
}

base::Json replace_by_mark(const std::string& pattern) {
  base::Json json = base::Json::object();
  json["type"] = "Replace";
  json["pattern"]["Regex"] = pattern;
  json["content"] = "<>";
  return json;
}

class ComponentGoldenTest : public ::testing::Test {
 protected:
  const base::Json golden_ = read_test_json("tokenizer/components.golden.json");
  const base::JsonArray& rows(const char* key) const { return golden_.find(key)->as_array(key); }
};

TEST_F(ComponentGoldenTest, PatternsMatchAsInTheLibrary) {
  for (const base::Json& row : rows("regex")) {
    const base::JsonArray& fields = row.as_array("row");
    const std::string& pattern = fields[0].as_string("pattern");
    const auto tokenizer = bytes_behind(replace_by_mark(pattern), {});
    EXPECT_EQ(text_of(*tokenizer, fields[1].as_string("text")), fields[2].as_string("result"))
        << pattern << " in " << fields[1].dump();
  }
}

TEST_F(ComponentGoldenTest, PatternsWithoutAnEqualAreRefused) {
  for (const base::Json& pattern : rows("bad_regex")) {
    try {
      bytes_behind(replace_by_mark(pattern.as_string("pattern")), {});
      ADD_FAILURE() << pattern.dump();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << pattern.dump();
    }
  }
}

TEST_F(ComponentGoldenTest, Normalizers) {
  for (const base::Json& row : rows("normalizers")) {
    const base::JsonArray& fields = row.as_array("row");
    const auto tokenizer = bytes_behind(fields[0], {});
    for (const base::Json& pair : fields[1].as_array("texts")) {
      const base::JsonArray& texts = pair.as_array("pair");
      EXPECT_EQ(text_of(*tokenizer, texts[0].as_string("text")), texts[1].as_string("result"))
          << fields[0].dump();
    }
  }
}

TEST_F(ComponentGoldenTest, PreTokenizers) {
  // Marks the beginning of each word.
  base::Json mark = base::Json::object();
  mark["type"] = "Metaspace";
  mark["replacement"] = "|";
  mark["prepend_scheme"] = "always";
  mark["split"] = false;
  for (const base::Json& row : rows("pre_tokenizers")) {
    const base::JsonArray& fields = row.as_array("row");
    base::Json sequence = base::Json::object();
    sequence["type"] = "Sequence";
    sequence["pretokenizers"].push_back(fields[0]);
    sequence["pretokenizers"].push_back(mark);
    const auto tokenizer = bytes_behind({}, sequence);
    for (const base::Json& pair : fields[1].as_array("texts")) {
      const base::JsonArray& texts = pair.as_array("pair");
      EXPECT_EQ(text_of(*tokenizer, texts[0].as_string("text")), texts[1].as_string("result"))
          << fields[0].dump();
    }
  }
}

}  // namespace
}  // namespace openllm::tokenizer
