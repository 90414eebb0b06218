#include "kernels/cuda/cudnn_graph.h"

// The backend's functions are looked up in the library that holt opened (NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING), and
// plans are kept as the backend's own JSON: the frontend's JSON library is not needed.
#include <cudnn_frontend.h>
#include <dlfcn.h>

#include <algorithm>
#include <mutex>

#include "kernels/cuda/cudnn_library.h"

namespace cudnn_frontend {
void* cudnn_dlhandle = nullptr;  // the frontend declares it and leaves it to its user
}

namespace holt::cudnn {
namespace {

namespace fe = cudnn_frontend;
using fe::graph::Tensor_attributes;
using Tensor = std::shared_ptr<Tensor_attributes>;

enum Id : int64_t { kX = 1, kW = 2, kBias = 3, kY = 4 };

// Hands the opened library to the frontend.
void open_library() {
  static std::once_flag once;
  std::call_once(once, [] {
    check(library().found(), "cuDNN: {}", library().missing());
    fe::cudnn_dlhandle = dlopen(library().path().c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    check(fe::cudnn_dlhandle != nullptr, "cuDNN: {} was opened and is gone", library().path());
  });
}

void require(fe::error_t e, const Problem& p, const char* what) {
  check(e.is_good(), "{}: cuDNN {} does not {}: {}", to_string(p), version_text(), what, e.get_message());
}

fe::DataType_t data_type(DType t) {
  return t == DType::bf16 ? fe::DataType_t::BFLOAT16 : t == DType::f16 ? fe::DataType_t::HALF : fe::DataType_t::FLOAT;
}

// The graph of a problem. The frontend keeps the operation graph to itself and its heirs.
class Graph : public fe::graph::Graph {
 public:
  Graph(const Problem& p, cudnnHandle_t handle, const std::shared_ptr<const fe::DeviceProperties>& properties) {
    set_io_data_type(data_type(p.dtype));
    set_intermediate_data_type(fe::DataType_t::FLOAT).set_compute_data_type(fe::DataType_t::FLOAT);
    if (properties) set_device_properties(properties);
    add_operations(p);
    require(validate(), p, "accept the graph");
    require(build_operation_graph(handle), p, "accept the graph");
  }
  fe::OperationGraph_v8& operations() const { return *get_operation_graph(); }

 private:
  // [N, H, W, C] in memory, in cuDNN's order of axes.
  static Tensor_attributes channels_last(const char* name, Id id, int64_t n, int64_t h, int64_t w, int64_t c) {
    return Tensor_attributes()
        .set_name(name)
        .set_uid(id)
        .set_dim({n, c, h, w})
        .set_stride({h * w * c, 1, w * c, c})
        .set_alignment(16);
  }
  static void make_output(const Tensor& t, const Tensor_attributes& like, DType type) {
    t->set_output(true).set_name(like.get_name()).set_uid(like.get_uid()).set_data_type(data_type(type));
    t->set_dim(like.get_dim()).set_stride(like.get_stride()).set_alignment(16);
  }

  void add_operations(const Problem& p) {
    const Conv2d& c = p.conv;
    const auto x = channels_last("x", kX, c.n, c.h, c.w, c.cin),
               w = channels_last("w", kW, c.cout, c.kh, c.kw, c.group_in()),
               y = channels_last("y", kY, c.n, c.out_h(), c.out_w(), c.cout);
    const auto set_window = [&](auto attributes) {
      return attributes.set_padding({c.pad_h, c.pad_w})
          .set_stride({c.stride_h, c.stride_w})
          .set_dilation({c.dilation_h, c.dilation_w});
    };
    switch (p.direction) {
      case Direction::forward: {
        Tensor out = conv_fprop(tensor(x), tensor(w), set_window(fe::graph::Conv_fprop_attributes()));
        if (p.bias)
          out = pointwise(out, tensor(channels_last("bias", kBias, 1, 1, 1, c.cout)),
                          fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::ADD));
        if (c.relu) out = pointwise(out, fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::RELU_FWD));
        return make_output(out, y, p.dtype);
      }
      case Direction::backward_data:
        return make_output(conv_dgrad(tensor(y), tensor(w), set_window(fe::graph::Conv_dgrad_attributes())), x,
                           p.dtype);
      case Direction::backward_weights:
        return make_output(conv_wgrad(tensor(y), tensor(x), set_window(fe::graph::Conv_wgrad_attributes())), w,
                           p.dtype);
    }
  }
};

// Whether a note of the engine behind `config` keeps it from serving (the header says which and why).
bool barred(cudnnBackendDescriptor_t config, const Problem& p, bool fallback) {
  using fe::hasNumericalNote;
  return hasNumericalNote<CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC>(config) ||
         hasNumericalNote<CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS>(config) ||
         hasNumericalNote<CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION>(config) ||
         hasNumericalNote<CUDNN_NUMERICAL_NOTE_FFT>(config) ||
         hasNumericalNote<CUDNN_NUMERICAL_NOTE_WINOGRAD>(config) ||
         hasNumericalNote<CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4>(config) ||
         hasNumericalNote<CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6>(config) ||
         hasNumericalNote<CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13>(config) ||
         (fallback && hasNumericalNote<CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP>(config)) ||
         (p.dtype == DType::f32 && !p.tf32 && hasNumericalNote<CUDNN_NUMERICAL_NOTE_TENSOR_CORE>(config));
}

const char* name(Direction d) {
  return d == Direction::forward         ? "conv2d_forward"
         : d == Direction::backward_data ? "conv2d_backward_data"
                                         : "conv2d_backward_weights";
}

}  // namespace

