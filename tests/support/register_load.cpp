#include "tests/support/register_load.hpp"

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <mutex>

#include "core/base/check.hpp"
#include "core/base/prng.hpp"

namespace kahuna::testing {

std::int64_t history_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(steady_clock::now().time_since_epoch()).count();
}

std::int64_t register_value(const kv::get_response& response) {
  if (!response.is_found) return absent_value;
  const auto text = response.value.view();
  std::int64_t number = -1;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  KAHUNA_CHECK(parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() && number >= 0, text);
  return number;
}

client::client connect_or_fail(std::vector<std::string> endpoints, milliseconds timeout) {
  client::client_options options;
  options.endpoints = std::move(endpoints);
  options.timeout = timeout;
  auto connected = client::client::connect(std::move(options));
  KAHUNA_CHECK(connected.has_value(), connected.error().message);
  return std::move(connected).value();
}

kv::get_request get_of(const std::string& key) {
  kv::get_request request;
  request.key = key;
  return request;
}

kv::set_request set_of(const std::string& key, std::string value) {
  kv::set_request request;
  request.key = key;
  request.value = std::move(value);
  return request;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += "\n  " + line;
  return text;
}

register_load::register_load(std::vector<std::string> endpoints, register_load_options options) : options_(std::move(options)) {
  for (int i = 0; i < options_.clients; ++i) {
    auto& self = *workers_.emplace_back(std::make_unique<worker>());
    for (int k = 0; k < options_.keys_per_client; ++k) {
      self.keys.emplace_back();
      self.keys.back().name = options_.key_prefix + std::to_string(i) + "-" + std::to_string(k);
      all_keys_.push_back(self.keys.back().name);
    }
    auto rotated = endpoints;
    std::rotate(rotated.begin(), rotated.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(i) % rotated.size()),
                rotated.end());
    self.connection = std::make_unique<client::client>(connect_or_fail(std::move(rotated), options_.timeout));
  }
}

register_load::~register_load() { stop(); }

void register_load::start() {
  should_stop_ = false;
  prng root(options_.seed);
  for (auto& self : workers_) self->thread = std::thread([this, &self = *self, seed = root.next()] { work(self, seed); });
}

void register_load::stop() {
  should_stop_ = true;
  for (auto& self : workers_)
    if (self->thread.joinable()) self->thread.join();
}

bool register_load::wait_for_answers(std::uint64_t count, milliseconds patience) const {
  const auto goal = answered_ + count;
  return eventually(patience, [&] { return answered_ >= goal; });
}

void register_load::work(worker& self, std::uint64_t seed) {
  prng dice(seed);
  while (!should_stop_) {
    write_once(self, self.keys[dice.below(self.keys.size())]);
    read_once(self, all_keys_[dice.below(all_keys_.size())]);
  }
}

void register_load::write_once(worker& self, written_key& key) {
  auto& write = key.writes.emplace_back();
  write.value = static_cast<std::int64_t>(key.writes.size()) - 1;
  auto request = set_of(key.name, std::to_string(write.value));
  request.if_revision = key.revision;
  write.began = history_now();
  const auto answer = self.connection->set(std::move(request));
  write.ended = history_now();
  if (answer) {
    ++answered_;
    write.outcome = answer->is_set ? write_outcome::acknowledged : write_outcome::refused;
    if (answer->is_set) {
      key.acknowledged[answer->revision] = write.value;
      if (answer->revision != key.revision + 1)
        self.complaints.push_back(key.name + ": a set on revision " + std::to_string(key.revision) + " answered with revision " +
                                  std::to_string(answer->revision));
    } else if (answer->revision <= key.revision) {
      // Nobody else writes this key: only an earlier write of unknown outcome can have moved it, and only forward.
      self.complaints.push_back(key.name + ": a set on revision " + std::to_string(key.revision) +
                                " was not set, at revision " + std::to_string(answer->revision));
    }
    key.revision = answer->revision;
    return;
  }
  const auto& error = answer.error();
  write.outcome = is_outcome_unknown(error.code) ? write_outcome::unknown : write_outcome::refused;
  if (error.code != errc::timeout && error.code != errc::unavailable && error.code != errc::overloaded)
    self.complaints.push_back(key.name + ": a set failed: " + std::string(to_string(error.code)) + ": " + error.message);
  pause_briefly();
}

void register_load::read_once(worker& self, const std::string& key) {
  register_read read;
  read.began = history_now();
  const auto answer = self.connection->get(get_of(key));
  read.ended = history_now();
  if (answer) {
    ++answered_;
    read.value = register_value(*answer);
    self.reads[key].push_back(read);
    return;
  }
  ++self.reads_failed;
  const auto& error = answer.error();
  if (error.code != errc::timeout && error.code != errc::unavailable && error.code != errc::overloaded)
    self.complaints.push_back(key + ": a get failed: " + std::string(to_string(error.code)) + ": " + error.message);
  pause_briefly();
}

