// holt's calls of cuDNN, on a strict double of it: what they compute, what is planned and kept when, what is refused.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>

#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/cudnn_library.h"
#include "kernels/cuda/cudnn_plan_file.h"
#include "kernels/file.h"
#include "kernels/memory.h"
#include "kernels/stream.h"
#include "kernels/tf32.h"
#include "tests/cases/conv2d.h"
#include "tests/doubles/cudnn/double.h"
#include "tests/harness/expect_error.h"

namespace holt::cudnn {
namespace {

namespace fs = std::filesystem;
using test::check_case;
using test::conv2d_backward_data_case;
using test::conv2d_backward_weights_case;
using test::conv2d_forward_case;

// Axes that differ. x and w have as many elements, so that taking one for the other gives a wrong result and no more.
constexpr Conv2d kConv{2, 8, 9, 8, 16, 3, 3, 2, 2, 1, 1};

test::Case vendor_only(test::Case c) {
  c.rungs = {"vendor"};
  c.vendor = false;
  return c;
}
std::string check_forward(DType t = DType::f32) {
  return check_case(vendor_only(conv2d_forward_case(kConv, t, true)), Device::cuda);
}

// Every test begins as a process with an empty cache folder.
class CudnnDouble : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / format("holt_cudnn_test.{}", getpid());
    fs::remove_all(folder_);
    setenv("HOLT_CACHE_DIR", "", 1);
    forget_plans();  // and keeps them nowhere
    setenv("HOLT_CACHE_DIR", folder_.c_str(), 1);
    before_ = holt_cudnn_counts(), plans_ = plan_counts();
  }
  void TearDown() override {
    holt_cudnn_mutate(nullptr, nullptr);
    holt_cudnn_refuse(0);
    unsetenv("HOLT_CUDNN_TIMING");
    allow_tf32(false);
    forget_plans();
    fs::remove_all(folder_);
    setenv("HOLT_CACHE_DIR", "", 1);
  }
  int64_t heuristics() const { return holt_cudnn_counts().heuristics - before_.heuristics; }
  int64_t executions() const { return holt_cudnn_counts().executions - before_.executions; }
  int64_t planned() const { return plan_counts().planned - plans_.planned; }
  int64_t loaded() const { return plan_counts().loaded - plans_.loaded; }

  // The one file of plans, its content, and the only plan in it.
  std::string path() const {
    for (const auto& entry : fs::directory_iterator(folder_)) return entry.path().string();
    return "";
  }
  static PlanFile kept() {
    forget_plans();
    const auto files = all_plan_files();
    return files.size() == 1 ? files.front().second : PlanFile{};
  }
  static std::pair<std::string, KeptPlan> only() {
    const PlanFile file = kept();
    EXPECT_EQ(file.plans.size(), 1u);
    if (file.plans.empty()) return {};
    return *file.plans.begin();
  }
  // What one forward convolution says on stderr in a process that finds the file.
  std::string said_by_a_new_process() {
    forget_plans();
    testing::internal::CaptureStderr();
    EXPECT_EQ(check_forward(), "");
    forget_plans();
    return testing::internal::GetCapturedStderr();
  }

  fs::path folder_;
  HoltCudnnCounts before_{};
  PlanCounts plans_;
};

TEST_F(CudnnDouble, ComputesAllThree) {
  for (const DType t : {DType::f32, DType::bf16, DType::f16}) {
    EXPECT_EQ(check_forward(t), "");
    EXPECT_EQ(check_case(vendor_only(conv2d_forward_case(kConv, t, false)), Device::cuda), "");
    EXPECT_EQ(check_case(vendor_only(conv2d_backward_data_case(kConv, t)), Device::cuda), "");
    EXPECT_EQ(check_case(vendor_only(conv2d_backward_weights_case(kConv, t)), Device::cuda), "");
  }
  EXPECT_EQ(executions(), 12);  // each once: what is misaligned runs on the own kernel
  EXPECT_EQ(planned(), 12);
  EXPECT_EQ(plan_counts().own, plans_.own);
}