std::string to_string(const Problem& p) {
  const Conv2d& c = p.conv;
  const bool dilated = c.dilation_h != 1 || c.dilation_w != 1;
  return format("{} {} [{}, {}, {}, {}]->{} {}x{} stride {}x{} pad {}x{}{}{}{}{}{}", name(p.direction), p.dtype, c.n,
                c.h, c.w, c.cin, c.cout, c.kh, c.kw, c.stride_h, c.stride_w, c.pad_h, c.pad_w,
                dilated ? format(" dilation {}x{}", c.dilation_h, c.dilation_w) : "",
                c.groups == 1 ? "" : format(" groups {}", c.groups), p.bias ? " bias" : "", c.relu ? " relu" : "",
                p.tf32 ? " tf32" : "");
}

struct Plan::State {
  std::string problem, engine;
  fe::ExecutionPlan plan;
  std::vector<int64_t> ids;
};

// Makes what the header's classes hold.
struct Planner {
  static Plan plan(const Problem& p, fe::ExecutionPlan made) {
    std::vector<int64_t> ids{kX, kW, kY};
    if (p.bias) ids.push_back(kBias);
    const std::string tag = made.getTag();  // "ConvFwd_eng62_k2=5…": the graph's operations, then the engine
    const size_t engine = tag.find("eng");
    Plan result;
    result.state_ = std::make_shared<const Plan::State>(
        Plan::State{to_string(p), tag.substr(engine == tag.npos ? 0 : engine), std::move(made), std::move(ids)});
    return result;
  }
  static std::shared_ptr<const fe::DeviceProperties> properties(const Target& t) {
    return std::static_pointer_cast<const fe::DeviceProperties>(t.properties_);
  }
  static cudnnHandle_t handle(const Target& t) { return t.handle_; }
  static Target target(std::shared_ptr<const void> properties) {
    Target t(nullptr);
    t.properties_ = std::move(properties);
    return t;
  }
};

Target Target::described_by(const std::string& json) {
  open_library();
  auto properties = std::make_shared<fe::DeviceProperties>();
  fe::error_t e = properties->deserialize(std::vector<uint8_t>(json.begin(), json.end()));
  check(e.is_good(), "cuDNN {} does not take these device properties: {}\n{}", version_text(), e.get_message(), json);
  return Planner::target(std::move(properties));
}

std::vector<Plan> make_plans(const Problem& p, const Target& target, size_t most) {
  open_library();
  const auto properties = Planner::properties(target);
  const Graph graph(p, Planner::handle(target), properties);
  std::vector<Plan> plans;
  for (const auto mode : {fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK}) {
    fe::EngineConfigList configs;
    fe::get_heuristics_list(
        std::vector<fe::HeurMode_t>{mode}, graph.operations(),
        [&](cudnnBackendDescriptor_t config) { return barred(config, p, mode == fe::HeurMode_t::FALLBACK); }, configs,
        true, -1, properties);
    for (const auto& config : configs) {
      try {
        auto made = fe::ExecutionPlanBuilder().setEngineConfig(config, graph.operations().getTag()).build();
        if (made.getWorkspaceSize() > kMostWorkspace) continue;
        plans.push_back(Planner::plan(p, std::move(made)));
        if (plans.size() == most) return plans;
      } catch (const fe::cudnnException&) {}  // heuristics promise no support: the next one may be built
    }
    if (!plans.empty()) break;
  }
  return plans;
}

Plan load_plan(const Problem& p, const Target& target, const std::string& json) {
  open_library();
  try {
    fe::ExecutionPlanBuilder builder;
    if (const auto properties = Planner::properties(target))
      builder.setDeviceProperties(properties);
    else
      builder.setHandle(Planner::handle(target));
    return Planner::plan(p, builder.loadFromJson(json));
  } catch (const fe::cudnnException& e) {
    fail("{}: cuDNN {} does not take the plan that was kept: {}", to_string(p), version_text(), e.what());
  }
}

const std::string& Plan::engine() const { return state_->engine; }
int64_t Plan::workspace() const { return state_->plan.getWorkspaceSize(); }
bool Plan::tensor_cores() const {
  const auto& notes = state_->plan.getAllNumericNotes();
  return std::find(notes.begin(), notes.end(), CUDNN_NUMERICAL_NOTE_TENSOR_CORE) != notes.end();
}
std::string Plan::json() const {
  try {
    return state_->plan.getJsonRepresentation();
  } catch (const fe::cudnnException& e) { fail("{}: cuDNN {}: {}", state_->problem, version_text(), e.what()); }
}

void Plan::execute(cudnnContext* handle, const Tensors& t, void* workspace) const {
  // cuDNN knows no const. In the order of `ids`; the last is there with a bias only.
  void* const pointers[] = {const_cast<void*>(t.x), const_cast<void*>(t.w), const_cast<void*>(t.y),
                            const_cast<void*>(t.bias)};
  const auto failed = [&](const char* what, const std::string& why) {
    fail("{}: cuDNN {} does not {} its {} ({} bytes of workspace): {}", state_->problem, version_text(), what,
         state_->engine, this->workspace(), why);
  };
  fe::detail::backend_descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  fe::error_t e = fe::detail::create_variant_pack(pack, pointers, state_->ids, workspace);
  if (e.is_bad()) failed("take the pointers for", e.get_message());
  const cudnnStatus_t status = fe::detail::execute(handle, state_->plan.get_raw_desc(), pack.get_ptr());
  if (status != CUDNN_STATUS_SUCCESS)
    failed("run", format("{} {}", fe::detail::get_error_string(status), fe::detail::get_last_error_string_()));
}

}  // namespace holt::cudnn
