#include "other_fixture.h"

#include <cstdlib>
#include <fstream>

#include "store/sha256.h"

namespace openllm::hub_test {

namespace fs = std::filesystem;

Places::Places() {
  char name[] = "/tmp/openllm-places-XXXXXX";
  root_ = ::mkdtemp(name);
  options_.cache = root_ / "huggingface";
  options_.downloads = root_ / "downloads";
  options_.endpoint = "http://127.0.0.1:1";
  options_.token = "hf_secret";
  options_.offline = false;
  options_.hub = "huggingface";
  options_.modelscope = {root_ / "modelscope", "http://127.0.0.1:1", "ms_secret"};
  options_.ollama = root_ / "ollama";
  options_.llama_cpp = root_ / "llama.cpp";
}

Places::~Places() { fs::remove_all(root_); }

fs::path Places::write(const fs::path& path, const std::string& text) const {
  const fs::path place = root_ / path;
  fs::create_directories(place.parent_path());
  std::ofstream(place, std::ios::binary) << text;
  return place;
}

void Places::write_model(const fs::path& folder) const {
  write(folder / "config.json", "{}");
  write(folder / "model.safetensors", "weights");
}

void Places::write_ollama(const std::string& name, const std::string& content,
                          const std::string& more) const {
  const std::string digest = sha256_text(content);
  write("ollama/blobs/sha256-" + digest, content);
  write(
      "ollama/manifests/" + name,
      R"({"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",)"
      R"("config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"sha256:)" +
          sha256_text("{}") + R"(","size":2},"layers":[)" +
          R"({"mediaType":"application/vnd.ollama.image.model","digest":"sha256:)" + digest +
          R"(","size":)" + std::to_string(content.size()) + "}" + more + "]}");
}

ErrorCode Places::code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    message_ = error.what();
    return error.code();
  }
  message_.clear();
  return ErrorCode::kInternal;
}

std::string sha256_text(const std::string& text) {
  store::Sha256 digest;
  digest.update(text);
  return digest.hex();
}

}  // namespace openllm::hub_test
