#define CAF_SUITE node_options
#include "caf/test/unit_test.hpp"

#include <fstream>
#include <filesystem>

#include "config/node_options.hpp"
#include "config/version.hpp"
#include "tests/support/process.hpp"

using namespace kahuna;
using namespace kahuna::config;

namespace {

using arguments = std::vector<std::string>;

result<std::variant<information, node_options>> load(const arguments& command_line, const arguments& environment = {}) {
  std::vector<const char*> argv{"kahuna-node"};
  for (const auto& argument : command_line) argv.push_back(argument.c_str());
  std::vector<const char*> variables;
  for (const auto& variable : environment) variables.push_back(variable.c_str());
  variables.push_back(nullptr);
  return load_node_options(static_cast<int>(argv.size()), argv.data(), variables.data());
}

node_options options_of(const arguments& command_line, const arguments& environment = {}) {
  const auto loaded = load(command_line, environment);
  if (!loaded) CAF_FAIL(loaded.error().message);
  return std::get<node_options>(*loaded);
}

// That it is refused, in one line that holds all of these.
void check_refused(const arguments& command_line, const std::vector<std::string>& named, const arguments& environment = {}) {
  const auto loaded = load(command_line, environment);
  CAF_REQUIRE(!loaded);
  CAF_CHECK(loaded.error().code == errc::invalid_argument);
  CAF_CHECK(loaded.error().message.find('\n') == std::string::npos);
  for (const auto& text : named)
    if (loaded.error().message.find(text) == std::string::npos) CAF_ERROR("'" << text << "' is not in: " << loaded.error().message);
}

std::string write_file(const kahuna::testing::temporary_directory& directory, const std::string& text) {
  const auto path = (directory.path() / "node.conf").string();
  std::ofstream(path) << text;
  return path;
}

}  // namespace

CAF_TEST(without options the defaults of the contract hold) {
  const auto options = options_of({});
  CAF_CHECK_EQUAL(options.node_id, "n1");
  CAF_CHECK_EQUAL(options.listen.text(), "127.0.0.1:4870");
  CAF_CHECK_EQUAL(options.http->text(), "127.0.0.1:4871");
  CAF_CHECK_EQUAL(options.data_dir, "./kahuna-data");
  CAF_CHECK((options.initial_members == std::vector<std::pair<std::string, std::string>>{{"n1", "127.0.0.1:4870"}}));
  CAF_CHECK(!options.is_initial_cluster_given);
  CAF_CHECK_EQUAL(options.partitions, 16u);
  CAF_CHECK_EQUAL(options.heartbeat_interval_ms, 50u);
  CAF_CHECK_EQUAL(options.election_timeout_ms, 300u);
  CAF_CHECK(options.read_mode == config::read_mode::lease);
  CAF_CHECK_EQUAL(options.max_value_size, 1048576u);
  CAF_CHECK_EQUAL(options.ephemeral_max_bytes, std::size_t{256} << 20);
  CAF_CHECK(!options.partition_threads);
  CAF_CHECK(!options.rejoin);
  CAF_CHECK_EQUAL(options.log_level, "info");
}

CAF_TEST(every option can be given) {
  const auto options = options_of({"--node-id", "n2", "--listen=0.0.0.0:5000", "--http", "off", "--data-dir", "/d", "--initial-cluster",
                                   "n1=h1:4870,n2=h2:5000,n3=[::1]:4870", "--partitions", "8", "--replication-factor", "2",
                                   "--heartbeat-interval", "20", "--election-timeout", "200", "--read-mode", "read-index",
                                   "--max-value-size", "16777216", "--history-max-revisions", "5", "--history-max-age", "1000",
                                   "--ephemeral-max-bytes", "2 GiB", "--partition-threads", "0", "--rejoin", "--log-level", "debug", "--log-format", "json"});
  CAF_CHECK_EQUAL(options.node_id, "n2");
  CAF_CHECK_EQUAL(options.listen.text(), "0.0.0.0:5000");
  CAF_CHECK(!options.http);
  CAF_CHECK_EQUAL(options.initial_members.size(), 3u);
  CAF_CHECK_EQUAL(options.initial_members[2].second, "[::1]:4870");
  CAF_CHECK_EQUAL(options.partitions, 8u);
  CAF_CHECK_EQUAL(options.replication_factor, 2u);
  CAF_CHECK_EQUAL(options.heartbeat_interval_ms, 20u);
  CAF_CHECK(options.read_mode == config::read_mode::read_index);
  CAF_CHECK_EQUAL(options.max_value_size, 16777216u);
  CAF_CHECK_EQUAL(options.history_max_revisions, 5u);
  CAF_CHECK_EQUAL(options.ephemeral_max_bytes, std::size_t{2} << 30);
  CAF_CHECK(options.partition_threads == std::uint32_t{0});
  CAF_CHECK(options.rejoin);
  CAF_CHECK(options.log_format == log_format::json);
}

