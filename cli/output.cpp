#include "cli/output.hpp"

#include <cstddef>
#include <nlohmann/json.hpp>

namespace kahuna::cli {

namespace {

using json = nlohmann::ordered_json;

// The length of the well-formed UTF-8 sequence at the start of `bytes`; 0 where there is none.
std::size_t utf8_sequence_bytes(std::string_view bytes) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  // What the second byte may be depends on the first: that shuts out overlong forms, surrogates and the too large.
  std::size_t length = 0;
  unsigned low = 0x80;
  unsigned high = 0xbf;
  if (first >= 0xc2 && first <= 0xdf) {
    length = 2;
  } else if (first >= 0xe0 && first <= 0xef) {
    length = 3;
    if (first == 0xe0) low = 0xa0;
    if (first == 0xed) high = 0x9f;
  } else if (first >= 0xf0 && first <= 0xf4) {
    length = 4;
    if (first == 0xf0) low = 0x90;
    if (first == 0xf4) high = 0x8f;
  } else {
    return 0;
  }
  if (bytes.size() < length || byte(1) < low || byte(1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i)
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  return length;
}

enum class backslash : std::uint8_t { doubled, kept };

std::string escape(std::string_view bytes, backslash treatment) {
  static constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const auto length = utf8_sequence_bytes(bytes);
    const auto first = static_cast<unsigned char>(bytes[0]);
    // U+0080 to U+009F are control characters too, and terminals obey some of them.
    const bool is_c1 = length == 2 && first == 0xc2 && static_cast<unsigned char>(bytes[1]) < 0xa0;
    if (bytes[0] == '\\') {
      text += treatment == backslash::doubled ? "\\\\" : "\\";
    } else if (bytes[0] == '\n') {
      text += "\\n";
    } else if (bytes[0] == '\t') {
      text += "\\t";
    } else if (bytes[0] == '\r') {
      text += "\\r";
    } else if (length == 0 || is_c1 || first < 0x20 || first == 0x7f) {
      for (const char c : bytes.substr(0, is_c1 ? 2 : 1)) {
        const auto byte = static_cast<unsigned char>(c);
        text += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
      }
    } else {
      text.append(bytes.substr(0, length));
    }
    bytes.remove_prefix(is_c1 || length == 0 ? (is_c1 ? 2 : 1) : length);
  }
  return text;
}

// Tenths of a millisecond, the nearest. In integers, so that 0.25 and 0.35 round the same way everywhere.
std::int64_t tenths_of_ms(std::chrono::microseconds elapsed) { return (elapsed.count() + 50) / 100; }

struct console_writer {
  const answer& a;
  const output_style& style;

  std::string line(std::int64_t revision, std::string_view what) const {
    return "r" + std::to_string(revision) + " " + std::string(what) + " " + format_elapsed(a.elapsed) + "\n";
  }

  std::string operator()(const error& e) const {
    return "error: " + std::string(to_string(e.code)) + ": " + escape(e.message, backslash::kept) + "\n";
  }
  std::string operator()(const kv::set_response& r) const { return line(r.revision, r.is_set ? "set" : "not set"); }
  std::string operator()(const kv::get_response& r) const {
    return line(r.revision, r.is_found ? escape_text(r.value.view()) : "not found");
  }
  std::string operator()(const kv::exists_response& r) const { return line(r.revision, r.is_found ? "exists" : "not found"); }
  std::string operator()(const kv::delete_response& r) const { return line(r.revision, r.is_deleted ? "deleted" : "not found"); }
  std::string operator()(const kv::extend_response& r) const { return line(r.revision, r.is_extended ? "extended" : "not found"); }