TEST_F(CudnnDouble, GroupsAndDilation) {
  Conv2d depthwise = kConv, dilated = kConv;
  depthwise.groups = 8, dilated.dilation_h = 2, dilated.dilation_w = 3, dilated.pad_w = 2;
  for (const Conv2d& c : {depthwise, dilated}) {
    EXPECT_EQ(check_case(vendor_only(conv2d_forward_case(c, DType::f32, true)), Device::cuda), "");
    EXPECT_EQ(check_case(vendor_only(conv2d_backward_data_case(c, DType::f32)), Device::cuda), "");
    EXPECT_EQ(check_case(vendor_only(conv2d_backward_weights_case(c, DType::f32)), Device::cuda), "");
  }
  EXPECT_EQ(executions(), 6);
  EXPECT_EQ(plan_counts().own, plans_.own);
  for (const char* what : {" groups 8", " dilation 2x3"}) {  // plans on disk tell them apart
    int named = 0;
    for (const auto& [text, plan] : kept().plans) named += text.find(what) != text.npos;
    EXPECT_EQ(named, 3) << what;
  }
}

TEST_F(CudnnDouble, EpilogueOfBiasAndRelu) {
  Conv2d c = kConv;
  c.relu = true;
  EXPECT_EQ(check_case(vendor_only(conv2d_forward_case(c, DType::bf16, true)), Device::cuda), "");
  EXPECT_EQ(executions(), 1);
  EXPECT_EQ(check_case(vendor_only(conv2d_forward_case(c, DType::bf16, false)), Device::cuda), "");
  EXPECT_EQ(executions(), 1);  // relu alone is not asked for
}

TEST_F(CudnnDouble, StrictFloatIsNotTf32) {
  EXPECT_EQ(check_forward(), "");
  EXPECT_EQ(only().second.engine, "eng1");
  allow_tf32(true);
  EXPECT_NE(check_forward(), "");  // the tolerance is that of f32
  EXPECT_EQ(check_forward(DType::bf16), "");
  EXPECT_EQ(executions(), 3);
  std::vector<std::string> engines;
  const PlanFile file = kept();
  for (const auto& [problem, plan] : file.plans) engines.push_back(plan.engine);
  EXPECT_EQ(engines, (std::vector<std::string>{"eng7", "eng1", "eng7"}));
}

TEST_F(CudnnDouble, WarmStartPlansNothing) {
  EXPECT_EQ(check_forward(), "");
  EXPECT_EQ(check_forward(), "");
  EXPECT_EQ(check_forward(DType::bf16), "");
  EXPECT_EQ(planned(), 2);
  const int64_t asked = heuristics();
  EXPECT_EQ(said_by_a_new_process(), "");
  EXPECT_EQ(check_forward(DType::bf16), "");
  EXPECT_EQ(heuristics(), asked);
  EXPECT_EQ(planned(), 2);
  EXPECT_EQ(loaded(), 2);
  EXPECT_EQ(executions(), 5);
  EXPECT_EQ(kept().plans.size(), 2u);
}

TEST_F(CudnnDouble, RefusalsRunOnTheOwnKernelAndAreRemembered) {
  holt_cudnn_refuse(1);
  EXPECT_EQ(check_forward(), "");
  holt_cudnn_refuse(0);
  const int64_t asked = heuristics();
  EXPECT_GT(asked, 0);
  EXPECT_EQ(said_by_a_new_process(), "");
  EXPECT_EQ(heuristics(), asked);
  EXPECT_EQ(executions(), 0);
  EXPECT_EQ(only().first, "conv2d_forward f32 [2, 8, 9, 8]->16 3x3 stride 2x2 pad 1x1 bias");
  EXPECT_EQ(only().second.source, Source::own);
}

