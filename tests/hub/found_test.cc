// What ModelScope's client, Ollama and llama.cpp keep on this machine, in the layouts they have
// had.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hub/llama_cpp.h"
#include "hub/ollama.h"
#include "hub/other_places.h"
#include "hub/reference.h"
#include "other_fixture.h"

namespace openllm::hub_test {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kLibrary = "registry.ollama.ai/library/";

std::vector<std::string> ids_of(const std::vector<HubModel>& models) {
  std::vector<std::string> ids;
  for (const HubModel& model : models) ids.push_back(model.origin + " " + model.id);
  return ids;
}

TEST_F(Places, EachLayoutOfModelScopeIsFound) {
  for (const char* folder : {"models/own--new.1/snapshots/master", "models/own/mid___1",
                             "hub/models/own/hub___1", "own/flat.1", "hub/own/old___1"}) {
    write_model(fs::path("modelscope") / folder);
  }
  for (const char* name : {"own/new.1", "own/mid.1", "own/hub.1", "own/flat.1", "own/old.1"}) {
    const auto found = hub().find(name);
    ASSERT_TRUE(found) << name;
    EXPECT_EQ(found->id, name);
    EXPECT_EQ(found->origin, "modelscope");
    EXPECT_EQ(found->version, "master");
    EXPECT_EQ(found->commit, "");
    EXPECT_THAT(found->refs, ElementsAre("master"));
    EXPECT_EQ(found->format, "safetensors");
    EXPECT_TRUE(hub().find(std::string("modelscope://") + name));
    EXPECT_TRUE(hub().find(std::string("https://modelscope.cn/models/") + name));
    EXPECT_FALSE(hub().find(std::string("hf://") + name));
    EXPECT_FALSE(hub().find(std::string(name) + "@v2"));
  }
  EXPECT_THAT(ids_of(hub().list()),
              ElementsAre("modelscope own/flat.1", "modelscope own/hub.1", "modelscope own/mid.1",
                          "modelscope own/new.1", "modelscope own/old.1"));
}

TEST_F(Places, RevisionsOfModelScopeAreApart) {
  write_model("modelscope/models/own--name/snapshots/v1");
  EXPECT_EQ(hub().find("own/name")->version, "v1") << "the only one";
  write_model("modelscope/models/own--name/snapshots/v2");
  EXPECT_FALSE(hub().find("own/name")) << "which of two is not said";
  EXPECT_EQ(hub().find("own/name@v2")->version, "v2");
  write_model("modelscope/models/own/old");
  write("modelscope/models/own/old/.mv", "Revision:v3.0,CreatedAt:1700000000");
  EXPECT_EQ(hub().find("own/old")->version, "v3.0");
  EXPECT_TRUE(hub().find("own/old@v3.0"));
  EXPECT_FALSE(hub().find("own/old@master"));
}

TEST_F(Places, HalfModelsOfModelScopeAreNoModels) {
  write("modelscope/models/own--half/snapshots/master/config.json", "{}");
  write("modelscope/models/own--half/snapshots/master/model.safetensors.incomplete", "wei");
  write("modelscope/models/own/files/._____temp/m-Q4_0.gguf", "GGUF");
  write("modelscope/models/._____temp/own/temp/config.json", "{}");
  write("modelscope/models/._____temp/own/temp/model.safetensors", "wei");
  write("modelscope/models/own--split/snapshots/master/config.json", "{}");
  write("modelscope/models/own--split/snapshots/master/model-00001-of-00002.safetensors", "w");
  write("modelscope/models/own--split/snapshots/master/model.safetensors.index.json",
        R"({"weight_map":{"a":"model-00001-of-00002.safetensors",)"
        R"("b":"model-00002-of-00002.safetensors"}})");
  for (const char* name : {"own/half", "own/files", "own/temp", "own/split"})
    EXPECT_FALSE(hub().find(name)) << name;
  EXPECT_TRUE(hub().list().empty());
}

TEST_F(Places, LinksOfModelScopeAreFollowedAndListedOnce) {
  write_model("modelscope/models/own/name___5");
  fs::create_directory_symlink("name___5", root_ / "modelscope/models/own/name.5");
  write("elsewhere/model.safetensors", "weights");
  write("modelscope/models/own/linked/config.json", "{}");
  fs::create_symlink(root_ / "elsewhere/model.safetensors",
                     root_ / "modelscope/models/own/linked/model.safetensors");
  EXPECT_EQ(hub().find("own/linked")->bytes, 9);
  EXPECT_THAT(ids_of(hub().list()), ElementsAre("modelscope own/linked", "modelscope own/name.5"));
}

TEST_F(Places, TheHubThatIsAskedIsLookedIntoFirst) {
  const std::string commit(40, 'a');
  write("huggingface/models--own--both/refs/main", commit);
  write_model("huggingface/models--own--both/snapshots/" + commit);
  write_model("modelscope/models/own--both/snapshots/master");
  EXPECT_EQ(hub().find("own/both")->origin, "hub");
  EXPECT_EQ(hub().find("modelscope://own/both")->origin, "modelscope");
  options_.hub = "modelscope";
  EXPECT_EQ(hub().find("own/both")->origin, "modelscope");
  EXPECT_EQ(hub().find("hf://own/both")->origin, "hub");
  options_.hub = "elsewhere";
  EXPECT_EQ(code_of([&] { (void)hub(); }), ErrorCode::kInvalidArgument);
  EXPECT_THAT(message_,
              HasSubstr("hub: unknown (expected huggingface or modelscope, got elsewhere"));
}

TEST_F(Places, FilesOfModelScopeByTheirVariant) {
  write("modelscope/models/own--files/snapshots/master/m-Q8_0.gguf", "GGUF8");
  write("modelscope/models/own--files/snapshots/master/m-Q4_K_M.gguf", "GGUF4");
  EXPECT_EQ(hub().find("own/files:Q8_0")->variant, "Q8_0");
  EXPECT_EQ(hub().find("own/files")->variant, "Q4_K_M");
  EXPECT_EQ(hub().find("modelscope://own/files@master/m-Q8_0.gguf")->variant, "Q8_0");
  EXPECT_EQ(hub().list().size(), 2U);
}

TEST_F(Places, ModelsOfOllamaAreFoundByTheirNames) {
  write_ollama(kLibrary + "llama3.2/1b", "GGUF small");
  write_ollama(kLibrary + "llama3.2/latest", "GGUF large",
               R"(,{"mediaType":"application/vnd.ollama.image.template","digest":"sha256:x"})"
               R"(,{"mediaType":"application/vnd.ollama.image.projector","digest":"sha256:x"})");
  write_ollama("registry.ollama.ai/me/own/v1", "GGUF own");
  write_ollama("hf.co/bartowski/Q-GGUF/Q4_K_M", "GGUF hf");
  const auto found = hub().find("ollama://llama3.2:1b");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->id, "ollama://llama3.2:1b");
  EXPECT_EQ(found->origin, "ollama");
  EXPECT_EQ(found->version, sha256_text("GGUF small").substr(0, 12));
  EXPECT_EQ(found->path, root_ / "ollama/blobs" / ("sha256-" + sha256_text("GGUF small")));
  EXPECT_EQ(found->format, "gguf");
  EXPECT_EQ(found->bytes, 10);
  EXPECT_EQ(hub().find("ollama://llama3.2")->id, "ollama://llama3.2:latest");
  EXPECT_EQ(hub().find("ollama://library/llama3.2")->id, "ollama://llama3.2:latest");
  EXPECT_TRUE(hub().find("ollama://registry.ollama.ai/me/own:v1"));
  EXPECT_THAT(
      ids_of(hub().list()),
      ElementsAre("ollama ollama://hf.co/bartowski/Q-GGUF:Q4_K_M", "ollama ollama://llama3.2:1b",
                  "ollama ollama://llama3.2:latest", "ollama ollama://me/own:v1"));
}

