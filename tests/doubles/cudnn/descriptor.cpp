#include "descriptor.h"

#include <cfloat>
#include <cstring>

namespace holt_cudnn {
namespace {

struct Attribute {
  cudnnBackendDescriptorType_t owner;
  cudnnBackendAttributeName_t name;
  cudnnBackendAttributeType_t type;
  int64_t least, most;
  bool required;
};

constexpr auto kTensor = CUDNN_BACKEND_TENSOR_DESCRIPTOR;
constexpr auto kWindow = CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR;
constexpr auto kForward = CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
constexpr auto kData = CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR;
constexpr auto kWeights = CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR;
constexpr auto kPointwise = CUDNN_BACKEND_POINTWISE_DESCRIPTOR;
constexpr auto kPointwiseOp = CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR;
constexpr auto kGraph = CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR;
constexpr auto kHeuristics = CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR;
constexpr auto kPlan = CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR;
constexpr auto kPack = CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR;
constexpr auto kRef = CUDNN_TYPE_BACKEND_DESCRIPTOR;

// The documentation's table of what may be set, as far as convolution graphs go.
const Attribute kAttributes[] = {
    {kTensor, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, 1, true},
    {kTensor, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, 4, true},
    {kTensor, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, 4, true},
    {kTensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, 1, true},
    {kTensor, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, 1, true},
    {kTensor, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, 1, false},
    {kTensor, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, 1, false},
    {kTensor, CUDNN_ATTR_TENSOR_REORDERING_MODE, CUDNN_TYPE_TENSOR_REORDERING_MODE, 1, 1, false},

    {kWindow, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, 1, true},
    {kWindow, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, 1, true},
    {kWindow, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, 1, true},
    {kWindow, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, 2, true},
    {kWindow, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, 2, true},
    {kWindow, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, 2, true},
    {kWindow, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, 2, true},

    {kForward, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, kRef, 1, 1, true},
    {kForward, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, kRef, 1, 1, true},
    {kForward, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, kRef, 1, 1, true},
    {kForward, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, kRef, 1, 1, true},
    {kForward, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, 1, true},
    {kForward, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, 1, true},
    {kData, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, kRef, 1, 1, true},
    {kData, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, kRef, 1, 1, true},
    {kData, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, kRef, 1, 1, true},
    {kData, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, kRef, 1, 1, true},
    {kData, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_TYPE_FLOAT, 1, 1, true},
    {kData, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_TYPE_FLOAT, 1, 1, true},
    {kWeights, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, kRef, 1, 1, true},
    {kWeights, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, kRef, 1, 1, true},
    {kWeights, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, kRef, 1, 1, true},
    {kWeights, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, kRef, 1, 1, true},
    {kWeights, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_TYPE_FLOAT, 1, 1, true},
    {kWeights, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, CUDNN_TYPE_FLOAT, 1, 1, true},

    {kPointwise, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, 1, true},
    {kPointwise, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, 1, true},
    {kPointwise, cudnnBackendAttributeName_t(2), cudnnBackendAttributeType_t(10), 1, 1, false},  // NaN propagation
    {kPointwise, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP, CUDNN_TYPE_DOUBLE, 1, 1, false},
    {kPointwise, CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, CUDNN_TYPE_DOUBLE, 1, 1, false},
    {kPointwise, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, CUDNN_TYPE_DOUBLE, 1, 1, false},
    {kPointwiseOp, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, kRef, 1, 1, true},
    {kPointwiseOp, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, kRef, 1, 1, true},
    {kPointwiseOp, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, kRef, 1, 1, false},
    {kPointwiseOp, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, kRef, 1, 1, true},
    {kPointwiseOp, CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1, CUDNN_TYPE_FLOAT, 1, 1, false},
    {kPointwiseOp, CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2, CUDNN_TYPE_FLOAT, 1, 1, false},

    {kGraph, cudnnBackendAttributeName_t(800), CUDNN_TYPE_HANDLE, 1, 1, true},  // the handle
    {kGraph, CUDNN_ATTR_OPERATIONGRAPH_OPS, kRef, 1, 3, true},
    {kHeuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, kRef, 1, 1, true},
    {kHeuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, 1, true},
    {kPlan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, kRef, 1, 1, false},
    {kPlan, cudnnBackendAttributeName_t(400), CUDNN_TYPE_HANDLE, 1, 1, false},
    {kPlan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, 1, 1 << 20, false},
    {kPack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 1, 8, true},
    {kPack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 1, 8, true},
    {kPack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, 1, true},
};

// What `d` was given for an attribute that must be there.
const Value& given(const Descriptor& d, cudnnBackendAttributeName_t name) { return *d.find(name); }
const Descriptor& referenced(const Descriptor& d, cudnnBackendAttributeName_t name) {
  return *given(d, name).references.at(0);
}
const Tensor& tensor(const Descriptor& d, cudnnBackendAttributeName_t name) {
  const Descriptor& t = referenced(d, name);
  require(t.type == kTensor, "an operand is no tensor");
  return t.tensor;
}
template <class T>
T one(const Descriptor& d, cudnnBackendAttributeName_t name) {
  return given(d, name).as<T>();
}
template <class T>
bool is(const Descriptor& d, cudnnBackendAttributeName_t name, T expected) {
  const Value* v = d.find(name);
  return v && v->as<T>() == expected;
}

Tensor make_tensor(const Descriptor& d) {
  Tensor t;
  t.id = one<int64_t>(d, CUDNN_ATTR_TENSOR_UNIQUE_ID);
  t.alignment = one<int64_t>(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
  t.type = one<cudnnDataType_t>(d, CUDNN_ATTR_TENSOR_DATA_TYPE);
  for (size_t i = 0; i < 4; ++i) {
    t.dims[i] = given(d, CUDNN_ATTR_TENSOR_DIMENSIONS).as<int64_t>(i);
    t.strides[i] = given(d, CUDNN_ATTR_TENSOR_STRIDES).as<int64_t>(i);
    require(t.dims[i] > 0, "a dimension is not positive");
  }
  t.is_virtual = is<bool>(d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, true);
  require(t.type == CUDNN_DATA_FLOAT || t.type == CUDNN_DATA_HALF || t.type == CUDNN_DATA_BFLOAT16,
          "a dtype that is not modelled", CUDNN_STATUS_NOT_SUPPORTED);
  require(t.alignment >= (t.type == CUDNN_DATA_FLOAT ? 4 : 2) && (t.alignment & (t.alignment - 1)) == 0,
          "an alignment is no power of two, or less than an element");
  const auto [n, c, h, w] = t.dims;
  const std::array<int64_t, 4> packed{h * w * c, 1, w * c, c};
  require(t.strides == packed, "strides are not channels-last and packed", CUDNN_STATUS_NOT_SUPPORTED);
  require(!is<bool>(d, CUDNN_ATTR_TENSOR_IS_BY_VALUE, true), "a tensor by value", CUDNN_STATUS_NOT_SUPPORTED);
  return t;
}

void check_window(const Descriptor& d) {
  require(is(d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT), "sums are not in float",
          CUDNN_STATUS_NOT_SUPPORTED);
  require(is(d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION), "a convolution that mirrors its weights",
          CUDNN_STATUS_NOT_SUPPORTED);
  require(is<int64_t>(d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 2), "not two axes");
  for (size_t i = 0; i < 2; ++i) {
    require(given(d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS).as<int64_t>(i) >= 0 &&
                given(d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS).as<int64_t>(i) >= 0,
            "a padding is negative");
    require(given(d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES).as<int64_t>(i) >= 1, "a stride is not positive");
    require(given(d, CUDNN_ATTR_CONVOLUTION_DILATIONS).as<int64_t>(i) >= 1, "a dilation is not positive");
  }
}

void check_pointwise(const Descriptor& d) {
  const auto mode = one<cudnnPointwiseMode_t>(d, CUDNN_ATTR_POINTWISE_MODE);
  require(mode == CUDNN_POINTWISE_ADD || mode == CUDNN_POINTWISE_RELU_FWD, "neither + nor relu",
          CUDNN_STATUS_NOT_SUPPORTED);
  require(is(d, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT), "the epilogue is not in float");
  if (mode == CUDNN_POINTWISE_RELU_FWD) {
    require(is(d, cudnnBackendAttributeName_t(2), 1), "a relu that loses NaN");
    require(is(d, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP, 0.0) &&
                is(d, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, 0.0) &&
                one<double>(d, CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP) >= FLT_MAX,
            "a relu that is clipped");
  }
}

Window window(const Descriptor& d) {
  require(d.type == kWindow, "the window is of another kind");
  Window w;
  for (size_t i = 0; i < 2; ++i) {
    w.pre[i] = given(d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS).as<int64_t>(i);
    w.post[i] = given(d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS).as<int64_t>(i);
    w.stride[i] = given(d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES).as<int64_t>(i);
    w.dilation[i] = given(d, CUDNN_ATTR_CONVOLUTION_DILATIONS).as<int64_t>(i);
  }
  return w;
}

// The convolution of an operation, still without what follows.
Graph convolution(const Descriptor& d) {
  Graph g;
  const auto fill = [&](Kind kind, cudnnBackendAttributeName_t x, cudnnBackendAttributeName_t w,
                        cudnnBackendAttributeName_t y, cudnnBackendAttributeName_t conv,
                        cudnnBackendAttributeName_t alpha, cudnnBackendAttributeName_t beta) {
    require(is(d, alpha, 1.0f) && is(d, beta, 0.0f), "alpha is not 1, or beta not 0", CUDNN_STATUS_NOT_SUPPORTED);
    g = {kind, window(referenced(d, conv)), tensor(d, x), tensor(d, w), tensor(d, y), {}, false};
  };
  if (d.type == kForward)
    fill(Kind::forward, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA);
  else if (d.type == kData)
    fill(Kind::data, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA);
  else if (d.type == kWeights)
    fill(Kind::weights, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA);
  else
    throw Refusal(CUDNN_STATUS_NOT_SUPPORTED, "a graph does not begin with a convolution");
  return g;
}

// The next operation, applied to the graph's result.
void append(Graph& g, const Descriptor& d) {
  require(d.type == kPointwiseOp && g.kind == Kind::forward, "an epilogue that is not modelled",
          CUDNN_STATUS_NOT_SUPPORTED);
  const Tensor &x = tensor(d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC),
               &y = tensor(d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
  require(g.y.is_virtual && x.id == g.y.id, "an epilogue does not follow on the result before it");
  require(x.dims == y.dims && g.y.type == CUDNN_DATA_FLOAT, "an epilogue changes the size, or loses bits on the way");
  const auto mode =
      one<cudnnPointwiseMode_t>(referenced(d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR), CUDNN_ATTR_POINTWISE_MODE);
  require((mode == CUDNN_POINTWISE_ADD) == (d.find(CUDNN_ATTR_OPERATION_POINTWISE_BDESC) != nullptr),
          "+ needs two operands, relu one");
  require(!g.relu, "something follows relu", CUDNN_STATUS_NOT_SUPPORTED);
  if (mode == CUDNN_POINTWISE_ADD) {
    require(!g.bias, "two additions", CUDNN_STATUS_NOT_SUPPORTED);
    g.bias = tensor(d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
  } else {
    g.relu = true;
  }
  g.y = y;
}

Graph make_graph(const Descriptor& d) {
  const auto& operations = given(d, CUDNN_ATTR_OPERATIONGRAPH_OPS).references;
  Graph g = convolution(*operations.front());
  for (size_t i = 1; i < operations.size(); ++i) append(g, *operations[i]);
  check_sizes(g);
  return g;
}

}  // namespace

size_t size_of(cudnnBackendAttributeType_t t) {
  switch (t) {
    case CUDNN_TYPE_BOOLEAN:
      return sizeof(bool);
    case CUDNN_TYPE_CHAR:
      return 1;
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_DOUBLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
      return 8;
    default:
      return 4;
  }
}

const Value* Descriptor::find(cudnnBackendAttributeName_t name) const {
  const auto found = attributes.find(name);
  return found == attributes.end() ? nullptr : &found->second;
}

void set_attribute(Descriptor& d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                   const void* elements, const std::vector<Shared>& references) {
  require(!d.finalised, "an attribute is set after the descriptor was finalised");
  for (const Attribute& a : kAttributes) {
    if (a.owner != d.type || a.name != name) continue;
    require(a.type == type, "attribute " + std::to_string(name) + " has another type");
    require(count >= a.least && count <= a.most, "attribute " + std::to_string(name) + " has another count");
    require(elements != nullptr, "an attribute without elements");
    for (const Shared& r : references) require(r->finalised, "a descriptor is used before it is finalised");
    Value v{count, std::vector<std::byte>(static_cast<size_t>(count) * size_of(type)), references};
    std::memcpy(v.bytes.data(), elements, v.bytes.size());
    d.attributes[name] = std::move(v);
    return;
  }
  throw Refusal(CUDNN_STATUS_NOT_SUPPORTED,
                "descriptor " + std::to_string(d.type) + " has no attribute " + std::to_string(name));
}

void Descriptor::finalise() {
  require(!finalised, "a descriptor is finalised twice");
  for (const Attribute& a : kAttributes)
    require(a.owner != type || !a.required || find(a.name), "attribute " + std::to_string(a.name) + " was not set");
  switch (type) {
    case kTensor:
      tensor = make_tensor(*this);
      break;
    case kWindow:
      check_window(*this);
      break;
    case kPointwise:
      check_pointwise(*this);
      break;
    case kForward:
    case kData:
    case kWeights:
      convolution(*this);
      break;
    case kPointwiseOp:
      break;
    case kGraph:
      graph = std::make_shared<const Graph>(make_graph(*this));
      break;
    case kHeuristics:
      graph = referenced(*this, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH).graph;
      break;
    case kPlan:
      if (const Value* config = find(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)) {
        graph = config->references.at(0)->graph, engine = config->references.at(0)->engine;
      } else {
        require(find(cudnnBackendAttributeName_t(400)), "a plan from JSON needs a handle");
        const Value* json = find(CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION);
        require(json, "a plan needs a configuration or JSON");
        auto [g, e] = from_json({reinterpret_cast<const char*>(json->bytes.data()), json->bytes.size()});
        graph = std::make_shared<const Graph>(std::move(g)), engine = e;
      }
      break;
    case kPack:
      require(given(*this, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS).count ==
                  given(*this, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS).count,
              "as many pointers as ids are needed");
      break;
    default:
      throw Refusal(CUDNN_STATUS_BAD_PARAM, "a descriptor that only queries make");
  }
  finalised = true;
}

}  // namespace holt_cudnn