TEST_F(CudnnDouble, TimingReplacesWhatHeuristicsChose) {
  EXPECT_EQ(check_forward(DType::bf16), "");
  EXPECT_EQ(only().second.source, Source::heuristic);
  setenv("HOLT_CUDNN_TIMING", "1", 1);
  EXPECT_EQ(check_forward(DType::bf16), "");
  EXPECT_GT(executions(), 2 * 6);  // two engines are within the contract
  EXPECT_EQ(only().second.source, Source::timed);
  setenv("HOLT_CUDNN_TIMING", "yes", 1);
  EXPECT_ERROR(check_forward(DType::f16), "HOLT_CUDNN_TIMING: expected 0");
}

// Each changes the file of plans so that it must not be used.
TEST_F(CudnnDouble, FilesThatAreNotUsed) {
  const auto replace = [](const char* what, const char* by) {
    return [=](std::string text) { return text.replace(text.find(what), std::string(what).size(), by); };
  };
  const std::vector<std::pair<std::function<std::string(std::string)>, const char*>> changes = {
      {[](std::string text) { return text.substr(0, text.size() / 2); }, "damaged or lacks its end"},
      {[](std::string text) { return text.substr(0, text.size() - 1); }, "damaged or lacks its end"},
      {[](std::string text) { return text + "more\n"; }, "damaged or lacks its end"},
      {replace("stride 2x2", "stride 1x1"), "damaged or lacks its end"},
      {replace("heuristic", "whatever"), "damaged or lacks its end"},
      {replace("plans 1", "plans 9"), "the format 9 of another holt, and this one writes 1"},
      {[](std::string) { return std::string(); }, "not a file of cuDNN plans"},
      {[](std::string) { return std::string("\0\xff\n\n", 4); }, "not a file of cuDNN plans"},
  };
  EXPECT_EQ(said_by_a_new_process(), "");
  const std::string good = read_file(path());
  for (const auto& [change, why] : changes) {
    const int64_t before = planned();
    write_atomically(path(), change(good));
    const std::string note = said_by_a_new_process();
    EXPECT_NE(note.find(why), std::string::npos) << note;
    EXPECT_NE(note.find(path()), std::string::npos) << note;
    EXPECT_EQ(planned(), before + 1);
    EXPECT_EQ(read_file(path()), good);  // rewritten
    EXPECT_EQ(said_by_a_new_process(), "");
  }
}

TEST_F(CudnnDouble, FilesOfOtherLibrariesAndGpus) {
  EXPECT_EQ(said_by_a_new_process(), "");
  const std::string file = path();
  for (const auto& [cudnn, gpu, why] :
       {std::tuple{std::string("9.1.0"), gpu_name(0), "it is from cuDNN 9.1.0, and this is " + version_text()},
        std::tuple{version_text(), std::string("another, sm_75"), std::string("it is for the GPU 'another, sm_75'")}}) {
    const int64_t before = planned();
    PlanFile other = kept();
    other.cudnn = cudnn, other.gpu = gpu;
    fs::remove(file);
    write_plans(file, other);
    const std::string note = said_by_a_new_process();
    EXPECT_NE(note.find(why), std::string::npos) << note;
    EXPECT_EQ(planned(), before + 1);
    EXPECT_EQ(kept().cudnn, version_text());
    EXPECT_EQ(kept().gpu, gpu_name(0));
  }
}

// The file is sound, and cuDNN does not take what is in it.
TEST_F(CudnnDouble, PlansThatCudnnDoesNotTake) {
  EXPECT_EQ(said_by_a_new_process(), "");
  PlanFile file = kept();
  for (auto& [problem, plan] : file.plans) plan.json = "{}";
  fs::remove(path());
  write_plans(plan_path(file.gpu), file);
  const std::string note = said_by_a_new_process();
  EXPECT_NE(note.find("does not take the plan that was kept"), std::string::npos) << note;
  EXPECT_EQ(said_by_a_new_process(), "");
}

