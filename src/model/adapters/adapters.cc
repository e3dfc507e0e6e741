#include "model/adapters/adapters.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "format/tensor_list.h"

namespace openllm::model {
namespace {

using base::fail;
using format::printable;

auto place_of(const ModuleRef& ref) {
  return std::tuple(ref.in_encoder, ref.role.name, ref.at.layer, ref.at.expert);
}

/// Appends the row to the last rows if it is their neighbour and has their adapter.
void add_row(const MountedAdapter* adapter, std::int64_t row, std::int64_t n,
             std::vector<AdapterRows>& rows) {
  if (adapter == nullptr) return;
  if (!rows.empty() && rows.back().adapter == adapter &&
      rows.back().first_row + rows.back().n_rows == row) {
    rows.back().n_rows += n;
  } else {
    rows.push_back({adapter, row, n});
  }
}

void require_shape(const AdapterSource& source, const format::NamedTensor& tensor,
                   const tensor::Shape& expected) {
  if (tensor.view.shape == expected) return;
  fail(ErrorCode::kInvalidArgument, source.path, ": tensor ", printable(tensor.name),
       ": does not fit the model (expected shape ", expected.to_string(), ", got ",
       tensor.view.shape.to_string(), ")");
}

}  // namespace

MountedAdapter::MountedAdapter(std::vector<Delta> deltas) : deltas_(std::move(deltas)) {
  std::sort(deltas_.begin(), deltas_.end(), [](const Delta& a, const Delta& b) {
    return std::tuple(a.piece, a.out_begin) < std::tuple(b.piece, b.out_begin);
  });
}

std::span<const MountedAdapter::Delta> MountedAdapter::of(int piece) const noexcept {
  const auto first = std::lower_bound(deltas_.begin(), deltas_.end(), piece,
                                      [](const Delta& delta, int id) { return delta.piece < id; });
  auto end = first;
  while (end != deltas_.end() && end->piece == piece) ++end;
  return {first, end};
}

Adapters::Adapters(WeightLoader& loader)
    : device_(loader.device()),
      layouts_(loader.layouts()),
      base_naming_(loader.index().checkpoint().kind()),
      modules_(loader.listed_modules()) {
  std::sort(modules_.begin(), modules_.end(), [](const LinearModule& a, const LinearModule& b) {
    return place_of(a.ref) < place_of(b.ref);
  });
}

const LinearModule& Adapters::find(const AdapterSource& source, const AdapterModule& module) const {
  const std::vector<ModuleRef> refs = find_modules(layouts_.of(source.naming), module.module);
  for (const ModuleRef& ref : refs) {
    const auto found = std::lower_bound(
        modules_.begin(), modules_.end(), ref,
        [](const LinearModule& a, const ModuleRef& b) { return place_of(a.ref) < place_of(b); });
    if (found != modules_.end() && found->ref == ref) return *found;
  }
  // A name of the family, of modules that cannot have adapters?
  const bool is_unlisted =
      !refs.empty() && std::none_of(modules_.begin(), modules_.end(), [&](const auto& listed) {
        return std::any_of(refs.begin(), refs.end(),
                           [&](const ModuleRef& ref) { return ref.role == listed.ref.role; });
      });
  fail(is_unlisted ? ErrorCode::kUnsupported : ErrorCode::kInvalidArgument, source.path,
       ": tensor ", printable(module.a.name), ": ",
       is_unlisted ? "adapters are not supported for this module: " : "the model has no module ",
       printable(module.module));
}

MountedAdapter::Delta Adapters::load(const AdapterSource& source, const AdapterModule& module) {
  const LinearModule& target = find(source, module);
  const std::int64_t rank = module.a.view.shape.n_dims() == 0 ? 1 : module.a.view.shape[0];
  require_shape(source, module.a, tensor::Shape{rank, target.n_in});
  require_shape(source, module.b, tensor::Shape{target.n_out, rank});
  tensor::TensorView b = module.b.view;
  std::vector<std::byte> reordered;
  const bool to_paired = layouts_.of(base_naming_).paired_heads;
  if (target.head_dim > 0 && to_paired != layouts_.of(source.naming).paired_heads) {
    reordered = reorder_heads(b.bytes, b.bytes.size() / static_cast<std::size_t>(target.n_out),
                              target.head_dim, to_paired);
    b.bytes = reordered;
  }
  try {
    const auto upload = [&](const tensor::TensorView& view, const std::string& name) {
      return device_.upload({.parts = {{view, name}}}, device::WeightRole::kLinear);
    };
    return {target.piece, target.out_begin, upload(module.a.view, module.a.name),
            upload(b, module.b.name), module.scale};
  } catch (const Error& error) {
    throw Error(error.code(), base::cat(source.path, ": ", error.what()));
  }
}

void Adapters::mount(int id, const AdapterSource& source) {
  if (id <= 0 || has(id)) {
    fail(ErrorCode::kInvalidArgument, source.path, ": adapter id ", id,
         id <= 0 ? ": out of range (expected 1 or more)" : ": already mounted");
  }
  std::vector<MountedAdapter::Delta> deltas;
  deltas.reserve(source.modules.size());
  std::set<std::pair<int, std::int64_t>> seen;
  for (const AdapterModule& module : source.modules) {
    deltas.push_back(load(source, module));
    if (!seen.emplace(deltas.back().piece, deltas.back().out_begin).second) {
      fail(ErrorCode::kCorruptData, source.path, ": tensor ", printable(module.a.name),
           ": a second one for this module");
    }
  }
  mounted_.emplace(id, std::make_unique<const MountedAdapter>(std::move(deltas)));
}

void Adapters::unmount(int id) {
  if (mounted_.erase(id) == 0) {
    fail(ErrorCode::kNotFound, "model: no adapter is mounted as ", id);
  }
}

void Adapters::find_rows(const step::Step& step, StepAdapters& found) const {
  found.rows.clear();
  found.output_rows.clear();
  const auto adapter_of = [&](const step::SequenceRows& sequence) {
    return sequence.adapter == 0 ? nullptr : mounted_.at(sequence.adapter).get();
  };
  for (const step::SequenceRows& sequence : step.sequences) {
    add_row(adapter_of(sequence), sequence.first_row, sequence.n_rows, found.rows);
  }
  if (found.rows.empty()) return;
  std::int64_t output = 0;
  for (const auto* wanted : {&step.logit_rows, &step.hidden_rows}) {
    auto sequence = step.sequences.begin();
    for (const std::int32_t row : *wanted) {
      while (row >= sequence->first_row + sequence->n_rows) ++sequence;
      add_row(adapter_of(*sequence), output++, 1, found.output_rows);
    }
  }
}

std::vector<std::byte> reorder_heads(std::span<const std::byte> rows, std::size_t row_bytes,
                                     std::int64_t head_dim, bool to_paired) {
  std::vector<std::byte> out(rows.size());
  const auto dim = static_cast<std::size_t>(head_dim);
  const std::size_t half = dim / 2;
  for (std::size_t row = 0; row < rows.size() / row_bytes; ++row) {
    const std::size_t i = row % dim;
    const std::size_t from = row - i + (to_paired ? i % 2 * half + i / 2 : i % half * 2 + i / half);
    std::memcpy(out.data() + row * row_bytes, rows.data() + from * row_bytes, row_bytes);
  }
  return out;
}

}  // namespace openllm::model
