#pragma once

// Elementary functions and row operations over the 16-lane vectors of the simd.h included before
// this file. Internal linkage, as everything in kernels/common.

namespace openllm::kernels {
namespace {

/// e^x with a relative error of about 1e-7, for x clamped to [-87.3, 88.3]. Degree 6 on |r| <=
/// ln(2) / 2 (Taylor with the last coefficients fitted); ln(2) is subtracted in two parts.
OPENLLM_INLINE VF exp(VF x) {
  x = min(max(x, splat(-87.3F)), splat(88.3F));
  const VF n = round_even(mul(x, splat(1.44269504088896341F)));
  VF r = fma(n, splat(-0.693145751953125F), x);
  r = fma(n, splat(-1.42860682030941723e-06F), r);
  VF p = splat(1.98756912e-4F);
  p = fma(p, r, splat(1.39819994e-3F));
  p = fma(p, r, splat(8.33345205e-3F));
  p = fma(p, r, splat(4.16657962e-2F));
  p = fma(p, r, splat(1.66666657e-1F));
  p = fma(p, r, splat(5.0e-1F));
  p = fma(mul(r, r), p, add(r, splat(1.0F)));
  return scale_by_power(p, n);
}

/// 2^x for x <= 0 with a relative error of about 8e-8: a polynomial of degree 6 on |r| <= 1 / 2,
/// fitted so that the largest error is least. Zero where the result is not normal, and for NaN.
OPENLLM_INLINE VF exp2_to_one(VF x) {
  x = clamp_power(x);
  const VF n = round_even(x);
  const VF r = sub(x, n);
  VF p = splat(1.535336e-4F);
  p = fma(p, r, splat(1.3398875e-3F));
  p = fma(p, r, splat(9.618437e-3F));
  p = fma(p, r, splat(5.5503324e-2F));
  p = fma(p, r, splat(2.4022648e-1F));
  p = fma(p, r, splat(6.931472e-1F));
  p = fma(p, r, splat(1.0F));
  return scale_down(p, n);
}

/// tanh with a relative error of about 3e-7: an odd polynomial below 0.625 (Cephes tanhf), else by
/// exp.
OPENLLM_INLINE VF tanh(VF x) {
  const VF a = abs(x);
  const VF z = mul(a, a);
  VF p = splat(-5.70498872745e-3F);
  p = fma(p, z, splat(2.06390887954e-2F));
  p = fma(p, z, splat(-5.37397155531e-2F));
  p = fma(p, z, splat(1.33314422036e-1F));
  p = fma(p, z, splat(-3.33332819422e-1F));
  const VF small = fma(mul(p, z), a, a);
  const VF e = exp(mul(min(a, splat(20.0F)), splat(2.0F)));
  const VF large = sub(splat(1.0F), div(splat(2.0F), add(e, splat(1.0F))));
  return copy_sign(select_less(a, splat(0.625F), small, large), x);
}

/// erfc(a) for a >= 0, relative error about 1e-6: t * P(t) * exp(-a^2), t = 1 / (1 + a / 2) (the
/// Chebyshev fit of Numerical Recipes, 6.2, as one exponential).
OPENLLM_INLINE VF erfc_positive(VF a) {
  const VF t = div(splat(1.0F), fma(a, splat(0.5F), splat(1.0F)));
  VF p = splat(0.17087277F);
  p = fma(p, t, splat(-0.82215223F));
  p = fma(p, t, splat(1.48851587F));
  p = fma(p, t, splat(-1.13520398F));
  p = fma(p, t, splat(0.27886807F));
  p = fma(p, t, splat(-0.18628806F));
  p = fma(p, t, splat(0.09678418F));
  p = fma(p, t, splat(0.37409196F));
  p = fma(p, t, splat(1.00002368F));
  p = fma(p, t, splat(-1.26551223F));
  return mul(t, exp(fma(sub(zero(), a), a, p)));
}

OPENLLM_INLINE VF silu(VF x) { return div(x, add(splat(1.0F), exp(sub(zero(), x)))); }

/// x * Phi(x), Phi(x) = erfc(-x / sqrt 2) / 2.
OPENLLM_INLINE VF gelu(VF x) {
  const VF half_tail = mul(splat(0.5F), erfc_positive(mul(abs(x), splat(0.70710678118654752F))));
  return mul(x, select_less(x, zero(), half_tail, sub(splat(1.0F), half_tail)));
}

/// x / 2 (1 + tanh(u)) = x / (1 + e^(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3).
OPENLLM_INLINE VF gelu_tanh(VF x) {
  const VF cube = mul(mul(x, x), x);
  const VF u = mul(splat(0.79788456080286536F), fma(cube, splat(0.044715F), x));
  return div(x, add(splat(1.0F), exp(mul(splat(-2.0F), u))));
}

OPENLLM_INLINE VF quick_gelu(VF x) { return div(x, add(splat(1.0F), exp(mul(x, splat(-1.702F))))); }

OPENLLM_INLINE VF relu(VF x) { return max(x, zero()); }

OPENLLM_INLINE VF apply(Act act, VF x) {
  switch (act) {
    case Act::kSilu:
      return silu(x);
    case Act::kGelu:
      return gelu(x);
    case Act::kGeluTanh:
      return gelu_tanh(x);
    case Act::kQuickGelu:
      return quick_gelu(x);
    case Act::kRelu:
      return relu(x);
    case Act::kReluSquared:
      return mul(relu(x), relu(x));
    case Act::kTanh:
      return tanh(x);
  }
  return x;
}

/// Calls body(i, n) for n = 16 lanes at a time and once for the rest.
template <typename Body>
OPENLLM_INLINE void for_lanes(std::int64_t n, Body body) {
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) body(i, std::int64_t{16});
  if (i < n) body(i, n - i);
}
template <typename Body>
OPENLLM_INLINE float sum_over(std::int64_t n, Body term) {
  VF even = zero();
  VF odd = zero();
  std::int64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    even = add(even, term(i, std::int64_t{16}));
    odd = add(odd, term(i + 16, std::int64_t{16}));
  }
  for (; i < n; i += 16) even = add(even, term(i, n - i < 16 ? n - i : 16));
  return sum_lanes(add(even, odd));
}

