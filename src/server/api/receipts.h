#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_writer.h"

namespace openllm::server {

/// The receipts of a job: that of its only prompt, or a list in the order of the prompts.
class Receipts {
 public:
  explicit Receipts(std::size_t n_prompts) : all_(n_prompts) {}

  void add(std::size_t prompt, std::string_view receipt) {
    if (!receipt.empty()) all_[prompt] = receipt;
  }
  bool empty() const noexcept { return all_.empty() || all_.front().empty(); }
  /// The member of an answer; nothing where no receipt is wanted.
  void write(base::JsonWriter& json) const {
    if (empty()) return;
    json.key("receipt");
    if (all_.size() == 1) {
      json.raw(all_.front());
      return;
    }
    json.begin_array();
    for (const std::string& receipt : all_) json.raw(receipt);
    json.end_array();
  }

 private:
  std::vector<std::string> all_;
};

}  // namespace openllm::server
