// A double of a profiler: NVTX loads it (NVTX_INJECTION64_PATH) and it prints every range on stderr as it begins, one
// step further in for each that it is inside of.
#include <nvtx3/nvToolsExt.h>

#include <cstdio>

namespace {

thread_local int depth = 0;

int push(const char* name) {
  std::fprintf(stderr, "nvtx:%*s %s\n", 2 * depth, "", name);
  return depth++;
}
int pop() { return --depth; }

}  // namespace

extern "C" int InitializeInjectionNvtx2(NvtxGetExportTableFunc_t get_export_table) {
  const auto* callbacks = static_cast<const NvtxExportTableCallbacks*>(get_export_table(NVTX_ETID_CALLBACKS));
  NvtxFunctionTable table = nullptr;
  unsigned size = 0;
  if (!callbacks || !callbacks->GetModuleFunctionTable(NVTX_CB_MODULE_CORE, &table, &size)) return 0;
  *table[NVTX_CBID_CORE_RangePushA] = reinterpret_cast<NvtxFunctionPointer>(push);
  *table[NVTX_CBID_CORE_RangePop] = reinterpret_cast<NvtxFunctionPointer>(pop);
  return 1;
}
