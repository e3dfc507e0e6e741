#pragma once

#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <string>
#include <vector>

#include "fake_hub.h"
#include "hub/fetch.h"
#include "openllm/error.h"

namespace openllm::hub_test {

namespace fs = std::filesystem;

inline std::string content_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// A hub with one model, an empty cache, and no patience: pauses are noted, not made.
class Fetch : public ::testing::Test {
 protected:
  Fetch() {
    // In memory where there is such a place: each download is flushed to the disk, many times here.
    std::error_code error;
    const bool has_memory = fs::is_directory("/dev/shm", error) && ::access("/dev/shm", W_OK) == 0;
    std::string name = std::string(has_memory ? "/dev/shm" : "/tmp") + "/openllm-fetch-XXXXXX";
    root_ = ::mkdtemp(name.data());
    hub_.put("config.json", "{}");
    hub_.put("tokenizer.json", R"({"x":1})");
    hub_.put("README.md", "# Model");
    hub_.put("model.safetensors", weights_, true);
    hub_.put("pytorch_model.bin", "other", true);
    asking_.endpoint = hub_.address();
    asking_.token = "secret";
    asking_.pause = [this](std::chrono::milliseconds time) {
      const std::scoped_lock lock(pauses_mutex_);
      pauses_.push_back(time);
      return true;
    };
    options_.download.part_size = 1000;
  }
  ~Fetch() override { fs::remove_all(root_); }

  hub::CachedModel fetch(const std::string& text = "org/model") {
    return hub::fetch(asking_, hub::Cache(root_), hub::parse_reference(text).value(), options_);
  }
  ErrorCode code_of(const std::string& text = "org/model") {
    try {
      (void)fetch(text);
    } catch (const Error& error) {
      message_ = error.what();
      return error.code();
    }
    return ErrorCode::kInternal;
  }
  fs::path snapshot() const { return root_ / "models--org--model/snapshots" / hub_.commit; }
  /// Whether anybody could take what is there for a model.
  bool shows_a_model() const {
    return !hub::Cache(root_).list().empty() || fs::exists(snapshot() / "config.json");
  }
  static std::string make_weights() {
    std::string text;
    for (int i = 0; i < 1000; ++i) text += std::to_string(i * 7919) + ",";
    return text;
  }

  const std::string weights_ = make_weights();
  FakeHub hub_;
  fs::path root_;
  hub::Asking asking_;
  hub::FetchOptions options_;
  std::mutex pauses_mutex_;  // several connections may pause at once
  std::vector<std::chrono::milliseconds> pauses_;
  std::string message_;
};

}  // namespace openllm::hub_test