TEST_F(Places, WhatOllamaLacksIsSaidWithWhatIsNear) {
  write_ollama(kLibrary + "llama3.2/1b", "GGUF small");
  EXPECT_FALSE(hub().find("ollama://llama3"));
  EXPECT_EQ(code_of([&] { (void)hub().pull("ollama://llama3:1b"); }), ErrorCode::kNotFound);
  EXPECT_THAT(message_, HasSubstr("`ollama pull llama3:1b` fetches it; did you mean "
                                  "ollama://llama3.2:1b?"));
  for (const char* name : {"ollama://", "ollama://..", "ollama://a/b/c/d", "ollama://a:../b",
                           "ollama://../../etc/passwd", "ollama:///etc/passwd",
                           "ollama://a:", "ollama://-a", "ollama://a@v1"}) {
    EXPECT_EQ(code_of([&] { (void)hub().find(name); }), ErrorCode::kInvalidArgument) << name;
  }
}

TEST_F(Places, ManifestsOfOllamaThatCannotBeUsedSayWhy) {
  const auto finds = [&](const std::string& tag) {
    return code_of([&] { (void)hub().find("ollama://m:" + tag); });
  };
  write_ollama(kLibrary + "m/adapter", "GGUF a",
               R"(,{"mediaType":"application/vnd.ollama.image.adapter","digest":"sha256:x"})");
  EXPECT_EQ(finds("adapter"), ErrorCode::kUnsupported);
  EXPECT_THAT(message_, HasSubstr("has an adapter"));
  write_ollama(kLibrary + "m/new", "GGUF a",
               R"(,{"mediaType":"application/vnd.ollama.image.tensor","digest":"sha256:x"})");
  EXPECT_EQ(finds("new"), ErrorCode::kUnsupported);
  EXPECT_THAT(message_, HasSubstr("image.tensor"));
  write_ollama(kLibrary + "m/two", "GGUF a",
               R"(,{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:x"})");
  EXPECT_EQ(finds("two"), ErrorCode::kUnsupported);
  const auto manifest = [&](const std::string& tag, const std::string& text) {
    write("ollama/manifests/" + kLibrary + "m/" + tag, text);
    return finds(tag);
  };
  const std::string layer = R"({"layers":[{"mediaType":"application/vnd.ollama.image.model",)";
  EXPECT_EQ(manifest("json", "no"), ErrorCode::kCorruptData);
  EXPECT_EQ(manifest("empty", "{}"), ErrorCode::kCorruptData);
  EXPECT_EQ(manifest("array", R"({"layers":3})"), ErrorCode::kCorruptData);
  EXPECT_EQ(manifest("path", layer + R"("digest":"sha256:../../../../etc/passwd"}]})"),
            ErrorCode::kCorruptData);
  EXPECT_EQ(manifest("gone", layer + R"("digest":"sha256:)" + sha256_text("gone") + R"("}]})"),
            ErrorCode::kCorruptData);
  EXPECT_THAT(message_, HasSubstr("is not there"));
  EXPECT_EQ(manifest("huge", std::string(2 << 20, ' ')), ErrorCode::kCorruptData);
  write("ollama/blobs/sha256-" + sha256_text("text"), "text");
  EXPECT_EQ(manifest("text", layer + R"("digest":"sha256:)" + sha256_text("text") + R"("}]})"),
            ErrorCode::kCorruptData);
  EXPECT_THAT(message_, HasSubstr("is no GGUF file"));
  write("ollama/blobs/sha256-" + sha256_text("cut"), "GGUF");
  EXPECT_EQ(
      manifest("cut", layer + R"("size":900,"digest":"sha256:)" + sha256_text("cut") + R"("}]})"),
      ErrorCode::kCorruptData);
  EXPECT_THAT(message_, HasSubstr("wrong size (expected 900 bytes, got 4)"));
  EXPECT_TRUE(hub().list().empty()) << "none of them can be used";
}

