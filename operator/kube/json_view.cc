#include "operator/kube/json_view.h"

#include <simdjson.h>

#include <cstring>
#include <type_traits>

namespace whorl::kube {

namespace dom = simdjson::dom;

// JsonView keeps simdjson's element as bytes, so that its (very large) header
// is read by this file only.
static_assert(sizeof(dom::element) == 16 && alignof(dom::element) <= 8);
static_assert(std::is_trivially_copyable_v<dom::element>);

struct JsonViewAccess {
  static JsonView Wrap(dom::element element) {
    JsonView view;
    std::memcpy(view.element_.data(), &element, sizeof element);
    return view;
  }
  static dom::element Unwrap(const JsonView& view) {
    dom::element element;
    std::memcpy(static_cast<void*>(&element), view.element_.data(), sizeof element);
    return element;
  }
};

namespace {

std::string PathText(JsonView::Path path) {
  std::string text;
  for (const auto key : path) {
    if (!text.empty()) text += '.';
    text += key;
  }
  return text.empty() ? "value" : text;
}

std::string_view TypeName(dom::element_type type) {
  switch (type) {
    case dom::element_type::ARRAY: return "an array";
    case dom::element_type::OBJECT: return "an object";
    case dom::element_type::INT64:
    case dom::element_type::UINT64:
    case dom::element_type::DOUBLE: return "a number";
    case dom::element_type::STRING: return "a string";
    case dom::element_type::BOOL: return "a boolean";
    case dom::element_type::NULL_VALUE: return "null";
  }
  return "unknown";
}

template <typename T>
Result<T> As(const JsonView& view, JsonView::Path path, std::string_view wanted) {
  const auto at = view.At(path);
  if (!at) return Fail(at.error());
  const auto element = JsonViewAccess::Unwrap(*at);
  T value{};
  if (element.get(value) != simdjson::SUCCESS) {
    return Fail(Code::kInvalid, PathText(path) + ": should be " + std::string(wanted) + " but is " +
                                    std::string(TypeName(element.type())));
  }
  return value;
}

template <typename T>
std::optional<T> Maybe(Result<T> result) {
  if (!result) return std::nullopt;
  return *result;
}

nlohmann::json Copy(dom::element element) {
  switch (element.type()) {
    case dom::element_type::ARRAY: {
      auto out = nlohmann::json::array();
      for (const auto item : dom::array(element)) out.push_back(Copy(item));
      return out;
    }
    case dom::element_type::OBJECT: {
      auto out = nlohmann::json::object();
      for (const auto field : dom::object(element)) out[std::string(field.key)] = Copy(field.value);
      return out;
    }
    case dom::element_type::INT64: return std::int64_t(element);
    case dom::element_type::UINT64: return std::uint64_t(element);
    case dom::element_type::DOUBLE: return double(element);
    case dom::element_type::STRING: return std::string(std::string_view(element));
    case dom::element_type::BOOL: return bool(element);
    case dom::element_type::NULL_VALUE: return nullptr;
  }
  return nullptr;
}

}  // namespace

Result<JsonView> JsonView::At(Path path) const {
  auto element = JsonViewAccess::Unwrap(*this);
  for (const auto key : path) {
    dom::object object;
    if (element.get(object) != simdjson::SUCCESS) {
      return Fail(Code::kInvalid, PathText(path) + ": what should hold \"" + std::string(key) + "\" is " +
                                      std::string(TypeName(element.type())));
    }
    if (object.at_key(key).get(element) != simdjson::SUCCESS || element.is_null()) {
      return Fail(Code::kNotFound, PathText(path) + ": missing");
    }
  }
  return JsonViewAccess::Wrap(element);
}

Result<std::string_view> JsonView::String(Path path) const { return As<std::string_view>(*this, path, "a string"); }
Result<std::int64_t> JsonView::Int(Path path) const { return As<std::int64_t>(*this, path, "an integer"); }
Result<double> JsonView::Double(Path path) const { return As<double>(*this, path, "a number"); }
Result<bool> JsonView::Bool(Path path) const { return As<bool>(*this, path, "a boolean"); }

std::optional<std::string_view> JsonView::FindString(Path path) const { return Maybe(String(path)); }
std::optional<std::int64_t> JsonView::FindInt(Path path) const { return Maybe(Int(path)); }
std::optional<bool> JsonView::FindBool(Path path) const { return Maybe(Bool(path)); }

bool JsonView::is_object() const { return JsonViewAccess::Unwrap(*this).is_object(); }
bool JsonView::is_array() const { return JsonViewAccess::Unwrap(*this).is_array(); }

void JsonView::ForEachItem(const std::function<bool(JsonView)>& visit) const {
  dom::array array;
  if (JsonViewAccess::Unwrap(*this).get(array) != simdjson::SUCCESS) return;
  for (const auto item : array) {
    if (!visit(JsonViewAccess::Wrap(item))) return;
  }
}

void JsonView::ForEachMember(const std::function<bool(std::string_view, JsonView)>& visit) const {
  dom::object object;
  if (JsonViewAccess::Unwrap(*this).get(object) != simdjson::SUCCESS) return;
  for (const auto field : object) {
    if (!visit(field.key, JsonViewAccess::Wrap(field.value))) return;
  }
}

std::string JsonView::ToText() const { return simdjson::minify(JsonViewAccess::Unwrap(*this)); }
nlohmann::json JsonView::ToJson() const { return Copy(JsonViewAccess::Unwrap(*this)); }

struct JsonDocument::Impl {
  dom::parser parser;
  dom::element root;
};

JsonDocument::JsonDocument(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
JsonDocument::JsonDocument(JsonDocument&&) noexcept = default;
JsonDocument& JsonDocument::operator=(JsonDocument&&) noexcept = default;
JsonDocument::~JsonDocument() = default;

Result<JsonDocument> JsonDocument::Parse(std::string_view text) {
  auto impl = std::make_unique<Impl>();
  // Copies the text into a padded buffer of its own, so the caller's may go.
  if (const auto error = impl->parser.parse(text.data(), text.size(), true).get(impl->root);
      error != simdjson::SUCCESS) {
    return Fail(Code::kCorrupt, std::string("not valid JSON: ") + simdjson::error_message(error));
  }
  return JsonDocument(std::move(impl));
}

JsonView JsonDocument::root() const { return JsonViewAccess::Wrap(impl_->root); }

}  // namespace whorl::kube
