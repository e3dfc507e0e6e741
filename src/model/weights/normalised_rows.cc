#include "model/weights/normalised_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/error.h"

namespace openllm::model {
namespace {

using device::WeightPart;

/// Rows of F32 that are divided by their lengths, or by those of the columns.
class NormalisedRows final : public device::MadeRows {
 public:
  NormalisedRows(WeightPart part, MatrixNorm norm) : part_(std::move(part)), norm_(norm) {}
  void read_row(std::int64_t row, std::byte* blocks) const override {
    std::vector<float> values = read(row);
    if (norm_ == MatrixNorm::kColumns) {
      std::call_once(once_, [this] { measure_columns(); });
      for (std::size_t i = 0; i < values.size(); ++i) values[i] /= lengths_[i];
    } else {
      double sum = 0.0;
      for (const float value : values) sum += static_cast<double>(value) * value;
      const auto length = static_cast<float>(std::max(std::sqrt(sum), 1e-12));
      for (float& value : values) value /= length;
    }
    std::memcpy(blocks, values.data(), values.size() * sizeof(float));
  }

 private:
  std::vector<float> read(std::int64_t row) const {
    const auto n_in = static_cast<std::size_t>(part_.view.shape[1]);
    const std::size_t n_bytes = tensor::byte_size(part_.view.dtype, n_in);
    std::vector<float> values(n_in);
    if (part_.rows == nullptr) {
      const std::byte* begin = part_.view.bytes.data() + static_cast<std::size_t>(row) * n_bytes;
      tensor::info(part_.view.dtype).to_f32(begin, values.data(), n_in);
      return values;
    }
    std::vector<std::byte> blocks(n_bytes);
    part_.rows->read_row(row, blocks.data());
    tensor::info(part_.view.dtype).to_f32(blocks.data(), values.data(), n_in);
    return values;
  }
  void measure_columns() const {
    std::vector<double> sums(static_cast<std::size_t>(part_.view.shape[1]));
    for (std::int64_t row = 0; row < part_.view.shape[0]; ++row) {
      const std::vector<float> values = read(row);
      for (std::size_t i = 0; i < values.size(); ++i)
        sums[i] += static_cast<double>(values[i]) * values[i];
    }
    for (const double sum : sums) lengths_.push_back(static_cast<float>(std::sqrt(sum)) + 1e-7F);
  }

  const WeightPart part_;
  const MatrixNorm norm_;
  mutable std::once_flag once_;
  mutable std::vector<float> lengths_;  // of the columns
};

}  // namespace

WeightPart normalised(const std::string& file, WeightPart part, MatrixNorm norm) {
  if (part.grouped || part.transposed || tensor::info(part.view.dtype).to_f32 == nullptr) {
    base::fail(ErrorCode::kUnsupported, file, ": tensor ", part.name,
               ": a matrix that is normalised cannot be made of this (expected rows of numbers)");
  }
  WeightPart made = part;
  made.rows = std::make_shared<NormalisedRows>(std::move(part), norm);
  made.view.dtype = tensor::DType::kF32;
  return made;
}

}  // namespace openllm::model
