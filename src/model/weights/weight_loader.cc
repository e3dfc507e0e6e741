#include "model/weights/weight_loader.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace openllm::model {

using device::WeightPart;
using device::WeightRole;
using device::WeightSource;
using tensor::Shape;

namespace {

/// True when a device need not keep the parts apart: values of one type, or codes of one size whose
/// inputs are grouped alike.
bool of_one_kind(const WeightPart& a, const WeightPart& b) {
  if (a.view.dtype != b.view.dtype || a.grouped.has_value() != b.grouped.has_value()) return false;
  return !a.grouped ||
         (a.grouped->bits == b.grouped->bits && a.grouped->group_size == b.grouped->group_size &&
          a.grouped->group_of == b.grouped->group_of);
}

}  // namespace

WeightLoader::WeightLoader(const format::Checkpoint& checkpoint, const Layouts& layouts,
                           device::Device& device, const std::function<void(double)>& progress)
    : layouts_(layouts),
      layout_(layouts_.of(checkpoint.kind())),
      device_(device),
      progress_(progress),
      index_(checkpoint, layout_),
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
  const auto done = [&](const tensor::TensorView& view) {
    done_bytes_ += view.bytes.size();
    checkpoint.drop_pages(view);
  };
  for (const WeightPart& part : source.parts) {
    done(part.view);
    if (part.grouped) {
      n_parameters_ += part.grouped->n_out * part.grouped->n_in;
      done(part.grouped->scales.view);
      done(part.grouped->zeros.view);
    } else {
      n_parameters_ += part.view.shape.n_elems();
    }
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

WeightPart WeightLoader::take_slice(const std::string& name, const Shape& shape, At at) {
  const Shape whole =
      shape.n_dims() == 1 ? Shape{at.n_experts, shape[0]} : Shape{at.n_experts, shape[0], shape[1]};
  tensor::TensorView view = index_.take(name, whole);
  const std::size_t size = view.bytes.size() / static_cast<std::size_t>(at.n_experts);
  view.shape = shape;
  view.bytes = view.bytes.subspan(size * static_cast<std::size_t>(at.expert), size);
  return {view, name};
}

WeightPart WeightLoader::take_part(const LinearPart& part, std::int64_t n_in, At at,
                                   bool transposed) {
  const std::string module = index_.module(part.role, at);
  if (at.n_experts > 0 && !index_.has_expert_numbers(part.role)) {
    return take_slice(module + ".weight", Shape{part.n_out, n_in}, at);
  }
  const auto scheme = std::find_if(schemes_.begin(), schemes_.end(), [&](const auto& candidate) {
    return candidate->has(index_, module);
  });
  return (*scheme)->take(index_, module, part.n_out, n_in, transposed);
}

WeightPart WeightLoader::take_bias(const LinearPart& part, At at) {
  const std::string name = index_.module(part.role, at) + ".bias";
  if (at.n_experts > 0 && !index_.has_expert_numbers(part.role)) {
    return take_slice(name, Shape{part.n_out}, at);
  }
  return {index_.take(name, Shape{part.n_out}), name};
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
    const bool fits = weight.parts.empty() ||
                      (of_one_kind(weight.parts[0], taken) && bias.parts.empty() != part.has_bias);
    if (!fits) finish_piece();
    weight.parts.push_back(std::move(taken));
    if (part.has_bias) bias.parts.push_back(take_bias(part, at));
    end += part.n_out;
  }
  finish_piece();
  return pieces;
}

std::vector<std::vector<LinearPiece>> WeightLoader::experts(const std::vector<LinearPart>& parts,
                                                            std::int64_t n_in, int n_experts,
                                                            int n_used, At at) {
  const std::size_t before = step_bytes_;
  std::vector<std::vector<LinearPiece>> experts;
  at.n_experts = n_experts;
  for (at.expert = 0; at.expert < n_experts; ++at.expert) {
    experts.push_back(linear(parts, n_in, at));
    if (experts.back().size() != experts.front().size()) {
      base::fail(ErrorCode::kUnsupported, index_.checkpoint().path(), ": tensor ",
                 index_.module(parts[0].role, at), ".weight: experts of one layer differ in type");
    }
  }
  const auto all = static_cast<double>(step_bytes_ - before);
  step_bytes_ = before + static_cast<std::size_t>(all * n_used / n_experts);
  return experts;
}

WeightPtr WeightLoader::rows(Role role, At at, const Shape& shape, std::int64_t begin,
                             std::int64_t n, bool turned) {
  const std::string name = index_.module(role, at) + ".weight";
  tensor::TensorView view = index_.take(name, shape);
  const std::size_t row_bytes = view.bytes.size() / static_cast<std::size_t>(shape[0]);
  view.shape = Shape{n, shape[1]};
  view.bytes = view.bytes.subspan(row_bytes * static_cast<std::size_t>(begin),
                                  row_bytes * static_cast<std::size_t>(n));
  return upload({.parts = {{view, name, turned}}}, WeightRole::kLinear, true);
}

void WeightLoader::list_modules(const std::vector<LinearPart>& parts, std::int64_t n_in, At at,
                                std::vector<LinearPiece>& pieces) {
  std::int64_t begin = 0;
  std::size_t i = 0;
  const bool in_encoder = index_.stack() == TensorIndex::Stack::kEncoder;
  for (LinearPiece& piece : pieces) {
    piece.id = n_listed_pieces_++;
    const std::int64_t end = piece.begin + piece.weight->out_features();
    for (; i < parts.size() && begin < end; begin += parts[i++].n_out) {
      const LinearPart& part = parts[i];
      modules_.push_back({{part.role, at, in_encoder},
                          piece.id,
                          begin - piece.begin,
                          part.n_out,
                          n_in,
                          part.head_dim});
    }
  }
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
