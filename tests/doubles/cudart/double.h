// A double of the CUDA runtime, for tests on machines without a GPU: it exports the cudaXxx functions that holt calls,
// with the documented meaning, and is stricter than any driver.
//
//   streams    lazy queues: work runs only when somebody waits for it, on the waiting thread, in the order that streams
//              and events imply. A missing synchronisation therefore shows as work that was never done.
//   memory     each GPU's lies in address space that is inaccessible except while that GPU's work runs: a host that
//              touches it dies. Fresh memory is NaN, fenced by guards; freed memory is poisoned in stream order.
//   arguments  checked: pointers against what is allocated, sizes, directions of copies, streams, events, devices.
//   capture    records; whatever CUDA forbids meanwhile invalidates it.
//
// Kernels come as closures through holt_double_enqueue: the emulator runs them (kernels/simt/launch_on_double.h).
// Beside the double's own calls, the environment sets how a process starts:
//   HOLT_DOUBLE_DEVICES   how many GPUs there are (2)
//   HOLT_DOUBLE_DRIVER    the driver's CUDA version, 1000·major + 10·minor; 0: no driver (the runtime's own)
#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>

extern "C" {

/// Queues work as a kernel launch does: run(state) is called when the stream gets there, and again by each launch of a
/// graph that recorded it; destroy(state) once, after the last. An exception from run() is a sticky
/// cudaErrorLaunchFailure, its text is kept (holt_double_fault) and told on stderr. Refusals are CUDA's last error.
void holt_double_enqueue(cudaStream_t stream, void (*run)(void*), void* state, void (*destroy)(void*));

/// The text of what made the context unusable; "" if nothing did.
const char* holt_double_fault(void);
/// Forgets the fault and all that is queued, as a new process would. Memory stays allocated.
void holt_double_forget_fault(void);

/// Bytes of memory that every GPU has from now on.
void holt_double_set_total_memory(size_t bytes);
/// The next call of `function` ("cudaMallocFromPoolAsync", "launch" for holt_double_enqueue) fails with `error`.
void holt_double_fail_next(const char* function, cudaError_t error);
/// An eager stream runs its work as soon as it is queued: the other extreme of what a GPU may do. cudaStreamPerThread
/// is the calling thread's on its current device.
void holt_double_set_eager(cudaStream_t stream, int eager);
/// The same for all streams created from now on.
void holt_double_set_new_streams_eager(int eager);

/// Allocations from pools that were not freed, on all GPUs; pinned ones; streams, events and graphs not destroyed.
size_t holt_double_live_allocations(void);
size_t holt_double_live_pinned(void);
size_t holt_double_live_handles(void);
/// Work that is queued and has not run, on all streams.
size_t holt_double_pending(void);
}
