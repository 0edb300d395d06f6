#include "cli/output.hpp"

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>

#include "cli/cluster_report.hpp"

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

  std::string in(std::string_view text, tone t) const { return toned(text, t, style.is_coloured); }
  std::string elapsed() const { return in(format_elapsed(a.elapsed), tone::faint); }

  // `width`: columns that the revision takes with its blank.
  std::string revision_column(std::int64_t revision, std::size_t width = 0) const {
    const auto text = "r" + std::to_string(revision);
    return in(text, tone::faint) + std::string(std::max(width, text.size() + 1) - text.size(), ' ');
  }

  std::string line(std::int64_t revision, std::string_view what) const {
    return revision_column(revision) + std::string(what) + " " + elapsed() + "\n";
  }

  // As the other lists, the tables end with a line that has the time; alone they need none.
  std::string closing(std::string_view text, tone t = tone::plain) const {
    return style.footer == list_footer::shown ? in(text, t) + " " + elapsed() + "\n" : "";
  }

  std::string operator()(const error& e) const {
    return toned("error: " + std::string(to_string(e.code)) + ": " + escape(e.message, backslash::kept), tone::bad,
                 style.are_errors_coloured) +
           "\n";
  }
  std::string operator()(const kv::set_response& r) const { return line(r.revision, r.is_set ? "set" : "not set"); }
  std::string operator()(const kv::get_response& r) const {
    return line(r.revision, r.is_found ? escape_text(r.value.view()) : "not found");
  }
  std::string operator()(const kv::exists_response& r) const { return line(r.revision, r.is_found ? "exists" : "not found"); }
  std::string operator()(const kv::delete_response& r) const { return line(r.revision, r.is_deleted ? "deleted" : "not found"); }
  std::string operator()(const kv::extend_response& r) const { return line(r.revision, r.is_extended ? "extended" : "not found"); }

  std::string operator()(const begun_answer&) const { return "begun " + elapsed() + "\n"; }
  std::string operator()(const kv::commit_response&) const { return "committed " + elapsed() + "\n"; }
  std::string operator()(const kv::rollback_response&) const { return "rolled back " + elapsed() + "\n"; }

  std::string operator()(const client::key_list& list) const {
    // One key of thousands of bytes would push all values out of sight.
    constexpr std::size_t key_columns_max = 60;
    std::size_t revision_width = 0;
    std::size_t key_width = 0;
    if (style.is_for_terminal) {
      for (const auto& item : list.items) {
        revision_width = std::max(revision_width, std::to_string(item.revision).size() + 2);
        if (const auto width = columns_of(escape_text(item.key)); width <= key_columns_max) key_width = std::max(key_width, width);
      }
    }
    std::string text;
    for (const auto& item : list.items) {
      const auto key = escape_text(item.key);
      const auto width = columns_of(key);
      text += revision_column(item.revision, revision_width) + key + std::string(std::max(key_width, width) - width + 1, ' ') +
              escape_text(item.value.view()) + "\n";
    }
    if (style.footer == list_footer::shown) {
      const auto count = list.items.size();
      text += std::to_string(count) + (count == 1 ? " key " : " keys ") + elapsed();
      // Lists are never cut silently (contract §2).
      text += list.has_more ? " more\n" : "\n";
    }
    return text;
  }

  std::string operator()(const cluster_answer& c) const {
    const auto opinion = judge(c.overview);
    return cluster_tables(c.overview, style.is_coloured) + closing(opinion.word, opinion.severity);
  }
  // Its last line is the answer, not only its end.
  std::string operator()(const status_answer& s) const {
    const auto opinion = judge(s.overview);
    return status_lines(s.overview, style.is_coloured) + in(opinion.text, opinion.severity) + " " + elapsed() + "\n";
  }
  std::string operator()(const partition_answer& p) const {
    const auto& partition = p.partition;
    return partition_table(partition, style.is_coloured) +
           closing("partition " + std::to_string(partition.id) + (partition.leader ? " led by " + *partition.leader : " without a leader"),
                   partition.leader ? tone::plain : tone::bad);
  }

  std::string operator()(const transfer_answer& t) const {
    return "partition " + std::to_string(t.partition) + " led by " + t.leader + " " + elapsed() + "\n";
  }

  std::string operator()(const change_answer& c) const {
    const auto what = c.what == change_answer::state::waits_for_node
                          ? (c.by.empty() ? c.node + " added" : c.by + " will replace " + c.node) + "; start it: " + c.start_command
                      : c.by.empty() ? c.node + (c.is_removal ? " removed" : " added")
                                     : c.node + " replaced by " + c.by;
    return what + " " + elapsed() + "\n";
  }

  std::string operator()(const help_answer& help) const { return help.text; }
  std::string operator()(const abandoned& left) const {
    return in(left.is_write ? "abandoned; the write may still be applied" : "abandoned", tone::warning) + " " + elapsed() + "\n";
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

  void operator()(const begun_answer& b) const {
    object["status"] = "begun";
    object["transaction"] = b.transaction;
  }
  void operator()(const kv::commit_response& r) const {
    object["status"] = "committed";
    put_modified(object, r.modified);
  }
  void operator()(const kv::rollback_response&) const { object["status"] = "rolled back"; }

  void operator()(const cluster_answer& c) const {
    object["status"] = "found";
    put_cluster(object, c.overview);
  }
  void operator()(const status_answer& s) const {
    object["status"] = "found";
    put_status(object, s.overview);
  }
  void operator()(const partition_answer& p) const {
    object["status"] = "found";
    put_partition(object, p.partition);
  }
  void operator()(const transfer_answer& t) const {
    object["status"] = "transferred";
    object["partition"] = t.partition;
    object["leader"] = t.leader;
  }
  void operator()(const change_answer& c) const {
    object["status"] = c.what == change_answer::state::waits_for_node ? "waiting" : c.by.empty() ? (c.is_removal ? "removed" : "added") : "replaced";
    object["node"] = c.node;
    if (!c.by.empty()) object["by"] = c.by;
    if (c.what == change_answer::state::waits_for_node) object["start"] = c.start_command;
  }
  void operator()(const help_answer& help) const {
    object["status"] = "found";
    object["text"] = help.text;
  }
  void operator()(const abandoned& left) const {
    object["status"] = "abandoned";
    object["applied"] = left.is_write ? "unknown" : "no";
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

std::string format_caret(std::string_view line, std::size_t column) {
  constexpr std::size_t excerpt_columns = 36;  // on each side of the caret
  const auto at = std::min(column - 1, line.size());
  auto before = escape(line.substr(0, at), backslash::kept);
  auto after = escape(line.substr(at), backslash::kept);
  // From the place outwards, and never through the middle of a character.
  std::size_t cut = before.size();
  for (std::size_t columns = 0; cut > 0 && columns < excerpt_columns;)
    if ((static_cast<unsigned char>(before[--cut]) & 0xc0) != 0x80) ++columns;
  if (cut > 0) before = "…" + before.substr(cut);
  std::size_t end = 0;
  for (std::size_t columns = 0; end < after.size(); ++end)
    if ((static_cast<unsigned char>(after[end]) & 0xc0) != 0x80 && ++columns > excerpt_columns) break;
  if (end < after.size()) after = after.substr(0, end) + "…";
  return "  " + before + after + "\n  " + std::string(columns_of(before), ' ') + "^\n";
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
