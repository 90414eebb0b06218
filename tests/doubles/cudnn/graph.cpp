#include "graph.h"

#include <nlohmann/json.hpp>

namespace holt_cudnn {

using Json = nlohmann::json;

std::vector<Tensor> Graph::tensors() const {
  std::vector<Tensor> all{x, w, y};
  if (bias) all.push_back(*bias);
  return all;
}

void check_sizes(const Graph& g) {
  const auto &x = g.x.dims, &w = g.w.dims, &y = g.y.dims;
  require(w[1] >= 1 && x[1] % w[1] == 0, "the weights' input channels do not divide the image's into groups");
  require(w[0] % (x[1] / w[1]) == 0, "the groups do not divide the weights' output channels");
  require(y[0] == x[0], "the result's batch is not the image's");
  require(y[1] == w[0], "the result's channels are not the weights' output channels");
  for (size_t i = 0; i < 2; ++i) {
    const int64_t reach = x[2 + i] + g.window.pre[i] + g.window.post[i] - ((w[2 + i] - 1) * g.window.dilation[i] + 1);
    require(reach >= 0, "the window does not fit into the padded image");
    require(y[2 + i] == reach / g.window.stride[i] + 1,
            "the result's size is not what window, stride and padding give");
  }
  if (g.bias) require(g.bias->dims == std::array<int64_t, 4>{1, y[1], 1, 1}, "the bias is not [1, C, 1, 1]");
  for (const Tensor& t : g.tensors()) {
    require(!t.is_virtual, "a tensor at the graph's edge is virtual");
    require(t.type == g.x.type, "tensors in memory differ in their dtype", CUDNN_STATUS_NOT_SUPPORTED);
  }
  const auto all = g.tensors();
  for (size_t i = 0; i < all.size(); ++i)
    for (size_t j = 0; j < i; ++j) require(all[i].id != all[j].id, "two tensors have one id");
}

std::vector<int64_t> engines(const Graph& g, cudnnBackendHeurMode_t mode) {
  if (g.relu && !g.bias) return {};
  if (mode == CUDNN_HEUR_MODE_FALLBACK) return {0};
  return {20, 7, 1};
}

std::vector<cudnnBackendNumericalNote_t> notes(int64_t engine) {
  if (engine == 20) return {CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC};
  if (engine == 7) return {CUDNN_NUMERICAL_NOTE_TENSOR_CORE};
  if (engine == 0) return {CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP};
  return {};
}

int64_t workspace_bytes(const Graph& g, int64_t engine) { return engine == 1 ? 4 * g.output().elements() + 16 : 0; }

namespace {

Json json_of(const Tensor& t) {
  return {{"id", t.id},
          {"alignment", t.alignment},
          {"type", static_cast<int>(t.type)},
          {"dims", t.dims},
          {"strides", t.strides}};
}
Tensor tensor_of(const Json& j) {
  Tensor t;
  t.id = j.at("id"), t.alignment = j.at("alignment"), t.dims = j.at("dims"), t.strides = j.at("strides");
  t.type = static_cast<cudnnDataType_t>(j.at("type").get<int>());
  return t;
}

}  // namespace

std::string to_json(const Graph& g, int64_t engine) {
  Json j = {{"cudnnVersion", CUDNN_VERSION},
            {"engine", engine},
            {"kind", static_cast<int>(g.kind)},
            {"pre", g.window.pre},
            {"post", g.window.post},
            {"stride", g.window.stride},
            {"dilation", g.window.dilation},
            {"x", json_of(g.x)},
            {"w", json_of(g.w)},
            {"y", json_of(g.y)},
            {"relu", g.relu}};
  if (g.bias) j["bias"] = json_of(*g.bias);
  return j.dump(1);  // on several lines, as JSON may be
}

std::pair<Graph, int64_t> from_json(const std::string& text) {
  try {
    const Json j = Json::parse(text);
    require(j.at("cudnnVersion") == CUDNN_VERSION, "the plan is from another version");
    Graph g;
    g.kind = static_cast<Kind>(j.at("kind").get<int>());
    g.window = {j.at("pre"), j.at("post"), j.at("stride"), j.at("dilation")};
    g.x = tensor_of(j.at("x")), g.w = tensor_of(j.at("w")), g.y = tensor_of(j.at("y"));
    if (j.contains("bias")) g.bias = tensor_of(j.at("bias"));
    g.relu = j.at("relu");
    check_sizes(g);
    return {g, j.at("engine").get<int64_t>()};
  } catch (const Json::exception& e) { throw Refusal(CUDNN_STATUS_BAD_PARAM, std::string("no plan: ") + e.what()); }
}

}  // namespace holt_cudnn
