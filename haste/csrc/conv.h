// One convolution of a batch: every image in the form that its level asks for.
#pragma once
#include "engine.h"
#include "pool.h"

namespace HASTE_NAMESPACE {

// What convolutions keep from call to call, so that nothing large is allocated anew.
struct Workspace {
  std::vector<double> energies;     // of the rows of each image that is steered
  std::vector<float> edges;         // what counts as zero, by image
  Lists zeros, lone;                // of whole images; of patches
  std::vector<Patch> patches;
  std::vector<std::vector<float>> pruned;  // copies of inputs without what counts as zero, by image
  std::vector<Pixel> pixels;
  std::vector<Counts> counts;       // by thread and image
};

// levels (n,), counts (n, HASTE_COUNTS), times (HASTE_TIMES) or null.
void convolve(const Conv& c, Workspace& space, Pool& pool, const Buffer& in, const Buffer& out, const Buffer* residual,
              int n, const int32_t* levels, int64_t* counts, int64_t* times);

}  // namespace HASTE_NAMESPACE
