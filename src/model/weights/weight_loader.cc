#include "model/weights/weight_loader.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include "base/error.h"
#include "model/weights/normalised_rows.h"
#include "model/weights/quantised_source.h"
#include "model/weights/rounded_source.h"

namespace openllm::model {

using device::WeightPart;
using device::WeightRole;
using device::WeightSource;
using tensor::Shape;

namespace {

/// Rows from one on.
class LaterRows final : public device::MadeRows {
 public:
  LaterRows(std::shared_ptr<const MadeRows> rows, std::int64_t begin)
      : rows_(std::move(rows)), begin_(begin) {}
  void read_row(std::int64_t row, std::byte* blocks) const override {
    rows_->read_row(begin_ + row, blocks);
  }

 private:
  std::shared_ptr<const MadeRows> rows_;
  std::int64_t begin_;
};

/// Columns from one on as rows of F32; `n` rows are read for each.
class TurnedRows final : public device::MadeRows {
 public:
  TurnedRows(const WeightPart& part, std::int64_t begin, std::int64_t n)
      : part_(part), begin_(begin), n_(static_cast<std::size_t>(n)) {}
  void read_row(std::int64_t row, std::byte* blocks) const override {
    std::call_once(once_, [this] { expand(); });
    std::memcpy(blocks, values_.data() + static_cast<std::size_t>(row) * n_, n_ * sizeof(float));
  }

 private:
  void expand() const {
    const auto n_in = static_cast<std::size_t>(part_.view.shape[1]);
    values_.resize(n_in * n_);
    std::vector<std::byte> blocks(tensor::byte_size(part_.view.dtype, n_in));
    std::vector<float> row(n_in);
    for (std::size_t r = 0; r < n_; ++r) {
      part_.rows->read_row(begin_ + static_cast<std::int64_t>(r), blocks.data());
      tensor::info(part_.view.dtype).to_f32(blocks.data(), row.data(), n_in);
      for (std::size_t i = 0; i < n_in; ++i) values_[i * n_ + r] = row[i];
    }
  }

