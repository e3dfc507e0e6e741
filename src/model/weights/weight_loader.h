#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "device/device.h"
#include "format/checkpoint.h"
#include "model/weights/schemes/scheme.h"
#include "model/weights/tensor_index.h"

namespace openllm::model {

using WeightPtr = std::unique_ptr<device::Weight>;

/// Outputs of a module that several linears share, such as a fused QKV whose rows go head by head:
/// `n` from `begin` on in each of `n_groups` groups of `group_rows`.
struct RowRanges {
  std::int64_t n_groups = 0;  ///< 0: all outputs.
  std::int64_t group_rows = 0;
  std::int64_t begin = 0;
  std::int64_t n = 0;
};

/// One module that a linear is stacked from.
struct LinearPart {
  Role role;
  std::int64_t n_out = 0;
  bool has_bias = false;
  int head_dim = 0;  ///< Of Q and K, which RoPE turns; else 0.
  RowRanges rows{};
  bool keeps_type = false;  ///< Not quantised while loading: small, and much depends on it.
  std::int64_t n_k = 0;     ///< Of Q, K and V in one: outputs of K, behind Q's; so the next.
  std::int64_t n_v = 0;
  int n_groups = 0;  ///< In files of the family's other format they go in so many groups.
};

/// Types that matrices get while they load.
struct LoadTypes {
  /// Values are rounded to it, unless they are quantised.
  std::optional<tensor::DType> rounded{};
  /// Linears are quantised to it, whatever they were, and tables and heads to `tables`; a matrix
  /// whose rows are no whole blocks stays as it is. Types that tensor::find_encoder knows.
  std::optional<tensor::DType> linears{};
  std::optional<tensor::DType> tables{};
};

/// Outputs of a linear that come from tensors of one kind; a device need not mix kinds in a weight.
struct LinearPiece {
  WeightPtr weight{};
  WeightPtr bias{};
  std::int64_t begin = 0;  ///< First output column of this piece.
  int id = -1;             ///< Number of the piece among those that can have adapters.
};

/// What is made of a matrix when it is loaded; it is F32 then.
enum class MatrixNorm : std::uint8_t {
  kNone,
  kRows,     ///< Each row is divided by its length.
  kColumns,  ///< Each column is.
};

/// A module that adapters may change: one that a linear was stacked from and where, a norm, a head
/// or a table of embeddings. A module whose outputs are used in parts is listed once for each.
struct AdaptableModule {
  ModuleRef ref;
  int piece = 0;                           ///< LinearPiece::id
  std::int64_t out_begin = 0;              ///< First column in the piece.
  std::int64_t n_out = 0;                  ///< Of a table: the size of its rows.
  std::int64_t n_in = 0;                   ///< Of a table: how many rows it has; of a norm: of how
                                           ///< many columns a head of it is.
  int head_dim = 0;                        ///< As LinearPart's.
  RowRanges rows{};                        ///< As LinearPart's.
  const device::Weight* weight = nullptr;  ///< Of the whole piece; so the next.
  const device::Weight* bias = nullptr;    ///< Null: none.
  bool is_table = false;
  float table_scale = 1.0F;  ///< Factor of a table's rows.
  bool turned = false;       ///< The piece is the module's matrix, turned.
  bool is_head = false;      ///< Its matrix is [out, in] whatever way the family stores linears.
  std::int64_t n_k = 0;      ///< As LinearPart's; so the next two.
  std::int64_t n_v = 0;
  int n_groups = 0;
  bool is_norm = false;
  float norm_added = 0.0F;  ///< Of its weights here, over those in the family's other format.
};

/// Takes the weights of blocks from the file to the device. Total: a missing, surplus or wrongly
/// shaped tensor is kCorruptData naming it.
class WeightLoader {
 public:
  /// All arguments must outlive the loader. `progress` may be empty; it gets the loaded fraction.
  WeightLoader(const format::Checkpoint& checkpoint, const Layouts& layouts, device::Device& device,
               const std::function<void(double)>& progress, const LoadTypes& types = {});

  device::Device& device() noexcept { return device_; }
  TensorIndex& index() noexcept { return index_; }
  const Layouts& layouts() const noexcept { return layouts_; }

