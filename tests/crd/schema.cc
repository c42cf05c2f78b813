#include "tests/crd/schema.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <charconv>
#include <fstream>
#include <regex>
#include <sstream>
#include <stdexcept>

#include "crd/text.h"

namespace whorl::crd::testing {
namespace {

using nlohmann::json;

json Scalar(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return text;  // quoted
  if (text == "true") return true;
  if (text == "false") return false;
  if (text == "null" || text == "~" || text.empty()) return nullptr;
  // Whole numbers only: a CRD of ours has no other.
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc{} && end == text.data() + text.size()) return number;
  return text;
}

json Convert(const YAML::Node& node) {
  if (node.IsMap()) {
    json out = json::object();
    for (const auto& entry : node) out[entry.first.Scalar()] = Convert(entry.second);
    return out;
  }
  if (node.IsSequence()) {
    json out = json::array();
    for (const auto& entry : node) out.push_back(Convert(entry));
    return out;
  }
  return node.IsScalar() ? Scalar(node) : json(nullptr);
}

std::size_t Characters(const std::string& text) {
  std::size_t count = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) ++count;
  }
  return count;
}

void Append(std::vector<std::string>& to, std::vector<std::string> more) {
  to.insert(to.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

std::vector<std::string> StringProblems(const json& schema, const std::string& text, const std::string& path) {
  std::vector<std::string> found;
  const std::size_t length = Characters(text);
  if (schema.contains("maxLength") && length > schema["maxLength"].get<std::size_t>()) {
    found.push_back(fmt::format("{}: {} characters, at most {}", path, length, schema["maxLength"].dump()));
  }
  if (schema.contains("minLength") && length < schema["minLength"].get<std::size_t>()) {
    found.push_back(fmt::format("{}: {} characters, at least {}", path, length, schema["minLength"].dump()));
  }
  if (schema.contains("pattern") && !std::regex_search(text, std::regex(schema["pattern"].get<std::string>()))) {
    found.push_back(fmt::format("{}: {} does not match {}", path, text, schema["pattern"].dump()));
  }
  if (schema.value("format", "") == "date-time" && !ParseTimeText(text)) {
    found.push_back(fmt::format("{}: {} is no time", path, text));
  }
  return found;
}

std::vector<std::string> NumberProblems(const json& schema, std::int64_t number, const std::string& path) {
  std::vector<std::string> found;
  if (schema.contains("minimum") && number < schema["minimum"].get<std::int64_t>()) {
    found.push_back(fmt::format("{}: {} is less than {}", path, number, schema["minimum"].dump()));
  }
  if (schema.contains("maximum") && number > schema["maximum"].get<std::int64_t>()) {
    found.push_back(fmt::format("{}: {} is more than {}", path, number, schema["maximum"].dump()));
  }
  return found;
}

std::vector<std::string> ListProblems(const json& schema, const json& list, const std::string& path) {
  std::vector<std::string> found;
  if (list.size() > schema.value("maxItems", std::size_t{0})) {
    found.push_back(fmt::format("{}: {} items, at most {}", path, list.size(), schema["maxItems"].dump()));
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    Append(found, Problems(schema["items"], list[i], fmt::format("{}[{}]", path, i)));
  }
  if (!schema.contains("x-kubernetes-list-map-keys")) return found;
  for (std::size_t i = 0; i < list.size(); ++i) {
    for (std::size_t j = i + 1; j < list.size(); ++j) {
      bool same = true;
      for (const auto& key : schema["x-kubernetes-list-map-keys"]) {
        const auto name = key.get<std::string>();
        same = same && list[i].value(name, "") == list[j].value(name, "");
      }
      if (same) found.push_back(fmt::format("{}: items {} and {} have the same key", path, i, j));
    }
  }
  return found;
}

std::vector<std::string> ObjectProblems(const json& schema, const json& object, const std::string& path) {
  std::vector<std::string> found;
  for (const auto& required : schema.value("required", json::array())) {
    if (!object.contains(required.get<std::string>())) {
      found.push_back(fmt::format("{}: {} is missing", path, required.get<std::string>()));
    }
  }
  const json none = json::object();
  const json& properties = schema.contains("properties") ? schema["properties"] : none;
  for (const auto& [name, member] : object.items()) {
    const auto at = path.empty() ? name : path + "." + name;
    if (!properties.contains(name)) {
      found.push_back(at + ": not in the schema");
    } else {
      Append(found, Problems(properties[name], member, at));
    }
  }
  return found;
}

}  // namespace

std::string Definition::kind() const { return document["spec"]["names"]["kind"]; }
std::string Definition::plural() const { return document["spec"]["names"]["plural"]; }
const json& Definition::version() const { return document["spec"]["versions"].at(0); }
const json& Definition::schema() const { return version()["schema"]["openAPIV3Schema"]; }

std::string FileText(const std::string& path_in_tree) {
  std::ifstream file(std::string(WHORL_SOURCE_DIR) + "/" + path_in_tree);
  if (!file) throw std::runtime_error("cannot read " + path_in_tree);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

json YamlToJson(const std::string& text) { return Convert(YAML::Load(text)); }

std::vector<Definition> Definitions() {
  std::vector<Definition> all;
  for (const char* plural : {"behaviorfingerprints", "nodepartitions", "partitionpolicies"}) {
    all.push_back({YamlToJson(FileText(fmt::format("crd/{}.yaml", plural)))});
  }
  return all;
}

Definition DefinitionOf(const std::string& kind) {
  for (auto& definition : Definitions()) {
    if (definition.kind() == kind) return definition;
  }
  throw std::runtime_error("no CRD of kind " + kind);
}

std::vector<std::string> Problems(const json& schema, const json& value, const std::string& path) {
  const std::string type = schema.value("type", "");
  std::vector<std::string> found;
  if (schema.contains("enum")) {
    bool known = false;
    for (const auto& allowed : schema["enum"]) known = known || allowed == value;
    if (!known) found.push_back(fmt::format("{}: {} is not one of {}", path, value.dump(), schema["enum"].dump()));
  }
  if (type == "string" && value.is_string()) {
    Append(found, StringProblems(schema, value.get<std::string>(), path));
  } else if (type == "integer" && value.is_number_integer()) {
    Append(found, NumberProblems(schema, value.get<std::int64_t>(), path));
  } else if (type == "array" && value.is_array()) {
    Append(found, ListProblems(schema, value, path));
  } else if (type == "object" && value.is_object()) {
    Append(found, ObjectProblems(schema, value, path));
  } else {
    found.push_back(fmt::format("{}: is {}, must be of type {}", path, value.type_name(), type));
  }
  return found;
}

const json& SchemaAt(const json& schema, const std::string& path) {
  const json* here = &schema;
  std::istringstream names(path);
  for (std::string name; std::getline(names, name, '.');) here = &here->at("properties").at(name);
  return *here;
}

void ForEachProperty(const json& schema, const std::string& path,
                     const std::function<void(const std::string&, const json&)>& visit) {
  if (schema.contains("properties")) {
    for (const auto& [name, property] : schema["properties"].items()) {
      const std::string at = path.empty() ? name : path + "." + name;
      visit(at, property);
      ForEachProperty(property, at, visit);
    }
  }
  if (schema.contains("items")) {
    visit(path + "[]", schema["items"]);
    ForEachProperty(schema["items"], path + "[]", visit);
  }
}

}  // namespace whorl::crd::testing
