#include "operator/plugin/replay/policy_file.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "crd/json_fields.h"

namespace whorl::plugin {
namespace {

using nlohmann::json;

constexpr std::size_t kLargestFile = 1u << 20;
constexpr int kMostNodes = 10'000, kDeepest = 32;  // aliases make much of little
constexpr std::string_view kWords[] = {"maxMode", "pause", "resources.cpu.partition"};

// A document as kubectl would send it.
class Converter {
 public:
  // nullopt: larger or deeper than any policy.
  std::optional<json> Convert(const YAML::Node& node, int depth = 0) {
    if (depth > kDeepest || ++nodes_ > kMostNodes) return std::nullopt;
    json out;
    if (node.IsMap()) {
      out = json::object();
      for (const auto& entry : node) {
        auto value = Convert(entry.second, depth + 1);
        if (!value) return std::nullopt;
        out[entry.first.Scalar()] = std::move(*value);
      }
    } else if (node.IsSequence()) {
      out = json::array();
      for (const auto& item : node) {
        auto value = Convert(item, depth + 1);
        if (!value) return std::nullopt;
        out.push_back(std::move(*value));
      }
    } else if (node.IsScalar()) {
      out = Scalar(node);
    }
    return out;
  }

 private:
  static json Scalar(const YAML::Node& node) {
    const std::string& text = node.Scalar();
    if (node.Tag() == "!") return text;  // quoted
    if (text == "true" || text == "false") return text == "true";
    if (text == "null" || text == "~" || text.empty()) return nullptr;
    const auto all = [&](auto number) -> std::optional<json> {
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      return error == std::errc{} && end == text.data() + text.size() ? std::optional<json>(number) : std::nullopt;
    };
    if (auto whole = all(std::int64_t{})) return *whole;
    return all(double{}).value_or(text);
  }
  int nodes_ = 0;
};

void FindUnknown(const json& value, const std::string& path, std::vector<std::string>& unknown) {
  const auto known = [&](std::string_view name) { return name == path || name.starts_with(path + "."); };
  const bool leads = path.empty() || std::any_of(std::begin(kWords), std::end(kWords), known) ||
                     std::any_of(crd::kPolicyNumbers.begin(), crd::kPolicyNumbers.end(),
                                 [&](const crd::PolicyNumber& number) { return known(number.path); });
  if (!leads) {
    unknown.push_back("spec." + path);
  } else if (value.is_object()) {
    for (const auto& [name, member] : value.items())
      FindUnknown(member, path.empty() ? name : path + "." + name, unknown);
  }
}

Result<PolicyFile> Parse(std::string_view text) {
  const auto documents = YAML::LoadAll(std::string(text));
  if (documents.size() != 1) {
    return Fail(Code::kInvalid, "holds " + std::to_string(documents.size()) +
                                    " YAML documents; give one PartitionPolicy per file, as in crd/examples");
  }
  const auto object = Converter().Convert(documents.front());
  if (!object) return Fail(Code::kInvalid, "is larger or deeper than any PartitionPolicy");
  if (!object->is_object()) return Fail(Code::kInvalid, "is no PartitionPolicy: no mapping at the top");
  const auto* kind = crd::FindString(*object, "kind");
  const auto* version = crd::FindString(*object, "apiVersion");
  if (kind == nullptr || *kind != "PartitionPolicy") {
    return Fail(Code::kInvalid,
                "kind is " + (kind == nullptr ? std::string("missing") : *kind) + "; it must be PartitionPolicy");
  }
  if (version == nullptr || *version != "whorl.dev/v1alpha1") {
    return Fail(Code::kInvalid, "apiVersion is " + (version == nullptr ? std::string("missing") : *version) +
                                    "; it must be whorl.dev/v1alpha1");
  }
  auto policy = crd::ParsePartitionPolicy(*object);
  if (!policy) {
    return Fail(
        policy.error().code,
        policy.error().message + "; correct the field, as `kubectl explain ppol.spec --recursive` describes it");
  }
  PolicyFile file{std::move(*policy), {}};
  if (const auto* spec = crd::FindMember(*object, "spec")) FindUnknown(*spec, {}, file.unknown);
  return file;
}

}  // namespace

// The boundary to yaml-cpp: nothing it throws leaves this file.
Result<PolicyFile> ParsePolicyFile(std::string_view text) {
  try {
    return Parse(text);
  } catch (const YAML::ParserException& e) {
    return Fail(Code::kInvalid, "line " + std::to_string(e.mark.line + 1) + ": " + e.msg + "; correct the YAML");
  } catch (const YAML::Exception& e) {
    return Fail(Code::kInvalid, std::string(e.what()) + "; correct the YAML");
  }
}

Result<PolicyFile> ReadPolicyFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Fail(Code::kNotFound, "policy " + path + ": " + std::strerror(errno));
  std::string text(kLargestFile + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kLargestFile) return Fail(Code::kInvalid, "policy " + path + ": larger than 1 MiB");
  auto file = ParsePolicyFile(text);
  if (!file) return Fail(file.error().In("policy " + path));
  return file;
}

}  // namespace whorl::plugin