void rms_norm(const float* x, const float* weight, float offset, float eps, std::int64_t n,
              float* out) {
  const float squares = sum_over(n, [&](std::int64_t i, std::int64_t m) {
    const VF v = load_some(x + i, m);
    return mul(v, v);
  });
  const VF inverse = splat(1.0F / root(squares / static_cast<float>(n) + eps));
  for_lanes(n, [&](std::int64_t i, std::int64_t m) {
    const VF w = add(load_some(weight + i, m), splat(offset));
    store_some(out + i, mul(mul(load_some(x + i, m), inverse), w), m);
  });
}

void layer_norm(const float* x, const float* weight, const float* bias, float offset, float eps,
                std::int64_t n, float* out) {
  const auto count = static_cast<float>(n);
  const float sum =
      sum_over(n, [&](std::int64_t i, std::int64_t m) { return load_some(x + i, m); });
  const VF mean = splat(sum / count);
  const float squares = sum_over(n, [&](std::int64_t i, std::int64_t m) {
    const VF d = sub(load_some(x + i, m), mean);
    const VF square = mul(d, d);
    return m == 16 ? square : keep_range(square, 0, m, zero());
  });
  const VF inverse = splat(1.0F / root(squares / count + eps));
  for_lanes(n, [&](std::int64_t i, std::int64_t m) {
    const VF w = add(load_some(weight + i, m), splat(offset));
    VF v = mul(mul(sub(load_some(x + i, m), mean), inverse), w);
    if (bias != nullptr) v = add(v, load_some(bias + i, m));
    store_some(out + i, v, m);
  });
}

template <Act kAct>
void activate_as(const float* x, std::int64_t n, float* out) {
  for_lanes(n, [&](std::int64_t i, std::int64_t m) {
    store_some(out + i, apply(kAct, load_some(x + i, m)), m);
  });
}

void activate(Act act, const float* x, std::int64_t n, float* out) {
  switch (act) {
    case Act::kSilu:
      return activate_as<Act::kSilu>(x, n, out);
    case Act::kGelu:
      return activate_as<Act::kGelu>(x, n, out);
    case Act::kGeluTanh:
      return activate_as<Act::kGeluTanh>(x, n, out);
    case Act::kQuickGelu:
      return activate_as<Act::kQuickGelu>(x, n, out);
    case Act::kRelu:
      return activate_as<Act::kRelu>(x, n, out);
    case Act::kReluSquared:
      return activate_as<Act::kReluSquared>(x, n, out);
    case Act::kTanh:
      return activate_as<Act::kTanh>(x, n, out);
  }
}

template <Act kAct>
void gate_as(const float* gate, const float* up, std::int64_t n, float* out) {
  for_lanes(n, [&](std::int64_t i, std::int64_t m) {
    store_some(out + i, mul(apply(kAct, load_some(gate + i, m)), load_some(up + i, m)), m);
  });
}

void gate(Act act, const float* gate, const float* up, std::int64_t n, float* out) {
  switch (act) {
    case Act::kSilu:
      return gate_as<Act::kSilu>(gate, up, n, out);
    case Act::kGelu:
      return gate_as<Act::kGelu>(gate, up, n, out);
    case Act::kGeluTanh:
      return gate_as<Act::kGeluTanh>(gate, up, n, out);
    case Act::kQuickGelu:
      return gate_as<Act::kQuickGelu>(gate, up, n, out);
    case Act::kRelu:
      return gate_as<Act::kRelu>(gate, up, n, out);
    case Act::kReluSquared:
      return gate_as<Act::kReluSquared>(gate, up, n, out);
    case Act::kTanh:
      return gate_as<Act::kTanh>(gate, up, n, out);
  }
}

