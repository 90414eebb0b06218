#include "core/pickle.h"

#include <bit>
#include <cstring>
#include <unordered_map>

namespace holt {
namespace {

using Id = Pickle::Id;
using Value = Pickle::Value;

// The names that may stand in a pickle. What REDUCE does with each is in call().
constexpr const char *kTensor = "torch._utils _rebuild_tensor_v2", *kParameter = "torch._utils _rebuild_parameter",
                     *kOrderedDict = "collections OrderedDict";

constexpr size_t kMaxValues = 2'000'000;  // of some 200 bytes each

struct StorageName {
  const char* name;
  DType dtype;
};
constexpr StorageName kStorages[] = {{"torch FloatStorage", DType::f32}, {"torch DoubleStorage", DType::f64},
                                     {"torch HalfStorage", DType::f16},  {"torch BFloat16Storage", DType::bf16},
                                     {"torch LongStorage", DType::i64},  {"torch IntStorage", DType::i32},
                                     {"torch ByteStorage", DType::u8},   {"torch BoolStorage", DType::u8}};

const StorageName* storage_name(const std::string& name) {
  for (const StorageName& s : kStorages)
    if (name == s.name) return &s;
  return nullptr;
}

}  // namespace

class PickleReader {
 public:
  PickleReader(Pickle& pickle, std::span<const std::byte> bytes, std::string source)
      : values_(pickle.values_), bytes_(bytes), source_(std::move(source)) {}

  Id read() {
    for (;;) {
      const uint8_t op = u8();
      if (op == '.') return pop();
      step(op);
    }
  }

 private:
  template <class... A>
  [[noreturn]] void bad(std::string_view what, const A&... args) const {
    fail("{}: {}", source_, format(what, args...));
  }

  // ---- Bytes
  std::span<const std::byte> take(size_t n) {
    if (n > bytes_.size() - at_) bad("the pickle ends within an opcode, at byte {}", bytes_.size());
    const auto piece = bytes_.subspan(at_, n);
    at_ += n;
    return piece;
  }
  template <class T>
  T number() {
    T x;
    std::memcpy(&x, take(sizeof(T)).data(), sizeof(T));
    return x;
  }
  uint8_t u8() { return number<uint8_t>(); }
  std::string text(size_t n) {
    const auto piece = take(n);
    return {reinterpret_cast<const char*>(piece.data()), n};
  }
  std::string line() {
    std::string s;
    for (char c; (c = static_cast<char>(u8())) != '\n';) s += c;
    return s;
  }

