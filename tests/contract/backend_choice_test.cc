// Which backend is chosen, in each situation that a machine can be in.

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "backend/choose.h"
#include "backend/native.h"
#include "backend/pt/pt.h"
#include "backend/vllm/vllm.h"
#include "fake_server.h"
#include "format/model_source.h"

namespace openllm::contract {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// A machine: its programs, its devices, its models.
class Situation : public ::testing::Test {
 protected:
  Situation() {
    std::string name = (fs::temp_directory_path() / "openllm_choice_XXXXXX").string();
    root_ = ::mkdtemp(name.data());
    for (const char* folder : {"bin", "dev", "unknown"}) fs::create_directory(root_ / folder);
    std::ofstream(root_ / "unknown/config.json")
        << R"({"model_type":"nosuch","architectures":["NosuchForCausalLM"],"vocab_size":100})";
    fs::copy(kLlama + "/model.safetensors", root_ / "unknown");
    for (const char* variable : {"OPENLLM_BACKEND", "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"})
      ::unsetenv(variable);
    path_ = std::getenv("PATH");
    ::setenv("PATH", (root_ / "bin").c_str(), 1);
    ::setenv("OPENLLM_PYTHON", OPENLLM_TEST_DATA "/pt/fake_python", 1);
  }
  ~Situation() override {
    ::setenv("PATH", path_.c_str(), 1);
    ::unsetenv("OPENLLM_PYTHON");
    fs::remove_all(root_);
  }
  Situation(const Situation&) = delete;
  Situation& operator=(const Situation&) = delete;

  void add_program() const {
    std::ofstream(root_ / "bin/vllm") << "#!/bin/false\n";
    fs::permissions(root_ / "bin/vllm", fs::perms::owner_all);
  }
  backend::Choice choose(const std::vector<std::string>& urls = {},
                         const std::string& model = kLlama) const {
    LoadOptions options;
    options.vllm.urls = urls;
    const std::vector<backend::BackendEntry> entries{
        backend::vllm_backend({.root = root_}), backend::native_backend(), backend::pt_backend()};
    return choose_backend(entries, format::open_model(model), options);
  }

  static inline const std::string kLlama = OPENLLM_TEST_DATA "/models/llama";
  fs::path root_;
  std::string path_;
};

TEST_F(Situation, NothingButThisProgram) {
  const backend::Choice choice = choose();
  EXPECT_EQ(choice.entry->name, "native");
  EXPECT_THAT(choice.reason, HasSubstr("vllm skipped: no vLLM here"));
}

TEST_F(Situation, AVllmWithoutAnAccelerator) {
  add_program();
  const backend::Choice choice = choose();
  EXPECT_EQ(choice.entry->name, "native");
  EXPECT_THAT(choice.reason, HasSubstr("slower than native on a CPU"));
}

TEST_F(Situation, AVllmWithAnAccelerator) {
  add_program();
  std::ofstream(root_ / "dev/nvidia0") << "";
  EXPECT_EQ(choose().entry->name, "vllm");
}

TEST_F(Situation, AServerThatIsDead) {
  const backend::Choice choice = choose({"http://127.0.0.1:9"});
  EXPECT_EQ(choice.entry->name, "native");
  EXPECT_THAT(choice.reason, HasSubstr("vllm skipped: vllm: cannot reach http://127.0.0.1:9"));
}

TEST_F(Situation, AServerThatIsAlive) {
  FakeServer server([](const std::string& request) {
    if (!request.starts_with("GET /v1/models"))
      return FakeServer::Reply{http_reply(200, "x/y", "")};
    return FakeServer::Reply{
        http_reply(200, "application/json", R"({"data":[{"id":"llama","max_model_len":64}]})")};
  });
  EXPECT_EQ(choose({server.address()}).entry->name, "vllm");
  EXPECT_EQ(choose({server.address()}, (root_ / "unknown").string()).entry->name, "pt")
      << "that server does not have this model";
}

TEST_F(Situation, AnArchitectureThatOnlyTransformersKnows) {
  const std::string model = (root_ / "unknown").string();
  const backend::Choice choice = choose({}, model);
  EXPECT_EQ(choice.entry->name, "pt");
  EXPECT_THAT(choice.reason, HasSubstr("native skipped"));
  ::setenv("OPENLLM_PYTHON", "/no/python", 1);
  const backend::Choice none = choose({}, model);
  EXPECT_FALSE(none.entry);
  for (const char* part : {"vllm: no vLLM here", "nosuch", "/no/python"})
    EXPECT_THAT(none.reason, HasSubstr(part));
}

}  // namespace
}  // namespace openllm::contract