std::vector<std::string> register_load::keys() const { return all_keys_; }

load_counts register_load::counts() const {
  load_counts counts;
  for (const auto& self : workers_) {
    counts.reads_failed += self->reads_failed;
    for (const auto& [key, reads] : self->reads) counts.reads_answered += reads.size();
    for (const auto& key : self->keys)
      for (const auto& write : key.writes) {
        counts.writes_acknowledged += write.outcome == write_outcome::acknowledged;
        counts.writes_refused += write.outcome == write_outcome::refused;
        counts.writes_unknown += write.outcome == write_outcome::unknown;
      }
  }
  return counts;
}

register_history register_load::history(const std::string& key) const {
  register_history history;
  for (const auto& self : workers_) {
    for (const auto& written : self->keys)
      if (written.name == key) history.writes = written.writes;
    const auto reads = self->reads.find(key);
    if (reads != self->reads.end()) history.reads.insert(history.reads.end(), reads->second.begin(), reads->second.end());
  }
  return history;
}

std::vector<std::string> register_load::violations(client::client& reader, const reads_by_key& others) const {
  std::vector<std::string> found;
  for (const auto& self : workers_) {
    found.insert(found.end(), self->complaints.begin(), self->complaints.end());
    for (const auto& key : self->keys) {
      auto history = this->history(key.name);
      const auto other = others.find(key.name);
      if (other != others.end()) history.reads.insert(history.reads.end(), other->second.begin(), other->second.end());
      register_read last;
      last.began = history_now();
      const auto answer = reader.get(get_of(key.name));
      last.ended = history_now();
      if (answer) {
        last.value = register_value(*answer);
        history.reads.push_back(last);
      } else {
        found.push_back(key.name + ": the last read failed: " + answer.error().message);
      }
      if (const auto violation = find_violation(history)) found.push_back(key.name + ": " + *violation);
      check_stored_history(reader, key, found);
    }
  }
  return found;
}

void register_load::check_stored_history(client::client& reader, const written_key& key,
                                         std::vector<std::string>& found) const {
  const auto newest = reader.get(get_of(key.name));
  if (!newest) return found.push_back(key.name + ": cannot be read: " + newest.error().message);
  std::map<std::int64_t, write_outcome> outcomes;
  for (const auto& write : key.writes) outcomes[write.value] = write.outcome;

  // Every revision is asked for at once; the client bounds what is on its way.
  const auto count = static_cast<std::size_t>(newest->revision + 1);
  std::vector<kv::operation_response> answers(count);
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t outstanding = 0;
  constexpr std::size_t outstanding_max = 256;
  for (std::size_t revision = 0; revision < count; ++revision) {
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return outstanding < outstanding_max; });
      ++outstanding;
    }
    auto request = get_of(key.name);
    request.at_revision = static_cast<std::int64_t>(revision);
    reader.submit(std::move(request), [&, revision](kv::operation_response response) {
      const std::lock_guard lock(mutex);
      answers[revision] = std::move(response);
      --outstanding;
      changed.notify_one();
    });
  }
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return outstanding == 0; });
  }

  std::int64_t previous = absent_value;
  for (std::size_t i = 0; i < count; ++i) {
    const auto revision = static_cast<std::int64_t>(i);
    const auto at = key.name + " at " + std::to_string(revision) + ": ";
    const auto* response = std::get_if<kv::get_response>(&answers[i]);
    if (response == nullptr || !response->is_found) {
      const auto* error = std::get_if<kahuna::error>(&answers[i]);
      found.push_back(at + (error ? error->message : "missing in the history"));
      continue;
    }
    const auto value = register_value(*response);
    if (value <= previous) found.push_back(at + std::to_string(value) + " stands behind " + std::to_string(previous));
    previous = value;
    const auto outcome = outcomes.find(value);
    if (outcome == outcomes.end()) found.push_back(at + std::to_string(value) + " was never written");
    else if (outcome->second == write_outcome::refused)
      found.push_back(at + std::to_string(value) + " was refused, and is there");
  }
  for (const auto& [revision, value] : key.acknowledged) {
    const auto at = key.name + " at " + std::to_string(revision) + ": ";
    const auto index = static_cast<std::size_t>(revision);
    const auto* response = index < count ? std::get_if<kv::get_response>(&answers[index]) : nullptr;
    if (response == nullptr || register_value(*response) != value)
      found.push_back(at + std::to_string(value) + " was acknowledged, and is not there");
  }
}

}  // namespace kahuna::testing