  // ---- Stack
  Id add(Value v) {
    if (values_.size() >= kMaxValues) bad("more than {} objects", kMaxValues);
    values_.push_back(std::move(v));
    return static_cast<Id>(values_.size() - 1);
  }
  void push(Value v) { stack_.push_back(add(std::move(v))); }
  Id pop() {
    if (stack_.size() <= base()) bad("an opcode at byte {} wants a value, and the stack is empty", at_);
    const Id id = stack_.back();
    stack_.pop_back();
    return id;
  }
  Id top() {
    const Id id = pop();
    stack_.push_back(id);
    return id;
  }
  size_t base() const { return marks_.empty() ? 0 : marks_.back(); }
  // What was pushed since the last MARK.
  std::vector<Id> pop_marked() {
    if (marks_.empty()) bad("an opcode at byte {} wants a mark, and there is none", at_);
    std::vector<Id> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  void tuple(std::vector<Id> items) { push({.kind = Value::tuple, .items = std::move(items)}); }
  void tuple(size_t n) {
    std::vector<Id> items(n);
    for (size_t i = n; i-- > 0;) items[i] = pop();
    tuple(std::move(items));
  }
  void append(const std::vector<Id>& items, Value::Kind kind) {
    Value& to = values_[top()];
    if (to.kind != kind)
      bad("an opcode at byte {} appends to what is no {}", at_, kind == Value::list ? "list" : "dict");
    if (kind == Value::dict && items.size() % 2) bad("a dict at byte {} has a key without a value", at_);
    to.items.insert(to.items.end(), items.begin(), items.end());
  }

  void remember(uint64_t slot) { memo_[slot] = top(); }
  void recall(uint64_t slot) {
    const auto found = memo_.find(slot);
    if (found == memo_.end()) bad("an opcode at byte {} recalls memo {}, which was never set", at_, slot);
    stack_.push_back(found->second);
  }

  void name(const std::string& module, const std::string& member) {
    const std::string full = module + " " + member;
    if (full != kTensor && full != kParameter && full != kOrderedDict && !storage_name(full))
      bad("it holds '{}.{}', which is neither a tensor nor a container, and holt runs nothing from files. Save the "
          "weights alone: torch.save(model.state_dict(), path)",
          module.substr(0, 100), member.substr(0, 100));
    push({.kind = Value::name, .text_value = full});
  }

  // Python's little-endian two's complement of any length; more than 8 bytes are no size.
  void big_integer(size_t n) {
    const auto piece = take(n);
    if (n > 8) bad("an integer of {} bytes at byte {}", n, at_);
    uint64_t x = n && std::to_integer<uint8_t>(piece[n - 1]) & 0x80 ? ~uint64_t{0} : 0;
    for (size_t i = n; i-- > 0;) x = x << 8 | std::to_integer<uint8_t>(piece[i]);
    push({.kind = Value::integer, .integer_value = static_cast<int64_t>(x)});
  }

  // ---- What stands for a call
  const Value& argument(const Value& arguments, size_t i, Value::Kind kind, const char* what) {
    if (arguments.kind != Value::tuple || i >= arguments.items.size() || values_[arguments.items[i]].kind != kind)
      bad("{} is not what torch.save writes", what);
    return values_[arguments.items[i]];
  }
  std::vector<int64_t> integers(const Value& tuple, const char* what) {
    if (tuple.items.size() > Shape::kMaxRank)
      bad("{} has {} axes; holt's tensors have up to {}", what, tuple.items.size(), Shape::kMaxRank);
    std::vector<int64_t> r;
    for (Id id : tuple.items) {
      if (values_[id].kind != Value::integer) bad("{} is not what torch.save writes", what);
      r.push_back(values_[id].integer_value);
    }
    return r;
  }

  // ('storage', torch.FloatStorage, '0', 'cpu', 1024)
  Value storage(const Value& id) {
    const char* what = "a storage";
    if (argument(id, 0, Value::text, what).text_value != "storage") bad("a persistent id that is no storage");
    const Value &type = argument(id, 1, Value::name, what), &key = argument(id, 2, Value::text, what),
                &size = argument(id, 4, Value::integer, what);
    const StorageName* s = storage_name(type.text_value);
    if (!s || size.integer_value < 0) bad("{} is not what torch.save writes", what);
    return {.kind = Value::storage, .storage_value = {key.text_value, s->dtype, size.integer_value}};
  }
  // _rebuild_tensor_v2(storage, offset, sizes, strides, requires_grad, backward_hooks)
  Value tensor(const Value& arguments) {
    const char* what = "a tensor";
    Value t{.kind = Value::tensor, .storage_value = argument(arguments, 0, Value::storage, what).storage_value};
    t.offset = argument(arguments, 1, Value::integer, what).integer_value;
    t.sizes = integers(argument(arguments, 2, Value::tuple, what), what);
    t.strides = integers(argument(arguments, 3, Value::tuple, what), what);
    if (t.sizes.size() != t.strides.size())
      bad("a tensor with {} sizes and {} strides", t.sizes.size(), t.strides.size());
    return t;
  }
  void reduce() {
    const Id arguments = pop(), callee = pop();
    const Value& a = values_[arguments];
    const std::string& name = values_[callee].text_value;
    if (values_[callee].kind != Value::name || a.kind != Value::tuple) bad("a call at byte {} of what is no name", at_);
    if (name == kTensor) return push(tensor(a));
    if (name == kParameter) return stack_.push_back(value_of_parameter(a));
    if (name == kOrderedDict && a.items.empty()) return push({.kind = Value::dict});
    bad("a call of '{}' with {} arguments", name, a.items.size());
  }
  // _rebuild_parameter(data, requires_grad, backward_hooks)
  Id value_of_parameter(const Value& arguments) {
    argument(arguments, 0, Value::tensor, "a parameter");
    return arguments.items[0];
  }
  // The attributes of an OrderedDict (a state dict's _metadata): not needed. Nothing else that is built here has any.
  void build() {
    pop();
    if (values_[top()].kind != Value::dict) bad("an object's attributes at byte {}", at_);
  }

  void step(uint8_t op) {
    switch (op) {
      case 0x80:  // PROTO
        if (const int version = u8(); version < 2 || version > 5) bad("pickle protocol {}; 2 to 5 are read", version);
        return;
      case 0x95:  // FRAME
        take(8);
        return;
      case '(':
        return marks_.push_back(stack_.size());
      case '0':
        pop();
        return;
      case 'N':
        return push({});
      case 0x88:
      case 0x89:
        return push({.kind = Value::boolean, .integer_value = op == 0x88});
      case 'K':
        return push({.kind = Value::integer, .integer_value = u8()});
      case 'M':
        return push({.kind = Value::integer, .integer_value = number<uint16_t>()});
      case 'J':
        return push({.kind = Value::integer, .integer_value = number<int32_t>()});
      case 0x8a:  // LONG1
        return big_integer(u8());
      case 'G':  // BINFLOAT, big-endian
        return push({.kind = Value::real, .real_value = std::bit_cast<double>(__builtin_bswap64(number<uint64_t>()))});
      case 'X':
        return push({.kind = Value::text, .text_value = text(number<uint32_t>())});
      case 0x8c:  // SHORT_BINUNICODE
        return push({.kind = Value::text, .text_value = text(u8())});
      case ')':
        return tuple(size_t{0});
      case 0x85:
      case 0x86:
      case 0x87:
        return tuple(size_t{op} - 0x84);
      case 't':
        return tuple(pop_marked());
      case ']':
        return push({.kind = Value::list});
      case '}':
        return push({.kind = Value::dict});
      case 'a':
        return append({pop()}, Value::list);
      case 'e':
        return append(pop_marked(), Value::list);
      case 's': {
        const Id value = pop(), key = pop();
        return append({key, value}, Value::dict);
      }
      case 'u':
        return append(pop_marked(), Value::dict);
      case 'q':
        return remember(u8());
      case 'r':
        return remember(number<uint32_t>());
      case 0x94:  // MEMOIZE
        return remember(memo_.size());
      case 'h':
        return recall(u8());
      case 'j':
        return recall(number<uint32_t>());
      case 'c': {
        const std::string module = line();
        return name(module, line());
      }
      case 0x93: {  // STACK_GLOBAL
        const Id member = pop(), module = pop();
        if (values_[member].kind != Value::text || values_[module].kind != Value::text)
          bad("a name at byte {} that is no text", at_);
        return name(std::string(values_[module].text_value), std::string(values_[member].text_value));
      }
      case 'Q':  // BINPERSID
        return push(storage(values_[pop()]));
      case 'R':
        return reduce();
      case 'b':
        return build();
      default:
        bad("pickle opcode 0x{}{} at byte {} is none that a file of tensors needs", "0123456789abcdef"[op >> 4],
            "0123456789abcdef"[op & 15], at_ - 1);
    }
  }

  std::vector<Value>& values_;
  std::span<const std::byte> bytes_;
  std::string source_;
  size_t at_ = 0;
  std::vector<Id> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, Id> memo_;
};

Pickle::Pickle(std::span<const std::byte> bytes, std::string source) {
  root_ = PickleReader(*this, bytes, std::move(source)).read();
}

}  // namespace holt
