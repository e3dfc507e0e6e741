// AWQ: for every linear qweight, qzeros and scales, as AutoAWQ writes them (modules/linear).
// docs/formats.md describes the tensors.

#include <array>

#include "base/error.h"
#include "model/weights/schemes/coded_rows.h"
#include "model/weights/schemes/scheme.h"

namespace openllm::model {
namespace {

using tensor::DType;
using tensor::Shape;
using tensor::TensorView;

constexpr int kBits = 4;
constexpr std::int64_t kPerWord = 8;

struct AwqSpec {
  bool is_gemv = false;
  int group_size = 128;  // -1: a group is a whole row
};

struct AwqTensors {
  TensorView codes{};
  TensorView zeros{};
  TensorView scales{};
};

/// Words of 8 outputs of one input, in the order 0 2 4 6 1 3 5 7.
class GemmRows final : public CodedRows {
 public:
  GemmRows(std::int64_t n_out, std::int64_t n_in, std::int64_t group_size, AwqTensors tensors)
      : CodedRows(Kind::kInteger4, n_in, group_size), n_out_(n_out), tensors_(tensors) {}

 private:
  void read_codes(std::int64_t row, std::uint8_t* out) const override {
    for (std::int64_t i = 0; i < n_in(); ++i) out[i] = code(tensors_.codes, i, row);
  }
  float factor(std::int64_t row, std::int64_t group) const override {
    return element(tensors_.scales, group * n_out_ + row);
  }
  int zero(std::int64_t row, std::int64_t group) const override {
    return code(tensors_.zeros, group, row);
  }
  std::uint8_t code(const TensorView& words, std::int64_t line, std::int64_t output) const {
    constexpr std::array<std::int64_t, kPerWord> kPlaces = {0, 4, 1, 5, 2, 6, 3, 7};
    const std::int64_t place = kPlaces[static_cast<std::size_t>(output % kPerWord)];
    return field(words, line * (n_out_ / kPerWord) + output / kPerWord, place, kBits);
  }

  const std::int64_t n_out_;
  const AwqTensors tensors_;
};

/// Words of 8 inputs of one output, in order; zero points and scales padded to whole words.
class GemvRows final : public CodedRows {
 public:
  GemvRows(std::int64_t n_in, std::int64_t group_size, std::int64_t zero_words, AwqTensors tensors)
      : CodedRows(Kind::kInteger4, n_in, group_size), zero_words_(zero_words), tensors_(tensors) {}

 private:
  void read_codes(std::int64_t row, std::uint8_t* out) const override {
    for (std::int64_t i = 0; i < n_in(); ++i) {
      out[i] = field(tensors_.codes, row * (n_in() / kPerWord), i, kBits);
    }
  }
  float factor(std::int64_t row, std::int64_t group) const override {
    return element(tensors_.scales, row * zero_words_ * kPerWord + group);
  }
  int zero(std::int64_t row, std::int64_t group) const override {
    return field(tensors_.zeros, row * zero_words_, group, kBits);
  }

  const std::int64_t zero_words_;
  const AwqTensors tensors_;
};

class AwqScheme final : public WeightScheme {
 public:
  explicit AwqScheme(AwqSpec spec) : spec_(spec) {}

  bool has(const TensorIndex& index, const std::string& module) const override {
    return index.find(module + ".qweight") != nullptr;
  }

  device::WeightPart take(TensorIndex& index, const std::string& module, std::int64_t n_out,
                          std::int64_t n_in, bool /*transposed*/) const override {
    const std::int64_t packed = spec_.is_gemv ? n_in : n_out;
    if (packed % kPerWord != 0) {
      base::fail(ErrorCode::kCorruptData, index.checkpoint().path(), ": tensor ", module,
                 ".qweight: a matrix that does not fill words of 4-bit codes (expected ",
                 spec_.is_gemv ? "inputs" : "outputs", " in multiples of 8, got ", packed, ")");
    }
    const std::int64_t group_size = spec_.group_size > 0 ? spec_.group_size : n_in;
    const std::int64_t n_groups = (n_in + group_size - 1) / group_size;
    const std::int64_t zero_words = gemv_zero_words(n_groups, group_size);
    const auto shape = [&](Shape gemm, Shape gemv) { return spec_.is_gemv ? gemv : gemm; };
    AwqTensors tensors;
    tensors.codes =
        take_typed(index, module + ".qweight",
                   shape({n_in, n_out / kPerWord}, {n_out, n_in / kPerWord}), {DType::kI32});
    tensors.zeros =
        take_typed(index, module + ".qzeros",
                   shape({n_groups, n_out / kPerWord}, {n_out, zero_words}), {DType::kI32});
    tensors.scales = take_typed(index, module + ".scales",
                                shape({n_groups, n_out}, {n_out, zero_words * kPerWord}),
                                {DType::kF16, DType::kBF16, DType::kF32});
    std::shared_ptr<const CodedRows> rows;
    if (spec_.is_gemv) {
      rows = std::make_shared<GemvRows>(n_in, group_size, zero_words, tensors);
    } else {
      rows = std::make_shared<GemmRows>(n_out, n_in, group_size, tensors);
    }
    return coded_part(std::move(rows), n_out, n_in, tensors.codes, module + ".qweight");
  }

  std::optional<WeightContent> content_of(const format::Checkpoint& checkpoint,
                                          const format::NamedTensor& tensor) const override {
    const Shape& shape = tensor.view.shape;
    if (tensor.name.ends_with(".qweight") && shape.n_dims() == 2) {
      if (spec_.is_gemv) return WeightContent{"AWQ-4", {shape[0], shape[1] * kPerWord}};
      return WeightContent{"AWQ-4", {shape[1] * kPerWord, shape[0]}};
    }
    if (is_beside(checkpoint, tensor.name, {".qzeros", ".scales"}, ".qweight")) {
      return WeightContent{};
    }
    return std::nullopt;
  }

 private:
  /// As AutoAWQ's calculate_zeros_width: kernels read several at once.
  static std::int64_t gemv_zero_words(std::int64_t n_groups, std::int64_t group_size) {
    const std::int64_t unit = group_size >= 128 ? 1 : group_size == 64 ? 2 : 4;
    const std::int64_t words = (n_groups + kPerWord - 1) / kPerWord;
    return (words + unit - 1) / unit * unit;
  }

  AwqSpec spec_;
};

}  // namespace

std::unique_ptr<WeightScheme> make_awq_scheme(const Config& config) {
  AwqSpec spec;
  const std::string_view bits_key = config.first_of({"bits", "w_bit"});
  if (const int bits = config.int_or(bits_key, kBits, 1, 64); bits != kBits) {
    config.unsupported(bits_key, "codes of that size are not supported (expected 4, got ", bits,
                       ")");
  }
  const std::string_view size_key = config.first_of({"group_size", "q_group_size"});
  spec.group_size = config.int_or(size_key, 128, -1, kMaxFfnDim);
  if (spec.group_size == 0) {
    config.corrupt(size_key, "bad value (expected -1 or a positive number, got 0)");
  }
  std::string version = config.string_or("version", "gemm");
  for (char& c : version) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (version != "gemm" && version != "gemv") {
    config.unsupported("version", "unknown order of codes (expected gemm or gemv, got ", version,
                       ")");
  }
  spec.is_gemv = version == "gemv";
  return std::make_unique<AwqScheme>(spec);
}

}  // namespace openllm::model