  std::string operator()(const client::key_list& list) const {
    std::string text;
    for (const auto& item : list.items) {
      text += "r" + std::to_string(item.revision) + " " + escape_text(item.key) + " " + escape_text(item.value.view()) + "\n";
    }
    if (style.footer == list_footer::shown) {
      const auto count = list.items.size();
      text += std::to_string(count) + (count == 1 ? " key " : " keys ") + format_elapsed(a.elapsed);
      // Lists are never cut silently (contract §2).
      text += list.has_more ? " more\n" : "\n";
    }
    return text;
  }
};

void put_bytes(json& object, const std::string& name, std::string_view bytes) {
  if (is_utf8(bytes))
    object[name] = bytes;
  else
    object[name + "_base64"] = to_base64(bytes);
}

void put_expiry(json& object, std::uint64_t expires_at_ms) {
  if (expires_at_ms != 0) object["expires"] = expires_at_ms;
}

// A string, because readers that keep numbers as doubles would round it.
void put_modified(json& object, timestamp modified) { object["modified"] = std::to_string(modified.value); }

struct json_writer {
  json& object;

  void operator()(const error& e) const {
    object["status"] = "error";
    object["code"] = to_string(e.code);
    object["applied"] = is_outcome_unknown(e.code) ? "unknown" : "no";
    object["message"] = e.message;
  }

  void operator()(const kv::set_response& r) const {
    object["status"] = r.is_set ? "set" : "not set";
    object["revision"] = r.revision;
    if (r.is_set) put_modified(object, r.modified);
  }

  void operator()(const kv::get_response& r) const {
    object["status"] = r.is_found ? "found" : "not found";
    if (r.is_found) put_bytes(object, "value", r.value.view());
    object["revision"] = r.revision;
    if (!r.is_found) return;
    put_expiry(object, r.expires_at_ms);
    put_modified(object, r.modified);
  }

  void operator()(const kv::exists_response& r) const {
    object["status"] = r.is_found ? "exists" : "not found";
    object["revision"] = r.revision;
  }

  void operator()(const kv::delete_response& r) const {
    object["status"] = r.is_deleted ? "deleted" : "not found";
    object["revision"] = r.revision;
    if (r.is_deleted) put_modified(object, r.modified);
  }

  void operator()(const kv::extend_response& r) const {
    object["status"] = r.is_extended ? "extended" : "not found";
    object["revision"] = r.revision;
    if (r.is_extended) put_modified(object, r.modified);
  }

  void operator()(const client::key_list& list) const {
    object["status"] = "found";
    object["count"] = list.items.size();
    json items = json::array();
    for (const auto& item : list.items) {
      json row;
      put_bytes(row, "key", item.key);
      put_bytes(row, "value", item.value.view());
      row["revision"] = item.revision;
      put_expiry(row, item.expires_at_ms);
      put_modified(row, item.modified);
      items.push_back(std::move(row));
    }
    object["items"] = std::move(items);
    if (list.has_more) object["more"] = true;
  }
};

std::string format_json(const answer& a) {
  json object;
  if (!a.op_name.empty()) object["op"] = a.op_name;
  if (a.key) put_bytes(object, "key", *a.key);
  std::visit(json_writer{object}, a.what);
  object["elapsed_ms"] = static_cast<double>(tenths_of_ms(a.elapsed)) / 10;
  // Messages may quote bytes that somebody sent: what is not UTF-8 in them is replaced.
  return object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string format_answer(const answer& a, const output_style& style) {
  return style.format == output_format::json ? format_json(a) : std::visit(console_writer{a, style}, a.what);
}

std::string format_elapsed(std::chrono::microseconds elapsed) {
  const auto tenths = tenths_of_ms(elapsed);
  if (tenths < 100) return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + "ms";
  return std::to_string((elapsed.count() + 500) / 1000) + "ms";
}

std::string escape_text(std::string_view bytes) { return escape(bytes, backslash::doubled); }

bool is_utf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto length = utf8_sequence_bytes(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

std::string to_base64(std::string_view bytes) {
  static constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t at) { return at < bytes.size() ? static_cast<unsigned char>(bytes[at]) : 0u; };
    const unsigned group = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    text += alphabet[group >> 18];
    text += alphabet[group >> 12 & 63];
    text += i + 1 < bytes.size() ? alphabet[group >> 6 & 63] : '=';
    text += i + 2 < bytes.size() ? alphabet[group & 63] : '=';
  }
  return text;
}

}  // namespace kahuna::cli
