#include "model/weights.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "model/tensor_book.h"
#include "tensor/dtype.h"

namespace openllm::model {
namespace {

using device::WeightPart;
using device::WeightRole;
using device::WeightSource;
using tensor::Shape;
using tensor::TensorView;

/// One tensor that a linear is stacked from.
struct Part {
  Slot weight;
  Slot bias;
  std::int64_t n_out;
};

class Loader {
 public:
  Loader(const format::Checkpoint& checkpoint, const TensorLayout& layout, const DecoderSpec& spec,
         device::Device& device, const std::function<void(double)>& progress)
      : checkpoint_(checkpoint),
        layout_(layout),
        spec_(spec),
        device_(device),
        progress_(progress),
        book_(checkpoint, layout) {
    for (const auto& tensor : checkpoint.tensors()) total_bytes_ += tensor.view.bytes.size();
  }

  DecoderWeights load() {
    check_layers_exist();
    load_embeddings();
    for (int i = 0; i < spec_.n_layers; ++i) weights_.layers.push_back(load_layer(i));
    load_norm(Slot::kFinalNorm, Slot::kFinalNormBias, 0, weights_.final_norm);
    load_output();
    book_.require_all_used();
    if (progress_) progress_(1.0);
    return std::move(weights_);
  }

 private:
  /// Before anything is uploaded: a layer count that the file cannot have is told at once.
  void check_layers_exist() {
    const int last = spec_.n_layers - 1;
    if (!book_.has(Slot::kAttentionNorm, last)) {
      base::fail(ErrorCode::kCorruptData, checkpoint_.path(), ": tensor ",
                 book_.name(Slot::kAttentionNorm, last), ": missing (expected ", spec_.n_layers,
                 " layers)");
    }
  }

  WeightPtr upload(const WeightSource& source, WeightRole role, bool read_each_step) {
    WeightPtr weight;
    try {
      weight = device_.upload(source, role);
    } catch (const Error& error) {
      throw Error(error.code(), base::cat(checkpoint_.path(), ": ", error.what()));
    }
    for (const WeightPart& part : source.parts) {
      weights_.n_parameters += part.view.shape.n_elems();
      done_bytes_ += part.view.bytes.size();
      checkpoint_.drop_pages(part.view);
    }
    if (read_each_step) weights_.bytes += weight->bytes();
    if (progress_ && total_bytes_ > 0) {
      progress_(
          std::min(1.0, static_cast<double>(done_bytes_) / static_cast<double>(total_bytes_)));
    }
    return weight;
  }

  WeightPtr load_vector(Slot slot, int layer, std::int64_t n) {
    const TensorView& view = book_.take(slot, layer, Shape{n});
    return upload({.parts = {{view, book_.name(slot, layer)}}}, WeightRole::kVector, true);
  }

  void load_norm(Slot weight, Slot bias, int layer, NormWeights& norm) {
    norm.weight = load_vector(weight, layer, spec_.dim);
    if (spec_.norm.kind == device::NormKind::kLayer)
      norm.bias = load_vector(bias, layer, spec_.dim);
  }

  /// Stacks the parts along the output, one piece per run of equal dtypes.
  LinearWeights load_linear(const std::vector<Part>& parts, std::int64_t n_in, bool has_bias,
                            int layer) {
    LinearWeights linear;
    std::int64_t column = 0;
    for (std::size_t first = 0; first < parts.size();) {
      WeightSource weight;
      WeightSource bias;
      LinearWeights::Piece piece;
      piece.begin = column;
      std::size_t i = first;
      for (; i < parts.size(); ++i) {
        const TensorView* view = book_.find(parts[i].weight, layer);
        if (i > first && view != nullptr && view->dtype != weight.parts[0].view.dtype) break;
        add_part(parts[i], n_in, has_bias, layer, weight, bias);
        column += parts[i].n_out;
      }
      first = i;
      piece.weight = upload(weight, WeightRole::kLinear, true);
      if (has_bias) piece.bias = upload(bias, WeightRole::kVector, true);
      linear.pieces.push_back(std::move(piece));
    }
    return linear;
  }

  void add_part(const Part& part, std::int64_t n_in, bool has_bias, int layer, WeightSource& weight,
                WeightSource& bias) {
    const Shape shape = layout_.transposed ? Shape{n_in, part.n_out} : Shape{part.n_out, n_in};
    const TensorView& view = book_.take(part.weight, layer, shape);
    weight.parts.push_back({view, book_.name(part.weight, layer), layout_.transposed});
    if (!has_bias) return;
    const TensorView& bias_view = book_.take(part.bias, layer, Shape{part.n_out});
    bias.parts.push_back({bias_view, book_.name(part.bias, layer)});
  }

