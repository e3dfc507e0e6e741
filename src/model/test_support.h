#pragma once

// Helpers for the tests of this folder; no part of the library.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/mapped_file.h"
#include "device/device.h"
#include "format/checkpoint.h"
#include "model/model.h"

namespace openllm::model::test {

inline std::string data_path(const std::string& name) {
  return std::string(OPENLLM_TEST_DATA) + "/models/" + name;
}

/// What transformers says about a model, see tools/make_tiny_models.py.
struct Golden {
  std::vector<std::int32_t> source;  ///< Of models with an encoder and a decoder.
  std::vector<std::int32_t> prompt;
  std::vector<std::int32_t> greedy;
  std::size_t vocab_size = 0;
  std::vector<float> logits;  ///< [prompt, vocab]
};

inline std::vector<std::int32_t> to_ids(const base::Json& array) {
  std::vector<std::int32_t> ids;
  for (const base::Json& id : array.as_array("ids")) {
    ids.push_back(static_cast<std::int32_t>(id.as_int("id")));
  }
  return ids;
}

inline std::vector<float> read_floats(const std::string& path) {
  const std::string bytes = base::read_file(path);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

inline Golden read_golden(const std::string& folder) {
  const base::Json json =
      base::Json::parse(base::read_file(folder + "/golden.json"), "golden.json");
  Golden golden;
  if (const base::Json* source = json.find("source")) golden.source = to_ids(*source);
  golden.prompt = to_ids(*json.find("prompt"));
  golden.greedy = to_ids(*json.find("greedy"));
  golden.vocab_size = static_cast<std::size_t>(json.find("vocab_size")->as_int("vocab_size"));
  golden.logits = read_floats(folder + "/" + json.find("logits")->as_string("logits"));
  return golden;
}

/// Mounts one adapter alone.
inline void mount_adapter(Model& model, int id, const AdapterSource& source, float factor = 1.0F) {
  model.mount_adapter(id, model.mix_adapters({{model.prepare_adapter(source), factor}}));
}

/// Some new tokens of one sequence.
struct Feed {
  int sequence = 0;
  std::vector<std::int32_t> ids{};
  std::vector<std::int32_t> source{};  ///< To encode in this step.
  std::int32_t adapter = 0;
};

/// A model with block tables for a few sequences, as an engine would keep them.
class Runner {
 public:
  static constexpr int kBlockSize = 4;
  static constexpr int kMaxRows = 96;

  Runner(const format::Checkpoint& checkpoint, const std::string& device_name,
         device::KvType kv_type = device::KvType::kF32, int n_sequences = 4, int max_len = 80,
         std::optional<tensor::DType> quantise_to = std::nullopt)
      : device_(device::make_device(device_name, {.n_threads = 1})) {
    ModelOptions options;
    options.max_rows = kMaxRows;
    options.max_output_rows = kMaxRows;
    options.kv_block_size = kBlockSize;
    options.kv_type = kv_type;
    options.quantise_to = quantise_to;
    model_ = Model::load(checkpoint, *device_, options);
    const int blocks = (max_len + kBlockSize - 1) / kBlockSize;
    tables_.resize(model_->kv_groups().size());
    for (std::size_t g = 0; g < tables_.size(); ++g) {
      tables_[g].resize(static_cast<std::size_t>(n_sequences));
      // Neighbouring blocks of a sequence are not neighbours in memory.
      for (int s = 0; s < n_sequences; ++s) {
        for (int b = 0; b < blocks; ++b)
          tables_[g][static_cast<std::size_t>(s)].push_back(b * n_sequences + s);
      }
    }
    model_->allocate_kv(std::vector<int>(tables_.size(), blocks * n_sequences));
    lengths_.resize(static_cast<std::size_t>(n_sequences), 0);
    source_lengths_.resize(lengths_.size(), 0);
  }

  Model& model() { return *model_; }
  /// RoPE length the sequences are admitted with.
  void set_rope_len(std::int32_t length) { rope_len_ = length; }

  /// One step; logits of all rows, or of each sequence's last one.
  std::vector<float> step(const std::vector<Feed>& feeds, bool all_rows = true) {
    step::Step step;
    for (const Feed& feed : feeds) {
      std::int32_t& length = lengths_[static_cast<std::size_t>(feed.sequence)];
      step.sequences.push_back({.first_row = static_cast<std::int32_t>(step.token_ids.size()),
                                .n_rows = static_cast<std::int32_t>(feed.ids.size()),
                                .past_len = length,
                                .adapter = feed.adapter,
                                .rope_len = rope_len_});
      add_source(feed, step);
      for (const std::int32_t id : feed.ids) {
        if (all_rows) step.logit_rows.push_back(static_cast<std::int32_t>(step.token_ids.size()));
        step.token_ids.push_back(id);
        step.positions.push_back(length++);
      }
      if (!all_rows) {
        step.logit_rows.push_back(static_cast<std::int32_t>(step.token_ids.size()) - 1);
      }
    }
    for (std::size_t g = 0; g < tables_.size(); ++g) {
      const kv::KvGroupSpec& group = model_->kv_groups()[g];
      step::BlockTable& table = step.block_tables.emplace_back();
      table.begin.push_back(0);
      for (std::size_t i = 0; i < feeds.size(); ++i) {
        append_blocks(group, g, feeds[i].sequence, step.sequences[i].past_len, table.ids);
        table.begin.push_back(static_cast<std::int32_t>(table.ids.size()));
      }
    }
    const float* logits = model_->forward(step).logits;
    return {logits,
            logits + step.logit_rows.size() * static_cast<std::size_t>(model_->spec().vocab_size)};
  }

 private:
  void add_source(const Feed& feed, step::Step& step) {
    std::int32_t& length = source_lengths_[static_cast<std::size_t>(feed.sequence)];
    const auto n = static_cast<std::int32_t>(feed.source.size());
    if (n > 0) length = n;
    step.sequences.back().source_len = length;
    step.sequences.back().n_source_rows = n;
    step.source_ids.insert(step.source_ids.end(), feed.source.begin(), feed.source.end());
  }

  /// Blocks behind the window are given as freed.
  void append_blocks(const kv::KvGroupSpec& group, std::size_t g, int sequence,
                     std::int32_t past_len, std::vector<std::int32_t>& out) const {
    const auto& own = tables_[g][static_cast<std::size_t>(sequence)];
    const auto& lengths = group.kind == kv::KvKind::kCross ? source_lengths_ : lengths_;
    const std::int32_t length = lengths[static_cast<std::size_t>(sequence)];
    for (std::int32_t b = 0; b * kBlockSize < length; ++b) {
      if (group.kind == kv::KvKind::kState) {
        // The last state, the one to go on from, and every other one between.
        const bool needed = b == (length - 1) / kBlockSize || b == (past_len - 1) / kBlockSize;
        out.push_back(needed || (b > past_len / kBlockSize && b % 2 == 1)
                          ? own[static_cast<std::size_t>(b)]
                          : -1);
        continue;
      }
      const bool freed =
          group.kind == kv::KvKind::kWindow && (b + 1) * kBlockSize <= past_len - group.window + 1;
      out.push_back(freed ? -1 : own[static_cast<std::size_t>(b)]);
    }
  }

  std::unique_ptr<device::Device> device_;
  std::unique_ptr<Model> model_;
  std::vector<std::vector<std::vector<std::int32_t>>> tables_;  // [group][sequence][block]
  std::vector<std::int32_t> lengths_;
  std::vector<std::int32_t> source_lengths_;
  std::int32_t rope_len_ = 0;
};

/// A checkpoint in memory, for files nobody has.
class MemoryCheckpoint final : public format::Checkpoint {
 public:
  MemoryCheckpoint(Kind kind, base::Json config) : kind_(kind), config_(std::move(config)) {}

  /// Adds an F32 tensor of small different values.
  void add(const std::string& name, const tensor::Shape& shape) {
    values_.push_back(
        std::make_unique<std::vector<float>>(static_cast<std::size_t>(shape.n_elems())));
    std::vector<float>& values = *values_.back();
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = 0.05F * static_cast<float>((i * 37 + name.size() * 11) % 29) - 0.7F;
    }
    tensors_.push_back(
        {name, {tensor::DType::kF32, shape, std::as_bytes(std::span<const float>(values))}});
    std::sort(tensors_.begin(), tensors_.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
  }
  /// Adds a tensor whose bytes somebody else keeps.
  void add(const std::string& name, const tensor::TensorView& view) {
    tensors_.push_back({name, view});
    std::sort(tensors_.begin(), tensors_.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
  }
  void set(const std::string& name, std::size_t index, float value) {
    for (format::NamedTensor& tensor : tensors_) {
      if (tensor.name != name) continue;
      const auto* old = reinterpret_cast<const float*>(tensor.view.bytes.data());
      const auto n = static_cast<std::size_t>(tensor.view.shape.n_elems());
      auto& values = *values_.emplace_back(std::make_unique<std::vector<float>>(old, old + n));
      values.at(index) = value;
      tensor.view.bytes = std::as_bytes(std::span<const float>(values));
    }
  }
  /// Rounds a tensor's values to F16: kept so, or as F32 again.
  void round_to_f16(const std::string& name, bool keep_f32) {
    for (format::NamedTensor& tensor : tensors_) {
      if (tensor.name != name) continue;
      const auto* values = reinterpret_cast<const float*>(tensor.view.bytes.data());
      const auto n = static_cast<std::size_t>(tensor.view.shape.n_elems());
      auto& halves = *halves_.emplace_back(std::make_unique<std::vector<std::uint16_t>>());
      auto& rounded = *values_.emplace_back(std::make_unique<std::vector<float>>());
      for (std::size_t i = 0; i < n; ++i) {
        halves.push_back(tensor::f32_to_f16(values[i]));
        rounded.push_back(tensor::f16_to_f32(halves.back()));
      }
      tensor.view.dtype = keep_f32 ? tensor::DType::kF32 : tensor::DType::kF16;
      tensor.view.bytes = keep_f32 ? std::as_bytes(std::span<const float>(rounded))
                                   : std::as_bytes(std::span<const std::uint16_t>(halves));
    }
  }
  void remove(const std::string& name) {
    std::erase_if(tensors_, [&](const auto& tensor) { return tensor.name == name; });
  }
  void add_unreadable(const std::string& name, const std::string& reason) {
    unreadable_.push_back({name, reason});
  }
  base::Json& mutable_config() { return config_; }

  Kind kind() const noexcept override { return kind_; }
  const std::string& path() const noexcept override { return path_; }
  const base::Json& config() const noexcept override { return config_; }
  const std::vector<format::NamedTensor>& tensors() const noexcept override { return tensors_; }
  const std::vector<format::UnreadableTensor>& unreadable() const noexcept override {
    return unreadable_;
  }
  void drop_pages(const tensor::TensorView& /*view*/) const noexcept override {}

 private:
  Kind kind_;
  std::string path_ = "memory";
  base::Json config_;
  std::vector<std::unique_ptr<std::vector<float>>> values_;
  std::vector<std::unique_ptr<std::vector<std::uint16_t>>> halves_;
  std::vector<format::NamedTensor> tensors_;
  std::vector<format::UnreadableTensor> unreadable_;
};

/// A small llama whose configuration and tensors tests can spoil.
inline MemoryCheckpoint small_llama() {
  base::Json config = base::Json::parse(
      R"({"model_type": "llama", "vocab_size": 11, "hidden_size": 8, "intermediate_size": 12,
          "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
          "max_position_embeddings": 32, "rms_norm_eps": 1e-5, "tie_word_embeddings": false})",
      "test");
  MemoryCheckpoint checkpoint(format::Checkpoint::Kind::kHuggingFace, std::move(config));
  checkpoint.add("model.embed_tokens.weight", {11, 8});
  checkpoint.add("model.norm.weight", {8});
  checkpoint.add("lm_head.weight", {11, 8});
  for (int i = 0; i < 2; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    checkpoint.add(layer + "input_layernorm.weight", {8});
    checkpoint.add(layer + "post_attention_layernorm.weight", {8});
    checkpoint.add(layer + "self_attn.q_proj.weight", {8, 8});
    checkpoint.add(layer + "self_attn.k_proj.weight", {4, 8});
    checkpoint.add(layer + "self_attn.v_proj.weight", {4, 8});
    checkpoint.add(layer + "self_attn.o_proj.weight", {8, 8});
    checkpoint.add(layer + "mlp.gate_proj.weight", {12, 8});
    checkpoint.add(layer + "mlp.up_proj.weight", {12, 8});
    checkpoint.add(layer + "mlp.down_proj.weight", {8, 12});
  }
  return checkpoint;
}

/// The error a call throws; fails the test when it throws none.
template <typename F>
Error error_of(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return Error(ErrorCode::kInternal, "none");
}

}  // namespace openllm::model::test
