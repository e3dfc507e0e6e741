#include "model/weights/quantised_source.h"

#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "device/grouped_rows.h"
#include "tensor/encode.h"

namespace openllm::model {
namespace {

using device::WeightPart;

class QuantisedRows final : public device::MadeRows {
 public:
  QuantisedRows(WeightPart part, tensor::DType type, std::size_t n_in)
      : part_(std::move(part)), encode_(tensor::find_encoder(type)), n_in_(n_in) {
    if (part_.grouped) grouped_.emplace(part_);
  }

  void read_row(std::int64_t row, std::byte* blocks) const override {
    std::vector<float> values(n_in_);
    read_values(row, values.data());
    encode_(values.data(), blocks, n_in_);
  }

 private:
  void read_values(std::int64_t row, float* values) const {
    const tensor::DTypeInfo& type = tensor::info(part_.view.dtype);
    if (grouped_) return grouped_->read_row(row, values);
    if (part_.transposed) {
      const auto stride = part_.view.shape[1] * type.block_bytes;
      for (std::size_t i = 0; i < n_in_; ++i) {
        const std::byte* from = part_.view.bytes.data() + static_cast<std::int64_t>(i) * stride;
        type.to_f32(from + row * type.block_bytes, values + i, 1);
      }
      return;
    }
    const std::size_t row_bytes = tensor::byte_size(part_.view.dtype, n_in_);
    if (part_.rows == nullptr) {
      const std::byte* from = part_.view.bytes.data() + static_cast<std::size_t>(row) * row_bytes;
      return type.to_f32(from, values, n_in_);
    }
    std::vector<std::byte> blocks(row_bytes);
    part_.rows->read_row(row, blocks.data());
    type.to_f32(blocks.data(), values, n_in_);
  }

  const WeightPart part_;
  const tensor::Encode encode_;
  const std::size_t n_in_;
  std::optional<device::GroupedRows> grouped_;
};

/// [out, in] of a matrix whose values can be read row by row; else nothing.
std::optional<tensor::Shape> shape_of(const WeightPart& part) {
  if (part.grouped) return tensor::Shape{part.grouped->n_out, part.grouped->n_in};
  const tensor::TensorView& view = part.view;
  const tensor::DTypeInfo& type = tensor::info(view.dtype);
  if (view.shape.n_dims() != 2 || type.to_f32 == nullptr) return std::nullopt;
  if (part.transposed && type.block_elems != 1) return std::nullopt;
  if (view.shape[1] % type.block_elems != 0) return std::nullopt;
  const auto n_elems = static_cast<std::size_t>(view.shape.n_elems());
  if (part.rows == nullptr && view.bytes.size() != tensor::byte_size(view.dtype, n_elems))
    return std::nullopt;  // the device says what is wrong
  if (part.transposed) return tensor::Shape{part.view.shape[1], part.view.shape[0]};
  return part.view.shape;
}

}  // namespace

device::WeightSource quantised(device::WeightSource source, tensor::DType type) {
  base::check(tensor::find_encoder(type) != nullptr, "model: no encoder of this type");
  const int block = tensor::info(type).block_elems;
  for (WeightPart& part : source.parts) {
    const std::optional<tensor::Shape> shape = shape_of(part);
    if (!shape || (*shape)[1] % block != 0) continue;
    const auto n_in = static_cast<std::size_t>((*shape)[1]);
    WeightPart made{{type, *shape, part.view.bytes}, part.name};
    made.rows = std::make_shared<QuantisedRows>(std::move(part), type, n_in);
    part = std::move(made);
  }
  return source;
}

}  // namespace openllm::model
