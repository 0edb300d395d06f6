// The codec: frames, as they go out and come in, and what an entry carries.
#include "bench/micro/microbench.hpp"

#include <vector>

#include "messages/connection/frame.hpp"
#include "messages/protocol.hpp"

namespace kahuna::microbench {

namespace {

constexpr std::size_t operations_of_a_frame = 64;
constexpr std::size_t partition_count = 16;
constexpr std::uint32_t frame_bound = messages::frame_bytes_max(1 << 20);

messages::client_requests some_requests() {
  messages::client_requests body{timestamp_at(wall_ms), {}};
  for (std::uint64_t i = 1; i <= operations_of_a_frame; ++i) {
    messages::client_request request;
    request.sequence = 1'000'000 + i;
    request.issued_at = timestamp_at(wall_ms) + i;
    request.floor = 1'000'000;
    request.budget_ms = 5000;
    request.op = any_set();
    body.requests.push_back(std::move(request));
  }
  return body;
}

// Each partition's leader sends some of the entries.
messages::peer_messages some_messages() {
  messages::peer_messages body{timestamp_at(wall_ms), {}};
  for (std::uint32_t partition = 0; partition < partition_count; ++partition) {
    const term_id term{3};
    log_index last{100'000};
    raft::append_request request{term, last, term, last, 12'345, {}};
    for (std::size_t i = 0; i < operations_of_a_frame / partition_count; ++i)
      request.entries.push_back({term, ++last, raft::entry_kind::command, messages::encode(batch_of_sets(1))});
    body.envelopes.push_back({partition_id{partition}, std::move(request)});
  }
  return body;
}

std::size_t count(const messages::client_requests& body) { return body.requests.size(); }
std::size_t count(const messages::peer_messages& body) {
  std::size_t entries = 0;
  for (const auto& envelope : body.envelopes) entries += std::get<raft::append_request>(envelope.body).entries.size();
  return entries;
}

template <class Body>
void encode_frame(benchmark::State& state, messages::frame_kind kind, const Body& body) {
  std::vector<char> out;
  for (auto _ : state) {
    out.clear();
    messages::append_frame(out, kind, body);
    benchmark::DoNotOptimize(out.data());
  }
  KAHUNA_CHECK(out.size() > operations_of_a_frame * value_bytes, out.size());
  report_per_operation(state, operations_of_a_frame * static_cast<std::uint64_t>(state.iterations()));
}

template <class Body>
void decode_frame(benchmark::State& state, messages::frame_kind kind, const Body& body) {
  std::vector<char> in;
  messages::append_frame(in, kind, body);
  messages::frame_reader reader(frame_bound);
  for (auto _ : state) {
    reader.feed(in.data(), in.size());
    const auto frame = reader.next();
    KAHUNA_CHECK(frame && frame->kind == kind);
    const auto decoded = messages::decode<Body>(frame->body);
    KAHUNA_CHECK(decoded && count(*decoded) == operations_of_a_frame);
  }
  report_per_operation(state, operations_of_a_frame * static_cast<std::uint64_t>(state.iterations()));
}

void encode_client_requests(benchmark::State& state) { encode_frame(state, messages::frame_kind::client_requests, some_requests()); }
void decode_client_requests(benchmark::State& state) { decode_frame(state, messages::frame_kind::client_requests, some_requests()); }
void encode_peer_messages(benchmark::State& state) { encode_frame(state, messages::frame_kind::peer_messages, some_messages()); }
void decode_peer_messages(benchmark::State& state) { decode_frame(state, messages::frame_kind::peer_messages, some_messages()); }

void encode_write_batch(benchmark::State& state) {
  const auto sets = static_cast<std::size_t>(state.range(0));
  const auto batch = batch_of_sets(sets);
  for (auto _ : state) {
    const auto bytes = messages::encode(batch);
    KAHUNA_CHECK(bytes.size() > sets * value_bytes);
  }
  report_per_operation(state, sets * static_cast<std::uint64_t>(state.iterations()));
}

void decode_write_batch(benchmark::State& state) {
  const auto sets = static_cast<std::size_t>(state.range(0));
  const auto bytes = messages::encode(batch_of_sets(sets));
  for (auto _ : state) {
    const auto batch = messages::decode<kv::write_batch>(bytes);
    KAHUNA_CHECK(batch && batch->mutations.size() == sets);
  }
  report_per_operation(state, sets * static_cast<std::uint64_t>(state.iterations()));
}

BENCHMARK(encode_client_requests);
BENCHMARK(decode_client_requests);
BENCHMARK(encode_peer_messages);
BENCHMARK(decode_peer_messages);
BENCHMARK(encode_write_batch)->ArgName("sets")->Arg(1)->Arg(16)->Arg(64);
BENCHMARK(decode_write_batch)->ArgName("sets")->Arg(1)->Arg(16)->Arg(64);

}  // namespace

}  // namespace kahuna::microbench
