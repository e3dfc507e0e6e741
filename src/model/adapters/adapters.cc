#include "model/adapters/adapters.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "format/tensor_list.h"
#include "model/adapters/adapter_tensor.h"
#include "model/adapters/expert_layout.h"

namespace openllm::model {
namespace {

using base::fail;
using format::printable;

auto place_of(const ModuleRef& ref) {
  return std::tuple(ref.in_encoder, ref.role.name, ref.at.layer, ref.at.expert);
}

/// Appends the row to the last rows if it is their neighbour and has their adapters.
void add_row(const AdapterMix* adapter, std::int64_t row, std::int64_t n,
             std::vector<AdapterRows>& rows) {
  if (adapter == nullptr) return;
  if (!rows.empty() && rows.back().adapter == adapter &&
      rows.back().first_row + rows.back().n_rows == row) {
    rows.back().n_rows += n;
  } else {
    rows.push_back({adapter, row, n});
  }
}

/// A module of a part that the model is loaded without, as a vision tower.
bool is_left_out(const ModuleLayout& layout, const std::string& module) {
  const std::string name = module + ".weight";
  const auto is_ignored = [&](std::string_view rest) {
    return std::any_of(layout.ignored.begin(), layout.ignored.end(),
                       [&](std::string_view pattern) { return matches(rest, pattern); });
  };
  return is_ignored(name) ||
         std::any_of(layout.prefixes.begin(), layout.prefixes.end(), [&](std::string_view prefix) {
           return name.starts_with(prefix) && is_ignored(name.substr(prefix.size()));
         });
}

/// Rows of a module's tensor that one of its parts has, in the order that the base has them.
RowOrder order_of(const AdaptableModule& target, bool turns_heads, bool to_paired) {
  RowOrder order;
  order.ranges = target.rows;
  if (turns_heads) {
    order.head_dim = target.head_dim;
    order.to_paired = to_paired;
  }
  return order;
}

/// What the rows of weight + scale * b a are long, and were trained to be.
std::unique_ptr<const RowLengths> measure_rows(const device::Device& device,
                                               const AdaptableModule& target,
                                               std::vector<float> trained,
                                               const std::vector<float>& a,
                                               const std::vector<float>& b) {
  auto lengths = std::make_unique<RowLengths>();
  const auto n_in = static_cast<std::size_t>(target.n_in);
  const std::size_t n_out = trained.size();
  const std::size_t rank = a.size() / n_in;
  std::vector<float> weight(n_in);
  std::vector<float> delta(n_in);
  for (std::size_t o = 0; o < n_out; ++o) {
    device.read_row(*target.weight, target.out_begin + static_cast<std::int64_t>(o), weight.data());
    std::fill(delta.begin(), delta.end(), 0.0F);
    for (std::size_t r = 0; r < rank; ++r) {
      const float factor = b[o * rank + r];
      for (std::size_t k = 0; k < n_in; ++k) delta[k] += factor * a[r * n_in + k];
    }
    double of_weight = 0.0;
    double product = 0.0;
    double of_delta = 0.0;
    for (std::size_t k = 0; k < n_in; ++k) {
      const auto w = static_cast<double>(weight[k]);
      const auto d = static_cast<double>(delta[k]);
      of_weight += w * w;
      product += w * d;
      of_delta += d * d;
    }
    lengths->of_weight.push_back(of_weight);
    lengths->product.push_back(product);
    lengths->of_delta.push_back(of_delta);
  }
  lengths->trained = std::move(trained);
  return lengths;
}

}  // namespace

Adapters::Adapters(WeightLoader& loader, std::span<const StackedRole> stacked,
                   const FusedRole& fused)
    : device_(loader.device()),
      hf_layout_(*loader.layouts().hf),
      gguf_layout_(*loader.layouts().gguf),
      base_naming_(loader.index().checkpoint().kind()),
      stacked_(stacked.begin(), stacked.end()),
      fused_(fused),
      modules_(loader.listed_modules()) {
  std::stable_sort(modules_.begin(), modules_.end(),
                   [](const AdaptableModule& a, const AdaptableModule& b) {
                     return place_of(a.ref) < place_of(b.ref);
                   });
}

Adapters::Modules Adapters::listed(const ModuleRef& ref) const {
  const auto place = place_of(ref);
  const auto first =
      std::lower_bound(modules_.begin(), modules_.end(), place,
                       [](const AdaptableModule& a, const auto& b) { return place_of(a.ref) < b; });
  auto end = first;
  while (end != modules_.end() && place_of(end->ref) == place) ++end;
  return {first, end};
}

/// Files may have gate and up of an expert, or Q, K and V, apart or in one, whatever the adapter's
/// file has.
Adapters::Modules Adapters::listed_otherwise(const ModuleRef& ref) const {
  const auto& [fused, q, k, v] = fused_;
  if (ref.role == q || ref.role == k || ref.role == v) {
    Modules found = listed({fused, ref.at, ref.in_encoder});
    if (found.size() != 1 || found[0].rows.n_groups > 0 || found[0].n_k == 0) return {};
    const std::int64_t n_q = found[0].n_out - found[0].n_k - found[0].n_v;
    if (ref.role == v) found[0].out_begin += n_q + found[0].n_k;
    if (ref.role == k) found[0].out_begin += n_q;
    found[0].n_out = ref.role == v ? found[0].n_v : ref.role == k ? found[0].n_k : n_q;
    return found;
  }
  for (const auto& [whole, upper, lower] : stacked_) {
    Modules found;
    if (ref.role == whole) {
      for (const Role role : {upper, lower}) {
        const Modules half = listed({role, ref.at, ref.in_encoder});
        if (half.size() != 1 || half[0].rows.n_groups > 0) return {};
        found.push_back(half[0]);
        const std::int64_t n = half[0].n_out;
        found.back().rows = {1, 2 * n, role == upper ? 0 : n, n};
      }
      return found;
    }
    if (ref.role != upper && ref.role != lower) continue;
    found = listed({whole, ref.at, ref.in_encoder});
    if (found.size() != 1 || found[0].rows.n_groups > 0) continue;
    found[0].n_out /= 2;
    if (ref.role == lower) found[0].out_begin += found[0].n_out;
    return found;
  }
  return {};
}

/// The parts of a fused QKV for an adapter in the family's other format: one of them has Q, K and V
/// in groups, the other one behind the other.
Adapters::Modules Adapters::regrouped(Modules fused) const {
  if (fused.size() == 1 && fused[0].n_groups > 0) {
    const AdaptableModule whole = fused[0];
    const std::int64_t n = whole.n_groups;
    std::int64_t done = 0;
    fused.clear();
    for (const std::int64_t size : {whole.n_out - whole.n_k - whole.n_v, whole.n_k, whole.n_v}) {
      AdaptableModule& part = fused.emplace_back(whole);
      part.rows = {n, whole.n_out / n, done / n, size / n};
      part.out_begin += done;
      part.n_out = size;
      done += size;
    }
  } else if (fused.size() == 3) {
    std::int64_t done = 0;
    for (const AdaptableModule& part : fused) done += part.n_out;
    const std::int64_t all = std::exchange(done, 0);
    for (AdaptableModule& part : fused) {
      part.rows = {1, all, done, part.n_out};
      done += part.n_out;
    }
  }
  return fused;
}

Adapters::Modules Adapters::find(const AdapterSource& source, const AdapterModule& module) const {
  std::vector<ModuleRef> refs = find_modules(layout_of(source.naming), module.module);
  for (ModuleRef& ref : refs) {
    if (module.expert >= 0) ref.at.expert = module.expert;
    Modules found = listed(ref);
    if (found.empty()) found = listed_otherwise(ref);
    if (source.naming != base_naming_ && ref.role == fused_.whole) found = regrouped(found);
    if (!found.empty()) return found;
  }
  if (is_left_out(layout_of(source.naming), module.module)) return {};
  // A name of the family, of modules that cannot have adapters?
  const bool is_unlisted =
      !refs.empty() && std::none_of(modules_.begin(), modules_.end(), [&](const auto& listed) {
        return std::any_of(refs.begin(), refs.end(),
                           [&](const ModuleRef& ref) { return ref.role == listed.ref.role; });
      });
  fail(is_unlisted ? ErrorCode::kUnsupported : ErrorCode::kInvalidArgument, source.path,
       ": tensor ", printable(module.tensor_name()), ": ",
       is_unlisted ? "adapters are not supported for this module: " : "the model has no module ",
       printable(module.module));
}

MountedAdapter::Delta Adapters::prepare_low_rank(const AdapterTensors& read,
                                                 const AdapterModule& module,
                                                 const AdaptableModule& target, std::int64_t n_out,
                                                 const RowOrder& order) const {
  const std::int64_t rank = module.a->view.shape[0];
  Delta delta{target.piece, target.out_begin};
  delta.scales = true;
  delta.scale = module.scale;
  delta.a = read.matrix(*module.a, rank, target.n_in, {}, false);
  delta.b = read.matrix(*module.b, n_out, rank, order, false);
  if (module.b_bias) delta.shift = read.upload(read.vector_values(*module.b_bias, n_out, order));
  if (!module.magnitude) return delta;
  delta.lengths = measure_rows(device_, target, read.vector_values(*module.magnitude, n_out, order),
                               read.matrix_values(*module.a, rank, target.n_in, {}),
                               read.matrix_values(*module.b, n_out, rank, order));
  delta.gains = read.upload(delta.lengths->gains(module.scale));
  return delta;
}

/// Weight or bias instead of the module's own.
MountedAdapter::Delta Adapters::prepare_replacement(
    const AdapterTensors& read, const AdapterSource& source, const AdapterModule& module,
    const AdaptableModule& target, std::int64_t n_out, const RowOrder& order) const {
  if (module.magnitude && module.weight) {
    fail(ErrorCode::kUnsupported, source.path, ": tensor ", printable(module.magnitude->name),
         ": not supported beside a weight instead of the module's own");
  }
  std::vector<float> own(static_cast<std::size_t>(target.n_out));
  if (target.bias != nullptr) {
    std::vector<float> all(static_cast<std::size_t>(target.bias->in_features()));
    device_.read_row(*target.bias, 0, all.data());
    std::copy_n(all.begin() + target.out_begin, target.n_out, own.begin());
  }
  Delta delta{target.piece, target.out_begin};
  std::vector<float> bias;
  if (module.bias) bias = read.vector_values(*module.bias, n_out, order);
  if (module.weight) {
    const bool transposed = layout_of(source.naming).transposed && !target.is_head;
    delta.b = read.matrix(*module.weight, n_out, target.n_in, order, transposed);
    delta.shift = read.upload(module.bias ? bias : own);
    return delta;
  }
  for (std::size_t i = 0; i < bias.size(); ++i) bias[i] -= own[i];
  delta.shift = read.upload(bias);
  return delta;
}

void Adapters::prepare_linear(const AdapterSource& source, const AdapterModule& module,
                              const Modules& targets, std::vector<Delta>& deltas) const {
  const ModuleLayout& layout = layout_of(source.naming);
  const bool to_paired = layout_of(base_naming_).paired_heads;
  const bool turns = to_paired != layout.paired_heads;
  const AdaptableModule& first = targets.front();
  const std::int64_t n_out =
      first.rows.n_groups > 0 ? first.rows.n_groups * first.rows.group_rows : first.n_out;
  const AdapterTensors read(source.path, device_);
  const PlainExpert expert(module, source.path, n_out, first.n_in, layout.transposed_experts);
  const AdapterModule& plain = expert.module();
  for (const AdaptableModule& target : targets) {
    const RowOrder order = order_of(target, turns, to_paired);
    if (target.turned) {
      deltas.push_back(prepare_turned(read, source, module, target, n_out));
      continue;
    }
    if (module.weight || module.bias)
      deltas.push_back(prepare_replacement(read, source, module, target, n_out, order));
    if (module.a) deltas.push_back(prepare_low_rank(read, plain, target, n_out, order));
  }
}

/// Of a module that works on its outputs: what is added is a^T (b^T x).
MountedAdapter::Delta Adapters::prepare_turned(const AdapterTensors& read,
                                               const AdapterSource& source,
                                               const AdapterModule& module,
                                               const AdaptableModule& target,
                                               std::int64_t n_out) const {
  for (const auto* tensor : {&module.b_bias, &module.magnitude, &module.weight, &module.bias}) {
    if (!*tensor) continue;
    fail(ErrorCode::kUnsupported, source.path, ": tensor ", printable((*tensor)->name),
         ": not supported for this module (expected lora_A and lora_B alone)");
  }
  const std::int64_t rank = module.a->view.shape[0];
  Delta delta{target.piece, target.out_begin};
  delta.scales = true;
  delta.scale = module.scale;
  delta.a = read.turned(*module.b, n_out, rank, order_of(target, false, false));
  delta.b = read.turned(*module.a, rank, target.n_in, {});
  return delta;
}

/// What is added to these outputs of a module whatever its matrix is.
std::vector<float> Adapters::biases_of(const AdaptableModule& module,
                                       const std::vector<std::int32_t>& outputs) const {
  std::vector<float> all(static_cast<std::size_t>(module.bias->in_features()));
  device_.read_row(*module.bias, 0, all.data());
  std::vector<float> biases;
  for (const std::int32_t output : outputs)
    biases.push_back(all[static_cast<std::size_t>(module.out_begin + output)]);
  return biases;
}

const AdaptableModule* Adapters::tied_head(const AdaptableModule& table) const {
  for (const AdaptableModule& module : modules_) {
    if (module.is_head && module.weight == table.weight) return &module;
  }
  return nullptr;
}

void Adapters::prepare_table(const AdapterSource& source, const AdapterModule& module,
                             const AdaptableModule& target, std::vector<Delta>& deltas) const {
  const AdapterTensors read(source.path, device_);
  const bool has_encoder = std::any_of(modules_.begin(), modules_.end(),
                                       [](const auto& listed) { return listed.ref.in_encoder; });
  if (has_encoder && module.module.ends_with("coder.embed_tokens")) {
    fail(ErrorCode::kUnsupported, source.path, ": tensor ", printable(module.tensor_name()),
         ": the table of one stack alone is not supported (expected that of encoder and decoder)");
  }
  for (const auto* tensor : {&module.b_bias, &module.magnitude, &module.bias}) {
    if (!*tensor) continue;
    fail(ErrorCode::kUnsupported, source.path, ": tensor ", printable((*tensor)->name),
         ": not supported for an embedding");
  }
  if (module.weight) {
    Delta delta{target.piece};
    delta.a = read.table(*module.weight, target.n_in, target.n_out, false);
    delta.scale = target.table_scale;
    deltas.push_back(std::move(delta));
  }
  if (module.tokens) {
    Delta delta{target.piece};
    const TokenRows rows =
        read.token_rows(*module.tokens, module.token_ids, target.n_in, target.n_out);
    delta.a = rows.table;
    delta.columns = rows.ids;
    delta.scale = target.table_scale;
    deltas.push_back(std::move(delta));
    if (const AdaptableModule* head = tied_head(target)) {
      Delta column{head->piece};
      column.b = rows.matrix;
      column.columns = rows.ids;
      if (head->bias != nullptr) column.shift = read.upload(biases_of(*head, rows.ids));
      deltas.push_back(std::move(column));
    }
  }
  if (module.a) {
    const std::int64_t rank = module.a->view.shape[module.by_token ? 1 : 0];
    Delta delta{target.piece};
    delta.scales = true;
    delta.scale = module.scale * target.table_scale;
    delta.a = read.table(*module.a, target.n_in, rank, !module.by_token);
    delta.b = read.matrix(*module.b, target.n_out, rank, {}, false);
    deltas.push_back(std::move(delta));
  }
}

/// Weight or bias instead of the norm's own; what it has not is the norm's.
void Adapters::prepare_norm(const AdapterSource& source, const AdapterModule& module,
                            const AdaptableModule& target, std::vector<Delta>& deltas) const {
  const AdapterTensors read(source.path, device_);
  for (const auto* tensor : {&module.a, &module.b, &module.b_bias, &module.magnitude}) {
    if (!*tensor) continue;
    fail(ErrorCode::kInvalidArgument, source.path, ": tensor ", printable((*tensor)->name),
         ": does not fit the model (expected a norm's weight or bias)");
  }
  if (module.bias && target.bias == nullptr) {
    fail(ErrorCode::kInvalidArgument, source.path, ": tensor ", printable(module.bias->name),
         ": does not fit the model, whose norm has no bias");
  }
  Delta delta{target.piece};
  if (module.weight) {
    format::NamedTensor weight = *module.weight;
    const std::int64_t n = target.n_out;
    const tensor::Shape heads{n / target.n_in, target.n_in};
    if (weight.view.shape == heads) weight.view.shape = tensor::Shape{n};
    std::vector<float> values = read.vector_values(weight, n, {});
    if (source.naming != base_naming_) {
      // Converters may write 1 + w.
      for (float& value : values) value += target.norm_added;
    }
    delta.a = read.upload(values);
  }
  if (module.bias) delta.shift = read.upload(read.vector_values(*module.bias, target.n_out, {}));
  deltas.push_back(std::move(delta));
}

std::shared_ptr<const MountedAdapter> Adapters::prepare(const AdapterSource& source) const {
  std::vector<Delta> deltas;
  std::set<std::pair<int, std::int64_t>> seen;
  for (const AdapterModule& module : source.modules) {
    const Modules targets = find(source, module);
    if (targets.empty()) continue;
    if (!seen.emplace(targets[0].piece, targets[0].out_begin).second) {
      fail(ErrorCode::kCorruptData, source.path, ": tensor ", printable(module.tensor_name()),
           ": a second one for this module");
    }
    const AdaptableModule& target = targets.front();
    const bool fits =
        target.is_table ? module.is_table || !module.a : !module.is_table && !module.tokens;
    if (!fits) {
      fail(ErrorCode::kInvalidArgument, source.path, ": tensor ", printable(module.tensor_name()),
           ": does not fit the model (expected ",
           target.is_table  ? "an embedding's"
           : target.is_norm ? "a norm's"
                            : "a linear's",
           ")");
    }
    if (target.is_table) {
      prepare_table(source, module, target, deltas);
    } else if (target.is_norm) {
      prepare_norm(source, module, target, deltas);
    } else {
      prepare_linear(source, module, targets, deltas);
    }
  }
  return std::make_shared<const MountedAdapter>(std::move(deltas));
}

void Adapters::set(int id, std::unique_ptr<const AdapterMix> mix) {
  const base::MutexLock lock(mutex_);
  if (id <= 0 || mixes_.contains(id)) {
    fail(ErrorCode::kInvalidArgument, "model: adapter id ", id,
         id <= 0 ? ": out of range (expected 1 or more)" : ": already mounted");
  }
  mixes_.emplace(id, std::move(mix));
}

void Adapters::unset(int id) {
  const base::MutexLock lock(mutex_);
  if (mixes_.erase(id) == 0) fail(ErrorCode::kNotFound, "model: no adapter is mounted as ", id);
}

bool Adapters::has(int id) const {
  const base::MutexLock lock(mutex_);
  return mixes_.contains(id);
}

void Adapters::find_rows(const step::Step& step, StepAdapters& found) const {
  found.rows.clear();
  found.output_rows.clear();
  const base::MutexLock lock(mutex_);
  const auto adapter_of = [&](const step::SequenceRows& sequence) REQUIRES(mutex_) {
    return sequence.adapter == 0 ? nullptr : mixes_.at(sequence.adapter).get();
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
  RowOrder order;
  order.head_dim = static_cast<int>(head_dim);
  order.to_paired = to_paired;
  const auto n = static_cast<std::int64_t>(rows.size() / row_bytes);
  for (std::int64_t row = 0; row < n; ++row) {
    std::memcpy(out.data() + static_cast<std::size_t>(row) * row_bytes,
                rows.data() + static_cast<std::size_t>(order.source(row)) * row_bytes, row_bytes);
  }
  return out;
}

}  // namespace openllm::model
