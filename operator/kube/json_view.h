#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace whorl::kube {

// A place in a parsed JSON document, read by simdjson; simdjson itself stays in
// json_view.cc. Cheap to copy; valid only while its JsonDocument lives, and so
// are the string_views it gives: decoders copy what they keep.
//
// Paths are keys from here downward: view.String({"metadata", "name"}). null
// counts as missing. Missing is kNotFound and a wrong type is kInvalid, both
// naming the path; neither is ever a default value.
class JsonView {
 public:
  using Path = std::initializer_list<std::string_view>;

  Result<JsonView> At(Path path) const;
  Result<std::string_view> String(Path path) const;
  Result<std::int64_t> Int(Path path) const;
  Result<double> Double(Path path) const;  // integers too
  Result<bool> Bool(Path path) const;

  // For optional members whose wrong type the decoder chooses to take as absent.
  std::optional<std::string_view> FindString(Path path) const;
  std::optional<std::int64_t> FindInt(Path path) const;
  std::optional<bool> FindBool(Path path) const;

  bool is_object() const;
  bool is_array() const;
  // The elements of the array (members of the object) at this place; nothing
  // when it is something else. Returning false ends the walk.
  void ForEachItem(const std::function<bool(JsonView)>& visit) const;
  void ForEachMember(const std::function<bool(std::string_view key, JsonView value)>& visit) const;

  std::string ToText() const;     // minified JSON
  nlohmann::json ToJson() const;  // a copy to build on

 private:
  friend class JsonDocument;
  friend struct JsonViewAccess;  // json_view.cc's way to simdjson's type
  JsonView() = default;
  alignas(8) std::array<std::byte, 16> element_;
};

// Owns one parsed document. Movable, not thread-safe.
class JsonDocument {
 public:
  static Result<JsonDocument> Parse(std::string_view text);

  JsonDocument(JsonDocument&&) noexcept;
  JsonDocument& operator=(JsonDocument&&) noexcept;
  ~JsonDocument();

  JsonView root() const;

 private:
  struct Impl;
  explicit JsonDocument(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace whorl::kube
