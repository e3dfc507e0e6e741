#include "backend/vllm/probe.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "backend/choose.h"
#include "backend/native.h"
#include "backend/vllm/launch.h"
#include "backend/vllm/vllm.h"
#include "base/error.h"

namespace openllm::backend::vllm {
namespace {

namespace fs = std::filesystem;

/// A folder of the test's own.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "openllm-vllm-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string add(const std::string& name, bool can_run = false) const {
    const fs::path file = path_ / name;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << "#!/bin/false\n";
    if (can_run) fs::permissions(file, fs::perms::owner_all);
    return file.string();
  }
  std::string path() const { return path_.string(); }

 private:
  fs::path path_;
};

TEST(VllmProbe, ProgramsAreFoundAsAShellDoes) {
  const Folder one;
  const Folder two;
  one.add("vllm");
  const std::string wanted = two.add("vllm", true);
  EXPECT_EQ(find_executable("vllm", one.path() + "::" + two.path()), wanted)
      << "the first can't run";
  EXPECT_EQ(find_executable("vllm", one.path()), "");
  EXPECT_EQ(find_executable(wanted, ""), wanted);
  EXPECT_EQ(find_executable(one.path() + "/vllm", two.path()), "");
  fs::create_directory(fs::path(one.path()) / "folder");
  EXPECT_EQ(find_executable("folder", one.path()), "");
}

TEST(VllmProbe, AcceleratorsAreDevices) {
  const Folder root;
  EXPECT_EQ(find_accelerator(root.path()), "");
  root.add("dev/nvidiactl");
  EXPECT_EQ(find_accelerator(root.path()), "") << "no device yet";
  root.add("dev/nvidia0");
  EXPECT_EQ(find_accelerator(root.path()), "cuda");
  const Folder other;
  other.add("dev/kfd");
  EXPECT_EQ(find_accelerator(other.path()), "rocm");
}

TEST(VllmProbe, AddressesAreChecked) {
  EXPECT_EQ(checked_url("http://a:8000/"), "http://a:8000");
  EXPECT_EQ(checked_url("https://a/b/v1"), "https://a/b");
  for (const char* url : {"a:8000", "ftp://a", "http://", "http://a?b=c", ""})
    EXPECT_THROW((void)checked_url(url), Error) << url;
}

format::ModelSource hf_source() {
  format::ModelSource source;
  source.id = "me/model";
  source.path = "/models/m";
  source.weights = format::WeightFormat::kSafetensors;
  return source;
}

TEST(VllmChoice, AProgramIsTakenWhereThereIsAnAccelerator) {
  const Folder root;
  const BackendEntry entry = vllm_backend({.root = root.path()});
  LoadOptions options;
  options.vllm.executable = root.add("bin/vllm", true);
  const auto refusal = entry.supports(hf_source(), options);
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->code(), ErrorCode::kUnavailable);
  options.backend = "vllm";
  EXPECT_FALSE(entry.supports(hf_source(), options)) << "asked for by name";
  options.backend.clear();
  root.add("dev/nvidia0");
  EXPECT_FALSE(entry.supports(hf_source(), options));
  EXPECT_EQ(choose_backend({entry, native_backend()}, hf_source(), options).entry->name, "vllm");
  format::ModelSource gguf = hf_source();
  gguf.layout = format::Layout::kGguf;
  EXPECT_EQ(entry.supports(gguf, options)->code(), ErrorCode::kUnsupported);
  format::ModelSource empty = hf_source();
  empty.weights = format::WeightFormat::kNone;
  EXPECT_EQ(entry.supports(empty, options)->code(), ErrorCode::kNotFound);
  options.vllm.executable = root.path() + "/bin/none";
  EXPECT_EQ(entry.supports(hf_source(), options)->where(), "vllm.executable");
}

TEST(VllmLaunch, OptionsBecomeArguments) {
  LoadOptions options;
  EXPECT_EQ(launch_arguments(hf_source(), options, 80),
            (std::vector<std::string>{"serve", "/models/m", "--host", "127.0.0.1", "--port", "80",
                                      "--served-model-name", "me/model"}));
  options.dtype = "bf16";
  options.max_model_len = 128;
  options.gpu_memory_utilization = 0.5F;
  options.tensor_parallel = 2;
  options.max_sequences = 8;
  options.max_step_tokens = 1024;
  options.kv_block_size = 16;
  options.kv_cache_bytes = 1 << 20;
  options.prefix_caching = false;
  options.trust_remote_code = true;
  options.max_draft_tokens = 5;
  options.vllm.args = {"--enforce-eager"};
  std::string line;
  for (const std::string& word : launch_arguments(hf_source(), options, 80)) line += word + " ";
  EXPECT_EQ(line,
            "serve /models/m --host 127.0.0.1 --port 80 --served-model-name me/model --dtype "
            "bfloat16 --max-model-len 128 --gpu-memory-utilization 0.5 --tensor-parallel-size 2 "
            "--max-num-seqs 8 --max-num-batched-tokens 1024 --block-size 16 "
            "--kv-cache-memory-bytes 1048576 --no-enable-prefix-caching "
            R"(--speculative-config {"method":"ngram","num_speculative_tokens":5,)"
            R"("prompt_lookup_max":3,"prompt_lookup_min":3} )"
            "--trust-remote-code --enforce-eager ");
}

}  // namespace
}  // namespace openllm::backend::vllm