TEST_F(CudnnDouble, ProcessesThatShareAFileKeepEachOthersPlans) {
  const KeptPlan plan{Source::heuristic, "eng1", 16, "{}"};
  const std::string file = plan_path("a GPU");
  write_plans(file, {"9.19.0", "a GPU", {{"one", plan}}});
  write_plans(file, {"9.19.0", "a GPU", {{"two", plan}}});
  EXPECT_EQ(read_plans(file, "9.19.0", "a GPU").size(), 2u);
  write_plans(file, {"9.20.0", "a GPU", {{"three", plan}}});
  EXPECT_EQ(read_plans(file, "9.20.0", "a GPU").size(), 1u);
}

TEST_F(CudnnDouble, AFolderThatCannotBeWrittenIsOneNote) {
  setenv("HOLT_CACHE_DIR", "/dev/null/nowhere", 1);
  testing::internal::CaptureStderr();
  EXPECT_EQ(check_forward(), "");
  EXPECT_EQ(check_forward(DType::bf16), "");
  forget_plans();
  const std::string note = testing::internal::GetCapturedStderr();
  EXPECT_NE(note.find("cuDNN's plans are not kept"), std::string::npos) << note;
  EXPECT_EQ(std::count(note.begin(), note.end(), '\n'), 1) << note;
}

TEST_F(CudnnDouble, CaptureNeedsAWarmUpStep) {
  const Cuda gpu = current_cuda(0);
  const Conv2d& c = kConv;
  const Workspace x(gpu, c.x_size() * 4), w(gpu, c.w_size() * 4), y(gpu, c.y_size() * 4);
  const auto run = [&] { return conv2d_backward_data(gpu, DType::bf16, c, y.as<void>(), w.as<void>(), x.as<void>()); };
  cudaStream_t stream = gpu.stream;
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), cudaSuccess);
  EXPECT_ERROR(run(), "run one warm-up step before the capture");
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  cudaGraphDestroy(graph);
  EXPECT_TRUE(run());  // the warm-up step
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), cudaSuccess);
  EXPECT_TRUE(run());
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  cudaGraphDestroy(graph);
  synchronize(Device::cuda);
  EXPECT_EQ(executions(), 2);
}

TEST_F(CudnnDouble, NothingIsLeftBehindByACall) {
  EXPECT_EQ(check_forward(), "");
  const int64_t live = holt_cudnn_live();
  EXPECT_EQ(check_forward(), "");
  EXPECT_EQ(holt_cudnn_live(), live);
}

// ---- Wrong arguments: each mutation is a mistake that holt could make, and must end in an error or a wrong result
// ----

struct Mutation {
  const char* name;
  cudnnBackendDescriptorType_t owner;
  cudnnBackendAttributeName_t attribute;
  std::function<void(void* elements, int64_t count)> change;
  int64_t seen = 0;
};

std::function<void(void*, int64_t)> add(int64_t to, int64_t what) {
  return [=](void* p, int64_t) { static_cast<int64_t*>(p)[to] += what; };
}
template <class T>
std::function<void(void*, int64_t)> put(T value) {
  return [=](void* p, int64_t) { *static_cast<T*>(p) = value; };
}
std::function<void(void*, int64_t)> swap_first_two() {
  return [](void* p, int64_t count) {
    if (count > 1) std::swap(static_cast<int64_t*>(p)[0], static_cast<int64_t*>(p)[1]);
  };
}