TEST_F(Places, WhatOthersKeepIsVerifiedAndNotRemoved) {
  write_ollama(kLibrary + "m/latest", "GGUF weights");
  EXPECT_TRUE(hub().verify("ollama://m").empty());
  write("ollama/blobs/sha256-" + sha256_text("GGUF weights"), "GGUF changed");
  EXPECT_EQ(hub().verify("ollama://m").size(), 1U);
  write_model("modelscope/models/own--name/snapshots/master");
  EXPECT_TRUE(hub().verify("own/name").empty());
  EXPECT_EQ(code_of([&] { (void)hub().verify("ollama://none"); }), ErrorCode::kNotFound);
  EXPECT_EQ(code_of([&] { (void)hub().remove("ollama://m"); }), ErrorCode::kUnsupported);
  EXPECT_THAT(message_, HasSubstr("`ollama rm` removes it"));
  EXPECT_EQ(code_of([&] { (void)hub().remove("own/name"); }), ErrorCode::kUnsupported);
  EXPECT_THAT(message_, HasSubstr("what ModelScope's client keeps"));
  EXPECT_FALSE(hub().remove("own/other"));
}

TEST_F(Places, SeveralFoldersOfOllamaAreOne) {
  write_ollama(kLibrary + "m/latest", "GGUF weights");
  options_.ollama = (root_ / "none").string() + ":" + options_.ollama;
  EXPECT_TRUE(hub().find("ollama://m"));
  EXPECT_EQ(hub().list().size(), 1U);
}