  const WeightPart part_;
  const std::int64_t begin_;
  const std::size_t n_;
  mutable std::once_flag once_;
  mutable std::vector<float> values_;  // [n_in, n]
};

/// Rows [begin, begin + n) of a matrix.
WeightPart cut_rows(const WeightPart& whole, std::int64_t begin, std::int64_t n) {
  const std::size_t row_bytes =
      whole.view.bytes.size() / static_cast<std::size_t>(whole.view.shape[0]);
  WeightPart part{whole.view, whole.name};
  part.view.shape = whole.view.shape.n_dims() == 1 ? Shape{n} : Shape{n, whole.view.shape[1]};
  part.view.bytes = whole.view.bytes.subspan(row_bytes * static_cast<std::size_t>(begin),
                                             row_bytes * static_cast<std::size_t>(n));
  if (whole.rows != nullptr) part.rows = std::make_shared<LaterRows>(whole.rows, begin);
  return part;
}

/// The rows of `whole` in each group, in order.
std::vector<WeightPart> cut(const WeightPart& whole, const RowRanges& rows) {
  std::vector<WeightPart> parts;
  for (std::int64_t group = 0; group < rows.n_groups; ++group) {
    parts.push_back(cut_rows(whole, group * rows.group_rows + rows.begin, rows.n));
  }
  return parts;
}

/// True when a device need not keep the parts apart: values of one type, or codes of one size whose
/// inputs are grouped alike.
bool of_one_kind(const WeightPart& a, const WeightPart& b) {
  if (a.view.dtype != b.view.dtype || a.grouped.has_value() != b.grouped.has_value()) return false;
  return !a.grouped ||
         (a.grouped->bits == b.grouped->bits && a.grouped->group_size == b.grouped->group_size &&
          a.grouped->group_of == b.grouped->group_of);
}

/// Norms of models that began in TensorFlow may have the older suffix; llama.cpp writes some
/// weights of norms without any.
std::string vector_name(const TensorIndex& index, const std::string& module,
                        std::string_view suffix, std::string_view older) {
  std::string name = base::cat(module, suffix);
  std::string old_name = base::cat(module, older);
  if (index.find(name) != nullptr) return name;
  if (index.find(old_name) != nullptr) return old_name;
  return suffix == ".weight" && index.find(module) != nullptr ? module : name;
}

/// GGUF has numbers of a layer in its metadata, one for each or one for all.
std::optional<float> number_in_metadata(const format::Checkpoint& checkpoint,
                                        const std::string& name, int layer) {
  if (checkpoint.kind() != format::Checkpoint::Kind::kGguf) return std::nullopt;
  const base::Json* value = checkpoint.config().find(name);
  if (value == nullptr) return std::nullopt;
  const base::JsonArray* all = value->if_array();
  const auto i = static_cast<std::size_t>(layer);
  const base::Json* one = all == nullptr ? value : i < all->size() ? &(*all)[i] : nullptr;
  if (one == nullptr || !one->is_number() || !std::isfinite(one->as_double(name))) {
    base::fail_at(ErrorCode::kCorruptData, checkpoint.path(), name,
                  ": bad value (expected a finite number for each layer)");
  }
  return static_cast<float>(one->as_double(name));
}

/// A tensor of stacked experts, whose name may have no suffix.
const tensor::TensorView* find_stacked(const TensorIndex& index, const std::string& name) {
  const tensor::TensorView* const found = index.find(name);
  return found != nullptr ? found : index.find(name.substr(0, name.rfind('.')));
}

}  // namespace

WeightLoader::WeightLoader(const format::Checkpoint& checkpoint, const Layouts& layouts,
                           device::Device& device, const std::function<void(double)>& progress,
                           const LoadTypes& types)
    : layouts_(layouts),
      layout_(layouts_.of(checkpoint.kind())),
      device_(device),
      progress_(progress),
      types_(types),
      index_(checkpoint, layout_),
      schemes_(make_schemes(checkpoint)) {
  for (const auto& tensor : checkpoint.tensors()) total_bytes_ += tensor.view.bytes.size();
}

WeightPtr WeightLoader::upload(const WeightSource& source, WeightRole role, bool read_each_step,
                               std::optional<tensor::DType> type) {
  const format::Checkpoint& checkpoint = index_.checkpoint();
  WeightPtr weight;
  try {
    std::optional<RoundedSource> rounded;
    if (types_.rounded) rounded.emplace(source, *types_.rounded);
    const WeightSource& values = rounded ? rounded->source() : source;
    weight = type ? upload_quantised(values, *type, role) : device_.upload(values, role);
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
  loaded_bytes_ += weight->bytes();
  if (progress_ && total_bytes_ > 0) {
    progress_(std::min(1.0, static_cast<double>(done_bytes_) / static_cast<double>(total_bytes_)));
  }
  return weight;
}

WeightPtr WeightLoader::upload_quantised(const WeightSource& values, tensor::DType type,
                                         WeightRole role) {
  const WeightSource source = quantised(values, type);
  for (const WeightPart& part : source.parts) has_quantised_ |= part.view.dtype == type;
  return device_.upload(source, role);
}

WeightPtr WeightLoader::vector(Role role, At at, std::int64_t n) {
  const std::string name = vector_name(index_, index_.module(role, at), ".weight", ".gamma");
  return upload({.parts = {{index_.take(name, Shape{n}), name}}}, WeightRole::kVector, true);
}

WeightPtr WeightLoader::bias(Role role, At at, std::int64_t n) {
  const std::string name = vector_name(index_, index_.module(role, at), ".bias", ".beta");
  return upload({.parts = {{index_.take(name, Shape{n}), name}}}, WeightRole::kVector, true);
}

WeightPtr WeightLoader::values(Role role, At at, std::int64_t n) {
  const std::string name = index_.module(role, at);
  const tensor::TensorView* found = index_.find(name);
  Shape shape{n};
  for (const Shape& same : {Shape{1, n}, Shape{n, 1}}) {
    if (found != nullptr && found->shape == same) shape = same;
  }
  tensor::TensorView view = index_.take(name, shape);
  view.shape = Shape{n};
  return upload({.parts = {{view, name}}}, WeightRole::kVector, true);
}

WeightPtr WeightLoader::head_vectors(Role role, At at, std::int64_t n_heads,
                                     std::int64_t head_dim) {
  WeightSource source;
  if (!index_.has_expert_numbers(role, at)) {
    const std::string name = index_.module(role, at) + ".weight";
    tensor::TensorView view = index_.take(name, Shape{n_heads, head_dim});
    view.shape = Shape{n_heads * head_dim};
    source.parts.push_back({view, name});
  }
  for (at.expert = 0; at.expert < n_heads && index_.has_expert_numbers(role, at); ++at.expert) {
    const std::string name = index_.module(role, at) + ".weight";
    source.parts.push_back({index_.take(name, Shape{head_dim}), name});
  }
  return upload(source, WeightRole::kVector, true);
}

WeightPtr WeightLoader::numbers(Role role, At at, std::span<const std::string_view> suffixes) {
  WeightSource source;
  std::vector<float> named;
  for (const std::string_view suffix : suffixes) {
    const std::string name = base::cat(index_.module(role, at), ".", suffix);
    const tensor::TensorView* found = index_.find(name);
    if (const auto value = number_in_metadata(index_.checkpoint(), name, at.layer); value) {
      named.push_back(*value);
      continue;
    }
    const bool is_scalar = found != nullptr && found->shape.n_dims() == 0;
    tensor::TensorView view = index_.take(name, is_scalar ? found->shape : Shape{1});
    view.shape = Shape{1};
    source.parts.push_back({view, name});
  }
  if (named.size() == suffixes.size()) return made_vector(named);
  return upload(source, WeightRole::kVector, true);
}

float WeightLoader::number(Role role, At at) {
  const std::string name = index_.module(role, at);
  const tensor::TensorView view = index_.take(name, Shape{1});
  float value = 0.0F;
  const tensor::DTypeInfo& type = tensor::info(view.dtype);
  if (type.block_elems == 1 && type.to_f32 != nullptr) type.to_f32(view.bytes.data(), &value, 1);
  if (!std::isfinite(value)) {
    base::fail(ErrorCode::kCorruptData, index_.checkpoint().path(), ": tensor ", name,
               ": bad value (expected a finite number)");
  }
  ++n_parameters_;
  return value;
}

std::vector<float> WeightLoader::host_values(Role role, At at, std::int64_t n) {
  std::vector<float> values;
  changed(role, at, Shape{n}, "", [&](const std::vector<float>& read) { values = read; });
  return values;
}

WeightPtr WeightLoader::made_table(std::int64_t rows, std::int64_t cols,
                                   const std::vector<float>& values) {
  const tensor::TensorView view{tensor::DType::kF32, Shape{rows, cols},
                                std::as_bytes(std::span(values))};
  WeightPtr weight = device_.upload({.parts = {{view, "positions"}}}, WeightRole::kEmbedding);
  loaded_bytes_ += weight->bytes();
  return weight;
}

WeightPtr WeightLoader::changed(Role role, At at, const Shape& shape, std::string_view suffix,
                                const std::function<void(std::vector<float>&)>& change) {
  return upload_changed(base::cat(index_.module(role, at), suffix), shape, change,
                        WeightRole::kVector, std::nullopt);
}

WeightPtr WeightLoader::changed_matrix(Role role, At at, const Shape& shape,
                                       std::string_view suffix, std::int64_t n_out,
                                       std::int64_t n_in,
                                       const std::function<void(std::vector<float>&)>& change) {
  return upload_changed(base::cat(index_.module(role, at), suffix), shape, change,
                        WeightRole::kLinear, Shape{n_out, n_in});
}

WeightPtr WeightLoader::upload_changed(const std::string& name, const Shape& shape,
                                       const std::function<void(std::vector<float>&)>& change,
                                       WeightRole role, std::optional<Shape> result) {
  const tensor::TensorView& view = index_.take(name, shape);
  std::optional<RoundedSource> rounded;
  if (types_.rounded) rounded.emplace(WeightSource{{{view, name}}}, *types_.rounded);
  const tensor::TensorView& source = rounded ? rounded->source().parts[0].view : view;
  const tensor::DTypeInfo& type = tensor::info(source.dtype);
  const auto n = static_cast<std::size_t>(shape.n_elems());
  if (type.to_f32 == nullptr) {
    base::fail_at(ErrorCode::kUnsupported, index_.checkpoint().path(), "tensor ", name, ": dtype ",
                  type.name, " holds no weights");
  }
  std::vector<float> values(n);
  type.to_f32(source.bytes.data(), values.data(), n);
  change(values);
  if (!result) result = Shape{static_cast<std::int64_t>(values.size())};
  const tensor::TensorView made{tensor::DType::kF32, *result,
                                std::as_bytes(std::span<const float>(values))};
  WeightPtr weight;
  try {
    weight = device_.upload({.parts = {{made, name}}}, role);
  } catch (const Error& error) {
    throw Error(error.code(), base::cat(index_.checkpoint().path(), ": ", error.what()));
  }
  n_parameters_ += shape.n_elems();
  done_bytes_ += view.bytes.size();
  index_.checkpoint().drop_pages(view);
  step_bytes_ += weight->bytes();
  loaded_bytes_ += weight->bytes();
  return weight;
}

WeightPtr WeightLoader::made_vector(const std::vector<float>& values) {
  const tensor::TensorView view{tensor::DType::kF32,
                                Shape{static_cast<std::int64_t>(values.size())},
                                std::as_bytes(std::span(values))};
  WeightPtr weight = device_.upload({.parts = {{view, "constant"}}}, WeightRole::kVector);
  loaded_bytes_ += weight->bytes();
  return weight;
}

WeightPtr WeightLoader::constant(std::int64_t n, float value) {
  return made_vector(std::vector<float>(static_cast<std::size_t>(n), value));
}

WeightPart WeightLoader::take_slice(Role role, const std::string& name, Shape shape, At at) {
  // Of a family whose experts are turned, those of a file that has them straight are told by shape.
  const tensor::TensorView* const stacked = find_stacked(index_, name);
  const bool is_straight = stacked != nullptr && shape.n_dims() == 2 && shape[0] != shape[1] &&
                           stacked->shape == Shape{at.n_experts, shape[0], shape[1]};
  const bool turned =
      shape.n_dims() == 2 && !is_straight &&
      (layout_.transposed_experts || (layout_.flat_experts && role == layout_.transposed_flat));
  if (turned) shape = Shape{shape[1], shape[0]};
  Shape whole = Shape{at.n_experts, shape[0]};
  if (shape.n_dims() == 2) {
    whole = layout_.flat_experts ? Shape{at.n_experts * shape[0], shape[1]}
                                 : Shape{at.n_experts, shape[0], shape[1]};
  }
  // Stacked experts are often parameters of their own, without a module's suffix.
  const std::string module = name.substr(0, name.rfind('.'));
  const std::string bare = name.ends_with(".bias") ? module + "_bias" : module;
  const bool has_suffix = index_.find(name) != nullptr || index_.find(bare) == nullptr;
  tensor::TensorView view = index_.take(has_suffix ? name : bare, whole);
  const std::size_t size = view.bytes.size() / static_cast<std::size_t>(at.n_experts);
  view.shape = shape;
  view.bytes = view.bytes.subspan(size * static_cast<std::size_t>(at.expert), size);
  return {view, name, turned};
}

std::vector<WeightPart> WeightLoader::take_parts(const LinearPart& part, std::int64_t n_in, At at,
                                                 bool transposed) {
  const std::string module = index_.module(part.role, at);
  if (at.n_experts > 0 && !index_.has_expert_numbers(part.role, at)) {
    for (const auto& scheme : schemes_) {
      if (auto taken = scheme->take_expert(index_, module, part.n_out, n_in, at)) return {*taken};
    }
    return {take_slice(part.role, module + ".weight", Shape{part.n_out, n_in}, at)};
  }
  const RowRanges& rows = part.rows;
  if (rows.n_groups == 0) return {take_matrix(module, part.n_out, n_in, transposed)};
  const WeightPart whole = take_matrix(module, rows.n_groups * rows.group_rows, n_in, transposed);
  if (whole.grouped || whole.transposed) {
    base::fail(ErrorCode::kUnsupported, index_.checkpoint().path(), ": tensor ", whole.name,
               ": outputs that are mixed head by head cannot be taken from it (expected one row "
               "for each output)");
  }
  return cut(whole, rows);
}

WeightPart WeightLoader::take_matrix(const std::string& module, std::int64_t n_out,
                                     std::int64_t n_in, bool transposed) {
  const auto scheme = std::find_if(schemes_.begin(), schemes_.end(), [&](const auto& candidate) {
    return candidate->has(index_, module);
  });
  return (*scheme)->take(index_, module, n_out, n_in, transposed);
}

std::vector<WeightPart> WeightLoader::take_biases(const LinearPart& part, At at) {
  const std::string module = index_.module(part.role, at);
  std::string name = module + ".bias";
  // A parameter beside the module instead of one of it.
  if (index_.find(name) == nullptr && index_.find(module + "_bias") != nullptr)
    name = module + "_bias";
  if (at.n_experts > 0 && !index_.has_expert_numbers(part.role, at)) {
    return {take_slice(part.role, name, Shape{part.n_out}, at)};
  }
  const RowRanges& rows = part.rows;
  if (rows.n_groups == 0) return {{index_.take(name, Shape{part.n_out}), name}};
  return cut({index_.take(name, Shape{rows.n_groups * rows.group_rows}), name}, rows);
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
    piece.weight = upload(weight, WeightRole::kLinear, true,
                          parts[0].keeps_type ? std::nullopt : types_.linears);
    if (!bias.parts.empty()) piece.bias = upload(bias, WeightRole::kVector, true);
    weight = {};
    bias = {};
    begin = end;
  };
  for (const LinearPart& part : parts) {
    std::vector<WeightPart> taken = take_parts(part, n_in, at, layout_.transposed);
    const bool fits = weight.parts.empty() || (of_one_kind(weight.parts[0], taken[0]) &&
                                               bias.parts.empty() != part.has_bias);
    if (!fits) finish_piece();
    std::move(taken.begin(), taken.end(), std::back_inserter(weight.parts));
    if (part.has_bias) {
      std::vector<WeightPart> biases = take_biases(part, at);
      std::move(biases.begin(), biases.end(), std::back_inserter(bias.parts));
    }
    end += part.n_out;
  }
  finish_piece();
  return pieces;
}

std::vector<std::vector<LinearPiece>> WeightLoader::experts(const std::vector<LinearPart>& parts,
                                                            std::int64_t n_in, int n_experts,
                                                            int n_used, At at) {
  const std::size_t before = step_bytes_;
  const std::int64_t n_before = n_parameters_;
  std::vector<std::vector<LinearPiece>> experts;
  at.n_experts = n_experts;
  for (at.expert = 0; at.expert < n_experts; ++at.expert) {
    experts.push_back(linear(parts, n_in, at));
    if (experts.back().size() != experts.front().size()) {
      base::fail_at(ErrorCode::kUnsupported, index_.checkpoint().path(), "tensor ",
                    index_.module(parts[0].role, at),
                    ".weight: experts of one layer differ in type");
    }
  }
  const auto all = static_cast<double>(step_bytes_ - before);
  step_bytes_ = before + static_cast<std::size_t>(all * n_used / n_experts);
  n_idle_parameters_ += (n_parameters_ - n_before) / n_experts * (n_experts - n_used);
  return experts;
}

WeightPtr WeightLoader::rows(Role role, At at, const Shape& shape, std::int64_t begin,
                             std::int64_t n, bool turned) {
  const WeightPart whole = take_matrix(index_.module(role, at), shape[0], shape[1], false);
  if (whole.grouped) {
    base::fail(
        ErrorCode::kUnsupported, index_.checkpoint().path(), ": tensor ", whole.name,
        ": outputs that are used in parts cannot be taken from it (expected one row for each "
        "output)");
  }
  WeightPart part = cut_rows(whole, begin, n);
  if (turned && part.rows != nullptr) {
    part.rows = std::make_shared<TurnedRows>(whole, begin, n);
    part.view.dtype = tensor::DType::kF32;
    part.view.shape = Shape{shape[1], n};
  } else {
    part.transposed = turned;
  }
  return upload({.parts = {std::move(part)}}, WeightRole::kLinear, true, types_.linears);
}

WeightPtr WeightLoader::slice(Role role, At at, std::int64_t n_out, std::int64_t n_in) {
  const std::string name = index_.module(role, at) + ".weight";
  return upload({.parts = {take_slice(role, name, Shape{n_out, n_in}, at)}}, WeightRole::kLinear,
                true, types_.linears);
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
                          part.head_dim,
                          part.rows,
                          piece.weight.get(),
                          piece.bias.get(),
                          false,
                          1.0F,
                          false,
                          false,
                          part.n_k,
                          part.n_v,
                          part.n_groups});
    }
  }
}

