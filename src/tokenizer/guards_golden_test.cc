// Control words that are text beside others that are tokens, against the Hugging Face library:
// tools/make_guard_goldens.py.

#include <gmock/gmock.h>

#include "tokenizer/test_data.h"

namespace openllm::tokenizer {
namespace {

/// The tokenizer of a golden's name; its added tokens are looked for behind the normalizer where
/// the name says so.
std::unique_ptr<Tokenizer> open(std::string name) {
  constexpr std::string_view kNormalized = " normalized";
  const bool normalized = name.ends_with(kNormalized);
  if (normalized) name.resize(name.size() - kNormalized.size());
  base::Json json = read_test_json("tokenizer/" + name + ".json");
  if (normalized) {
    for (base::Json& token : *json["added_tokens"].if_array()) {
      if (token.find("special")->as_bool("special")) token["normalized"] = true;
    }
  }
  return make_tokenizer(json, {});
}

TEST(Guards, AreAsIfTheWordHadNoToken) {
  const base::Json golden = read_test_json("tokenizer/guards.golden.json");
  std::size_t n_rows = 0;
  for (const auto& [name, rows] : golden.as_object("golden")) {
    const auto tokenizer = open(name);
    for (const base::Json& row : rows.as_array("rows")) {
      const base::JsonArray& fields = row.as_array("row");
      const std::string& text = fields[0].as_string("text");
      std::vector<std::size_t> guards;
      for (const base::Json& place : fields[1].as_array("places"))
        guards.push_back(static_cast<std::size_t>(place.as_int("place")));
      EncodeOptions options;
      options.add_special_tokens = false;
      options.guards = guards;
      EXPECT_EQ(tokenizer->encode(text, options), to_ids(fields[2])) << name << " " << row.dump();
      ++n_rows;
    }
  }
  EXPECT_GT(n_rows, 400U);
}

TEST(Guards, AtTheEndsOfAWordLetItBe) {
  const auto tokenizer = open("gpt2_style");
  const auto encode = [&](std::vector<std::size_t> guards) {
    EncodeOptions options;
    options.add_special_tokens = false;
    options.guards = guards;
    return tokenizer->encode("a</s>b", options);
  };
  const auto plain = encode({});
  for (const std::size_t outside : {0U, 1U, 5U, 6U}) EXPECT_EQ(encode({outside}), plain) << outside;
  for (const std::size_t inside : {2U, 3U, 4U}) EXPECT_NE(encode({inside}), plain) << inside;
  EXPECT_NE(encode({0, 1, 3, 5}), plain);
}

TEST(SpecialTokensMap, IsAsTransformersMakesIt) {
  const base::Json json = read_test_json("tokenizer/gpt2_style.json");
  const auto map = [&](const char* config) {
    return make_tokenizer(json, base::Json::parse(config, "test"))->special_tokens_map().dump();
  };
  EXPECT_EQ(map("{}"), "{}");
  EXPECT_EQ(map(R"({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "pad_token": null,
                    "unk_token": "<unk>", "image_token": "<img>", "n_token": 5, "tokens": "x"})"),
            R"({"bos_token":"<s>","eos_token":"</s>","unk_token":"<unk>","image_token":"<img>"})");
  EXPECT_EQ(map(R"({"extra_special_tokens": {"boi_token": "<b>"},
                    "additional_special_tokens": ["<a>", {"content": "<c>"}]})"),
            R"({"boi_token":"<b>","additional_special_tokens":["<a>","<c>"]})");
}

}  // namespace
}  // namespace openllm::tokenizer