  std::vector<Part> qkv_parts(int layer) const {
    const std::int64_t n_q = std::int64_t{spec_.n_heads} * spec_.head_dim;
    const std::int64_t n_kv = std::int64_t{spec_.n_kv_heads} * spec_.head_dim;
    if (book_.has(Slot::kQkv, layer) || !book_.knows(Slot::kQ))
      return {{Slot::kQkv, Slot::kQkvBias, n_q + 2 * n_kv}};
    return {{Slot::kQ, Slot::kQBias, n_q},
            {Slot::kK, Slot::kKBias, n_kv},
            {Slot::kV, Slot::kVBias, n_kv}};
  }

  LayerWeights load_layer(int i) {
    LayerWeights layer;
    const std::int64_t n_q = std::int64_t{spec_.n_heads} * spec_.head_dim;
    load_norm(Slot::kAttentionNorm, Slot::kAttentionNormBias, i, layer.attention_norm);
    layer.qkv = load_linear(qkv_parts(i), spec_.dim, spec_.attention_bias, i);
    if (spec_.qk_norm) {
      layer.q_norm = load_vector(Slot::kQNorm, i, spec_.head_dim);
      layer.k_norm = load_vector(Slot::kKNorm, i, spec_.head_dim);
    }
    layer.attention_output =
        load_linear({{Slot::kAttentionOutput, Slot::kAttentionOutputBias, spec_.dim}}, n_q,
                    spec_.attention_output_bias, i);
    load_norm(Slot::kFfnNorm, Slot::kFfnNormBias, i, layer.ffn_norm);
    std::vector<Part> ffn_in;
    if (spec_.ffn == Ffn::kGated) ffn_in.push_back({Slot::kGate, Slot::kGateBias, spec_.ffn_dim});
    ffn_in.push_back({Slot::kUp, Slot::kUpBias, spec_.ffn_dim});
    layer.ffn_in = load_linear(ffn_in, spec_.dim, spec_.ffn_bias, i);
    layer.ffn_down =
        load_linear({{Slot::kDown, Slot::kDownBias, spec_.dim}}, spec_.ffn_dim, spec_.ffn_bias, i);
    if (spec_.norm_place == NormPlace::kSandwich) {
      load_norm(Slot::kPostAttentionNorm, Slot::kPostAttentionNorm, i, layer.post_attention_norm);
      load_norm(Slot::kPostFfnNorm, Slot::kPostFfnNorm, i, layer.post_ffn_norm);
    }
    return layer;
  }

  /// A tied file may have only the output's tensor.
  Slot embedding_slot() const {
    const bool only_output =
        spec_.tied_embeddings && !book_.has(Slot::kEmbedding) && book_.has(Slot::kOutput);
    return only_output ? Slot::kOutput : Slot::kEmbedding;
  }

  void load_embeddings() {
    const Slot slot = embedding_slot();
    const TensorView& view = book_.take(slot, 0, Shape{spec_.vocab_size, spec_.dim});
    has_own_output_ = needs_own_output(slot, view);
    weights_.embedding =
        upload({.parts = {{view, book_.name(slot)}}}, WeightRole::kEmbedding, !has_own_output_);
    if (spec_.position == Position::kLearned) {
      const TensorView& positions =
          book_.take(Slot::kPositions, 0, Shape{spec_.max_positions, spec_.dim});
      weights_.positions = upload({.parts = {{positions, book_.name(Slot::kPositions)}}},
                                  WeightRole::kEmbedding, false);
    }
  }

  /// Tied by the configuration but with a different tensor in the file: the file wins, as in
  /// transformers 5.
  bool needs_own_output(Slot embedding, const TensorView& table) {
    if (!spec_.tied_embeddings) return true;
    if (embedding == Slot::kOutput) return false;
    const TensorView* output = book_.find(Slot::kOutput);
    if (output == nullptr) return false;
    const bool same =
        output->dtype == table.dtype && output->shape == table.shape &&
        output->bytes.size() == table.bytes.size() &&
        std::memcmp(output->bytes.data(), table.bytes.data(), table.bytes.size()) == 0;
    if (same) book_.take(Slot::kOutput, 0, table.shape);
    return !same;
  }

  void load_output() {
    if (!has_own_output_) return;
    const TensorView& view = book_.take(Slot::kOutput, 0, Shape{spec_.vocab_size, spec_.dim});
    weights_.output =
        upload({.parts = {{view, book_.name(Slot::kOutput)}}}, WeightRole::kLinear, true);
  }

  const format::Checkpoint& checkpoint_;
  const TensorLayout& layout_;
  const DecoderSpec& spec_;
  device::Device& device_;
  const std::function<void(double)>& progress_;
  TensorBook book_;
  DecoderWeights weights_;
  bool has_own_output_ = false;
  std::size_t total_bytes_ = 0;
  std::size_t done_bytes_ = 0;
};

}  // namespace

DecoderWeights load_weights(const format::Checkpoint& checkpoint, const TensorLayout& layout,
                            const DecoderSpec& spec, device::Device& device,
                            const std::function<void(double)>& progress) {
  return Loader(checkpoint, layout, spec, device, progress).load();
}

}  // namespace openllm::model