std::vector<Mutation> mutations() {
  constexpr auto tensor = CUDNN_BACKEND_TENSOR_DESCRIPTOR;
  constexpr auto window = CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR;
  constexpr auto forward = CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
  constexpr auto pack = CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR;
  std::vector<Mutation> all = {
      {"dtype", tensor, CUDNN_ATTR_TENSOR_DATA_TYPE, put(CUDNN_DATA_HALF)},
      {"dtype unknown", tensor, CUDNN_ATTR_TENSOR_DATA_TYPE, put(CUDNN_DATA_INT8)},
      {"alignment", tensor, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, put<int64_t>(24)},
      {"over-aligned", tensor, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, put<int64_t>(4096)},
      {"one id", tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, put<int64_t>(1)},
      {"ids of x and w swapped", tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID,
       [](void* p, int64_t) {
         auto& id = *static_cast<int64_t*>(p);
         id = id == 1 ? 2 : id == 2 ? 1 : id;
       }},
      {"virtual", tensor, CUDNN_ATTR_TENSOR_IS_VIRTUAL, put(false)},
      {"sums in half", window, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, put(CUDNN_DATA_HALF)},
      {"mirrored", window, CUDNN_ATTR_CONVOLUTION_CONV_MODE, put(CUDNN_CONVOLUTION)},
      {"axes", window, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, put<int64_t>(3)},
      {"dilation", window, CUDNN_ATTR_CONVOLUTION_DILATIONS, add(1, 1)},
      {"alpha", forward, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, put(2.0f)},
      {"beta", forward, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, put(1.0f)},
      {"ids of the pack swapped", pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, swap_first_two()},
      {"id of the pack unknown", pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, add(0, 40)},
      {"pointers swapped", pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, swap_first_two()},
      {"pointer misaligned", pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, add(0, 4)},
      {"pointer null", pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, put<int64_t>(0)},
      {"pointer of the host", pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
       [](void* p, int64_t) {
         alignas(64) static char memory[64];
         *static_cast<void**>(p) = memory;
       }},
      {"workspace null", pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, put<int64_t>(0)},
      {"workspace misaligned", pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, add(0, 8)},
  };
  for (int64_t i = 0; i < 4; ++i) {
    all.push_back({"dimension", tensor, CUDNN_ATTR_TENSOR_DIMENSIONS, add(i, 1)});
    all.push_back({"stride of a tensor", tensor, CUDNN_ATTR_TENSOR_STRIDES, add(i, 1)});
  }
  for (int64_t i = 0; i < 2; ++i) {
    all.push_back({"padding in front", window, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, add(i, 2)});
    all.push_back({"padding behind", window, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, add(i, 2)});
    all.push_back({"padding left out", window, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, add(i, -1)});
    all.push_back({"stride", window, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, add(i, 1)});
    all.push_back({"stride left out", window, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, add(i, -1)});
  }
  return all;
}

TEST_F(CudnnDouble, WrongArgumentsAreCaught) {
  setenv("HOLT_CACHE_DIR", "", 1);
  for (Mutation& m : mutations()) {
    forget_plans();
    holt_cudnn_mutate(
        [](cudnnBackendDescriptorType_t owner, cudnnBackendAttributeName_t attribute, int64_t count, void* elements,
           void* context) {
          auto& mutation = *static_cast<Mutation*>(context);
          if (owner != mutation.owner || attribute != mutation.attribute) return;
          ++mutation.seen;
          mutation.change(elements, count);
        },
        &m);
    for (const test::Case& c :
         {conv2d_forward_case(kConv, DType::f32, true), conv2d_backward_data_case(kConv, DType::f32),
          conv2d_backward_weights_case(kConv, DType::f32)}) {
      const int64_t seen = m.seen;
      std::string found;
      try {
        found = check_case(vendor_only(c), Device::cuda);
        synchronize(Device::cuda);
      } catch (const Error& e) { found = e.message(); }
      EXPECT_TRUE(found != "" || m.seen == seen) << m.name << " was not noticed by " << c.op;
    }
    holt_cudnn_mutate(nullptr, nullptr);
    EXPECT_GT(m.seen, 0) << m.name << ": nothing was mutated";
  }
  forget_plans();
  EXPECT_EQ(check_forward(), "");  // and without a mutation all is well
}

}  // namespace
}  // namespace holt::cudnn