CAF_TEST(the command line wins then the environment then the file) {
  const kahuna::testing::temporary_directory directory;
  const auto file = write_file(directory, "# a comment\n\nnode-id = from-file\npartitions=4\n data-dir = /from/file \nrejoin = true\n");
  const arguments environment{"KAHUNA_NODE_ID=from-environment", "KAHUNA_PARTITIONS=5", "KAHUNA_SOMETHING_ELSE=1", "HOME=/"};
  auto options = options_of({"--config", file, "--node-id", "from-command-line"}, environment);
  CAF_CHECK_EQUAL(options.node_id, "from-command-line");
  CAF_CHECK_EQUAL(options.partitions, 5u);
  CAF_CHECK_EQUAL(options.data_dir, "/from/file");
  CAF_CHECK(options.rejoin);
  options = options_of({}, {"KAHUNA_CONFIG=" + file});
  CAF_CHECK_EQUAL(options.node_id, "from-file");
}

CAF_TEST(numbers are whole and within their range) {
  for (const auto* wrong : {"", "x", "1x", "-1", "1.5", "0", "4097", "99999999999999999999999"})
    check_refused({"--partitions", wrong}, {"--partitions", "1 to 4096"});
  check_refused({"--max-value-size", "16777217"}, {"--max-value-size", "16777216"});
  check_refused({"--ephemeral-max-bytes", "12 potatoes"}, {"--ephemeral-max-bytes"});
  check_refused({"--ephemeral-max-bytes", "99999999999999GiB"}, {"--ephemeral-max-bytes"});
}

CAF_TEST(what is wrong is named with where it stands) {
  const kahuna::testing::temporary_directory directory;
  check_refused({"--no-such", "1"}, {"no-such"});
  check_refused({"--part", "4"}, {"part"});  // no guessing
  for (const auto* argument : {"--no%original_token%", "--no%original_token%=", "--=%original_token%"})  // Boost's own placeholder
    check_refused({argument}, {"unrecognised option '--"});
  check_refused({"stray"}, {"--help"});
  check_refused({"--partitions", "4", "--partitions", "5"}, {"--partitions", "2 times"});
  check_refused({"--partitions"}, {"partitions"});
  check_refused({}, {"KAHUNA_PARTITIONS", "many"}, {"KAHUNA_PARTITIONS=many"});
  check_refused({"--config", write_file(directory, "a = 1\n")}, {"line 1", "'a'"});
  check_refused({"--config", write_file(directory, "\npartitions\n")}, {"line 2"});
  check_refused({"--config", write_file(directory, "partitions = 4\npartitions = 5\n")}, {"line 2", "twice"});
  check_refused({"--config", write_file(directory, "partitions = many\n")}, {"line 1", "many"});
  check_refused({"--config", "/no/such/file"}, {"/no/such/file"});
  check_refused({"--read-mode", "stale"}, {"--read-mode", "lease", "read-index"});
  check_refused({"--log-level", "loud"}, {"--log-level", "warn"});
  check_refused({"--node-id", "a b"}, {"--node-id"});
  check_refused({"--listen", "nowhere"}, {"--listen", "HOST:PORT"});
  check_refused({"--listen", "h:0"}, {"--listen"});
  check_refused({"--listen", "h:65536"}, {"--listen"});
  check_refused({"--http", "on"}, {"--http"});
}

CAF_TEST(what does not fit together is refused) {
  check_refused({"--heartbeat-interval", "150"}, {"--election-timeout", "--heartbeat-interval"});
  check_refused({"--replication-factor", "2"}, {"--replication-factor", "1 member"});
  check_refused({"--initial-cluster", "n2=h:1"}, {"--initial-cluster", "n1"});
  check_refused({"--initial-cluster", "n1=127.0.0.1:4871"}, {"--initial-cluster", "--listen"});
  check_refused({"--initial-cluster", "n1=h:4870,n1=h:2"}, {"n1", "twice"});
  check_refused({"--initial-cluster", "n1=h:4870,n2=h:4870"}, {"h:4870", "twice"});
  check_refused({"--initial-cluster", "n1=h:4870,"}, {"--initial-cluster"});
  check_refused({"--initial-cluster", "n1"}, {"--initial-cluster", "NAME=HOST:PORT"});
  check_refused({"--initial-cluster", ""}, {"--initial-cluster"});
  check_refused({"--http", "127.0.0.1:4870"}, {"--http", "--listen"});
}

CAF_TEST(help and version are information) {
  const auto help = load({"--help"});
  CAF_REQUIRE(std::holds_alternative<information>(*help));
  CAF_CHECK(std::get<information>(*help).text.find("--initial-cluster") != std::string::npos);
  const auto said = load({"--version"});
  CAF_CHECK_EQUAL(std::get<information>(*said).text, std::string("kahuna-node ") + KAHUNA_PROJECT_VERSION + "\n");
}

CAF_TEST(the example files can be started with) {
  const std::filesystem::path folder = KAHUNA_SOURCE_DIR "/config";
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".conf") continue;
    ++files;
    const auto options = options_of({"--config", entry.path().string()});
    if (entry.path().parent_path() != folder) CAF_CHECK_EQUAL(options.initial_members.size(), 3u);
  }
  CAF_CHECK_EQUAL(files, 4u);
}
