#include "hub/reference.h"

#include <gtest/gtest.h>

#include "openllm/error.h"

namespace openllm::hub {
namespace {

/// "repo revision variant file url" of what a text means; "-" for what is empty.
std::string read(const std::string& text, const std::string& endpoint = {}) {
  const auto shown = [](const std::string& part) { return part.empty() ? "-" : part; };
  try {
    const std::optional<Reference> r = parse_reference(text, endpoint);
    if (!r) return "none";
    return shown(r->repo) + " " + shown(r->revision) + " " + shown(r->variant) + " " +
           shown(r->file) + " " + shown(r->url);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return "error";
  }
}

TEST(Reference, NamesMayHaveARevisionOrAVariant) {
  EXPECT_EQ(read("Qwen/Qwen3-0.6B"), "Qwen/Qwen3-0.6B - - - -");
  EXPECT_EQ(read("gpt2"), "gpt2 - - - -");
  EXPECT_EQ(read("Qwen/Qwen3-0.6B:v1.0"), "Qwen/Qwen3-0.6B v1.0 - - -");
  EXPECT_EQ(read("Qwen/Qwen3-0.6B@refs/pr/1"), "Qwen/Qwen3-0.6B refs/pr/1 - - -");
  EXPECT_EQ(read("Qwen/Qwen3-0.6B-GGUF:Q4_K_M"), "Qwen/Qwen3-0.6B-GGUF - Q4_K_M - -");
  EXPECT_EQ(read("a/b:q8_0"), "a/b - q8_0 - -");
  EXPECT_EQ(read("a/b@v1:IQ2_XS"), "a/b v1 IQ2_XS - -");
  EXPECT_EQ(read("a/b@v1:x"), "none");
}

TEST(Reference, NamesThatNoHubHasAreNone) {
  for (const char* text : {"", "a/b/c", "/a", "a/", "../a", "a/..", "a b/c", "a/b:", "a/b@", "-a/b",
                           "a/b.", "a--b/c", "a/b@../x", "a/b@x//y", "a/b.git"}) {
    EXPECT_EQ(read(text), "none") << text;
  }
  EXPECT_EQ(read(std::string(60, 'a') + "/" + std::string(40, 'b')), "none");
}

TEST(Reference, AddressesOfAHubAreModels) {
  EXPECT_EQ(read("hf://a/b"), "a/b - - - -");
  EXPECT_EQ(read("hf://a/b@v1"), "a/b v1 - - -");
  EXPECT_EQ(read("hf://models/a/b/x/y.gguf"), "a/b - - x/y.gguf -");
  EXPECT_EQ(read("hf://a/b@v1/y.gguf"), "a/b v1 - y.gguf -");
  EXPECT_EQ(read("https://huggingface.co/a/b"), "a/b - - - -");
  EXPECT_EQ(read("https://huggingface.co/a/b/"), "a/b - - - -");
  EXPECT_EQ(read("https://hf.co/a/b/tree/v1"), "a/b v1 - - -");
  EXPECT_EQ(read("https://huggingface.co/a/b/resolve/main/x.gguf?download=true"),
            "a/b main - x.gguf -");
  EXPECT_EQ(read("http://127.0.0.1:8000/a/b/blob/main/x/y.gguf", "http://127.0.0.1:8000"),
            "a/b main - x/y.gguf -");
  EXPECT_EQ(read("http://127.0.0.1:9000/a/b", "http://127.0.0.1:8000"), "error");
  EXPECT_EQ(read("https://example.org/x/model.GGUF"), "- - - - https://example.org/x/model.GGUF");
}

TEST(Reference, AddressesOfNothingAreErrors) {
  for (const char* text :
       {"hf://", "hf://a", "hf://a/b@", "hf://a/b@v1:Q4_0", "hf://a/b/../c", "https://",
        "https://huggingface.co/a", "https://huggingface.co/a/b/tree",
        "https://huggingface.co/a/b/resolve/main", "https://example.org/model",
        "https://huggingface.co/a/b/tree/main/x"}) {
    EXPECT_EQ(read(text), "error") << text;
  }
}

TEST(Reference, IsWrittenAsItCanBeRead) {
  for (const char* text : {"a/b", "a/b@v1", "a/b:Q4_0", "a/b@v1:Q4_0", "hf://a/b@v1/x.gguf",
                           "https://example.org/x.gguf"}) {
    EXPECT_EQ(parse_reference(text)->text(), text);
  }
}

TEST(Reference, VariantsAreNamesOfQuantisations) {
  for (const char* text :
       {"Q4_K_M", "q8_0", "IQ3_XXS", "BF16", "f16", "UD-Q4_K_XL", "TQ1_0", "Q4_0_4_4"})
    EXPECT_TRUE(is_variant(text)) << text;
  for (const char* text : {"", "main", "Q", "Q_4", "Qwen", "v1.0", "I", "Q4K", "quality"})
    EXPECT_FALSE(is_variant(text)) << text;
}

}  // namespace
}  // namespace openllm::hub
