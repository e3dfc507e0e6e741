#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "device/weight.h"
#include "model/weights/tensor_index.h"

namespace openllm::model {

/// A matrix of codes whose factors are shared by inputs that follow each other. A scheme says where
/// codes and factors lie; here they become blocks that a device multiplies as they are, or F32
/// where fewer inputs share a factor than a block has.
class CodedRows : public device::MadeRows {
 public:
  enum class Kind : std::uint8_t {
    kInteger4,  ///< factor * (code - zero), codes of at most 4 bits.
    kInteger8,  ///< The same of at most 8 bits.
    kAffine4,   ///< factor * (code - zero_value), codes of at most 4 bits.
    kAffine8,   ///< The same of at most 8 bits.
    kE4M3,      ///< factor * value of the code, as all that follow.
    kE5M2,
    kE2M1,
    kMxfp4,  ///< E2M1 whose factors are powers of two.
    kNf4,
    kFp4,
  };

  /// `group_size`: inputs that share a factor.
  CodedRows(Kind kind, std::int64_t n_in, std::int64_t group_size);

  tensor::DType type() const noexcept { return type_; }
  void read_row(std::int64_t row, std::byte* blocks) const final;

 protected:
  std::int64_t n_in() const noexcept { return n_in_; }
  std::int64_t group_size() const noexcept { return group_size_; }
  /// The codes of a row, [n_in].
  virtual void read_codes(std::int64_t row, std::uint8_t* out) const = 0;
  virtual float factor(std::int64_t row, std::int64_t group) const = 0;
  virtual int zero(std::int64_t /*row*/, std::int64_t /*group*/) const { return 0; }
  virtual float zero_value(std::int64_t /*row*/, std::int64_t /*group*/) const { return 0.0F; }

 private:
  float value(std::uint8_t code, std::int64_t row, std::int64_t group) const;
  void write_block(std::int64_t row, std::int64_t column, const std::uint8_t* codes,
                   std::byte* block) const;

  Kind kind_;
  std::int64_t n_in_;
  std::int64_t group_size_;
  tensor::DType type_;
};

/// The part that such rows are. `codes`: their tensor.
device::WeightPart coded_part(std::shared_ptr<const CodedRows> rows, std::int64_t n_out,
                              std::int64_t n_in, const tensor::TensorView& codes, std::string name);

/// The tensor, marked as used. kCorruptData when it is absent or of another shape or type.
const tensor::TensorView& take_typed(TensorIndex& index, const std::string& name,
                                     const tensor::Shape& shape,
                                     std::initializer_list<tensor::DType> types);

/// Element i of a tensor of plain values.
float element(const tensor::TensorView& view, std::int64_t i) noexcept;
/// Word i of an I32 tensor.
std::uint32_t word(const tensor::TensorView& view, std::int64_t i) noexcept;
/// The field of `bits` at place `i` of words that follow each other, the first in the lowest bits.
std::uint8_t field(const tensor::TensorView& words, std::int64_t first_word, std::int64_t i,
                   int bits) noexcept;

/// Factors of a matrix: one of all, of each output, of each output and group of inputs, or of
/// blocks.
class ScaleGrid {
 public:
  /// Takes the tensor `name`. `block`: outputs and inputs of a block, or empty: what the tensor's
  /// shape says, one of [], [1], [n_out] and [n_out, 1]. A factor of bytes is an exponent.
  static ScaleGrid take(TensorIndex& index, const std::string& name, std::int64_t n_out,
                        std::int64_t n_in, std::vector<std::int64_t> block);

  /// The same of one of stacked experts, whose factors are stacked too: without `block` one of the
  /// expert, of each half of its outputs (gate and up), or of each output.
  static ScaleGrid take_of_expert(TensorIndex& index, const std::string& name, std::int64_t n_out,
                                  std::int64_t n_in, const std::vector<std::int64_t>& block, At at);

  /// Inputs that share a factor.
  std::int64_t group_size() const noexcept { return inputs_; }
  float at(std::int64_t row, std::int64_t group) const noexcept {
    return element(view_, row / outputs_ * n_groups_ + group);
  }
  const tensor::Shape& shape() const noexcept { return view_.shape; }

 private:
  tensor::TensorView view_{};
  std::int64_t outputs_ = 1;
  std::int64_t inputs_ = 1;
  std::int64_t n_groups_ = 1;
};

/// Codes of 8 bits row by row, under a grid of factors.
class ByteRows final : public CodedRows {
 public:
  /// `zeros`: of each factor, signed; without bytes: none. Integers are signed in the file.
  ByteRows(Kind kind, std::int64_t n_in, const tensor::TensorView& codes, const ScaleGrid& scales,
           const tensor::TensorView& zeros = {});

 private:
  void read_codes(std::int64_t row, std::uint8_t* out) const override;
  float factor(std::int64_t row, std::int64_t group) const override {
    return scales_.at(row, group);
  }
  int zero(std::int64_t row, std::int64_t group) const override;

  const tensor::TensorView codes_;
  const ScaleGrid scales_;
  const tensor::TensorView zeros_;
  const std::uint8_t flip_;  ///< Makes signed codes unsigned ones of 128 more.
};

/// The part of a matrix of F8 under a grid of factors.
device::WeightPart take_float8(TensorIndex& index, const std::string& name,
                               const std::string& scale_name, std::int64_t n_out, std::int64_t n_in,
                               std::vector<std::int64_t> block);

/// The part of one of stacked experts of F8, [experts, n_out, n_in], that is called `module` or
/// `module`.weight; nullopt when it is no F8. Its factors have the same name with a suffix. Throws
/// kUnsupported when the family stacks [experts, n_in, n_out].
std::optional<device::WeightPart> take_float8_expert(TensorIndex& index, const std::string& module,
                                                     std::int64_t n_out, std::int64_t n_in,
                                                     const std::vector<std::int64_t>& block, At at);

/// True for a tensor `name` whose last part is one of `suffixes` while `module` + `main` exists.
bool is_beside(const format::Checkpoint& checkpoint, const std::string& name,
               std::initializer_list<std::string_view> suffixes, std::string_view main);

}  // namespace openllm::model