void add_rows(const float* x, const float* y, float scale, std::int64_t n, float* out) {
  const VF s = splat(scale);
  for_lanes(n, [&](std::int64_t i, std::int64_t m) {
    store_some(out + i, add(load_some(x + i, m), mul(load_some(y + i, m), s)), m);
  });
}

void scale_cap(float* x, std::int64_t n, float scale, float soft_cap) {
  const VF s = splat(scale);
  const VF cap = splat(soft_cap);
  for_lanes(n, [&](std::int64_t i, std::int64_t m) {
    VF v = mul(load_some(x + i, m), s);
    if (soft_cap != 0.0F) v = mul(cap, tanh(div(v, cap)));
    store_some(x + i, v, m);
  });
}

void rotate_halves(float* x, const float* cosines, const float* sines, std::int64_t half) {
  for_lanes(half, [&](std::int64_t i, std::int64_t m) {
    const VF a = load_some(x + i, m);
    const VF b = load_some(x + half + i, m);
    const VF c = load_some(cosines + i, m);
    const VF s = load_some(sines + i, m);
    store_some(x + i, sub(mul(a, c), mul(b, s)), m);
    store_some(x + half + i, add(mul(b, c), mul(a, s)), m);
  });
}

void rotate_pairs(float* x, const float* cosines, const float* sines, std::int64_t half) {
  for (std::int64_t i = 0; i < half; ++i) {
    const float a = x[2 * i];
    const float b = x[2 * i + 1];
    x[2 * i] = a * cosines[i] - b * sines[i];
    x[2 * i + 1] = b * cosines[i] + a * sines[i];
  }
}

void to_f16(const float* x, std::int64_t n, std::uint16_t* out) {
  for_lanes(n, [&](std::int64_t i, std::int64_t m) {
    if (m == 16) {
      store_f16(out + i, load(x + i));
    } else {
      std::uint16_t tail[16];
      store_f16(tail, load_first(x + i, m));
      for (std::int64_t j = 0; j < m; ++j) out[i + j] = tail[j];
    }
  });
}

void to_i8(const float* x, std::int64_t n, std::int8_t* codes, float* scales) {
  for (std::int64_t g = 0; g < n; g += kKvScaleGroup) {
    const std::int64_t size = n - g < kKvScaleGroup ? n - g : kKvScaleGroup;
    VF largest = zero();
    for_lanes(size, [&](std::int64_t i, std::int64_t m) {
      largest = max(largest, abs(m == 16 ? load(x + g + i) : load_first(x + g + i, m)));
    });
    const float top = max_lane(largest);
    // Below that an inverse is not finite: such a group counts as zero.
    const bool counts = top > 1e-35F;
    scales[g / kKvScaleGroup] = counts ? top / 127.0F : 0.0F;
    const VF inverse = splat(counts ? 127.0F / top : 0.0F);
    for_lanes(size, [&](std::int64_t i, std::int64_t m) {
      const VF whole = mul(m == 16 ? load(x + g + i) : load_first(x + g + i, m), inverse);
      const VF code = max(min(whole, splat(127.0F)), splat(-127.0F));
      std::int8_t some[16];
      store_i8(some, code);
      for (std::int64_t j = 0; j < m; ++j) codes[g + i + j] = some[j];
    });
  }
}

float to_i16(const float* x, std::int64_t n, float most_norm, std::int16_t* codes) {
  const auto read = [&](std::int64_t i, std::int64_t m) {
    return m == 16 ? load(x + i) : load_first(x + i, m);
  };
  VF largest = zero();
  for_lanes(n, [&](std::int64_t i, std::int64_t m) { largest = max(abs(read(i, m)), largest); });
  const float top = max_lane(largest);
  // Below that an inverse is not finite: such a vector counts as zero.
  if (!(top > 1e-35F)) {
    for (std::int64_t i = 0; i < n; ++i) codes[i] = 0;
    return 0.0F;
  }
  float scale = top / 32767.0F;
  if (most_norm > 0.0F) {
    const VF to_one = splat(1.0F / top);
    VF squares = zero();
    for_lanes(n, [&](std::int64_t i, std::int64_t m) {
      const VF part = mul(read(i, m), to_one);
      squares = fma(part, part, squares);
    });
    const float by_norm = top * (root(sum_lanes(squares)) / most_norm);
    scale = by_norm > scale ? by_norm : scale;
  }
  const VF inverse = splat(1.0F / scale);
  for_lanes(n, [&](std::int64_t i, std::int64_t m) {
    const VF whole = mul(read(i, m), inverse);
    const VF code = round_even(min(max(whole, splat(-32767.0F)), splat(32767.0F)));
    std::int16_t some[16];
    store_i16(some, code);
    for (std::int64_t j = 0; j < m; ++j) codes[i + j] = some[j];
  });
  return scale;
}

}  // namespace
}  // namespace openllm::kernels
