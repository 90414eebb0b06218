// A double of cuDNN, for tests on machines without a GPU: a shared library that exports the backend functions which
// cudnn-frontend calls, with the types of the real headers, for convolution graphs, and is stricter than the library.
//
//   descriptors   every attribute must be known, of its type and count, and set before it is finalised; a finalised
//                 one takes no more; references must be finalised
//   graphs        one convolution (forward, data, weights), forward with + bias and then relu; tensors channels-last
//   and
//                 packed, sizes that fit the window, one dtype for what is in memory, sums in float, unique ids
//   engines       20 is NONDETERMINISTIC and the heuristics' first; 7 uses TENSOR_COREs (so TF32 for f32); 1 has no
//                 note and needs a workspace; 0, in the fallback list, is STRICT_NAN_PROP
//   plans         JSON gives the plan again; for another version it is refused
//   execution     exactly the ids of the graph, device memory of the handle's GPU, aligned as declared, outputs beside
//                 inputs, a workspace where one is needed: all of it is overwritten, before and after
//   results       in double precision on the CPU, queued on the handle's stream as a kernel is, rounded once
//
// A refused call returns a status and leaves a text (cudnnGetLastErrorString).
#pragma once
#include <cudnn.h>

#include <cstdint>

extern "C" {

/// How often something was done: heuristics asked, plans finalised (from JSON too), plans executed.
struct HoltCudnnCounts {
  int64_t heuristics, plans, executions;
};
HoltCudnnCounts holt_cudnn_counts(void);

/// From now on heuristics find no engine (1), or do again (0).
void holt_cudnn_refuse(int refuse);

/// `mutate` sees, and may change, a copy of the elements of every attribute as it is set, as if the caller had set
/// that; null: nobody does.
void holt_cudnn_mutate(void (*mutate)(cudnnBackendDescriptorType_t, cudnnBackendAttributeName_t, int64_t count,
                                      void* elements, void* context),
                       void* context);

/// Handles and descriptors that were made and not destroyed.
int64_t holt_cudnn_live(void);
}
