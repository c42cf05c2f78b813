#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace whorl::crd::testing {

// One CRD of crd/, read from its YAML.
struct Definition {
  nlohmann::json document;

  std::string kind() const;
  std::string plural() const;
  const nlohmann::json& version() const;  // v1alpha1
  const nlohmann::json& schema() const;   // openAPIV3Schema
};

// All CRDs, by file name. Throws on anything unreadable: a test then fails.
std::vector<Definition> Definitions();
Definition DefinitionOf(const std::string& kind);

// Whatever YAML says, as JSON: plain scalars by YAML's core rules, quoted ones as strings.
nlohmann::json YamlToJson(const std::string& text);
std::string FileText(const std::string& path_in_tree);

// What the API server would refuse or drop in `value`, each with its path.
// CEL rules are not run here; the e2e world's API server runs them.
std::vector<std::string> Problems(const nlohmann::json& schema, const nlohmann::json& value, const std::string& path);

// The schema under a dotted path of property names.
const nlohmann::json& SchemaAt(const nlohmann::json& schema, const std::string& path);

// Calls visit(path, schema) for every property below, items as "name[]".
void ForEachProperty(const nlohmann::json& schema, const std::string& path,
                     const std::function<void(const std::string&, const nlohmann::json&)>& visit);

}  // namespace whorl::crd::testing
