// MXFP4 as gpt-oss is published: experts stacked, blocks of 32 inputs as 16 bytes of E2M1 beside
// their exponents. docs/formats.md describes the tensors.

#include "model/weights/schemes/coded_rows.h"
#include "model/weights/schemes/scheme.h"

namespace openllm::model {
namespace {

using tensor::DType;
using tensor::TensorView;

constexpr std::int64_t kBlock = 32;

/// One expert's rows; the first of two elements is in the low bits.
class Mxfp4Rows final : public CodedRows {
 public:
  Mxfp4Rows(std::int64_t n_in, std::int64_t first_row, const TensorView& blocks,
            const TensorView& scales)
      : CodedRows(Kind::kMxfp4, n_in, kBlock),
        first_row_(first_row),
        blocks_(blocks),
        scales_(scales) {}

 private:
  void read_codes(std::int64_t row, std::uint8_t* out) const override {
    const std::byte* bytes = blocks_.bytes.data() + (first_row_ + row) * (n_in() / 2);
    for (std::int64_t i = 0; i < n_in(); i += 2) {
      const auto both = std::to_integer<unsigned>(bytes[i / 2]);
      out[i] = static_cast<std::uint8_t>(both & 15U);
      out[i + 1] = static_cast<std::uint8_t>(both >> 4U);
    }
  }
  float factor(std::int64_t row, std::int64_t group) const override {
    return element(scales_, (first_row_ + row) * (n_in() / kBlock) + group);
  }

  const std::int64_t first_row_;
  const TensorView blocks_;
  const TensorView scales_;
};

class Mxfp4Scheme final : public WeightScheme {
 public:
  bool has(const TensorIndex& /*index*/, const std::string& /*module*/) const override {
    return false;  // stacked experts alone are stored so
  }
  device::WeightPart take(TensorIndex& /*index*/, const std::string& /*module*/,
                          std::int64_t /*n_out*/, std::int64_t /*n_in*/,
                          bool /*transposed*/) const override {
    return {};
  }

  std::optional<device::WeightPart> take_expert(TensorIndex& index, const std::string& module,
                                                std::int64_t n_out, std::int64_t n_in,
                                                At at) const override {
    const std::string name = module + "_blocks";
    if (index.find(name) == nullptr) return std::nullopt;
    const std::int64_t n_blocks = (n_in + kBlock - 1) / kBlock;
    const TensorView& blocks =
        take_typed(index, name, {at.n_experts, n_out, n_blocks, kBlock / 2}, {DType::kU8});
    const TensorView& scales =
        take_typed(index, module + "_scales", {at.n_experts, n_out, n_blocks}, {DType::kU8});
    if (n_in % kBlock != 0) {
      base::fail(ErrorCode::kCorruptData, index.checkpoint().path(), ": tensor ", name,
                 ": a matrix that does not fill blocks (expected a multiple of 32 inputs, got ",
                 n_in, ")");
    }
    device::WeightPart part =
        coded_part(std::make_shared<Mxfp4Rows>(n_in, n_out * at.expert, blocks, scales), n_out,
                   n_in, blocks, name);
    const std::size_t size = blocks.bytes.size() / static_cast<std::size_t>(at.n_experts);
    part.view.bytes = blocks.bytes.subspan(size * static_cast<std::size_t>(at.expert), size);
    return part;
  }

  std::optional<WeightContent> content_of(const format::Checkpoint& checkpoint,
                                          const format::NamedTensor& tensor) const override {
    const tensor::Shape& shape = tensor.view.shape;
    if (tensor.name.ends_with("_blocks") && shape.n_dims() == 4) {
      return WeightContent{"MXFP4", {shape[0], shape[1], shape[2] * shape[3] * 2}};
    }
    if (is_beside(checkpoint, tensor.name, {"_scales"}, "_blocks")) return WeightContent{};
    return std::nullopt;
  }
};

}  // namespace

std::unique_ptr<WeightScheme> make_mxfp4_scheme(const Config& /*config*/) {
  return std::make_unique<Mxfp4Scheme>();
}

}  // namespace openllm::model