TEST_F(Places, FilesOfLlamaCppAreFoundByTheirManifests) {
  write("llama.cpp/own_name-GGUF_name-Q8_0.gguf", "GGUF8");
  write("llama.cpp/own_name-GGUF_name-Q8_0.gguf.json", R"({"etag":"x"})");
  write("llama.cpp/manifest=own=name-GGUF=Q8_0.json",
        R"({"ggufFile":{"rfilename":"name-Q8_0.gguf","size":5}})");
  const auto found = hub().find("own/name-GGUF:q8_0");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->origin, "llama.cpp");
  EXPECT_EQ(found->variant, "Q8_0");
  EXPECT_EQ(found->bytes, 5);
  EXPECT_TRUE(hub().find("own/name-GGUF")) << "the only one";
  EXPECT_FALSE(hub().find("own/name-GGUF:Q4_0"));
  EXPECT_FALSE(hub().find("own/name-GGUF@main"));
  EXPECT_FALSE(hub().find("modelscope://own/name-GGUF"));
  write("llama.cpp/own_name-GGUF_name-Q4_0.gguf", "GGUF4");
  write("llama.cpp/manifest=own=name-GGUF=Q4_0.json",
        R"({"ggufFile":{"rfilename":"name-Q4_0.gguf"}})");
  EXPECT_FALSE(hub().find("own/name-GGUF")) << "which of two is not said";
  write("llama.cpp/manifest=own=name-GGUF=latest.json",
        R"({"ggufFile":{"rfilename":"name-Q4_0.gguf"}})");
  EXPECT_EQ(hub().find("own/name-GGUF")->variant, "Q4_0");
  EXPECT_THAT(ids_of(hub().list()),
              ElementsAre("llama.cpp own/name-GGUF", "llama.cpp own/name-GGUF"));
}

TEST_F(Places, FilesOfLlamaCppThatAreNotWholeAreNotFound) {
  write("llama.cpp/manifest=own=split=latest.json",
        R"({"ggufFile":{"rfilename":"m-00001-of-00002.gguf"}})");
  write("llama.cpp/own_split_m-00001-of-00002.gguf", "GGUF");
  EXPECT_FALSE(hub().find("own/split"));
  write("llama.cpp/own_split_m-00002-of-00002.gguf", "GGUF");
  EXPECT_EQ(hub().find("own/split")->bytes, 8);
  write("secret.gguf", "GGUF");
  write("llama.cpp/manifest=own=evil=latest.json",
        R"({"ggufFile":{"rfilename":"../../secret.gguf"}})");
  write("llama.cpp/manifest=own=none=latest.json", R"({"ggufFile":[]})");
  write("llama.cpp/manifest=own=text=latest.json", R"({"ggufFile":{"rfilename":"t.gguf"}})");
  write("llama.cpp/own_text_t.gguf", "text");
  write("llama.cpp/manifest===.json", "{}");
  for (const char* name : {"own/evil", "own/none", "own/text"}) EXPECT_FALSE(hub().find(name));
  EXPECT_EQ(hub().list().size(), 1U);
  EXPECT_EQ(code_of([] { (void)hub::parse_llama_cpp_manifest("no", "x"); }),
            ErrorCode::kCorruptData);
}

TEST_F(Places, TheHuggingFaceLayoutInLlamaCppsFolderIsReadToo) {
  const std::string commit(40, 'a');
  write("llama.cpp/models--own--name/refs/main", commit);
  write("llama.cpp/models--own--name/snapshots/" + commit + "/m-Q8_0.gguf", "GGUF");
  EXPECT_EQ(hub().find("own/name:Q8_0")->origin, "llama.cpp");
  EXPECT_EQ(hub().find("own/name@" + commit.substr(0, 8))->commit, commit);
  EXPECT_THAT(ids_of(hub().list()), ElementsAre("llama.cpp own/name"));
}