int WeightLoader::list_again(int first_piece, int n_pieces, int layer) {
  const int shift = n_listed_pieces_ - first_piece;
  const std::size_t n = modules_.size();
  for (std::size_t i = 0; i < n; ++i) {
    AdaptableModule module = modules_[i];
    if (module.piece < first_piece || module.piece >= first_piece + n_pieces) continue;
    module.ref.at.layer = layer;
    module.piece += shift;
    modules_.push_back(module);
  }
  n_listed_pieces_ += n_pieces;
  return shift;
}

void WeightLoader::move_listed(int first_piece, int layer) {
  for (AdaptableModule& module : modules_) {
    if (module.piece >= first_piece) module.ref.at.layer = layer;
  }
}

int WeightLoader::list_module(AdaptableModule module) {
  module.piece = n_listed_pieces_++;
  module.ref.in_encoder = index_.stack() == TensorIndex::Stack::kEncoder;
  modules_.push_back(module);
  return module.piece;
}

WeightPtr WeightLoader::head(Role role, std::int64_t n_out, std::int64_t n_in, MatrixNorm norm) {
  std::vector<WeightPart> parts = take_parts({role, n_out}, n_in, {}, false);
  if (norm != MatrixNorm::kNone) {
    for (WeightPart& part : parts) part = normalised(index_.checkpoint().path(), part, norm);
  }
  return upload({.parts = std::move(parts)}, WeightRole::kLinear, true, types_.tables);
}

WeightPtr WeightLoader::table(Role role, std::int64_t rows, std::int64_t cols, bool read_each_step,
                              At at) {
  const std::string name = index_.module(role, at) + ".weight";
  return upload({.parts = {{index_.take(name, Shape{rows, cols}), name}}}, WeightRole::kEmbedding,
                read_each_step, types_.tables);
}

void WeightLoader::finish() {
  index_.require_all_used();
  if (types_.linears && !has_quantised_) {
    base::fail_at(ErrorCode::kUnsupported, "quantize", index_.checkpoint().path(),
                  ": no matrix can become ", tensor::info(*types_.linears).name,
                  " (expected rows that are multiples of ",
                  tensor::info(*types_.linears).block_elems, ")");
  }
  if (progress_) progress_(1.0);
}

}  // namespace openllm::model