  /// A norm's weight or bias, [n]: `module`.weight or `module`.bias.
  WeightPtr vector(Role role, At at, std::int64_t n);
  WeightPtr bias(Role role, At at, std::int64_t n);
  /// Norm weights of each head, [n_heads * head_dim]: one tensor [n_heads, head_dim], or a module
  /// for each head where the family's name has a number of experts.
  WeightPtr head_vectors(Role role, At at, std::int64_t n_heads, std::int64_t head_dim);
  /// A tensor that is called as its role's name, without suffix: [n] or [1, n].
  WeightPtr values(Role role, At at, std::int64_t n);
  /// Tensors of one number each, [1] or [], whose names end in `suffixes`, as one vector.
  WeightPtr numbers(Role role, At at, std::span<const std::string_view> suffixes);
  /// A tensor of one number, called as its role's name.
  float number(Role role, At at);
  /// A tensor [n] called as its role's name, for the host.
  std::vector<float> host_values(Role role, At at, std::int64_t n);
  /// A table that is in no file: what position lookups need, [rows, cols].
  WeightPtr made_table(std::int64_t rows, std::int64_t cols, const std::vector<float>& values);
  /// A tensor of that shape whose numbers a block wants otherwise than the file has them, as a
  /// vector: `change` gets them in the file's order. `suffix`: of the tensor behind the module's
  /// name, ".weight" or nothing.
  WeightPtr changed(Role role, At at, const tensor::Shape& shape, std::string_view suffix,
                    const std::function<void(std::vector<float>&)>& change);
  /// The same as the matrix [n_out, n_in] of a linear.
  WeightPtr changed_matrix(Role role, At at, const tensor::Shape& shape, std::string_view suffix,
                           std::int64_t n_out, std::int64_t n_in,
                           const std::function<void(std::vector<float>&)>& change);
  /// Numbers that are in no file, as a vector; and `n` equal ones.
  WeightPtr made_vector(const std::vector<float>& values);
  WeightPtr constant(std::int64_t n, float value);
  /// The modules stacked along the output, in order: one piece per run of parts of one kind.
  std::vector<LinearPiece> linear(const std::vector<LinearPart>& parts, std::int64_t n_in, At at);
  /// The same for every expert: from modules of each expert, or slices of a tensor [experts, out,
  /// in] where the family's name has no expert's number. One entry for each expert, all with the
  /// same pieces. `n_used` of them work on a row.
  std::vector<std::vector<LinearPiece>> experts(const std::vector<LinearPart>& parts,
                                                std::int64_t n_in, int n_experts, int n_used,
                                                At at);
  /// Rows [begin, begin + n) of a module's matrix [n_out, n_in] as a weight of its own, for modules
  /// that are used in parts; every row must be taken by somebody. `turned`: the rows become its
  /// inputs, so that it is [n_in, n].
  WeightPtr rows(Role role, At at, const tensor::Shape& shape, std::int64_t begin, std::int64_t n,
                 bool turned);
  /// Slice at.expert of a tensor [at.n_experts, n_out, n_in].
  WeightPtr slice(Role role, At at, std::int64_t n_out, std::int64_t n_in);
  /// The matrix of a head, [n_out, n_in], whatever way the family stores its other linears.
  WeightPtr head(Role role, std::int64_t n_out, std::int64_t n_in,
                 MatrixNorm norm = MatrixNorm::kNone);
  /// A table of embeddings [rows, cols]. `read_each_step`: a decoding step reads all of it (the
  /// output when it is tied).
  WeightPtr table(Role role, std::int64_t rows, std::int64_t cols, bool read_each_step, At at = {});

  /// Numbers the pieces of a linear and lists the modules in them, for blocks that ask the step's
  /// Run for the deltas of its pieces. Modules that are not listed cannot have adapters.
  void list_modules(const std::vector<LinearPart>& parts, std::int64_t n_in, At at,
                    std::vector<LinearPiece>& pieces);
  /// The same for what is no linear: `module` without its piece, whose number is the result.
  int list_module(AdaptableModule module);
  const std::vector<AdaptableModule>& listed_modules() const noexcept { return modules_; }
  int n_listed_pieces() const noexcept { return n_listed_pieces_; }
  /// Lists the modules of these pieces once more, as those of another layer that has the same
  /// weights; the result is what to add to a piece's number there.
  int list_again(int first_piece, int n_pieces, int layer);
  /// The modules of the pieces from `first_piece` on are called as those of another layer.
  void move_listed(int first_piece, int layer);

  std::int64_t n_parameters() const noexcept { return n_parameters_; }
  /// Of these, in experts that a token does not go to.
  std::int64_t n_idle_parameters() const noexcept { return n_idle_parameters_; }
  /// Bytes that one decoding step reads.
  std::size_t step_bytes() const noexcept { return step_bytes_; }
  /// Bytes that everything takes up on the device.
  std::size_t loaded_bytes() const noexcept { return loaded_bytes_; }
  /// Ends loading: every tensor of the file was used or is ignored.
  void finish();

 private:
  /// Numbers of a tensor of that shape; `change` sees them before they go to the device.
  WeightPtr upload_changed(const std::string& name, const tensor::Shape& shape,
                           const std::function<void(std::vector<float>&)>& change,
                           device::WeightRole role, std::optional<tensor::Shape> result);
  /// `type`: what matrices are quantised to.
  WeightPtr upload(const device::WeightSource& source, device::WeightRole role, bool read_each_step,
                   std::optional<tensor::DType> type = std::nullopt);
  WeightPtr upload_quantised(const device::WeightSource& values, tensor::DType type,
                             device::WeightRole role);
  /// Slice at.expert of a tensor [experts, ...] of which one slice has that shape.
  device::WeightPart take_slice(Role role, const std::string& name, tensor::Shape shape, At at);
  /// The module's matrix, in whatever scheme the file has it.
  device::WeightPart take_matrix(const std::string& module, std::int64_t n_out, std::int64_t n_in,
                                 bool transposed);
  /// Parts of the weight, or of the bias, that the module's outputs are; several where they lie
  /// apart in its tensor.
  std::vector<device::WeightPart> take_parts(const LinearPart& part, std::int64_t n_in, At at,
                                             bool transposed);
  std::vector<device::WeightPart> take_biases(const LinearPart& part, At at);

  const Layouts layouts_;
  const ModuleLayout& layout_;  ///< That of the file.
  device::Device& device_;
  const std::function<void(double)>& progress_;
  const LoadTypes types_;
  TensorIndex index_;
  const std::vector<std::unique_ptr<WeightScheme>> schemes_;
  bool has_quantised_ = false;
  std::vector<AdaptableModule> modules_{};
  int n_listed_pieces_ = 0;
  std::int64_t n_parameters_ = 0;
  std::int64_t n_idle_parameters_ = 0;
  std::size_t step_bytes_ = 0;
  std::size_t loaded_bytes_ = 0;
  std::size_t total_bytes_ = 0;
  std::size_t done_bytes_ = 0;
};

}  // namespace openllm::model
