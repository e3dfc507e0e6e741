#include "model/adapters/mounted_adapter.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>
#include <utility>

#include "base/error.h"

namespace openllm::model {
namespace {

MountedAdapter::Shared upload(device::Device& device, const std::vector<float>& values) {
  const tensor::TensorView view{tensor::DType::kF32,
                                tensor::Shape{static_cast<std::int64_t>(values.size())},
                                std::as_bytes(std::span(values))};
  return device.upload_beside({.parts = {{view, "gains"}}}, device::WeightRole::kVector);
}

}  // namespace

std::vector<float> RowLengths::gains(float scale) const {
  std::vector<float> factors(trained.size());
  const auto s = static_cast<double>(scale);
  for (std::size_t o = 0; o < factors.size(); ++o) {
    const double square = of_weight[o] + 2.0 * s * product[o] + s * s * of_delta[o];
    // A row of zeros has no direction: it stays one.
    factors[o] = square > 0.0
                     ? static_cast<float>(static_cast<double>(trained[o]) / std::sqrt(square))
                     : 0.0F;
  }
  return factors;
}

MountedAdapter::MountedAdapter(std::vector<Delta> deltas) : deltas_(std::move(deltas)) {
  std::stable_sort(deltas_.begin(), deltas_.end(), [](const Delta& a, const Delta& b) {
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

AdapterMix::AdapterMix(std::vector<AdapterPart> parts, device::Device& device) {
  std::set<std::pair<int, std::int64_t>> replaced;
  for (AdapterPart& given : parts) {
    Part& part = parts_.emplace_back();
    part.adapter = std::move(given.adapter);
    part.factor = given.factor;
    const std::vector<MountedAdapter::Delta>& deltas = part.adapter->deltas();
    for (const MountedAdapter::Delta& delta : deltas) {
      if (!delta.scales && !replaced.emplace(delta.piece, delta.out_begin).second) {
        base::fail_at(ErrorCode::kUnsupported, "adapters",
                      "two of them replace one module of the model, so there is no sum of both");
      }
    }
    if (part.factor == 1.0F) continue;
    part.gains.resize(deltas.size());
    for (std::size_t i = 0; i < deltas.size(); ++i) {
      const MountedAdapter::Delta& delta = deltas[i];
      if (delta.lengths != nullptr)
        part.gains[i] = upload(device, delta.lengths->gains(delta.scale * part.factor));
    }
  }
}

}  // namespace openllm::model
