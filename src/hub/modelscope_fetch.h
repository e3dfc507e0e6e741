#pragma once

#include "hub/fetch.h"
#include "hub/modelscope.h"

namespace openllm::hub {

/// Brings what a reference means from ModelScope into the folder where its client of today looks
/// for it. Files that are there with the right digest are not fetched again. The folder of a
/// revision is made beside its place and takes it when it is whole, so that nobody sees half a
/// model, or one of two revisions; a download that was cut goes on. Of two processes that want the
/// same repository one fetches it. Throws as `ask_modelscope`, `select_files` and `download`.
OtherModel fetch_from_modelscope(const Asking& asking, const ModelScopeCache& cache,
                                 const Reference& reference, const FetchOptions& options = {});

}  // namespace openllm::hub
