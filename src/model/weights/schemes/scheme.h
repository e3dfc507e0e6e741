#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "device/weight.h"
#include "model/config/config.h"
#include "model/weights/contents.h"
#include "model/weights/tensor_index.h"

namespace openllm::model {

/// How a checkpoint stores the matrix of a linear: as one tensor, or as codes with scales and zero
/// points. One file per scheme; a scheme works for every family, a family with every scheme.
class WeightScheme {
 public:
  virtual ~WeightScheme() = default;
  /// True when the module's matrix is stored in this scheme.
  virtual bool has(const TensorIndex& index, const std::string& module) const = 0;
  /// Takes the module's tensors as one part of a weight [n_out, n_in]. `transposed`: the family
  /// stores plain matrices as [n_in, n_out].
  virtual device::WeightPart take(TensorIndex& index, const std::string& module, std::int64_t n_out,
                                  std::int64_t n_in, bool transposed) const = 0;
  /// The same of one of experts that are stacked in a tensor; nullopt when the scheme does not
  /// store them so.
  virtual std::optional<device::WeightPart> take_expert(TensorIndex& /*index*/,
                                                        const std::string& /*module*/,
                                                        std::int64_t /*n_out*/,
                                                        std::int64_t /*n_in*/, At /*at*/) const {
    return std::nullopt;
  }
  /// What the tensor holds: nullopt when it is not of this scheme, an empty type when another
  /// tensor stands for the module.
  virtual std::optional<WeightContent> content_of(const format::Checkpoint& checkpoint,
                                                  const format::NamedTensor& tensor) const = 0;
};

/// `module`.weight, in any element type of the file format.
std::unique_ptr<WeightScheme> make_dense_scheme();

/// Integer codes with scales and zero points per group of inputs, from its `quantization_config`.
std::unique_ptr<WeightScheme> make_gptq_scheme(const Config& config);

/// Codes of 4 bits in words, with scales and zero points.
std::unique_ptr<WeightScheme> make_awq_scheme(const Config& config);
/// F8 under one factor, one of each output, or of blocks.
std::unique_ptr<WeightScheme> make_fp8_scheme(const Config& config);
/// Integers and floats of 4 and 8 bits, packed or not.
std::unique_ptr<WeightScheme> make_compressed_tensors_scheme(const Config& config);
/// NF4, FP4 and int8.
std::unique_ptr<WeightScheme> make_bitsandbytes_scheme(const Config& config);
/// Codes of 1 to 8 bits under factors and zero points that are no integers.
std::unique_ptr<WeightScheme> make_hqq_scheme(const Config& config);
/// Stacked experts of MXFP4.
std::unique_ptr<WeightScheme> make_mxfp4_scheme(const Config& config);
/// Integers of 4 and 8 bits and F8 as torchao flattens them for safetensors.
std::unique_ptr<WeightScheme> make_torchao_scheme(const Config& config);

/// The schemes that a checkpoint's configuration names, and last the dense one, which modules
/// without codes have. Throws kUnsupported naming what
/// it does not know.
std::vector<std::unique_ptr<WeightScheme>> make_schemes(const format::Checkpoint& checkpoint);

}  // namespace openllm::model
