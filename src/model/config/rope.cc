#include "model/config/rope.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string>
#include <utility>

#include "base/error.h"

namespace openllm::model {
namespace {

using Type = RopeParameters::Type;

/// base^(2i / n) in f32, where Hugging Face computes it too.
std::vector<float> periods(double base, int n_rotary, int denominator) {
  std::vector<float> out;
  const auto rounded = static_cast<double>(static_cast<float>(base));
  for (int i = 0; i < n_rotary; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(denominator);
    out.push_back(static_cast<float>(std::pow(rounded, static_cast<double>(exponent))));
  }
  return out;
}

/// Llama 3.1: long waves are slowed by `factor`, short ones kept, those between interpolated.
void scale_llama3(const RopeParameters& p, std::vector<float>& inv_freq) {
  const auto old_len = static_cast<float>(p.original_positions);
  const auto low = static_cast<float>(p.low_freq_factor);
  const auto high = static_cast<float>(p.high_freq_factor);
  const auto factor = static_cast<float>(p.factor);
  for (float& value : inv_freq) {
    const float wave = 2.0F * std::numbers::pi_v<float> / value;
    if (wave < old_len / high) continue;
    if (wave > old_len / low) {
      value /= factor;
      continue;
    }
    const float smooth = (old_len / wave - low) / (high - low);
    value = (1.0F - smooth) * value / factor + smooth * value;
  }
}

/// YaRN's dimension at which a wave turns `n_rotations` times within the original length.
double yarn_dimension(const RopeParameters& p, double n_rotations) {
  const double turns =
      static_cast<double>(p.original_positions) / (n_rotations * 2.0 * std::numbers::pi);
  return static_cast<double>(p.n_rotary) * std::log(turns) / (2.0 * std::log(p.theta));
}

std::vector<float> yarn_frequencies(const RopeParameters& p) {
  double low = yarn_dimension(p, p.beta_fast);
  double high = yarn_dimension(p, p.beta_slow);
  if (p.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(p.n_rotary - 1));
  if (low == high) high += 0.001;
  std::vector<float> out;
  const std::vector<float> period = periods(p.theta, p.n_rotary, p.n_rotary);
  for (std::size_t i = 0; i < period.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    const auto keep = static_cast<float>(1.0 - ramp);
    const float interpolated = 1.0F / (static_cast<float>(p.factor) * period[i]);
    out.push_back(interpolated * (1.0F - keep) + (1.0F / period[i]) * keep);
  }
  return out;
}

double yarn_mscale(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

double attention_factor(const RopeParameters& p) {
  if (p.type == Type::kYarn) {
    if (p.attention_factor) return *p.attention_factor;
    if (p.mscale != 0.0 && p.mscale_all_dim != 0.0) {
      return yarn_mscale(p.factor, p.mscale) / yarn_mscale(p.factor, p.mscale_all_dim);
    }
    return yarn_mscale(p.factor, 1.0);
  }
  if (p.type == Type::kLongRope) {
    if (p.attention_factor) return *p.attention_factor;
    if (p.factor <= 1.0) return 1.0;
    return std::sqrt(1.0 +
                     std::log(p.factor) / std::log(static_cast<double>(p.original_positions)));
  }
  return 1.0;
}

std::vector<float> long_frequencies(const RopeParameters& p, const std::vector<double>& factors) {
  std::vector<float> out = periods(p.theta, p.n_rotary, p.n_rotary);
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = 1.0F / (static_cast<float>(factors[i]) * out[i]);
  }
  return out;
}

}  // namespace

device::RopeSpec make_rope(const RopeParameters& p) {
  device::RopeSpec rope;
  rope.style = p.style;
  rope.n_rotary = p.n_rotary + p.n_rotary % 2;  // whole pairs turn
  rope.attention_factor = static_cast<float>(attention_factor(p));
  std::vector<float>& inv_freq = rope.inv_freq;
  inv_freq = device::rope_frequencies(p.theta, p.n_rotary, p.n_rotary);
  const auto factor = static_cast<float>(p.factor);
  switch (p.type) {
    case Type::kDefault:
      break;
    case Type::kLinear:
      for (float& value : inv_freq) value /= factor;
      break;
    case Type::kDynamic:
      rope.growth = {device::RopeGrowth::Kind::kDynamic, p.max_positions, p.theta, p.factor, {}};
      break;
    case Type::kLlama3:
      scale_llama3(p, inv_freq);
      break;
    case Type::kYarn:
      inv_freq = yarn_frequencies(p);
      break;
    case Type::kLongRope:
      inv_freq = long_frequencies(p, p.short_factor);
      rope.growth = {device::RopeGrowth::Kind::kLong, p.original_positions, p.theta, p.factor,
                     long_frequencies(p, p.long_factor)};
      break;
    case Type::kProportional: {
      // The first `proportion` of all pairs rotate, spaced as if the whole head did.
      const int n_angles = static_cast<int>(p.proportion * p.head_dim / 2.0);
      inv_freq = device::rope_frequencies(p.theta, 2 * n_angles, p.head_dim);
      inv_freq.resize(static_cast<std::size_t>(p.head_dim / 2), 0.0F);
      for (float& value : inv_freq) value /= factor;
      break;
    }
  }
  return rope;
}

void divide_frequencies(device::RopeSpec& spec, std::span<const float> factors) {
  for (std::size_t i = 0; i < spec.inv_freq.size() && i < factors.size(); ++i) {
    spec.inv_freq[i] /= factors[i];
  }
}

namespace {

Type read_type(const Config& rope) {
  // `type` is the older name; transformers looks at it only when `rope_type` is absent.
  const std::string_view key = rope.first_of({"rope_type", "type"});
  const std::string name = rope.string_or(key, "default");
  constexpr std::array<std::pair<std::string_view, Type>, 9> kTypes{{
      {"default", Type::kDefault},
      {"mrope", Type::kDefault},  // of several axes, which are equal for texts
      {"linear", Type::kLinear},
      {"dynamic", Type::kDynamic},
      {"llama3", Type::kLlama3},
      {"yarn", Type::kYarn},
      {"longrope", Type::kLongRope},
      {"su", Type::kLongRope},
      {"proportional", Type::kProportional},
  }};
  for (const auto& [known, type] : kTypes) {
    if (name == known) return type;
  }
  rope.unsupported(key, "unknown kind of RoPE scaling (expected default, linear, dynamic, llama3, ",
                   "yarn, longrope or proportional; got ", name, ")");
}

std::vector<double> read_factors(const Config& rope, std::string_view key, int n) {
  const auto values = rope.numbers(key);
  if (!values) rope.corrupt(key, "missing (expected ", n, " numbers)");
  if (static_cast<int>(values->size()) != n) {
    rope.corrupt(key, "wrong length (expected ", n, ", got ", values->size(), ")");
  }
  for (const double value : *values) {
    if (!(value > 0.0 && std::isfinite(value))) {
      rope.corrupt(key, "bad value (expected positive numbers, got ", value, ")");
    }
  }
  return *values;
}

void read_llama3(const Config& rope, RopeParameters& p) {
  for (const std::string_view key : {"factor", "low_freq_factor", "high_freq_factor"}) {
    if (!rope.has(key)) rope.corrupt(key, "missing (expected a positive number)");
  }
  p.low_freq_factor = rope.positive_or("low_freq_factor", 1.0);
  p.high_freq_factor = rope.positive_or("high_freq_factor", 4.0);
  if (p.high_freq_factor <= p.low_freq_factor) {
    rope.corrupt("high_freq_factor", "bad value (expected more than low_freq_factor ",
                 p.low_freq_factor, ", got ", p.high_freq_factor, ")");
  }
}

void read_yarn(const Config& rope, const RopeContext& context, RopeParameters& p) {
  // Zero counts as not given for these, as in Python's `or`.
  const auto given_or = [&rope](std::string_view key, double otherwise) {
    const double value = rope.not_negative_or(key, otherwise);
    return value == 0.0 ? otherwise : value;
  };
  p.beta_fast = given_or("beta_fast", 32.0);
  p.beta_slow = given_or("beta_slow", 1.0);
  p.mscale = given_or("mscale", 0.0);
  p.mscale_all_dim = given_or("mscale_all_dim", 0.0);
  if (context.truncate_allowed) p.truncate = rope.bool_or("truncate", true);
  if (p.theta <= 1.0)
    rope.corrupt("rope_theta", "bad value (expected more than 1, got ", p.theta, ")");
}

/// The frequencies are those of every second of so many dimensions.
int rotated_part(int head_dim, double part) { return static_cast<int>(head_dim * part); }

}  // namespace

RopeParameters read_rope(const Config* rope, double theta, const RopeContext& context) {
  RopeParameters p;
  p.head_dim = context.head_dim;
  p.n_rotary = context.head_dim;
  p.max_positions = context.max_positions;
  p.theta = theta;
  if (rope == nullptr) {
    if (context.may_be_partial)
      p.n_rotary = rotated_part(p.head_dim, context.partial_rotary_factor);
    return p;
  }
  p.theta = rope->positive_or("rope_theta", theta);
  p.type = read_type(*rope);
  if (p.type == Type::kDefault && !context.may_be_partial) return p;

  const double partial = rope->positive_or("partial_rotary_factor", context.partial_rotary_factor);
  if (partial > 1.0) {
    rope->corrupt("partial_rotary_factor", "bad value (expected at most 1, got ", partial, ")");
  }
  if (p.type == Type::kProportional) {
    p.proportion = partial;
  } else if (context.may_be_partial) {
    p.n_rotary = rotated_part(p.head_dim, partial);
    if (p.n_rotary < 2) {
      rope->corrupt("partial_rotary_factor", "bad value (expected at least 2 of ", p.head_dim,
                    " dimensions, got ", partial, ")");
    }
  } else if (partial != 1.0) {
    rope->unsupported("partial_rotary_factor", "not possible with this model and kind of scaling ",
                      "(expected 1, got ", partial, ")");
  }
  if (p.type == Type::kDefault) return p;
  const bool scales_pairs =
      p.type == Type::kDynamic || p.type == Type::kYarn || p.type == Type::kLongRope;
  if (p.n_rotary % 2 != 0 && scales_pairs) {
    rope->unsupported("partial_rotary_factor",
                      "an odd number of dimensions with this kind of scaling (got ", p.n_rotary,
                      ")");
  }
  const std::optional<double> factor = rope->find_positive("factor");
  const bool may_omit =
      p.type == Type::kLongRope || p.type == Type::kYarn || p.type == Type::kProportional;
  if (!factor && !may_omit) rope->corrupt("factor", "missing (expected a positive number)");
  p.original_positions =
      rope->int_or("original_max_position_embeddings", context.max_positions, 1, kMaxPositions);
  if (context.original_positions > 0) p.original_positions = context.original_positions;
  const double stretch = static_cast<double>(context.max_positions) / p.original_positions;
  p.factor = factor.value_or(p.type == Type::kProportional ? 1.0 : stretch);
  if (rope->has("attention_factor")) {
    p.attention_factor = rope->not_negative_or("attention_factor", 1.0);
  }
  if (p.type == Type::kLlama3) read_llama3(*rope, p);
  if (p.type == Type::kYarn) read_yarn(*rope, context, p);
  if (p.type == Type::kDynamic && p.n_rotary <= 2) {
    rope->corrupt("rope_type", "dynamic scaling needs heads of more than 2 dimensions");
  }
  if (p.type == Type::kLongRope) {
    p.short_factor = read_factors(*rope, "short_factor", p.n_rotary / 2);
    p.long_factor = read_factors(*rope, "long_factor", p.n_rotary / 2);
    if (p.original_positions < 2) {
      rope->corrupt("original_max_position_embeddings", "bad value (expected at least 2, got ",
                    p.original_positions, ")");
    }
  }
  return p;
}

}  // namespace openllm::model
