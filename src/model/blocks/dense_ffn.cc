#include "model/blocks/dense_ffn.h"

#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "model/blocks/linear.h"

namespace openllm::model {
namespace {

using device::Tensor;

class DenseFfn final : public Ffn {
 public:
  DenseFfn(const DenseFfnSpec& spec, BlockBuilder& builder, At at, const FfnRoles& roles)
      : spec_(spec),
        in_(builder, in_parts(spec, roles, builder, at), builder.dim, at),
        down_(builder, {{roles.down, builder.dim, spec.bias || spec.down_bias}}, spec.ffn_dim, at) {
    if (spec.xielu) xielu_ = builder.loader.numbers(role::kXielu, at, kXieluNames);
    if (spec.inner_norm) inner_norm_.emplace(builder, role::kFfnInnerNorm, at, spec.ffn_dim);
  }

  std::int64_t scratch(std::int64_t n_rows) const noexcept override {
    const std::int64_t act = spec_.gated ? Scratch::size_of(n_rows, spec_.ffn_dim) : 0;
    return Scratch::size_of(n_rows, in_.n_out()) + act;
  }

  void run(Run& run, const Input& input, Tensor out) override {
    const Scratch::Frame frame(run.scratch);
    const Tensor in = run.scratch.take(input.x.rows, in_.n_out());
    in_.run(run, input, in);
    if (spec_.cut_deviations)
      run.device.cut_below(*spec_.cut_deviations, in.columns(0, spec_.ffn_dim));
    if (spec_.gate_scale != 1.0F) run.device.scale(spec_.gate_scale, in.columns(0, spec_.ffn_dim));
    if (spec_.gated) {
      run_gated(run, in, out);
    } else {
      if (xielu_) {
        run.device.xielu(*xielu_, in);
      } else {
        run.device.activation(spec_.activation, in);
      }
      run_down(run, in, out);
    }
    if (spec_.output_scale != 1.0F) run.device.scale(spec_.output_scale, out);
  }

 private:
  static constexpr std::array<std::string_view, 4> kXieluNames = {"alpha_p", "alpha_n", "beta",
                                                                  "eps"};

  void run_gated(Run& run, Tensor in, Tensor out) const {
    const Tensor act = run.scratch.take(in.rows, spec_.ffn_dim);
    if (spec_.clamped_gate) {
      run.device.clamped_gate(*spec_.clamped_gate, in, act);
      run_down(run, act, out);
    } else if (inner_norm_) {
      run.device.gated_activation(spec_.activation, in, act);
      run_down(run, act, out);
    } else {
      down_.run_gated(run, spec_.activation, in, act, out);
    }
  }
  void run_down(Run& run, Tensor act, Tensor out) const {
    if (inner_norm_) inner_norm_->run(run, act, act);
    down_.run(run, act, out);
  }
  static std::vector<LinearPart> in_parts(const DenseFfnSpec& spec, const FfnRoles& roles,
                                          BlockBuilder& builder, At at) {
    const TensorIndex& index = builder.loader.index();
    if (spec.gated && (index.has(roles.gate_up, at) || !index.knows(roles.gate))) {
      const std::int64_t n = spec.ffn_dim;
      if (spec.up_before_gate) {
        return {{roles.gate_up, n, spec.bias, 0, {1, 2 * n, n, n}},
                {roles.gate_up, n, spec.bias, 0, {1, 2 * n, 0, n}}};
      }
      return {{roles.gate_up, 2 * n, spec.bias}};
    }
    std::vector<LinearPart> parts;
    if (spec.gated) parts.push_back({roles.gate, spec.ffn_dim, spec.bias});
    parts.push_back({roles.up, spec.ffn_dim, spec.bias});
    return parts;
  }

  const DenseFfnSpec spec_;
  const Linear in_;
  const Linear down_;
  WeightPtr xielu_{};
  std::optional<Norm> inner_norm_{};
};

}  // namespace

std::unique_ptr<Ffn> make_dense_ffn(const DenseFfnSpec& spec, BlockBuilder& builder, At at,
                                    const FfnRoles& roles) {
  return std::make_unique<DenseFfn>(spec, builder, at, roles);
}

}  // namespace openllm::model
