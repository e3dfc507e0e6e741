#include "model/weights/weight_loader.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace openllm::model {

using device::WeightPart;
using device::WeightRole;
using device::WeightSource;
using tensor::Shape;

WeightLoader::WeightLoader(const format::Checkpoint& checkpoint, const ModuleLayout& layout,
                           device::Device& device, const std::function<void(double)>& progress)
    : layout_(layout),
      device_(device),
      progress_(progress),
      index_(checkpoint, layout),
      schemes_(make_schemes(checkpoint)) {
  for (const auto& tensor : checkpoint.tensors()) total_bytes_ += tensor.view.bytes.size();
}

WeightPtr WeightLoader::upload(const WeightSource& source, WeightRole role, bool read_each_step) {
  const format::Checkpoint& checkpoint = index_.checkpoint();
  WeightPtr weight;
  try {
    weight = device_.upload(source, role);
  } catch (const Error& error) {
    throw Error(error.code(), base::cat(checkpoint.path(), ": ", error.what()));
  }
  for (const WeightPart& part : source.parts) {
    n_parameters_ += part.view.shape.n_elems();
    done_bytes_ += part.view.bytes.size();
    checkpoint.drop_pages(part.view);
  }
  if (read_each_step) step_bytes_ += weight->bytes();
  if (progress_ && total_bytes_ > 0) {
    progress_(std::min(1.0, static_cast<double>(done_bytes_) / static_cast<double>(total_bytes_)));
  }
  return weight;
}

WeightPtr WeightLoader::vector(Role role, At at, std::int64_t n) {
  const std::string name = index_.module(role, at) + ".weight";
  return upload({.parts = {{index_.take(name, Shape{n}), name}}}, WeightRole::kVector, true);
}

WeightPtr WeightLoader::bias(Role role, At at, std::int64_t n) {
  const std::string name = index_.module(role, at) + ".bias";
  return upload({.parts = {{index_.take(name, Shape{n}), name}}}, WeightRole::kVector, true);
}

WeightPart WeightLoader::take_part(const LinearPart& part, std::int64_t n_in, At at,
                                   bool transposed) {
  const std::string module = index_.module(part.role, at);
  const auto scheme = std::find_if(schemes_.begin(), schemes_.end(), [&](const auto& candidate) {
    return candidate->has(index_, module);
  });
  return (*scheme)->take(index_, module, part.n_out, n_in, transposed);
}

std::vector<LinearPiece> WeightLoader::linear(const std::vector<LinearPart>& parts,
                                              std::int64_t n_in, At at) {
  std::vector<LinearPiece> pieces;
  WeightSource weight;
  WeightSource bias;
  std::int64_t begin = 0;
  std::int64_t end = 0;
  const auto finish_piece = [&] {
    LinearPiece& piece = pieces.emplace_back();
    piece.begin = begin;
    piece.weight = upload(weight, WeightRole::kLinear, true);
    if (!bias.parts.empty()) piece.bias = upload(bias, WeightRole::kVector, true);
    weight = {};
    bias = {};
    begin = end;
  };
  for (const LinearPart& part : parts) {
    WeightPart taken = take_part(part, n_in, at, layout_.transposed);
    const bool fits = weight.parts.empty() || (weight.parts[0].view.dtype == taken.view.dtype &&
                                               bias.parts.empty() != part.has_bias);
    if (!fits) finish_piece();
    weight.parts.push_back(std::move(taken));
    if (part.has_bias) {
      const std::string name = index_.module(part.role, at) + ".bias";
      bias.parts.push_back({index_.take(name, Shape{part.n_out}), name});
    }
    end += part.n_out;
  }
  finish_piece();
  return pieces;
}

WeightPtr WeightLoader::head(Role role, std::int64_t n_out, std::int64_t n_in) {
  return upload({.parts = {take_part({role, n_out}, n_in, {}, false)}}, WeightRole::kLinear, true);
}

WeightPtr WeightLoader::table(Role role, std::int64_t rows, std::int64_t cols,
                              bool read_each_step) {
  const std::string name = index_.module(role) + ".weight";
  return upload({.parts = {{index_.take(name, Shape{rows, cols}), name}}}, WeightRole::kEmbedding,
                read_each_step);
}

void WeightLoader::finish() {
  index_.require_all_used();
  if (progress_) progress_(1.0);
}

}  // namespace openllm::model