TEST(ModelScopeNames, AreReadAndWritten) {
  for (const char* text : {"modelscope://own/name", "modelscope://own/name@v1",
                           "modelscope://own/name@v1/sub/m.gguf", "modelscope://own/name/m.gguf"}) {
    const auto reference = hub::parse_reference(text);
    ASSERT_TRUE(reference) << text;
    EXPECT_EQ(reference->hub, hub::HubKind::kModelScope);
    EXPECT_EQ(reference->text(), text);
  }
  const auto page = hub::parse_reference("https://www.modelscope.cn/models/own/name.5/summary");
  EXPECT_EQ(page->text(), "modelscope://own/name.5");
  EXPECT_EQ(hub::parse_reference("own/name")->hub, hub::HubKind::kAny);
  EXPECT_EQ(hub::parse_reference("hf://own/name")->hub, hub::HubKind::kHuggingFace);
  for (const char* text : {"modelscope://own", "modelscope://own/..", "modelscope://own/name@",
                           "modelscope://own/name/../x", "https://modelscope.cn/models/own/n/x"})
    EXPECT_THROW((void)hub::parse_reference(text), Error) << text;
}

/// The environment as one test wants it.
class Variables {
 public:
  using Value = std::pair<const char*, const char*>;
  explicit Variables(std::initializer_list<Value> values) {
    for (const char* name :
         {"OPENLLM_HUB", "VLLM_USE_MODELSCOPE", "MODELSCOPE_CACHE", "MODELSCOPE_ENDPOINT",
          "MODELSCOPE_DOMAIN", "MODELSCOPE_API_TOKEN", "OLLAMA_MODELS", "LLAMA_CACHE",
          "XDG_CACHE_HOME", "HOME", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"}) {
      const char* old = std::getenv(name);
      old_.emplace_back(name, old == nullptr ? std::nullopt : std::optional<std::string>(old));
      ::unsetenv(name);
    }
    for (const auto& [name, value] : values) ::setenv(name, value, 1);
  }
  ~Variables() {
    for (const auto& [name, value] : old_)
      value ? ::setenv(name, value->c_str(), 1) : ::unsetenv(name);
  }
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;

 private:
  std::vector<std::pair<const char*, std::optional<std::string>>> old_;
};

TEST(OtherPlaces, VariablesOfTheOtherPrograms) {
  {
    const Variables none{Variables::Value{"HOME", "/home/me"}};
    const hub::OtherPlaces places = hub::read_other_places();
    EXPECT_EQ(places.hub, "huggingface");
    EXPECT_EQ(places.modelscope_cache, "/home/me/.cache/modelscope");
    EXPECT_EQ(places.modelscope_endpoint, "https://modelscope.cn");
    EXPECT_EQ(places.ollama, "/home/me/.ollama/models:/usr/share/ollama/.ollama/models");
    EXPECT_EQ(places.llama_cpp, "/home/me/.cache/llama.cpp");
    EXPECT_EQ(places.ca_file, "");
  }
  {
    const Variables some{Variables::Value{"HOME", "/home/me"},
                         Variables::Value{"VLLM_USE_MODELSCOPE", "True"},
                         Variables::Value{"MODELSCOPE_DOMAIN", "www.modelscope.ai"},
                         Variables::Value{"MODELSCOPE_CACHE", "~/ms"},
                         Variables::Value{"OLLAMA_MODELS", "/ollama"},
                         Variables::Value{"LLAMA_CACHE", "/llama"},
                         Variables::Value{"SSL_CERT_FILE", "/a.pem"},
                         Variables::Value{"CURL_CA_BUNDLE", "/b.pem"}};
    const hub::OtherPlaces places = hub::read_other_places();
    EXPECT_EQ(places.hub, "modelscope");
    EXPECT_EQ(places.modelscope_endpoint, "https://www.modelscope.ai");
    EXPECT_EQ(places.modelscope_cache, "/home/me/ms");
    EXPECT_EQ(places.ollama, "/ollama");
    EXPECT_EQ(places.llama_cpp, "/llama");
    EXPECT_EQ(places.ca_file, "/b.pem");
  }
  const Variables hub{Variables::Value{"OPENLLM_HUB", "hf"},
                      Variables::Value{"VLLM_USE_MODELSCOPE", "1"}};
  EXPECT_EQ(hub::read_other_places().hub, "huggingface");
  const Variables bad{Variables::Value{"MODELSCOPE_API_TOKEN", "ms\nsecret"}};
  try {
    (void)hub::read_other_places();
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("MODELSCOPE_API_TOKEN: has characters"));
    EXPECT_THAT(error.what(), ::testing::Not(HasSubstr("secret")));
  }
}

}  // namespace
}  // namespace openllm::hub_test
